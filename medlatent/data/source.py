"""What a source of images says of itself, in its own module: how it is opened, what stands in for it, its limits.

A module of this package, or of ``phantoms``, that is a source has a tuple ``SOURCES``; nobody else lists them. The name
of a source begins with that of its module: ``mnist.digits`` stands in ``mnist``.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from .errors import DataError
from .imageset import ImageSet

KINDS = ("rendered", "carried", "packed", "view")
PACKAGE = __package__


@dataclass(frozen=True)
class StandIn:
    """What a model is evaluated on, too, so that its record can be checked where its own data are not at hand.

    Attributes:
        source: its name.
        n: how many images, where it is rendered; by default its own number.
        seed: of rendered images.
        trained_on: whether its images lie among those that models are trained on, which the cards then say.
    """

    source: str
    n: int | None = None
    seed: int = 0
    trained_on: bool = False


@dataclass(frozen=True)
class ClassifierSpec:
    """A domain classifier of a source's images, which the evaluation trains where it is needed.

    Attributes:
        factor: what it recognises.
        source: what it is trained on, on the training split; it must be at hand wherever such images are.
        shape: of the images that it takes, ``(C, H, W)``.
        steps: of its training.
        card: the name on the card of the images that it takes; of any set, where it is empty.
    """

    factor: str
    source: str
    shape: tuple[int, int, int]
    steps: int = 300
    card: str = ""


@dataclass(frozen=True)
class Source:
    """A source of images.

    Attributes:
        name: what ``open_images`` and the command line call it.
        kind: ``"rendered"`` on demand; ``"carried"`` by an installed package; ``"packed"`` into
            ``$MEDLATENT_DATA/<name>`` by its command; or a ``"view"`` of another source, see :meth:`seen`.
        summary: a line for lists.
        open: ``open(n, seed)``: of a rendered source n images, or its own number of them where n is None; of a carried
            one, without arguments, all that there are. None for a packed source.
        limits: what a model of these images cannot say, for its card.
        licence: of models trained on it, as the cards of the data call it.
        exact: whether the same pixels come on every machine. Rendered ones may differ by a rounding.
        stand_in: see :class:`StandIn`.
        classifiers: see :class:`ClassifierSpec`; each of another factor. The first is that of its images where one is
            asked for.
        options: what the packing command must be told beside ``--out``.
        script: what ``python -m medlatent data`` calls the set that it is packed from, where that is not its own name.
        of: the source that a view shows.
    """

    name: str
    kind: str
    summary: str
    open: Callable[..., ImageSet] | None = None
    limits: str = ""
    licence: str = ""
    exact: bool = True
    stand_in: StandIn | None = None
    classifiers: tuple[ClassifierSpec, ...] = ()
    options: str = ""
    script: str = ""
    of: Source | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS or (self.kind == "packed") != (self.open is None):
            raise ValueError(f"source {self.name}: kind {self.kind!r}; a packed source is not opened by a function")

    def seen(
        self,
        part: str,
        summary: str,
        view: Callable[[ImageSet], ImageSet],
        stand_in: StandIn | None,
        classifiers: tuple[ClassifierSpec, ...] = (),
    ) -> Source:
        """A source of its own that shows this one otherwise, such as at half the resolution.

        Args:
            part: its name is this one's, a dot, and this.
            summary: a line for lists.
            view: what it makes of this source's image set, row by row.
            stand_in: see :class:`StandIn`.
            classifiers: of what is seen.
        """
        name = f"{self.name}.{part}"
        changed = {"summary": summary, "open": view, "stand_in": stand_in, "classifiers": classifiers}
        return replace(self, name=name, kind="view", of=self, **changed)

    @property
    def command(self) -> str:
        """The command that packs it, without its options."""
        return f"python -m medlatent data {self.script or self.name}"

    @property
    def packing(self) -> str:
        """The command that packs it, or what a view shows, with the settings of the records; empty without one."""
        if self.of:
            return self.of.packing
        if self.kind != "packed":
            return ""
        root = data_folder()
        out = shlex.quote(str(root / self.name)) if root else f"FOLDER/{self.name}"
        command = " ".join(filter(None, [self.command, self.options, "--out", out]))
        return f"`{command}`" + ("" if root else " and set the environment variable MEDLATENT_DATA to FOLDER")

    @property
    def folder(self) -> Path | None:
        """Where a packed source lies, ``$MEDLATENT_DATA/<name>``; None where it does not."""
        if self.of:
            return self.of.folder
        root = data_folder()
        folder = root / self.name if root and self.kind == "packed" else None
        return folder if folder is not None and folder.is_dir() else None

    @property
    def at_hand(self) -> bool:
        """Whether it can be opened here, which a packed source that is not there cannot."""
        if self.of:
            return self.of.at_hand
        return self.kind != "packed" or self.folder is not None

    def images(self, n: int | None, seed: int) -> ImageSet:
        """The image set, or its first n images.

        Raises:
            DataError: it is not packed; the message says how to.
        """
        if self.of:
            return self.open(self.of.images(n, seed))
        if self.kind == "rendered":
            return self.open(n, seed)
        if self.kind == "carried":
            images = self.open()
        elif self.folder is None:
            if wrong := wrong_data_folder():
                raise DataError(f"{self.name} cannot be looked for: {wrong}. To pack it, run {self.packing}")
            raise DataError(f"{self.name} is not packed: run {self.packing}")
        else:
            images = ImageSet.load(self.folder)
        return images if n is None else images.subset(range(min(n, len(images))))


def data_folder() -> Path | None:
    """The folder that the environment variable ``MEDLATENT_DATA`` names; None where it names none."""
    root = os.environ.get("MEDLATENT_DATA")
    return Path(root) if root and Path(root).is_dir() else None


def wrong_data_folder() -> str:
    """What is wrong with ``MEDLATENT_DATA``, in words; empty where it names a folder or is not set."""
    root = os.environ.get("MEDLATENT_DATA")
    if not root or data_folder():
        return ""
    home = "; write your home folder out: only a shell reads ~ as that, where it is not quoted"
    return (
        f"the environment variable MEDLATENT_DATA is {root!r}, which is "
        f"{'no folder' if Path(root).exists() else 'not there'}{home if root.startswith('~') else ''}"
    )


def find_source(name: str) -> Source | None:
    """The source of that name, or None. Only the module that it would stand in is imported.

    Raises:
        DataError: the module needs a package that is not installed.
    """
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        module = ".".join(parts[:length])
        if module in _modules():
            try:
                described = getattr(importlib.import_module(f".{module}", PACKAGE), "SOURCES", ())
            except ModuleNotFoundError as error:
                if (error.name or "").startswith("medlatent"):
                    raise  # a fault of this package, not an extra that is not installed
                raise DataError(f'{name} needs the package {error.name}: pip install "medlatent[data]"') from None
            return next((source for source in described if source.name == name), None)
    return None


def all_sources() -> list[Source]:
    """Every source whose module can be imported here, rendered ones first, packed ones last."""
    found = []
    for module in _modules():
        try:
            found += getattr(importlib.import_module(f".{module}", PACKAGE), "SOURCES", ())
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("medlatent"):
                raise  # a fault of this package, not an extra that is not installed
    return sorted(found, key=lambda source: (KINDS.index(source.kind), source.name))


def _modules() -> list[str]:
    return [
        module.name.removeprefix(f"{PACKAGE}.")
        for module in pkgutil.walk_packages(sys.modules[PACKAGE].__path__, f"{PACKAGE}.")
        if not module.name.rpartition(".")[2].startswith("_")
    ]
