"""Model cards: what a recorded model is, what it may be used for and what not, from its record alone."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from .data import find_source
from .evaluation import by_reason

if TYPE_CHECKING:
    from .records import Record

INTENDED = (
    "Teaching, and the study of what a latent space holds: reconstructions, traversals, metrics of disentanglement, "
    "comparisons of training objectives."
)
NOT_FOR = (
    "Diagnosis, triage, or any other decision about a person. The model has not been validated for a clinical purpose. "
    "What it draws are no photographs of people; do not pass them off as such."
)
LIMITS_ELSEWHERE = "See the card of the data."
# Identifiers of the model hubs for what the cards of the data call their licence.
LICENCES = {"CC BY-NC 4.0": "cc-by-nc-4.0", "CC BY-SA 3.0": "cc-by-sa-3.0", "Apache-2.0": "apache-2.0"}


def model_card(record: Record) -> str:
    """The model card of a record, as Markdown with a header that model hubs read.

    It follows Mitchell et al., Model Cards for Model Reporting (2019): the model, its use, its data, its training, its
    numbers, its limits, its licence. Every number is one of the record.

    Raises:
        ValueError: the record lacks a field; the message names both.
    """
    try:
        return _card(record)
    except KeyError as error:
        raise ValueError(f"{record.slug}/{record.name}: there is no {error} in the record") from None


def described(model: type) -> str:
    """The first line of a model's docstring, without the references that only the book can follow."""
    return re.sub(r",? :\w+:`[^`]*`", "", next(iter((model.__doc__ or "").strip().splitlines()), ""))


def _card(record: Record) -> str:
    run, data = record.run, record.data
    source = find_source(data["source"])
    computed = source is not None and source.kind == "rendered"
    licence = source.licence if computed else data["licence"]
    name = json.dumps(data["name"])  # in ASCII: YAML reads it as JSON does, line separators included
    settings = ", ".join(f"{name} {value}" for name, value in record.config.items())
    facts = {
        "trained on": f"{data['name']}, {data['split']} split, {data['images']:,} images",
        "settings": settings,
        "steps": f"{run['steps']:,} of {run['batch_size']} images",
        "seed": run["seed"],
        "device": f"{run['device']}, {run['precision']}, PyTorch {run['torch']}",
        "duration": f"{run['seconds']:,.0f} s",
        "finished": run["finished"][:10],
        "commit": run["commit"],
        "weights": _weights(record),
    }
    names = list(dict.fromkeys(name for entry in record.metrics.values() for name in entry["values"]))
    other = source.stand_in if source else None
    seen = f"{other.source}/test" if other and other.trained_on else ""
    heads = [
        f"{key}, {entry['images']:,} images{', seen in training' if key == seen else ''}"
        for key, entry in record.metrics.items()
    ]
    columns = [entry["values"] for entry in record.metrics.values()]
    numbers = [[name, *(f"{c[name]:.4g}" if name in c else "–" for c in columns)] for name in names]
    parts = [
        f"---\nlicense: {LICENCES.get(licence, 'other')}\nlibrary_name: medlatent\ndatasets:\n- {name}\n---",
        f"# {_text(record.called)}",
        f"{_code(record.model)}: {described(record.model_class).replace('<', '&lt;')}",
        *_opening(record),
        f"**Intended use.** {INTENDED}",
        f"**Not for.** {NOT_FOR}",
        "## Training",
        _table(["", ""], [[name, str(value)] for name, value in facts.items()]),
        _listing(run["command"]),
        "## Numbers",
        f"Of held-out images{f', but for {seen}' if seen in record.metrics else ''}. The suites in "
        "`medlatent.evaluation` define each, and `python -m medlatent evaluate` computes it again from "
        f"{'the weights' if record.weights else 'what was observed'}.",
        _table(["", *heads], numbers),
        *_left_out(record),
        *([f"**Collapsed**: {_text(collapsed(record))}"] if collapsed(record) else []),
        "## Limits",
        f"{(source and source.limits) or LIMITS_ELSEWHERE} The run is short beside published ones, and one seed says "
        "little: two runs with different seeds differ.",
        "## Licence and source",
        _text(f"Of the weights: {licence}, that of the {'package' if computed else 'data'}. {data['citation']}"),
    ]
    return "\n\n".join(parts) + "\n"


def _opening(record: Record) -> list[str]:
    """How the model is opened, where its weights were kept."""
    if not record.weights:
        return []
    call = f"model = find_record({json.dumps(record.slug)}, {json.dumps(record.name)}).load_model()"
    return [f"```python\nfrom medlatent.records import find_record\n\n{call}\n```"]


def collapsed(record: Record) -> str:
    """What a reader of the numbers would miss: that a code is ignored. Empty where it is not."""
    idle = [key for key, entry in record.metrics.items() if entry["values"].get("active_units") == 0]
    if not idle:
        return ""
    return (
        f"no dimension of the code is active on {' and '.join(idle)}: the decoder draws the same whatever the image "
        "is. A smaller learning rate, or a smaller variance of the reconstruction, may help."
    )


def _left_out(record: Record) -> list[str]:
    """A paragraph for each evaluation set from which numbers are left out."""
    paragraphs = []
    for key, entry in record.metrics.items():
        reasons = by_reason(entry.get("left_out", {}))
        said = "; ".join(f"{', '.join(map(_code, names))}: {_text(reason)}" for names, reason in reasons)
        if said:
            paragraphs.append(f"**Left out** of {_text(key)}. {said}.")
    return paragraphs


def _weights(record: Record) -> str:
    if not record.weights:
        return f"not kept, but {record.observed['bytes'] / 1e6:.1f} MB of what the numbers are computed from"
    kept, without = record.weights.get("dtype", "float32"), record.weights.get("without", [])
    rounded = " (what has two or more dimensions; the numbers below are of these)" if kept != "float32" else ""
    left_out = f"; without {' and '.join(without)}, which only training needs" if without else ""
    return f"{record.weights['bytes'] / 1e6:.1f} MB, {kept}{rounded}{left_out}"


# Whatever a record states, such as the name of a data set, is text: it begins and ends nothing of the card.

# What Markdown, HTML or a formula could begin or end with; brackets only where a link would go on, and underscores but
# for those within a word. As a reference to the character it is text to every reader, in a cell of a table, too.
MARKUP = re.compile(r"[\\`*<|~$]|&(?=[#\w])|](?=[(\[{:])|(?<![^\W_])_+|_+(?![^\W_])")


def _text(text: str) -> str:
    """A text on one line, which no character of it leaves or marks up."""
    return MARKUP.sub(lambda found: "".join(map(_reference, found[0])), " ".join(text.split()))


def _reference(character: str) -> str:
    return {"<": "&lt;", "&": "&amp;"}.get(character) or f"&#{ord(character)};"


def _code(text: str) -> str:
    """A name in the type of code, whatever it is."""
    line = " ".join(text.split())
    fence = max(["`", *(f"{run}`" for run in re.findall("`+", line))], key=len)
    space = " " * (line.startswith("`") or line.endswith("`") or not line)
    return f"{fence}{space}{line}{space}{fence}"


def _listing(text: str) -> str:
    fence = max(["```", *(f"{run}`" for run in re.findall("`{3,}", text))], key=len)
    return f"{fence}\n{text}\n{fence}"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [[_text(cell) for cell in cells] for cells in [heads, *rows]]
    lines.insert(1, ["---"] * len(heads))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
