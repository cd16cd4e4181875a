"""One live object for every chapter: sliders, a map and a walk over a latent space, decoded where the reader is.

The decoder, and the encoder where there are images to encode, travel with the widget and run in the browser: with a
kernel it is an ordinary Jupyter widget, on the published page it works without one.
"""

from __future__ import annotations

import base64
import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import anywidget
import numpy as np
import torch
import traitlets
from torch import Tensor, nn

from ..metrics import information
from .figures import picture_bundle, traversal
from .network import Network, evaluating, trace

WEB = Path(__file__).parent / "web"
SCRIPTS = ("network.js", "traverse.js", "map.js", "walk.js", "explorer.js")
VIEWS = ("traverse", "map", "walk")
POINTS = 400  # of the map
ROUNDING = 1e-3  # by which intensities may lie outside [0, 1]
PROBES = 64  # codes on which the rounded weights are compared with the model


def _module() -> str:
    """The front end, one ECMAScript module: the assembled kernel and the scripts one after the other."""
    kernel = base64.b64encode((WEB / "kernel.wasm").read_bytes()).decode()
    return "\n".join([f'const KERNEL = "{kernel}";', *((WEB / name).read_text("utf-8") for name in SCRIPTS)])


class Explorer(anywidget.AnyWidget):
    """Looks into the latent space of a model, in a notebook and on a page without a kernel.

    The views: *traverse*, a slider for each dimension; *map*, the codes of many images over two of the dimensions;
    *walk*, several dimensions in turn. ``explorer.code`` is the present code: the sliders follow it, and it follows
    them.

    Args:
        model: a :class:`~medlatent.models.LatentModel`, or any ``torch.nn.Module`` that makes images ``(B, C, H, W)``
            in [0, 1], C 1 or 3, of codes ``(B, latent_dim)``. A ``decode`` and an ``encode`` are used where the model
            has them; of several results of ``encode`` the first, the mean, is the code.
        latent_dim: the dimension D of the code; by default the model's own ``latent_dim``.
        code: where it starts, ``(D,)``; by default the centre of the prior, 0.
        posteriors: the means and log-variances, ``(N, D)`` each, of many images. The dimensions are then in the order
            of their information, which is stated, and the means of the first 400 are the points of the map. For a model
            without posteriors, their codes alone, ``(N, D)``.
        labels: for the map's colours, by name: N numbers, or N class names.
        images: a strip of images to encode, ``(M, C, H, W)`` in [0, 1]; sixteen are a good number. Needs ``encode``.
        image_names: what each of them is called; by default "image 1" and so on.
        names: of all D dimensions; by default z0, z1, …
        dimensions: which have a slider, in this order; by default the eight most informative, or the first eight.
        limits: of the sliders, in standard deviations of the prior.
        walk: pairs (dimension, value): from ``code`` on, one dimension after the other goes to a value and stays there.
            By default the first four dimensions, each up to 2, down to -2 and back.
        views: which of the views, in this order; by default all that the arguments allow.
        title: above the picture.

    Raises:
        ValueError: an argument does not fit the model; or the model computes something that cannot run in a browser,
            and the message names the layer.
    """

    _esm = _module()
    _css = (WEB / "explorer.css").read_text("utf-8")

    networks = traitlets.Dict().tag(sync=True)
    decoder_weights = traitlets.Bytes().tag(sync=True)
    encoder_weights = traitlets.Bytes().tag(sync=True)
    code = traitlets.List(traitlets.CFloat()).tag(sync=True)
    start = traitlets.List(traitlets.CFloat()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    nats = traitlets.List(traitlets.CFloat()).tag(sync=True)
    order = traitlets.List(traitlets.Int()).tag(sync=True)
    limits = traitlets.List(traitlets.CFloat()).tag(sync=True)
    images = traitlets.Bytes().tag(sync=True)
    image_shape = traitlets.List(traitlets.Int()).tag(sync=True)
    image_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    points = traitlets.Bytes().tag(sync=True)
    point_count = traitlets.Int().tag(sync=True)
    labels = traitlets.List(traitlets.Dict()).tag(sync=True)
    walk = traitlets.List().tag(sync=True)
    views = traitlets.List(traitlets.Unicode()).tag(sync=True)
    error = traitlets.Float().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

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
        limits: tuple[float, float] = (-3.0, 3.0),
        walk: Sequence[tuple[int, float]] | None = None,
        views: Sequence[str] | None = None,
        title: str = "",
    ) -> None:
        width = getattr(model, "latent_dim", None) if latent_dim is None else latent_dim
        if not isinstance(width, int) or isinstance(width, bool) or width < 1:
            raise ValueError(f"latent_dim: the model says {width!r}; pass the dimension of its code")
        start = np.zeros(width) if code is None else np.asarray(_plain(code), dtype=float)
        if start.shape != (width,) or not np.isfinite(start).all():
            raise ValueError(f"code: expected {width} finite numbers, got {start.tolist()}")
        names = [f"z{d}" for d in range(width)] if names is None else list(names)
        if len(names) != width:
            raise ValueError(f"names: {len(names)} for {width} dimensions")
        if len(limits) != 2 or not (math.isfinite(limits[0]) and math.isfinite(limits[1]) and limits[0] < limits[1]):
            raise ValueError(f"limits: expected two finite numbers, the smaller one first, got {limits}")

        nats, points = [], np.zeros((0, width), np.float32)
        given = [] if posteriors is None else posteriors if isinstance(posteriors, tuple | list) else [posteriors]
        given = [torch.as_tensor(_plain(p)).float() for p in given]
        if len(given) > 2 or any(p.shape != (len(p), width) or p.shape != given[0].shape for p in given):
            raise ValueError(f"posteriors: expected two of (N, {width}), got {[tuple(p.shape) for p in given]}")
        if any(not len(p) or not p.isfinite().all() for p in given):
            what = "a value is not finite; leave those images out" if len(given[0]) else "there are none; pass None"
            raise ValueError(f"posteriors: {what}")
        if given:
            points = given[0][:POINTS].numpy()
        if len(given) == 2:
            nats = information(*given).per_dimension.tolist()
        colours = [_colouring(name, values, len(given[0]) if given else 0) for name, values in (labels or {}).items()]
        if dimensions is None:
            dimensions = np.argsort(-np.asarray(nats), kind="stable")[:8] if nats else range(min(8, width))
        order = [int(d) for d in dimensions]
        if not order:
            raise ValueError("dimensions: name at least one that gets a slider")
        if repeated := [d for d in order if order.count(d) > 1]:
            raise ValueError(f"dimensions: {repeated[0]} is named more than once")
        if wrong := [step for step in walk or [] if len(step) != 2 or not math.isfinite(step[1])]:
            raise ValueError(f"walk: expected pairs of a dimension and a finite value, got {wrong[0]}")
        for name, chosen in (("dimensions", order), ("walk", [d for d, _ in walk or []])):
            if wrong := [d for d in chosen if not 0 <= d < width]:
                raise ValueError(f"{name}: there is no dimension {wrong[0]}, the code has {width}")
        if walk is None:
            walk = [step for d in order[:4] for step in ((d, 2.0), (d, -2.0), (d, float(start[d])))]
        if not walk:
            raise ValueError("walk: name at least one (dimension, value); for no walk, pass views")
        possible = [view for view in VIEWS if view != "map" or (len(points) and width > 1)]
        views = possible if views is None else list(views)
        if wrong := [view for view in views if view not in possible]:
            why = "; it needs posteriors and two dimensions" if wrong[0] == "map" else ""
            raise ValueError(f"views: {wrong[0]!r} is none of {', '.join(possible)}{why}")
        if not views:
            raise ValueError(f"views: name at least one of {', '.join(possible)}")

        decode = _decoding(model)
        with _single_precision(model):
            try:
                with torch.no_grad():
                    decode(torch.zeros(1, width, device=_device(decode)))
            except RuntimeError as error:  # of the first layer that the code does not fit
                reason = str(error).partition("\n")[0]
                raise ValueError(f"model: cannot decode a code of latent_dim = {width} numbers: {reason}") from None
            decoder = trace(decode, torch.zeros(1, width))
            (shape,) = (decoder.shapes[i] for i in decoder.outputs[:1])
            if len(shape) != 3 or shape[0] not in (1, 3):
                raise ValueError(f"model: makes {shape} of a code; an explorer needs images (1 or 3, H, W)")
            strip, encoder = self._strip(model, images, shape, width)
            probes = points[:PROBES] if len(points) else np.zeros((0, width))
            error = _rounding_error(decode, decoder, torch.from_numpy(probes).float(), width)
        image_names = [f"image {i + 1}" for i in range(len(strip))] if image_names is None else list(image_names)
        if len(image_names) != len(strip):
            raise ValueError(f"image_names: {len(image_names)} for {len(strip)} images")

        self._model, self._posteriors = model, given if nats else None
        super().__init__(
            networks={"decoder": decoder.spec, **({"encoder": encoder.spec} if encoder else {})},
            decoder_weights=decoder.data,
            encoder_weights=encoder.data if encoder else b"",
            code=start.tolist(),
            start=start.tolist(),
            names=names,
            nats=nats,
            order=order,
            limits=[float(limit) for limit in limits],
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
        encoder = trace(_Function(model, "encode"), torch.zeros(1, *shape))
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
        with _single_precision(self._model):
            still = traversal(
                _Decoder(_decoding(self._model), len(self.names)),
                torch.tensor(self.start),
                self._posteriors,
                self.order[:6],
                tuple(self.limits),
                names=self.names,
            )
        picture, metadata = picture_bundle(still)
        return {**picture, **(live or {}), "text/plain": repr(self)}, metadata


# traitlets gives its classes a constructor of anything; help and the reference shall show this one.
Explorer.__signature__ = inspect.Signature(list(inspect.signature(Explorer.__init__).parameters.values())[1:])


class _Function(nn.Module):
    """A method of a model as a module's forward pass."""

    def __init__(self, model: nn.Module, method: str) -> None:
        super().__init__()
        self.model, self.method = model, method

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        return getattr(self.model, self.method)(x)


def _decoding(model: nn.Module) -> _Function:
    return _Function(model, "decode" if hasattr(model, "decode") else "forward")


def _device(module: nn.Module) -> torch.device:
    return next(iter(module.parameters()), torch.zeros(0)).device


class _Decoder:
    """A decoder with the names that figures ask for."""

    def __init__(self, decoder: nn.Module, latent_dim: int) -> None:
        self.latent_dim = latent_dim
        self.decode = decoder
        self.device = _device(decoder)


@contextmanager
def _single_precision(model: nn.Module) -> Iterator[None]:
    """A model of the course may compute in 16 bits; the browser computes in 32. In evaluation mode, and back."""
    precision = getattr(model, "precision", None)
    if precision is not None:
        model.precision = torch.float32
    try:
        with evaluating(model):
            yield
    finally:
        if precision is not None:
            model.precision = precision


def _rounding_error(decode: nn.Module, network: Network, codes: Tensor, width: int) -> float:
    """The largest difference of a pixel between the model and the network with rounded weights."""
    if not len(codes):
        codes = torch.randn(PROBES, width, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        images = decode(codes.to(_device(decode)))
        images = images[0] if isinstance(images, tuple) else images
        if not images.isfinite().all() or images.min() < -ROUNDING or images.max() > 1 + ROUNDING:
            raise ValueError(
                f"model: makes values from {images.min():.3g} to {images.max():.3g} of codes; an explorer needs images "
                "in [0, 1]. Let decode end in a sigmoid, or scale what it makes"
            )
        return float((images.cpu() - network.run(codes)[0]).abs().max())


def _colouring(name: str, values: Sequence, count: int) -> dict:
    """Numbers by which the points of the map are coloured; class names become their indices."""
    values = np.asarray(_plain(values))
    if not count or values.shape != (count,):
        raise ValueError(f"labels: {name!r} has the shape {values.shape} for {count or 'no'} posteriors")
    values = values[:POINTS]
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise ValueError(f"labels: {name!r} has a value that is not finite; leave those images out")
        return {"name": name, "kind": "continuous", "values": values.tolist(), "levels": []}
    levels, indices = np.unique(values.astype(str), return_inverse=True)
    return {"name": name, "kind": "class", "values": indices.tolist(), "levels": levels.tolist()}


def _plain(values: object) -> object:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else values
