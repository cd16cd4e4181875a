"""The real data sets: which there are, and the commands that download, verify and pack them.

Each is a module of this package, ``python -m medlatent data NAME`` and ``data_scripts/NAME.py``. It has
``add_options(parser)`` and ``perform(options)``; where it downloads nothing, ``INTERRUPTED`` says what that means; and
its docstring is what ``--help`` says. They need the extra ``data``; what this module says of them needs nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from ..console import said, spell_out
from ..data import DataError
from ..data.optional import extra
from ..files import check_home_is_written_out

__all__ = ["SETS", "RealSet", "listing", "run", "script"]


@dataclass(frozen=True)
class RealSet:
    """What a reader knows of a data set before fetching it.

    Attributes:
        summary: what it is.
        licence: of the data.
        size: of the official files.
        origin: where they come from.
    """

    summary: str
    licence: str
    size: str
    origin: str

    def __str__(self) -> str:
        return f"{self.summary}; {self.licence}; {self.size}; from {self.origin}"


SETS = {
    "acdc": RealSet(
        "short-axis MRI of 100 hearts with masks, or of UK Biobank's on your disk",
        "CC BY-NC-SA 4.0",
        "some 2 GB",
        "humanheart-project.creatis.insa-lyon.fr",
    ),
    "chest_ct": RealSet("slices of chest CT of your own", "licence of the series", "no download", "your disk"),
    "ham10000": RealSet(
        "10 015 dermatoscopic images of pigmented skin lesions",
        "CC BY-NC 4.0",
        "2.8 GB",
        "the Harvard Dataverse, or ISIC 2018",
    ),
    "lidc": RealSet(
        "LIDC-IDRI, slices of 1 018 chest CT series, as many as you ask for",
        "CC BY 3.0",
        "128 GB",
        "the Imaging Data Commons",
    ),
    "lidc_nodules": RealSet(
        "the lung nodules of LIDC-IDRI with the radiologists' ratings",
        "CC BY 3.0",
        "some 85 GB",
        "the Imaging Data Commons and The Cancer Imaging Archive",
    ),
    "mnist": RealSet("70 000 handwritten digits", "CC BY-SA 3.0", "11 MB", "ossci-datasets.s3.amazonaws.com"),
}


def listing() -> str:
    """The sets, one a line: the name, what it is, its licence, its size, and where it comes from."""
    width = max(map(len, SETS))
    return "\n".join(f"{name:<{width}}  {known}" for name, known in SETS.items())


def run(name: str, arguments: Sequence[str] | None = None, program: str | None = None) -> None:
    """Packs a set, downloading it first where no files are named, and prints what was packed.

    Args:
        name: one of ``SETS``.
        arguments: the options; by default those of the command line.
        program: what ``--help`` calls the command; by default the name of the script.

    Raises:
        DataError: the name is unknown, and the message lists those that there are; or files cannot be used.
        ValueError: a path begins with a ~ that no shell has read.
        OSError: something cannot be fetched, read or written.
        ModuleNotFoundError: a package is missing; the message names the extra to install.
        KeyboardInterrupt: as its text says, what is there is kept.
    """
    if name not in SETS:
        raise DataError(f"unknown data set {name!r}, there are:\n{listing()}")
    with extra("data", f"packing {name}"):
        module = import_module(f".{name}", __name__)
    parser = argparse.ArgumentParser(
        prog=program, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    module.add_options(parser)
    options = parser.parse_args(arguments)
    check_home_is_written_out(vars(options))
    try:
        module.perform(options)
    except DataError as error:
        raise DataError(_one_line(error)) from None
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; {getattr(module, 'INTERRUPTED', 'run again to continue')}") from None


def script(name: str, arguments: Sequence[str] | None = None) -> int:
    """:func:`run` for a script: returns the exit status; errors are one line on stderr."""
    spell_out()
    try:
        run(name, arguments)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stopped:
        print(stopped, file=sys.stderr)
        return 130
    return 0


def _one_line(error: Exception) -> str:
    return " ".join(said(error).split())
