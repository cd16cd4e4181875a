"""A notebook's numbers: a table for the reader, JSON for the machine that compares them with the last build's."""

from __future__ import annotations

import math
from collections.abc import Mapping

METRICS_MIME = "application/vnd.medlatent.metrics+json"


class _Metrics:
    def __init__(self, values: Mapping[str, float]) -> None:
        self.values = values

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, object]:
        width = max(map(len, self.values))
        lines = [f"{name:<{width}}  {value:.5g}" for name, value in self.values.items()]
        return {"text/plain": "\n".join(lines), METRICS_MIME: dict(self.values)}


def publish_metrics(slug: str, values: Mapping[str, float]) -> None:
    """Shows a notebook's numbers and leaves them in its output in machine-readable form, for the regression test.

    Args:
        slug: of the chapter; each name is prefixed with it.
        values: finite numbers by name.

    Raises:
        ValueError: a value is not a finite number; the message names it.
    """
    from IPython.display import display

    if not values:
        raise ValueError(f"no metrics of {slug} to publish")
    plain = {}
    for name, value in values.items():
        try:
            number = float(value)
        except (TypeError, ValueError, RuntimeError):
            raise ValueError(f"the metric {name!r} of {slug} is no number: {value!r}") from None
        if not math.isfinite(number):
            raise ValueError(f"the metric {name!r} of {slug} is {number}")
        plain[f"{slug}.{name}"] = number
    display(_Metrics(plain))
