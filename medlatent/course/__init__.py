"""What only the course needs: profiles, tables, verdicts, published numbers, shown source, exercises, and more.

Whoever uses the package for work of their own can leave this folder alone: nothing else in the package imports it.
"""

from .claims import Verdicts, claim_points, show_claims, verdict_of
from .digits import code_grid, part_of
from .fitting import fit
from .profiles import choose
from .published import publish_metrics
from .recorded import recorded_runs, seed_values
from .source import show_source, source_of
from .tables import show_table, spread

__all__ = [
    "Verdicts",
    "choose",
    "claim_points",
    "code_grid",
    "fit",
    "part_of",
    "publish_metrics",
    "recorded_runs",
    "seed_values",
    "show_claims",
    "show_source",
    "show_table",
    "source_of",
    "spread",
    "verdict_of",
]
