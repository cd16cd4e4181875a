"""Looking into a latent space: reconstructions, samples, traversals, interpolations, as figures for page and paper.

Every function returns a matplotlib figure that carries its own description for readers who do not see it
(``figure.alt``); ``show`` displays it, on the published page in a light and a dark edition.
"""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager

import matplotlib.colors
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from torch import Tensor

from ..metrics import information
from ..models import Normal, decode_all, draw_images, encode_all, measured
from ..options import whole_options

INK = "#1f2328"
INK_ON_DARK = "#e6e8eb"
# Distinct for colour-blind readers, and legible on white and on near-black.
COLOURS = ("#3a86c8", "#d8772a", "#2f9e77", "#b65fb0", "#c2a22b", "#c8504b")
DARK_MIME = "application/vnd.medlatent.dark+png"
RESOLUTION = 150  # dots an inch
WIDEST, TALLEST = 100, 12  # characters and lines of a label that leaves room for a table of pictures
STYLE = {
    "font.size": 10,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.prop_cycle": plt.cycler(color=COLOURS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


@whole_options()
def figure(width: float = 7.0, height: float = 3.0, columns: int = 1, rows: int = 1, **options):
    """A figure and its axes in the course's style; set ``figure.alt`` before it is shown.

    Args:
        width: in inches.
        height: in inches.
        columns: of axes.
        rows: of axes.
        **options: of ``matplotlib.pyplot.subplots``.

    Returns:
        What ``matplotlib.pyplot.subplots`` returns.
    """
    with plt.rc_context(STYLE):
        return plt.subplots(rows, columns, figsize=(width, height), **options)


def literally() -> AbstractContextManager[None]:
    """What is written meanwhile is what it says: a dollar sign in somebody's name for a thing begins no formula."""
    return plt.rc_context({"text.parse_math": False})


def show(fig: Figure) -> None:
    """Displays a figure with its alternative text, and closes it.

    Besides the PNG the output holds a second one for dark pages, drawn in light ink on nothing; the book's build shows
    the one that fits the reader's theme.

    Raises:
        ValueError: the figure has no ``alt``.
    """
    from IPython.display import display

    data, metadata = picture_bundle(fig)
    display(data, metadata=metadata, raw=True)


def picture_bundle(fig: Figure) -> tuple[dict[str, str], dict[str, dict]]:
    """A figure as Jupyter takes it: its description and its two PNGs by their MIME types, and their metadata.

    The figure is closed.

    Raises:
        ValueError: the figure has no ``alt``.
    """
    alt = getattr(fig, "alt", "").strip()
    if not alt:
        raise ValueError("set figure.alt to a sentence that says what the figure shows, before show(figure)")
    for legend in fig.findobj(Legend):
        legend.set_frame_on(False)  # its frame is white on dark pages, too
    light = _png(fig, facecolor="white")
    _recolour(fig, (INK, "black"), INK_ON_DARK)
    dark = _png(fig, facecolor="none")
    plt.close(fig)
    width = int.from_bytes(base64.b64decode(light)[16:20], "big")  # of the PNG header
    return (
        {"text/plain": alt, "image/png": light, DARK_MIME: dark},
        {"image/png": {"alt": alt, "width": round(width * 96 / RESOLUTION)}},
    )


def _png(fig: Figure, facecolor: str) -> str:
    buffer = io.BytesIO()
    with plt.rc_context(STYLE):
        fig.savefig(buffer, format="png", dpi=RESOLUTION, facecolor=facecolor, bbox_inches="tight", pad_inches=0.05)
    return base64.b64encode(buffer.getvalue()).decode()


def _recolour(fig: Figure, old: Sequence[str], new: str) -> None:
    """Draws in ``new`` whatever was drawn in one of ``old``; backgrounds become transparent."""
    old = matplotlib.colors.to_rgba_array(old)
    for artist in fig.findobj():
        for kind in ("color", "edgecolor", "markeredgecolor", "facecolor"):
            if hasattr(artist, f"get_{kind}") and hasattr(artist, f"set_{kind}"):
                value = getattr(artist, f"get_{kind}")()
                try:
                    same = np.isclose(matplotlib.colors.to_rgba(value), old).all(1).any()
                except (ValueError, TypeError):
                    continue  # one colour an element, or none
                if same:
                    getattr(artist, f"set_{kind}")(new)
    for axes in fig.axes:
        axes.set_facecolor("none")
        axes.tick_params(which="both", color=new, labelcolor=new)


def reconstructions(model, images: Tensor) -> Figure:
    """Images above what the model makes of them: decoded from their posterior means.

    Args:
        model: with ``encode`` and ``decode``.
        images: ``(B, C, H, W)`` in [0, 1]; eight are a good number.
    """
    rebuilt = decode_all(model, encode_all(model, images)[0])
    return image_table(
        side_by_side(model, torch.stack([images.cpu(), rebuilt])),
        row_labels=["image", "reconstruction"],
        alt=f"Two rows of {len(images)} pictures: images above, their reconstructions below.",
        beside=_pictures(model),
    )


@whole_options()
def samples(model, n: int = 24, columns: int = 8, seed: int = 0) -> Figure:
    """Images decoded from codes drawn from the prior.

    Args:
        model: with ``decode`` and ``sample_codes``.
        n: how many, a multiple of ``columns``.
        columns: pictures a row.
        seed: of the codes.

    Raises:
        ValueError: ``n`` is no multiple of ``columns``.
    """
    if n < 1 or n % columns:
        raise ValueError(f"n must be a multiple of columns = {columns}, got {n}")
    _, images = draw_images(model, n, seed)
    return image_table(
        side_by_side(model, images.unflatten(0, (n // columns, columns))),
        alt=f"{n} pictures decoded from random draws of the prior.",
        beside=_pictures(model),
    )


@whole_options()
def traversal(
    model,
    code: Tensor | None = None,
    posteriors: tuple[Tensor, Tensor] | None = None,
    dimensions: Sequence[int] | None = None,
    limits: tuple[float, float] | None = None,
    steps: int = 7,
    names: Sequence[str] | None = None,
) -> Figure:
    """One row a latent dimension: the dimension walks over ``limits``, the others stay where ``code`` has them.

    Args:
        model: with ``decode`` and ``latent_dim``.
        code: where the walk starts, ``(D,)``; by default the centre of the prior, 0 where it is normal.
        posteriors: the means and log-variances, ``(N, D)`` each, of many images: the rows then name each dimension's
            information in nats and stand in its order.
        dimensions: which, in this order; by default the eight most informative, or the first eight.
        limits: of every walk; by default each dimension's prior says, -3 and 3 where it is normal.
        steps: pictures a row.
        names: of all D dimensions; by default z0, z1, …

    Raises:
        ValueError: a dimension is not there, or the names are not D.
    """
    width = model.latent_dim
    if names is not None and len(names) != width:
        raise ValueError(f"names: {len(names)} for {width} dimensions")
    nats = information(*(p.cpu() for p in posteriors)).per_dimension if posteriors is not None else None
    if dimensions is None:
        dimensions = np.arange(width) if nats is None else np.argsort(-nats, kind="stable")
        dimensions = dimensions[:8].tolist()
    if wrong := [d for d in dimensions if not 0 <= d < width]:
        raise ValueError(f"dimensions: there is no dimension {wrong[0]}, the code has {width}")
    walks = [_limits(model, d) if limits is None else tuple(limits) for d in dimensions]
    shared = walks[0] if len(set(walks)) == 1 else None
    start = _centre(model) if code is None else code.detach().cpu().float()
    codes = start.repeat(len(dimensions), steps, 1)
    for row, dimension in enumerate(dimensions):
        codes[row, :, dimension] = torch.linspace(*walks[row], steps)
    images = decode_all(model, codes.flatten(0, 1)).unflatten(0, (len(dimensions), steps))
    labels = [f"z{d}" if names is None else names[d] for d in dimensions]
    if nats is not None:
        labels = [f"{label}  {nats[d]:.2f} nats" for label, d in zip(labels, dimensions, strict=True)]
    if not shared:
        labels = [f"{label}  {low:g} to {high:g}" for label, (low, high) in zip(labels, walks, strict=True)]
    values = torch.linspace(*shared, steps).tolist() if shared else []
    ends = f"goes from {shared[0]:g} to {shared[1]:g}" if shared else "goes from end to end"
    return image_table(
        side_by_side(model, images),
        row_labels=labels,
        column_labels=[f"{v:+.3g}" if abs(v) > 1e-6 else "0" for v in values],
        alt=f"A traversal: {len(dimensions)} rows, one for each of {', '.join(labels)}; along a row that dimension "
        f"{ends} in {steps} steps while the others stay fixed.",
        beside=_pictures(model),
    )


@whole_options()
def interpolation(model, first: Tensor, second: Tensor, steps: int = 9) -> Figure:
    """From one image to another along the straight line between their posterior means.

    Args:
        model: with ``encode`` and ``decode``.
        first: ``(C, H, W)`` in [0, 1].
        second: the same shape.
        steps: decoded pictures between the two images.
    """
    ends = torch.stack([first, second])
    with torch.inference_mode(), measured(model):
        a, b = model.encode(ends.to(model.device))[0]
        path = model.decode(torch.lerp(a, b, torch.linspace(0, 1, steps, device=a.device)[:, None])).cpu()
    row = torch.cat([ends[:1].cpu(), path, ends[1:].cpu()])
    return image_table(
        side_by_side(model, row[None]),
        column_labels=["image", *(f"{t:.2f}" for t in np.linspace(0, 1, steps)), "image"],
        alt=f"An interpolation: an image, {steps} decoded steps, another image.",
        beside=_pictures(model),
    )


def side_by_side(model, images: Tensor) -> Tensor:
    """Images as they are shown: where each channel is a picture of its own, the pictures stand side by side.

    Args:
        model: whose ``pictures`` names them; any other model's images stay as they are.
        images: ``(..., C, H, W)``.

    Returns:
        ``(..., 1, H, C · W)``, or the images.
    """
    return torch.cat(images.split(1, -3), -1) if _pictures(model) else images


def _pictures(model) -> tuple[str, ...]:
    return getattr(model, "pictures", ())


def _centre(model) -> Tensor:
    layout = getattr(model, "code_layout", ())
    return torch.tensor([v for part in layout for v in part.prior.centre]) if layout else torch.zeros(model.latent_dim)


def _limits(model, dimension: int) -> tuple[float, float]:
    parts = [p for p in getattr(model, "code_layout", ()) if p.start <= dimension < p.stop]
    return parts[0].prior.limits if parts else Normal(1).limits


@whole_options()
def image_table(
    images: Tensor,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    alt: str = "",
    gap: int = 2,
    beside: Sequence[str] = (),
) -> Figure:
    """Pictures in rows and columns, drawn as one.

    Args:
        images: ``(rows, columns, C, H, W)`` in [0, 1], C 1 or 3.
        row_labels: one a row, or none.
        column_labels: one a column, or none.
        alt: the description for readers who do not see it.
        gap: between pictures, in pixels.
        beside: what each picture shows side by side, see :func:`side_by_side`: the names are said below and in ``alt``.

    Raises:
        ValueError: the shape, or the number of labels, does not fit.
    """
    if images.ndim != 5 or images.shape[2] not in (1, 3) or not images.numel():
        raise ValueError(f"images: expected (rows, columns, 1 or 3, H, W), none of them 0, got {tuple(images.shape)}")
    rows, columns, _, high, wide = images.shape
    for name, labels, count in (("row", row_labels, rows), ("column", column_labels, columns)):
        if labels and len(labels) != count:
            raise ValueError(f"{name}_labels: {len(labels)} for {count} {name}s")
    sheet = np.zeros((rows * (high + gap) - gap, columns * (wide + gap) - gap, 4), np.float32)
    pictures = images.float().clamp(0, 1).permute(0, 1, 3, 4, 2).expand(-1, -1, -1, -1, 3).numpy()
    for r in range(rows):
        for c in range(columns):
            y, x = r * (high + gap), c * (wide + gap)
            sheet[y : y + high, x : x + wide, :3] = pictures[r, c]
            sheet[y : y + high, x : x + wide, 3] = 1
    width = 7.0 if columns > 5 else 1.4 * columns
    # A low row of pictures side by side would have no height left beside its words; what is too much is cut off.
    lines = bool(beside) + max((label.count("\n") + bool(beside) for label in column_labels), default=0)
    fig, axes = figure(width, width * sheet.shape[0] / sheet.shape[1] + 0.2 * lines)
    axes.imshow(sheet, interpolation="nearest" if high < 64 else "antialiased")
    axes.set_frame_on(False)
    axes.tick_params(length=0, labeltop=True, labelbottom=False, labelsize=8)
    row_labels, column_labels = ([_drawn(label) for label in labels] for labels in (row_labels, column_labels))
    axes.set_yticks([r * (high + gap) + high / 2 for r in range(rows)] if row_labels else [], row_labels)
    axes.set_xticks([c * (wide + gap) + wide / 2 for c in range(columns)] if column_labels else [], column_labels)
    fig.alt = alt
    if beside:
        said = f"{'From left to right in' if len(beside) > 1 else 'In'} each: {', '.join(beside)}"
        axes.set_xlabel("\n".join(map(_drawn, textwrap.wrap(said, WIDEST)[:TALLEST])), fontsize=8)
        fig.alt = f"{alt} {said}."
    return fig


def _drawn(label: str) -> str:
    """A label as it can be drawn: not so large that the pictures have no room left, and without half surrogate pairs,
    of which no font has a glyph."""
    lines = label.encode("utf-16", "surrogatepass").decode("utf-16", "replace").split("\n")
    return "\n".join(line if len(line) <= WIDEST else f"{line[: WIDEST - 1]}…" for line in lines[:TALLEST])


@whole_options()
def strongest_dimensions(model, count: int = 8, reach: float = 2.0) -> list[int]:
    """The dimensions that change the picture most, the strongest first: an order that takes no image.

    Of each dimension the images at -``reach`` and at ``reach`` are compared by their squared difference, all others
    at 0.

    Args:
        model: with ``decode`` and ``latent_dim``; a code of standard normal dimensions is what this is for.
        count: how many at most.
        reach: how far from 0.
    """
    ends = reach * torch.eye(model.latent_dim)
    change = decode_all(model, ends) - decode_all(model, -ends)
    return change.square().flatten(1).sum(1).argsort(descending=True)[:count].tolist()


@whole_options()
def running_mean(values: Sequence[float] | np.ndarray, window: int = 25) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the last ``window`` values at every step that has as many behind it.

    Args:
        values: one for each step, ``(N,)``.
        window: steps, at most N.

    Returns:
        The steps, counted from 1, and the means, ``(N - window + 1,)`` each: what ``axes.plot`` takes.

    Raises:
        ValueError: the window is not between 1 and the number of values.
    """
    if not 1 <= window <= len(values):
        raise ValueError(f"window must be between 1 and the {len(values)} values, got {window}")
    means = np.convolve(values, np.ones(window) / window, mode="valid")
    return np.arange(len(means)) + window, means


def describe_curves(fig: Figure) -> str:
    """Where every labelled curve of a figure ends, by panel, for its ``alt``.

    Args:
        fig: with a title on each panel.
    """
    curves = [(axes, line) for axes in fig.axes for line in axes.lines if not line.get_label().startswith("_")]
    return "; ".join(f"{axes.get_title()}, {line.get_label()} {line.get_ydata()[-1]:.2f}" for axes, line in curves)


@whole_options()
def loss_curves(history, smooth: int = 25) -> Figure:
    """Every term of the loss over the steps of a run, as running means.

    Args:
        history: what ``train`` returned: ``terms``, ``values`` and ``mean``.
        smooth: steps in the running mean.
    """
    terms = history.terms
    fig, axes = figure(7, 2.4, columns=len(terms), squeeze=False)
    window = max(1, min(smooth, len(history) // 4))
    for axis, term in zip(axes[0], terms, strict=True):
        axis.plot(*running_mean(history[term], window), lw=1.5)
        axis.set(title=term, xlabel="step")
        axis.grid()
    axes[0][0].set_ylabel("nats per image")
    ends = ", ".join(f"{term} ends at {value:.4g}" for term, value in history.mean(window).items())
    fig.alt = f"The terms of the loss over {len(history)} steps: {ends}."
    return fig


def information_bars(posteriors: tuple[Tensor, Tensor]) -> Figure:
    """How many nats each dimension transmits, in descending order.

    Args:
        posteriors: the means and log-variances, ``(N, D)`` each, of many images.
    """
    result = information(*(p.cpu() for p in posteriors))
    order = np.argsort(-result.per_dimension)
    fig, axes = figure(7, 2.4)
    axes.bar(range(len(order)), result.per_dimension[order])
    axes.set_xticks(range(len(order)), [f"z{d}" for d in order], fontsize=7, rotation=90 if len(order) > 16 else 0)
    axes.set(ylabel="KL to the prior (nats)")
    alive = int((result.per_dimension > 0.1).sum())
    fig.alt = (
        f"Bars: the mean KL of each of {len(order)} dimensions to the prior, sorted; {alive} of them transmit more "
        f"than 0.1 nats, the first, z{order[0]}, {result.per_dimension[order[0]]:.2f}."
    )
    return fig
