"""What only the course needs: profiles, published numbers, shown source, and the checks of the exercises.

Whoever uses the package for work of their own can leave this folder alone: nothing else in the package imports it.
"""

from .profiles import choose
from .published import publish_metrics
from .source import show_source, source_of

__all__ = ["choose", "publish_metrics", "show_source", "source_of"]
