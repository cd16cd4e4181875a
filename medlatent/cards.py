"""Model cards: what a recorded model is, what it may be used for and what not, from its record alone."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from .models import LatentModel

if TYPE_CHECKING:
    from .results import Record

INTENDED = (
    "Teaching, and the study of what a latent space holds: reconstructions, traversals, metrics of disentanglement, "
    "comparisons of training objectives."
)
NOT_FOR = (
    "Diagnosis, triage, or any other decision about a person. The model has not been validated for a clinical purpose. "
    "What it draws are no photographs of people; do not pass them off as such."
)
OF_DIGITS = (
    "Digits that employees of the Census Bureau and pupils wrote in the United States around 1990, centred and scaled. "
    "Nothing medical follows from them."
)
LIMITS = {
    "ham10000": (
        "Small images of the patients of one clinic in Vienna and one practice in Queensland, among whom dark skin is "
        "all but absent, and lesions that somebody had reason to photograph. The classes are unbalanced: two thirds "
        "are naevi. Hair, rulers and tinted light are drawn as if they belonged to the lesion."
    ),
    "phantoms.lesion": "Rendered images, fitted to the statistics of HAM10000; no patient was seen.",
    "mnist": OF_DIGITS,
    "mnist.digits": OF_DIGITS,
}
LIMITS_ELSEWHERE = "See the card of the data."
# Identifiers of the model hubs for what the cards of the data call their licence.
LICENCES = {"CC BY-NC 4.0": "cc-by-nc-4.0", "CC BY-SA 3.0": "cc-by-sa-3.0", "Apache-2.0": "apache-2.0"}
OF_PHANTOMS = "Apache-2.0"  # computed by this package, and under its licence


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
    run, data = record.run, record.data
    described = LatentModel.registry[record.model].__doc__.strip().splitlines()[0]
    described = re.sub(r",? :\w+:`[^`]*`", "", described)  # a reference that only the book can follow
    computed = data["source"].startswith("phantoms.")
    licence = OF_PHANTOMS if computed else data["licence"]
    settings = ", ".join(f"{name} {value}" for name, value in record.config.items())
    kept = record.weights.get("dtype", "float32")
    rounded = " (what has two or more dimensions; the numbers below are of these)" if kept != "float32" else ""
    without = record.weights.get("without", [])
    left_out = f"; without {' and '.join(without)}, which only training needs" if without else ""
    facts = {
        "trained on": f"{data['name']}, {data['split']} split, {data['images']:,} images",
        "settings": settings,
        "steps": f"{run['steps']:,} of {run['batch_size']} images",
        "seed": run["seed"],
        "device": f"{run['device']}, {run['precision']}, PyTorch {run['torch']}",
        "duration": f"{run['seconds']:,.0f} s",
        "finished": run["finished"][:10],
        "commit": run["commit"],
        "weights": f"{record.weights['bytes'] / 1e6:.1f} MB, {kept}{rounded}{left_out}",
    }
    names = list(dict.fromkeys(name for entry in record.metrics.values() for name in entry["values"]))
    heads = [f"{key}, {record.metrics[key]['images']:,} images" for key in record.metrics]
    columns = [entry["values"] for entry in record.metrics.values()]
    numbers = [[name, *(f"{c[name]:.4g}" if name in c else "–" for c in columns)] for name in names]
    parts = [
        f"---\nlicense: {LICENCES.get(licence, 'other')}\nlibrary_name: medlatent\n"
        f"datasets:\n- {_yaml(data['name'])}\n---",
        f"# {_inline(record.slug)}/{_inline(record.name)}",
        f"`{record.model}`: {described}",
        "```python\nfrom medlatent.results import find_record\n\n"
        f"model = find_record({json.dumps(record.slug)}, {json.dumps(record.name)}).load_model()\n```",
        f"**Intended use.** {INTENDED}",
        f"**Not for.** {NOT_FOR}",
        "## Training",
        _table(["", ""], [[name, str(value)] for name, value in facts.items()]),
        _listing(run["command"]),
        "## Numbers",
        "Of held-out images. `medlatent.results.evaluate` defines each, and `python -m medlatent evaluate` computes it "
        "again from the weights.",
        _table(["", *heads], numbers),
        "## Limits",
        f"{LIMITS.get(data['source'], LIMITS_ELSEWHERE)} The run is short beside published ones, and one seed says "
        "little: two runs with different seeds differ.",
        "## Licence and source",
        f"Of the weights: {_inline(licence)}, that of the {'package' if computed else 'data'}. "
        f"{_inline(data['citation'])}",
    ]
    return "\n\n".join(parts) + "\n"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(_inline(cell) for cell in cells) + " |" for cells in lines)


def _inline(text: str) -> str:
    """Text that stays text, and in its cell or paragraph: it opens no element, ends no cell, begins no line."""
    text = re.sub(r"&(?=#?\w+;)", "&amp;", " ".join(str(text).splitlines()))
    return text.translate({ord(c): f"&#{ord(c)};" for c in "<|`\\"}).replace("](", "]&#40;")  # the last makes a link


def _listing(text: str) -> str:
    """A block of code that its own text cannot end."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}\n{text}\n{fence}"


def _yaml(text: str) -> str:
    """Text as one value of YAML: as it is where it is plain words, in quotes where it could mean something else."""
    words = re.fullmatch(r"[A-Za-z][A-Za-z0-9 ,.()_-]*(?<! )", text)
    if words and text.lower() not in ("null", "true", "false", "yes", "no", "on", "off", "y", "n"):
        return text
    quoted = json.dumps(text, ensure_ascii=False)  # YAML knows JSON's escapes, and some characters only as escapes
    return re.sub(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]", lambda c: f"\\u{ord(c[0]):04x}", quoted)
