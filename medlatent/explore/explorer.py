"""One live object for every chapter: views of a latent space, decoded where the reader is.

The decoder, and the encoder where there are images to encode, travel with the widget and run in the browser: with a
kernel it is an ordinary Jupyter widget, on the published page it works without one.
"""

from __future__ import annotations

import base64
import inspect
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import traitlets
from matplotlib.figure import Figure
from torch import Tensor, nn

from ..metrics import information
from ..models import Categorical, CodePart, Conditional, Normal, Uniform, measured
from .arguments import (
    as_images,
    colouring,
    direction_limit,
    distinct,
    finite_code,
    interval,
    picture_names,
    posteriors_of,
    scales_of,
    texts,
    view_names,
    walk_steps,
    whole_numbers,
    width_of,
)
from .directions import Directions, as_state, direction_sets, strongest
from .figures import image_table, literally, picture_bundle, side_by_side, traversal
from .hybrids import Exchange, condition_sizes, exchange_of, said_of_condition, trace_condition, what_is_missing
from .labelling import directions_to_label
from .measuring import Scale, Segmentation, calibration_of, changed_pixels, device_of, trace_segmentation
from .network import Network, trace
from .one_file import Saved

if TYPE_CHECKING:
    from ..data import Factor

WEB = Path(__file__).parent / "web"
SCRIPTS = (
    "elements.js",
    "checksum.js",
    "network.js",
    "scale.js",
    "measure.js",
    "traverse.js",
    "map.js",
    "walk.js",
    "codes.js",
    "directions.js",
    "label.js",
    "hybrid.js",
    "explorer.js",
)
VIEWS = ("hybrid", "codes", "directions", "label", "traverse", "map", "walk")
NEEDS = {
    "codes": "a category or a pad",
    "directions": "directions",
    "label": "directions",
    "map": "posteriors and two dimensions",
}
POINTS = 400  # of the map
ROUNDING = 1e-3  # by which intensities may lie outside [0, 1]
PROBES = 64  # codes on which the rounded weights are compared with the model
MEASURED_PROBES = 16  # and so many of what they decode to, on which those of a segmentation are
STILL_ROWS, STILL_STEPS = 8, 7  # of the picture of directions that stands where no widget lives
STILL_HYBRIDS = 3  # rows, and columns, of that of hybrids
MIXED_PROBES = 8  # images of which each style is mixed with each content to compare the rounded weights with the model


def _module() -> str:
    """The front end, one ECMAScript module: the assembled kernel and the scripts one after the other."""
    kernel = base64.b64encode((WEB / "kernel.wasm").read_bytes()).decode()
    return "\n".join([f'const KERNEL = "{kernel}";', *((WEB / name).read_text("utf-8") for name in SCRIPTS)])


class Explorer(Saved):
    """Looks into the latent space of a model, in a notebook and on a page without a kernel.

    The views: *traverse*, a slider for each dimension; *map*, the codes of many images over two of the dimensions;
    *walk*, several dimensions in turn; *codes*, for a code with a structure such as InfoGAN's, the category as a choice
    of pictures and two continuous codes as a point in a square; *directions*, a shift along a direction of the latent
    space, seen on this code and on eight others, beside what the direction was measured to do; *label*, where the
    reader names directions without knowing what was measured, by the protocol of Schön et al. (2022): first on eight
    animations, then on eight codes in stills. At the end stands how far labels and measurement agree; *hybrid*, for a
    code of style and content such as that of Havaei et al. (2021), the style of one image with the content of another,
    G(ẑ, ĉ) of the means of the posteriors, beside the reconstructions of both: exchanged, interpolated along one of the
    two or both, as a table of three contents in three styles, and with the content of a condition in place of an
    image's. ``explorer.code`` is the present code: the views follow it, and it follows them.
    ``explorer.save("x.html")`` writes it all as one file, which is live without a kernel and without a network.

    Args:
        model: a :class:`~medlatent.models.LatentModel`, or any ``torch.nn.Module`` that makes images ``(B, C, H, W)``
            in [0, 1] of codes ``(B, latent_dim)``; C is 1 or 3, or the number of ``pictures``. A ``decode`` and an
            ``encode`` are used where the model has them; of several results of ``encode`` the first, the mean, is the
            code.
        latent_dim: the dimension D of the code; by default the model's own ``latent_dim``.
        code: where it starts, ``(D,)``; by default the centre of each prior in the model's ``code_layout``, 0 where it
            is normal: 0, the first category, the pad's centre. With the view *hybrid* the style of the second image
            with the content of the first.
        posteriors: the means and log-variances, ``(N, D)`` each, of many images. The dimensions are then in the order
            of their information, which is stated, and the means of the first 400 are the points of the map. For a model
            without posteriors, their codes alone, ``(N, D)``.
        labels: for the map's colours, by name: N numbers, or N class names.
        images: a strip of images to encode, ``(M, C, H, W)`` in [0, 1]; sixteen are a good number. Needs ``encode``.
            The view *hybrid* exchanges them, and needs two or more.
        image_names: what each of them is called; by default "image 1" and so on.
        names: of all D dimensions; by default z0, z1, …, and c1, c2, … of those with a uniform prior. Of a code with
            the parts ``style`` and ``content`` z0, z1, … of the style and c0, c1, … of the content.
        dimensions: which have a slider, in this order; by default the eight most informative, or the first eight, where
            those with a uniform prior come first and the noise last.
        limits: of the noise's sliders, in standard deviations; by default those of its prior, -3 and 3. Other sliders
            have the limits of their prior.
        walk: pairs (dimension, value): from ``code`` on, one dimension after the other goes to a value and stays there.
            By default the first four dimensions, each up to 2, down to -2 and back; those that are no noise go to
            their limits.
        views: which of the views, in this order; by default all that the arguments allow, *hybrid*, *codes* and
            *directions* first; *label* only where ``label`` is given. *hybrid* needs ``images`` and a model that infers
            style and content of them: ``encode``, and a ``code_layout`` of the parts ``style`` and ``content``, in
            whatever order.
        title: above the picture.
        category: the dimensions of a one-hot category, two or more: exactly one of them is 1, the others are 0. By
            default the first category of the model's ``code_layout``, where it has one.
        category_names: what each of them is called; by default 0, 1, …
        pad: two dimensions with continuous codes, across and up. By default the first two whose prior is uniform by the
            model's ``code_layout``. Of what is left, dimensions with a normal prior, or one that depends on columns,
            are noise, drawn from N(0, 1) around the prior's centre.
        pad_limits: of both, in units of the code; by default those of ``code_layout``, or -1 and 1.
        pictures: where each channel is a picture of its own, such as the heart at two phases, what each is called, six
            at most: they are shown side by side. By default the model's own ``pictures``.
        scales: the :class:`Scale` of each dimension that is shown in a unit: ``{0: Scale(142.0, 38.5, "ml")}`` where
            dimension 0 has learnt a volume. The code stays z. To the right is more of the quantity, also where the
            factor is negative and z falls. The still picture is labelled in z.
        segmentation: a :class:`Segmentation`, with which the page measures each picture that it decodes: beneath it
            stands the quantity of each class, and by how much it has changed since the sliders were at their start, or
            where an image was encoded. The outlines of the classes can be drawn into the picture.
        directions: :class:`Directions` of the latent space, or several sets to be compared, by name:
            ``{"discovered": Directions(A, ...), "random": Directions(B, ...)}``. The present code is shifted, to
            z + α a; whatever else changes the code makes that one z, with α = 0. Sorted by a factor, another set
            shows the direction of the same rank: the best of one beside the best of the other.
        max_shift: the largest \\|α\\| of the views *directions* and *label*, in units of the code; by default that of
            the search for directions.
        label: the columns of A in the first set of ``directions`` that the reader labels in the view *label*, two or
            more; by default six: those with the greatest share of one factor, no two of the same factor as long as
            there are others. They are asked for in a shuffled order, the same whenever the explorer is made. The set
            needs ``effects`` on two factors or more, all in their standard deviations, ``units="sd"``, which makes
            them comparable.
        factors: what the columns of the model's condition mean, by their names, such as ``factors`` of an
            :class:`~medlatent.data.ImageSet`: the names of the values that the reader chooses from in the view
            *hybrid*. Of a binary factor these are what its meaning says of 0 and of 1: "…: 0 subtle, 1 obvious".
        columns: of each column of the condition the values for ``images``, ``(M,)``, as
            :meth:`ImageSet.columns <medlatent.data.ImageSet.columns>` gives them. The condition in the view *hybrid*
            then is that of the image to begin with; without them it is the first value of each column.

    Raises:
        ValueError: an argument does not fit the model; or the model or the network of the segmentation computes
            something that cannot run in a browser, and the message names the layer.
    """

    untitled = "Explorer of a latent space"
    _esm = _module()
    _css = (WEB / "explorer.css").read_text("utf-8")

    networks = traitlets.Dict().tag(sync=True)
    decoder_weights = traitlets.Bytes().tag(sync=True)
    encoder_weights = traitlets.Bytes().tag(sync=True)
    segmentation_weights = traitlets.Bytes().tag(sync=True)
    condition_weights = traitlets.Bytes().tag(sync=True)
    code = traitlets.List(traitlets.CFloat()).tag(sync=True)
    start = traitlets.List(traitlets.CFloat()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    nats = traitlets.List(traitlets.CFloat()).tag(sync=True)
    order = traitlets.List(traitlets.Int()).tag(sync=True)
    limits = traitlets.List(traitlets.List(traitlets.CFloat())).tag(sync=True)  # of every dimension
    images = traitlets.Bytes().tag(sync=True)
    image_shape = traitlets.List(traitlets.Int()).tag(sync=True)
    image_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    points = traitlets.Bytes().tag(sync=True)
    point_count = traitlets.Int().tag(sync=True)
    labels = traitlets.List(traitlets.Dict()).tag(sync=True)
    walk = traitlets.List().tag(sync=True)
    views = traitlets.List(traitlets.Unicode()).tag(sync=True)
    error = traitlets.Float().tag(sync=True)
    category = traitlets.List(traitlets.Int()).tag(sync=True)
    category_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    pad = traitlets.List(traitlets.Int()).tag(sync=True)
    noise = traitlets.List(traitlets.Int()).tag(sync=True)  # the dimensions drawn from N(0, 1) around their centre
    centre = traitlets.List(traitlets.CFloat()).tag(sync=True)  # of the prior
    pictures = traitlets.List(traitlets.Unicode()).tag(
        sync=True
    )  # the channels' names; none where they are one picture
    scales = traitlets.Dict().tag(sync=True)  # offset, factor and unit, by the number of the dimension as JSON has it
    segmentation = traitlets.Dict().tag(sync=True)  # what its network does not say
    directions = traitlets.List(traitlets.Dict()).tag(sync=True)  # of each set what numbers do not say
    direction_matrices = traitlets.Bytes().tag(sync=True)  # (K, d) of each set
    direction_effects = traitlets.Bytes().tag(sync=True)  # (K, F) of each set that has them, low and high behind
    max_shift = traitlets.Float().tag(sync=True)
    label = traitlets.Dict().tag(sync=True)  # the directions to label, and which labels agree with what was measured
    hybrid = traitlets.Dict().tag(sync=True)  # where style and content stand in a code, and what is said of a condition

    def __init__(
        self,
        model: nn.Module,
        latent_dim: int | None = None,
        code: Tensor | Sequence[float] | None = None,
        posteriors: tuple[Tensor, Tensor] | Tensor | None = None,
        labels: Mapping[str, Sequence] | None = None,
        images: Tensor | None = None,
        image_names: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
        dimensions: Sequence[int] | None = None,
        limits: tuple[float, float] | None = None,
        walk: Sequence[tuple[int, float]] | None = None,
        views: Sequence[str] | None = None,
        title: str = "",
        category: Sequence[int] | None = None,
        category_names: Sequence[str] | None = None,
        pad: tuple[int, int] | None = None,
        pad_limits: tuple[float, float] | None = None,
        pictures: Sequence[str] | None = None,
        scales: Mapping[int, Scale] | None = None,
        segmentation: Segmentation | None = None,
        directions: Directions | Mapping[str, Directions] | None = None,
        max_shift: float = 6.0,
        label: Sequence[int] | None = None,
        factors: Mapping[str, Factor] | None = None,
        columns: Mapping[str, Tensor] | None = None,
    ) -> None:
        width = width_of(model, latent_dim)
        images = None if images is None else as_images(images)
        pictures = picture_names(getattr(model, "pictures", ()) if pictures is None else pictures)
        structure = _structure(model, width, category, pad, limits, pad_limits)
        category, pad, uniform, noise, limits = structure[:5]
        category_names = [str(k) for k in range(len(category))] if category_names is None else category_names
        category_names = texts("category_names", category_names, len(category), "dimensions of a category")
        start = finite_code(structure.centre if code is None else code, width)
        if category and sorted(start[category]) != [0] * (len(category) - 1) + [1]:
            chosen = start[category].tolist()
            raise ValueError(f"code: of the category's dimensions one must be 1 and the others 0, got {chosen}")
        exchange, missing = exchange_of(model, width), what_is_missing(model, width, images)
        if names is None:
            named = {} if exchange is None else exchange.names()
            named |= {d: f"category {name}" for d, name in zip(category, category_names, strict=True)}
            named |= {d: f"c{i + 1}" for i, d in enumerate(uniform)}
            names = [named.get(d, f"z{d}") for d in range(width)]
        names = texts("names", names, width, "dimensions")
        scales = scales_of(scales or {}, width, category)
        sets = direction_sets(directions, width)
        max_shift = direction_limit(max_shift)

        nats, points = [], np.zeros((0, width), np.float32)
        given = posteriors_of(posteriors, width)
        if given:
            points = given[0][:POINTS].numpy()
        if len(given) == 2:
            try:
                nats = information(*given).per_dimension.tolist()
            except ValueError as error:
                raise ValueError(f"posteriors: {error}") from None
        colours = colouring(labels or {}, len(given[0]) if given else 0, POINTS)
        if dimensions is None:
            others = [d for d in range(width) if d not in (*category, *uniform, *noise)]
            default = [*uniform, *others, *noise] or category
            dimensions = (np.argsort(-np.asarray(nats), kind="stable") if nats else default)[:8]
        order = distinct("dimensions", dimensions, width)
        if not order:
            raise ValueError("dimensions: name at least one that gets a slider")
        walk = None if walk is None else walk_steps(walk, width)
        allowed = {"codes": category or pad, "directions": sets, "label": sets, "map": len(points) and width > 1}
        allowed["hybrid"] = not missing
        possible = [view for view in VIEWS if allowed.get(view, True)]
        views = [v for v in possible if v != "label" or label is not None] if views is None else views
        views = view_names(views, possible, NEEDS | {"hybrid": missing})
        asked = {} if label is None and "label" not in views else directions_to_label(sets, label)
        if "label" in views and segmentation is not None:
            raise ValueError(
                "views: 'label' asks what a direction changes, and a segmentation would tell; leave out one of them"
            )
        sizes = {} if missing else condition_sizes(model, exchange)
        for name, value in (("factors", factors), ("columns", columns)):
            if value is not None and not sizes:
                why = f"it needs {missing}" if missing else f"{type(model).__name__} says of none"
                raise ValueError(f"{name}: the view 'hybrid' alone asks for a condition, and {why}")
        conditioned = {} if missing else said_of_condition(sizes, factors, columns, len(images))
        # Of the sets those travel that are shown.
        shown = sets if "directions" in views else dict([*sets.items()][:1]) if "label" in views else {}

        decode = _decoding(model)
        with measured(model):
            _try(decode, torch.zeros(1, width), f"decode a code of latent_dim = {width} numbers")
            decoder = trace(decode, torch.zeros(1, width))
            (shape,) = (decoder.shapes[i] for i in decoder.outputs[:1])
            if len(shape) != 3 or not (pictures or shape[0] in (1, 3)):
                raise ValueError(
                    f"model: makes {shape} of a code; an explorer needs images (1 or 3, H, W). Where each channel is a "
                    "picture of its own, say in pictures what each is called"
                )
            if pictures and len(pictures) != shape[0]:
                raise ValueError(
                    f"pictures: {len(pictures)} names, but the model makes {shape} of a code: name each channel"
                )
            strip, encoder = self._strip(model, images, shape, width)
            probes = torch.from_numpy(points[:PROBES]) if len(points) else _draws(structure)
            mixing = None
            if "hybrid" in views:
                mixing = _mixing(model, exchange, strip, encoder, sizes)
                mixed = range(min(len(strip), MIXED_PROBES))
                probes = torch.cat([probes, exchange.hybrids(mixing.codes, mixed, mixed).flatten(0, 1)])
                noise = [d for d in noise if d not in range(exchange.content.start, exchange.content.stop)]
                if code is None:
                    start = exchange.hybrids(mixing.codes, [0], [1])[0, 0].numpy().astype(float)
            if shown:
                probes = torch.cat([probes, _shifted(probes, shown, max_shift)])
            error = _rounding_error(decode, decoder, probes.float())
            measuring = _measuring(segmentation, decode, shape, pictures, probes.float())
        if walk is None:
            centre, normal = structure.centre, structure.noise
            turns = {d: (centre[d] - 2, centre[d] + 2) if d in normal else limits[d] for d in order[:4]}
            walk = [step for d, (low, high) in turns.items() for step in ((d, high), (d, low), (d, start[d]))]
        image_names = [f"image {i + 1}" for i in range(len(strip))] if image_names is None else image_names
        image_names = texts("image_names", image_names, len(strip), "images")

        networks = {"decoder": decoder, "encoder": encoder, "segmentation": measuring and measuring.network}
        networks["condition"] = mixing and mixing.condition
        networks = {name: network for name, network in networks.items() if network}
        self._model, self._posteriors, self._sets = model, given if nats else None, sets
        self._exchange, self._image_codes = exchange, mixing and mixing.codes
        super().__init__(
            networks={name: network.spec for name, network in networks.items()},
            decoder_weights=decoder.data,
            encoder_weights=encoder.data if encoder else b"",
            segmentation_weights=measuring.network.data if measuring else b"",
            condition_weights=mixing.condition.data if mixing and mixing.condition else b"",
            code=start.tolist(),
            start=start.tolist(),
            names=names,
            nats=nats,
            order=order,
            limits=limits,
            images=strip.tobytes(),
            image_shape=list(strip.shape),
            image_names=image_names,
            points=points.astype("<f4").tobytes(),
            point_count=len(points),
            labels=colours,
            walk=[[int(d), float(v)] for d, v in walk],
            views=views,
            error=error,
            title=title,
            category=category,
            category_names=category_names,
            pad=pad,
            noise=noise,
            centre=structure.centre.tolist(),
            pictures=pictures,
            scales=scales,
            segmentation=measuring.said if measuring else {},
            max_shift=max_shift,
            label=asked if "label" in views else {},
            hybrid=conditioned | exchange.places() | {"starts": code is None} if mixing else {},
            **as_state(shown),
        )

    @staticmethod
    def _strip(
        model: nn.Module, images: Tensor | None, shape: list[int], width: int
    ) -> tuple[np.ndarray, Network | None]:
        """The images as bytes, and the encoder that goes with them."""
        if images is None:
            return np.zeros((0, *shape), np.uint8), None
        if images.ndim != 4 or list(images.shape[1:]) != shape:
            raise ValueError(f"images: expected (M, {', '.join(map(str, shape))}), got {tuple(images.shape)}")
        if not len(images):
            raise ValueError("images: there are none; pass None")
        if not images.is_floating_point() or not ((images >= -ROUNDING) & (images <= 1 + ROUNDING)).all():
            raise ValueError(
                f"images: expected floats in [0, 1], got {images.dtype} from {images.min():.4g} to {images.max():.4g}"
            )
        if not hasattr(model, "encode"):
            raise ValueError("images: to encode them the model needs a method encode(images)")
        encode = _Function(model, "encode")
        _try(encode, torch.zeros(1, *shape), f"encode images of {shape}")
        encoder = trace(encode, torch.zeros(1, *shape))
        if encoder.shapes[encoder.outputs[0]] != [width]:
            made = encoder.shapes[encoder.outputs[0]]
            raise ValueError(f"model: encodes an image as {made}; an explorer needs a code of {[width]}")
        return (images.cpu().clamp(0, 1) * 255).round().to(torch.uint8).numpy(), encoder

    @traitlets.validate("code")
    def _check_code(self, proposal: dict) -> list[float]:
        code, width = proposal["value"], len(self.names)
        if width and (len(code) != width or not all(map(math.isfinite, code))):
            raise traitlets.TraitError(f"code: expected {width} finite numbers, got {code}")
        return code

    def __repr__(self) -> str:
        return f"Explorer({type(self._model).__name__}, {len(self.names)} dimensions: {', '.join(self.views)})"

    def _repr_mimebundle_(self, **options) -> tuple[dict, dict]:
        """The widget, and for wherever it cannot live a still traversal with its description."""
        bundle = super()._repr_mimebundle_(**options)
        live = bundle[0] if isinstance(bundle, tuple) else bundle
        with measured(self._model), literally():
            picture, metadata = picture_bundle(self._still())
        return {**picture, **(live or {}), "text/plain": repr(self)}, metadata

    def _facts(self) -> dict[str, str]:
        count, *shape = self.image_shape
        made = f"pictures of {' × '.join(map(str, shape))} (channels, height, width)"
        levels = f", at most {255 * self.error:.1g} of 255 grey levels from PyTorch" if self.error else ""
        inside = {
            f"the weights of {' and '.join(self.networks)}": self.networks,
            f"{count} {'images' if count > 1 else 'image'} of a set, each pixel, and what they are called": count,
            f"codes of {self.point_count} images of a set": self.point_count,
            f"their labels ({', '.join(each['name'] for each in self.labels)})": self.labels,
        }
        return {
            "Model": f"{type(self._model).__name__}: a code of {len(self.names)} numbers, decoded to {made}",
            "Weights": f"16 bits{levels}",
            "In this file": "; ".join(what for what, there in inside.items() if there),
        }

    def _still(self) -> Figure:
        """A traversal; of a code with a structure, a table: the category over the first other dimension, or two."""
        model = _Decoder(_decoding(self._model), len(self.names), self.pictures)
        start = torch.tensor(self.start)
        if "hybrid" in self.views:
            return self._still_of_hybrids(model)
        if {"directions", "label"} & {*self.views}:
            return self._still_of_directions(model, start)
        if len(self.noise) == len(self.names) and all(limits == self.limits[0] for limits in self.limits):
            order, limits = self.order[:6], tuple(self.limits[0])
            return traversal(model, start, self._posteriors, order, limits, names=self.names)
        # An axis is a list of labels, each with the values that it gives to dimensions.
        still = [("", {})]
        kinds = zip(self.category_names, np.eye(len(self.category)), strict=True)
        choices = [(f"category {name}", dict(zip(self.category, row, strict=True))) for name, row in kinds]
        others = [d for d in self.pad or self.order if d not in self.category]
        paths = []
        for d, steps in zip(others, (11, 7), strict=False):
            values = np.linspace(*self.limits[d], steps)
            paths.append([(f"{self.names[d]} {f'{v:+.2g}' if abs(v) > 1e-6 else 0}", {d: v}) for v in values])
        columns, *paths = paths or [still]
        rows = next(axis for axis in (choices, *paths, still) if axis)
        codes = start.repeat(len(rows), len(columns), 1)
        for r, (_, row) in enumerate(rows):
            for c, (_, column) in enumerate(columns):
                for d, value in (row | column).items():
                    codes[r, c, d] = value
        with torch.inference_mode():
            images = model.decode(codes.flatten(0, 1).to(model.device)).cpu().unflatten(0, codes.shape[:2])
        labels = {"rows": [label for label, _ in rows], "columns": [label for label, _ in columns]}
        said = "; ".join(f"{axis} for {', '.join(words)}" for axis, words in labels.items() if any(words))
        labels["columns"] = ["\n".join(label.rsplit(" ", 1)) for label in labels["columns"]]  # or they would overlap
        images, alt = side_by_side(model, images), f"A traversal: {said}."
        return image_table(images, *labels.values(), alt=alt, beside=self.pictures)

    def _still_of_hybrids(self, model: _Decoder) -> Figure:
        """The contents of the first three images in the styles of the same three."""
        names = self.image_names[:STILL_HYBRIDS]
        codes = self._exchange.hybrids(self._image_codes, range(len(names)), range(len(names)))
        with torch.inference_mode():
            images = model.decode(codes.flatten(0, 1).to(model.device)).cpu().unflatten(0, codes.shape[:2])
        labels = {axis: [f"{axis} of {name}" for name in names] for axis in ("content", "style")}
        alt = (
            f"A traversal: a table of hybrids. In the rows the {', the '.join(labels['content'])}; in the columns the "
            f"{', the '.join(labels['style'])}. On the diagonal the reconstructions."
        )
        heads = [f"style of\n{name}" for name in names]
        return image_table(side_by_side(model, images), labels["content"], heads, alt, beside=self.pictures)

    def _still_of_directions(self, model: _Decoder, start: Tensor) -> Figure:
        """A row for each of up to eight directions of the first set: the strongest of each factor, or the first.

        Where they are only to be labelled: those, without their names.
        """
        name, found = next(iter(self._sets.items()))
        if "directions" in self.views:
            best = {factor: strongest(found, factor) for factor in found.factors}
            rows = [(k, f"{factor}: {found.names[k]}") for factor, k in best.items()] or [*enumerate(found.names)]
            which = "the direction with the strongest effect on each factor" if best else "the first directions"
            which += f" of the set {name}" if name else ""
        else:
            asked = self.label["asked"]
            rows = [(each["column"], f"direction {i} of {len(asked)}") for i, each in enumerate(asked, 1)]
            which = "directions to be labelled"
        rows = rows[:STILL_ROWS]
        shifts = torch.linspace(-self.max_shift, self.max_shift, STILL_STEPS)
        columns = torch.from_numpy(found.matrix.T[[k for k, _ in rows]])
        codes = start + shifts[:, None] * columns[:, None]
        with torch.inference_mode():
            images = model.decode(codes.flatten(0, 1).to(model.device)).cpu().unflatten(0, codes.shape[:2])
        labels = [label for _, label in rows]
        alt = (
            f"A traversal: {len(rows)} rows, {which} ({', '.join(labels)}); along a row the code is shifted by "
            f"{-self.max_shift:g} to {self.max_shift:g} along its direction, in the middle by 0."
        )
        heads = [f"{shift:+.3g}" if abs(shift) > 1e-6 else "0" for shift in shifts.tolist()]
        return image_table(side_by_side(model, images), labels, heads, alt, beside=self.pictures)


# traitlets gives its classes a constructor of anything; help and the reference shall show this one.
Explorer.__signature__ = inspect.Signature(list(inspect.signature(Explorer.__init__).parameters.values())[1:])


class _Function(nn.Module):
    """A method of a model as a module's forward pass."""

    def __init__(self, model: nn.Module, method: str) -> None:
        super().__init__()
        self.model, self.method = model, method

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        made = getattr(self.model, self.method)(x)
        several = tuple(made) if isinstance(made, tuple | list) else (made,)
        if not several or not isinstance(several[0], Tensor):
            keys = f" of {', '.join(map(str, made))}" if isinstance(made, Mapping) else ""
            raise ValueError(
                f"model: its {self.method} returns a {type(made).__name__}{keys}; an explorer needs a tensor, or a "
                "tuple of several, of which it takes the first"
            )
        return several if len(several) > 1 and all(isinstance(each, Tensor) for each in several) else several[0]

    def _get_name(self) -> str:
        return f"{type(self.model).__name__}.{self.method}"


class _Decoding(_Function):
    """What makes images of codes, and of several results the first."""

    def forward(self, x: Tensor) -> Tensor:
        made = super().forward(x)
        return made if isinstance(made, Tensor) else made[0]


def _decoding(model: nn.Module) -> _Decoding:
    return _Decoding(model, "decode" if hasattr(model, "decode") else "forward")


def _try(function: _Function, example: Tensor, what: str) -> None:
    """Computes it once."""
    try:
        with torch.no_grad():
            function(example.to(device_of(function)))
    except RuntimeError as error:  # of the first layer that the example does not fit
        reason = str(error).partition("\n")[0]
        raise ValueError(f"model: cannot {what}: {reason}") from None


class _Decoder(nn.Module):
    """A decoder with the names that figures ask for."""

    def __init__(self, decoder: nn.Module, latent_dim: int, pictures: Sequence[str]) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.pictures = tuple(pictures)
        self.decode = decoder
        self.device = device_of(decoder)


class _Measuring(NamedTuple):
    """A segmentation as it travels: its network, and what the network does not say."""

    network: Network
    said: dict


def _measuring(
    segmentation: Segmentation | None, decode: nn.Module, shape: list[int], pictures: list[str], codes: Tensor
) -> _Measuring | None:
    """The network of a segmentation, tried on what some of the codes are decoded to."""
    if segmentation is None:
        return None
    if not isinstance(segmentation, Segmentation):
        raise ValueError(f"segmentation: expected a Segmentation, got {type(segmentation).__name__}")
    network = trace_segmentation(segmentation, shape, pictures)
    with torch.inference_mode():
        images = decode(codes[:MEASURED_PROBES].to(device_of(decode)))
    said = {
        "classes": list(segmentation.classes),
        "unit": segmentation.unit,
        "calibration": calibration_of(segmentation, pictures),
        "changed": changed_pixels(segmentation, network, images.flatten(0, 1)[:, None]),
    }
    return _Measuring(network, said)


class _Mixing(NamedTuple):
    """What the view *hybrid* computes with: the codes of the images, and E_φ where there is one."""

    codes: Tensor  # (M, D)
    condition: Network | None


def _mixing(
    model: nn.Module, exchange: Exchange, strip: np.ndarray, encoder: Network, sizes: Mapping[str, int]
) -> _Mixing:
    """The codes are those that the page computes, from the images as bytes and by the rounded weights."""
    codes = encoder.run(torch.from_numpy(strip).float() / 255)[0]
    return _Mixing(codes, trace_condition(model, exchange, sizes, device_of(model)) if sizes else None)


class _Structure(NamedTuple):
    """What the dimensions of a code are, and what each is drawn from."""

    category: list[int]
    pad: list[int]
    uniform: list[int]
    noise: list[int]  # drawn from N(0, 1) around the centre
    limits: list[list[float]]  # of every dimension
    centre: np.ndarray
    layout: list[CodePart]  # as far as the model says


def _structure(
    model: nn.Module,
    width: int,
    category: Sequence[int] | None,
    pad: Sequence[int] | None,
    limits: tuple[float, float] | None,
    pad_limits: tuple[float, float] | None,
) -> _Structure:
    """What is said goes before what the model says in its ``code_layout``; of what neither says the prior is normal."""
    layout = [part for part in getattr(model, "code_layout", ()) if part.stop <= width]
    priors, centre = [Normal(1)] * width, np.zeros(width)
    for part in layout:
        priors[part.slice] = [part.prior] * part.prior.size
        centre[part.slice] = part.prior.centre
    if category is None:
        category = next((range(part.start, part.stop) for part in layout if isinstance(part.prior, Categorical)), [])
    elif len(category := whole_numbers("category", category)) < 2:
        raise ValueError(f"category: expected two dimensions or more, got {category}")
    category = distinct("category", category, width)
    uniform = [d for d, prior in enumerate(priors) if isinstance(prior, Uniform) and d not in category]
    if pad is None:
        pad = uniform[:2] if len(uniform) > 1 else []
    elif len(pad := whole_numbers("pad", pad)) != 2:
        raise ValueError(f"pad: expected two dimensions, got {pad}")
    pad = distinct("pad", pad, width)
    if shared := [d for d in pad if d in category]:
        raise ValueError(f"pad: dimension {shared[0]} belongs to the category")
    uniform += [d for d in pad if d not in uniform]
    normal = [d for d, prior in enumerate(priors) if isinstance(prior, Normal | Conditional)]
    noise = [d for d in normal if d not in (*category, *uniform)]
    ends = {d: prior.limits for d, prior in enumerate(priors)} | dict.fromkeys(category, (0.0, 1.0))
    ends |= {d: (-1.0, 1.0) for d in pad if d in normal}
    if limits is not None:
        ends |= dict.fromkeys(noise, interval("limits", limits))
    if pad_limits is not None:
        ends |= dict.fromkeys(pad, interval("pad_limits", pad_limits))
    if category:
        centre[category] = Categorical(len(category)).centre
    for d in pad:
        centre[d] = sum(ends[d]) / 2
    return _Structure(category, pad, uniform, noise, [list(map(float, ends[d])) for d in range(width)], centre, layout)


def _draws(structure: _Structure) -> Tensor:
    """Codes from the prior; every category in turn, points all over the pad."""
    generator = torch.Generator().manual_seed(0)
    codes = torch.from_numpy(structure.centre).float() + torch.randn(PROBES, len(structure.centre), generator=generator)
    for part in structure.layout:
        if not part.prior.columns:
            codes[:, part.slice] = part.prior.sample(PROBES, generator)
    if structure.category:
        kinds = len(structure.category)
        codes[:, structure.category] = torch.eye(kinds)[torch.arange(PROBES) % kinds]
    for d in structure.pad:
        codes[:, d].uniform_(*structure.limits[d], generator=generator)
    return codes


def _shifted(codes: Tensor, sets: Mapping[str, Directions], max_shift: float) -> Tensor:
    """Codes as far out as a shift leads: one direction after another, in turn to both ends."""
    columns = torch.cat([torch.from_numpy(each.matrix.T) for each in sets.values()])
    turns = torch.arange(len(codes))
    ends = torch.where(turns % 2 == 0, max_shift, -max_shift)
    return codes + ends[:, None] * columns[turns * len(columns) // len(turns) % len(columns)]


def _rounding_error(decode: nn.Module, network: Network, codes: Tensor) -> float:
    """The largest difference of a pixel between the model and the network with rounded weights."""
    with torch.inference_mode():
        images = decode(codes.to(device_of(decode)))
        if not images.isfinite().all() or images.min() < -ROUNDING or images.max() > 1 + ROUNDING:
            raise ValueError(
                f"model: makes values from {images.min():.3g} to {images.max():.3g} of codes; an explorer needs images "
                "in [0, 1]. Let decode end in a sigmoid, or scale what it makes"
            )
        return float((images.cpu() - network.run(codes)[0]).abs().max())
