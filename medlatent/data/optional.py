"""Packages that only some readers need: where one is missing, the error says what brings it."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Imports within it name the extra that they belong to.

    Args:
        name: the extra of ``pyproject.toml``, such as ``data``.
        what: what cannot be done without it, the beginning of a sentence.

    Raises:
        ModuleNotFoundError: a package is missing; the message names it, the extra, and the command.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("medlatent"):
            raise  # a fault of this package, not an extra that is not installed
        raise ModuleNotFoundError(
            f'{what} needs the package {error.name}, of the extra {name!r}: pip install "medlatent[{name}]", '
            f'or in a checkout: pip install -e ".[{name}]"',
            name=error.name,
        ) from None
