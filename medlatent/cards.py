"""Model cards: what a recorded model is, what it may be used for and what not, from its record alone."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING

from .data import find_source
from .models import LatentModel

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


def _card(record: Record) -> str:
    run, data, source = record.run, record.data, find_source(record.data["source"])
    described = LatentModel.registry[record.model].__doc__.strip().splitlines()[0]
    described = re.sub(r",? :\w+:`[^`]*`", "", described)  # a reference that only the book can follow
    computed = source is not None and source.kind == "rendered"  # by this package, and under its licence
    licence = (source.licence if source else "") or data["licence"]
    facts = {
        "trained on": f"{data['name']}, {data['split']} split, {data['images']:,} images",
        "settings": ", ".join(f"{name} {value}" for name, value in record.config.items()),
        "steps": f"{run['steps']:,} of {run['batch_size']} images",
        "seed": run["seed"],
        "device": f"{run['device']}, {run['precision']}, PyTorch {run['torch']}",
        "duration": f"{run['seconds']:,.0f} s",
        "finished": run["finished"][:10],
        "commit": run["commit"],
        "weights": _weights(record),
    }
    names = list(dict.fromkeys(name for entry in record.metrics.values() for name in entry["values"]))
    heads = [f"{key}, {record.metrics[key]['images']:,} images" for key in record.metrics]
    columns = [entry["values"] for entry in record.metrics.values()]
    numbers = [[name, *(f"{c[name]:.4g}" if name in c else "–" for c in columns)] for name in names]
    load, kept = ("model", "the weights") if record.weights else ("observed", "what was observed of the model")
    parts = [
        # A JSON string is one of YAML, too, whatever is in it.
        f"---\nlicense: {LICENCES.get(licence, 'other')}\nlibrary_name: medlatent\ndatasets:\n"
        f"- {json.dumps(data['name'])}\n---",
        f"# {record.slug}/{record.name}",
        f"`{record.model}`: {_plain(described)}",
        "```python\nfrom medlatent.records import find_record\n\n"
        f'{load} = find_record("{record.slug}", "{record.name}").load_{load}()\n```',
        f"**Intended use.** {INTENDED}",
        f"**Not for.** {NOT_FOR}",
        "## Training",
        _table(["", ""], [[name, str(value)] for name, value in facts.items()]),
        "\n".join(f"    {line}" for line in run["command"].splitlines()),
        "## Numbers",
        "Of held-out images. `medlatent.evaluation` defines each, and `python -m medlatent evaluate` computes it again "
        f"from {kept}.",
        _table(["", *heads], numbers),
        "## Limits",
        f"{(source.limits if source else '') or LIMITS_ELSEWHERE} The run is short beside published ones, and one seed "
        "says little: two runs with different seeds differ.",
        "## Licence and source",
        f"Of the model: {_plain(licence)}, that of the {'package' if computed else 'data'}. {_plain(data['citation'])}",
    ]
    return "\n\n".join(parts) + "\n"


def _weights(record: Record) -> str:
    """What is kept of them, in words."""
    if not record.weights:
        return f"not kept; what the numbers are computed from is, {record.observed['bytes'] / 1e6:.1f} MB"
    kept = record.weights.get("dtype", "float32")
    rounded = " (what has two or more dimensions; the numbers below are of these)" if kept != "float32" else ""
    without = record.weights.get("without", [])
    left_out = f"; without {' and '.join(without)}, which only training needs" if without else ""
    return f"{record.weights['bytes'] / 1e6:.1f} MB, {kept}{rounded}{left_out}"


def _plain(text: str) -> str:
    """Text on one line in which nothing is a tag."""
    return html.escape(" ".join(text.split()), quote=False)


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(_plain(cell).replace("|", "\\|") for cell in cells) + " |" for cells in lines)
