"""A picture in Hounsfield units, seen through a window that the reader moves where the reader is."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path

import numpy as np
import torch
import traitlets
from matplotlib.figure import Figure

from .figures import image_table, literally, picture_bundle
from .one_file import Saved

WEB = Path(__file__).parent / "web"
SCRIPTS = ("elements.js", "checksum.js", "window.js")
LIMITS = {"centre": (-1000.0, 1000.0), "width": (10.0, 3000.0)}  # of the sliders, in HU


class WindowExplorer(Saved):
    """Sliders for the centre and the width of a window, and buttons for the usual ones.

    The picture travels with the widget, and the browser computes what :func:`medlatent.data.dicom.window` does: with
    a kernel it is an ordinary Jupyter widget, on the published page it works without one. ``explorer.centre`` and
    ``explorer.width`` are the present window: the picture follows them, and they follow the sliders.
    ``explorer.save("x.html")`` writes it as one file: :meth:`Explorer.save <medlatent.explore.Explorer.save>`.

    Args:
        hu: a picture in whole Hounsfield units, ``(H, W)``.
        centre, width: where the window starts, in HU; by default that of soft tissue.
        presets: the buttons, each a centre and a width by what is written on it, such as
            ``{"lung": (-600, 1500)}``.
        description: what the picture shows, for those who do not see it.
        title: above the picture.

    Raises:
        ValueError: the picture has another shape, or values that are no whole numbers in 16 bits; or a window lies
            beyond the sliders.
    """

    untitled = "A window in Hounsfield units"
    _esm = "\n".join((WEB / name).read_text("utf-8") for name in SCRIPTS)
    _css = (WEB / "explorer.css").read_text("utf-8")

    hu = traitlets.Bytes().tag(sync=True)  # 16 bits, little-endian
    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    centre = traitlets.CFloat().tag(sync=True)
    width = traitlets.CFloat(1.0).tag(sync=True)
    limits = traitlets.Dict().tag(sync=True)
    presets = traitlets.List().tag(sync=True)  # name, centre, width: a saved dictionary would lose its order
    description = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        hu: np.ndarray,
        centre: float = 40.0,
        width: float = 400.0,
        presets: Mapping[str, tuple[float, float]] | None = None,
        description: str = "A picture in Hounsfield units",
        title: str = "",
    ) -> None:
        hu = np.asarray(hu)
        if hu.ndim != 2 or not hu.size:
            raise ValueError(f"hu: expected one picture (H, W), got {hu.shape}")
        picture = hu.astype("<i2")
        if not np.array_equal(picture, hu):
            raise ValueError(f"hu: expected whole numbers in 16 bits, got {hu.dtype} from {hu.min()} to {hu.max()}")
        presets = {} if presets is None else presets
        if not isinstance(presets, Mapping):
            raise ValueError(f"presets: expected a centre and a width by name, got {presets!r}")
        for name, ends in [("the start", (centre, width)), *presets.items()]:
            if not isinstance(name, str) or not isinstance(ends, Sequence) or len(ends) != len(LIMITS):
                raise ValueError(f"presets: expected a centre and a width by name, got {name!r}: {ends!r}")
            for what, value in zip(LIMITS, ends, strict=True):
                _check_within(what, value, f" of {name}")
        self._picture = picture
        super().__init__(
            hu=picture.tobytes(),
            shape=list(picture.shape),
            centre=centre,
            width=width,
            limits={name: list(ends) for name, ends in LIMITS.items()},
            presets=[[name, *map(float, ends)] for name, ends in presets.items()],
            description=description,
            title=title,
        )

    @traitlets.validate("centre", "width")
    def _check_window(self, proposal: dict) -> float:
        try:
            _check_within(proposal["trait"].name, proposal["value"])
        except ValueError as error:
            raise traitlets.TraitError(str(error)) from None
        return proposal["value"]

    def __repr__(self) -> str:
        high, wide = self.shape
        return f"WindowExplorer({high} × {wide}: centre {self.centre:g} HU, width {self.width:g} HU)"

    def _repr_mimebundle_(self, **options) -> tuple[dict, dict]:
        """The widget, and for wherever it cannot live the picture through the present window, described."""
        bundle = super()._repr_mimebundle_(**options)
        live = bundle[0] if isinstance(bundle, tuple) else bundle
        with literally():
            picture, metadata = picture_bundle(self._still())
        return {**picture, **(live or {}), "text/plain": repr(self)}, metadata

    def _facts(self) -> dict[str, str]:
        high, wide = self.shape
        return {"In this file": f"one picture of {high} × {wide}, each pixel in Hounsfield units: {self.description}"}

    def _still(self) -> Figure:
        """The picture through the present window and through the usual ones."""
        windows = {name: tuple(ends) for name, *ends in self.presets}
        if (self.centre, self.width) not in windows.values():
            windows = {"now": (self.centre, self.width), **windows}
        shown = np.stack([np.clip((self._picture - centre) / width + 0.5, 0, 1) for centre, width in windows.values()])
        heads = [f"{name}\n{centre:g}, {width:g} HU" for name, (centre, width) in windows.items()]
        said = "; ".join(f"{name}, centre {centre:g}, width {width:g}" for name, (centre, width) in windows.items())
        alt = f"{self.description}, through {len(windows)} windows in Hounsfield units: {said}."
        return image_table(torch.from_numpy(shown)[None, :, None], column_labels=heads, alt=alt)


# As of Explorer: traitlets gives its classes a constructor of anything.
WindowExplorer.__signature__ = inspect.Signature(
    list(inspect.signature(WindowExplorer.__init__).parameters.values())[1:]
)


def _check_within(name: str, value: float, of: str = "") -> None:
    low, high = LIMITS[name]
    if not (isinstance(value, Real) and low <= value <= high):
        got = f"{value:g}" if isinstance(value, Real) else repr(value)
        raise ValueError(f"{name}{of}: expected {low:g} to {high:g} HU, got {got}")
