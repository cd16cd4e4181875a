"""Whether two codes keep style and content apart, and what is found by either (Havaei et al. 2021)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.spatial.distance import cdist
from scipy.stats import hypergeom

from ..options import whole_options
from ._checks import finite, in_evaluation, numbers, to_numpy

# What each norm makes of the differences (N, D).
_NORMS = {
    "mae": lambda d: np.abs(d).mean(1),
    "l1": lambda d: np.abs(d).sum(1),
    "l2": lambda d: np.linalg.norm(d, axis=1),
}


@dataclass(frozen=True)
class CIFCScore:
    """A cross image feature consistency error, and its terms.

    Attributes:
        score: the mean over the pairs of the sum of the four terms.
        style: the mean of ‖ẑ_a − ẑ_aa‖ + ‖ẑ_b − ẑ_bb‖.
        content: the mean of ‖ĉ_a − ĉ_aa‖ + ‖ĉ_b − ĉ_bb‖.
        per_pair: ``(N,)``, float64.
        per_pair_style: ``(N,)``, the two terms of the style; the rest is the content's.
        pairs: ``(N, 2)``, the positions of I_a and I_b.
    """

    score: float
    style: float
    content: float
    per_pair: np.ndarray
    per_pair_style: np.ndarray
    pairs: np.ndarray


@whole_options(seed=0)
def cifc(
    encode: Callable,
    generate: Callable,
    images,
    *,
    norm: Literal["mae", "l1", "l2"] = "mae",
    seed: int = 0,
    batch_size: int = 64,
) -> CIFCScore:
    """Cross image feature consistency: are codes swapped between two images, and swapped back, the same codes?

    Implements :eq:`eq-style-content-19`, equation 19 of Havaei et al. (2021): E[‖ẑ_a − ẑ_aa‖ + ‖ĉ_a − ĉ_aa‖ + ‖ẑ_b −
    ẑ_bb‖ + ‖ĉ_b − ĉ_bb‖]. The hybrids are I_ab = G(ẑ_b, ĉ_a) and I_ba = G(ẑ_a, ĉ_b); the reconstructions take both
    codes from hybrids, I_aa = G(ẑ_ba, ĉ_ab) and I_bb = G(ẑ_ab, ĉ_ba); their codes are compared with those of the
    images.

    The paper states neither norm nor scale. ``"mae"``, the mean absolute difference over a code's dimensions, is what
    it measures distances of codes with elsewhere (III-C5), does not grow with the dimension, and is the only one whose
    size fits its Table III; that is an inference. ``"l1"`` sums over the dimensions, ``"l2"`` is Euclidean.

    The error is not invariant to the scale of the codes, and zero for codes that are constant: compare systems whose
    codes have the same prior.

    Args:
        encode: from a batch of images to ``(z, c)``, style ``(B, D_z)`` first and content ``(B, D_c)`` second; the
            posterior means, for a number without noise.
        generate: from ``(z, c)`` to images. Networks, and methods of networks, must be in evaluation mode; they get
            batches as they lie in ``images`` (type, device), and run without gradients.
        images: ``(N, C, H, W)``, NumPy or torch, N at least 2. Each is once I_a and once I_b.
        norm: ``"mae"``, ``"l1"`` or ``"l2"``.
        seed: of the pairs.
        batch_size: pairs a call.

    Returns:
        The score, at least 0; lower is better.

    Raises:
        ValueError: there are fewer than two images, a network is in training mode, the norm is unknown, a code has a
            wrong shape, or an image or a code holds NaN or infinity.
    """
    if norm not in _NORMS:
        raise ValueError(f"norm {norm!r} is unknown: use {', '.join(_NORMS)}")
    if getattr(images, "ndim", 0) != 4 or len(images) < 2:
        raise ValueError(f"images: expected at least two images (N, C, H, W), got {getattr(images, 'shape', images)}")
    finite("images", images, "(N, C, H, W)")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    in_evaluation("encode", encode)
    in_evaluation("generate", generate)
    order = np.random.default_rng(seed).permutation(len(images))
    pairs = np.stack([order, np.roll(order, 1)], 1)  # one cycle: no image is paired with itself

    def codes(batch) -> tuple:
        pair = encode(batch)
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise ValueError("encode: expected a pair (z, c), style and content")
        for name, code in zip("zc", pair, strict=True):
            finite(f"encode's {name}", code, "(B, D)")
        return tuple(pair)

    def distance(code, again) -> np.ndarray:
        first, second = numbers("encode's code", code), numbers("encode's code", again)
        if first.shape != second.shape:
            raise ValueError(f"encode: of an image it gives a code {first.shape}, of its reconstruction {second.shape}")
        return _NORMS[norm](first - second)

    style, content = [], []
    with torch.no_grad():
        for start in range(0, len(pairs), batch_size):
            a, b = pairs[start : start + batch_size].T
            z_a, c_a = codes(images[a])
            z_b, c_b = codes(images[b])
            z_ab, c_ab = codes(generate(z_b, c_a))
            z_ba, c_ba = codes(generate(z_a, c_b))
            z_aa, c_aa = codes(generate(z_ba, c_ab))
            z_bb, c_bb = codes(generate(z_ab, c_ba))
            style.append(distance(z_a, z_aa) + distance(z_b, z_bb))
            content.append(distance(c_a, c_aa) + distance(c_b, c_bb))
    style, content = np.concatenate(style), np.concatenate(content)
    per_pair = style + content
    return CIFCScore(float(per_pair.mean()), float(style.mean()), float(content.mean()), per_pair, style, pairs)


@dataclass(frozen=True)
class KeptScore:
    """How far a measured property stays what it is while one of two codes is drawn anew.

    Attributes:
        score: the intraclass correlation, at most 1.
        between: the mean square between groups.
        within: the mean square within groups.
    """

    score: float
    between: float
    within: float


def kept(measured) -> KeptScore:
    """Of images that share one code and differ in the other: how much of a property is the shared code's?

    The intraclass correlation of one-way random effects, ICC(1) of Shrout and Fleiss (1979): (B - W) / (B + (S - 1) W)
    with the mean squares B between and W within groups. With a fixed content in each group and S styles drawn anew it
    is near 1 where the property belongs to the content, and near 0 where the style decides it. Havaei et al. (2021,
    III-D) judge by eye whether content is kept when style is sampled.

    A generator that ignores one code keeps everything of the other: read it beside the same number with the codes'
    parts exchanged. One whose images are all alike keeps nothing that could be told apart, and has 0.

    Args:
        measured: a property of each image, ``(G, S)``: a row has the images of one shared code. At least two of both.

    Returns:
        The score; below 0, down to -1 / (S - 1), where groups are more alike than chance has it.

    Raises:
        ValueError: the shape is wrong, or a value is NaN or infinite.
    """
    values = finite("measured", measured, "(G, S)", at_least=2)
    groups, size = values.shape
    if size < 2:
        raise ValueError(f"measured: expected at least two images of each shared code, got {size}")
    means = values.mean(1)
    between = size * np.square(means - values.mean()).sum() / (groups - 1)
    within = np.square(values - means[:, None]).sum() / (groups * (size - 1))
    spread = between + (size - 1) * within
    return KeptScore(float((between - within) / spread) if spread > 0 else 0.0, float(between), float(within))


@dataclass(frozen=True)
class Neighbours:
    """The nearest references of each query, the nearest first.

    Attributes:
        score: the mean of all distances.
        indices: ``(Q, k)``, positions in the references.
        distances: ``(Q, k)``, float64.
    """

    score: float
    indices: np.ndarray
    distances: np.ndarray


@whole_options()
def nearest_neighbours(queries, references, k: int = 3) -> Neighbours:
    """The k references with the smallest mean absolute error to each query (Havaei et al. 2021, III-C5).

    Of content codes, of style codes, or of images: with images themselves this is the paper's baseline "Pixel Matched".
    Of equally near references the one with the lower position comes first.

    Args:
        queries: codes ``(Q, D)`` or images ``(Q, C, H, W)``, NumPy or torch.
        references: ``(R, D)`` or ``(R, C, H, W)``, R at least k. A query that is also a reference finds itself.
        k: the paper's N, which is 3.

    Raises:
        ValueError: the shapes do not fit, ``k`` is not in 1 to R, or a value is NaN or infinite.
    """
    queries, references = to_numpy("queries", queries), to_numpy("references", references)
    if queries.ndim not in (2, 4) or queries.shape[1:] != references.shape[1:]:
        raise ValueError(
            f"queries and references: expected codes (N, D) or images (N, C, H, W) that fit each other, "
            f"got {queries.shape} and {references.shape}"
        )
    size = math.prod(queries.shape[1:])
    queries = finite("queries", queries.reshape(len(queries), size), "(Q, D)")
    references = finite("references", references.reshape(len(references), size), "(R, D)")
    if not 1 <= k <= len(references):
        raise ValueError(f"k must be between 1 and the number of references {len(references)}, got {k}")
    indices, distances = np.empty((len(queries), k), np.intp), np.empty((len(queries), k))
    for part in _parts(len(queries)):  # the whole table of distances would not fit into memory
        table = cdist(queries[part], references, "cityblock") / references.shape[1]
        indices[part] = table.argsort(1, kind="stable")[:, :k]
        distances[part] = np.take_along_axis(table, indices[part], 1)
    return Neighbours(float(distances.mean()), indices, distances)


@dataclass(frozen=True)
class DisagreementScore:
    """How much the labels of what was retrieved differ from those of the queries.

    Attributes:
        score: the mean over queries and neighbours.
        per_query: ``(Q,)``, float64, the mean over the neighbours.
        per_attribute: ``(L,)``, float64, the mean over queries and neighbours; their mean is the score.
    """

    score: float
    per_query: np.ndarray
    per_attribute: np.ndarray


def disagreement_divergence(query_labels, reference_labels, neighbours) -> DisagreementScore:
    """The mean squared difference between the labels of a query and those of its neighbours (Havaei 2021, III-C5).

    The mean is over the L attributes, too. The paper's label is the condition (one-hot) beside the nodule's size, whose
    unit it does not state: an attribute in large units outweighs all others, so read ``per_attribute``, and compare
    with published numbers only if the labels are coded as they were there.

    Args:
        query_labels: the attributes of the queries, ``(Q, L)``: numbers, categories one-hot. NumPy or torch.
        reference_labels: the attributes of the references, ``(R, L)``.
        neighbours: positions in the references ``(Q, k)``: :attr:`Neighbours.indices`.

    Raises:
        ValueError: a shape is wrong, a position is outside of the references, or a value is NaN or infinite.
    """
    queries, references, indices = _labels_and_neighbours(query_labels, reference_labels, neighbours)
    squared = np.square(queries[:, None] - references[indices])
    return DisagreementScore(float(squared.mean()), squared.mean((1, 2)), squared.mean((0, 1)))


@dataclass(frozen=True)
class OverlapScore:
    """How much of the best label there is was retrieved.

    Attributes:
        score: in per cent, the mean over the queries.
        per_query: ``(Q,)``, float64, in per cent.
        ground_truth: ``(Q,)``, the position of the reference whose label is nearest to the query's, the first of equal
            ones.
    """

    score: float
    per_query: np.ndarray
    ground_truth: np.ndarray


def label_overlap(
    query_labels, reference_labels, neighbours, match: Literal["label", "attributes"] = "label"
) -> OverlapScore:
    """How often the neighbours carry the label of the ground truth, in per cent (Havaei et al. 2021, III-C5).

    The ground truth of a query is the reference with the smallest disagreement divergence, the mean squared difference
    of labels. The paper measures "the percentage of the label from the ground truth image found in the top-N nearest
    neighbors", which can be read in two ways:

    * ``match="label"``: the share of queries for which a neighbour is a ground truth, that is, has the smallest
      divergence there is. Of several references with that divergence any one counts, though their labels may differ.
    * ``match="attributes"``: the share of the ground truth's attributes that at least one neighbour has with the same
      value. With binary attributes and three neighbours this is high by chance, unlike the numbers of the paper's
      Table IV (33 to 59 %), which speaks for the first reading.

    Args:
        query_labels: the attributes of the queries, ``(Q, L)``: numbers, categories one-hot. NumPy or torch.
        reference_labels: the attributes of the references, ``(R, L)``.
        neighbours: positions in the references ``(Q, k)``: :attr:`Neighbours.indices`.
        match: ``"label"`` or ``"attributes"``.

    Raises:
        ValueError: a shape is wrong, a position is outside of the references, ``match`` is unknown, or a value is NaN
            or infinite.
    """
    if match not in ("label", "attributes"):
        raise ValueError(f"match {match!r} is unknown: use label or attributes")
    queries, references, indices = _labels_and_neighbours(query_labels, reference_labels, neighbours)
    ground_truth, hit = np.empty(len(queries), np.intp), np.empty(len(queries))
    for part in _parts(len(queries)):
        divergence = cdist(queries[part], references, "sqeuclidean") / references.shape[1]
        ground_truth[part] = divergence.argmin(1)
        hit[part] = np.take_along_axis(divergence, indices[part], 1).min(1) == divergence.min(1)
    if match == "attributes":
        hit = (references[indices] == references[ground_truth][:, None]).any(1).mean(1)
    return OverlapScore(float(100 * hit.mean()), 100 * hit, ground_truth)


@dataclass(frozen=True)
class ChanceRetrieval:
    """What k references drawn at random would reach.

    Attributes:
        disagreement: ``(Q,)``, of each query, the expected :attr:`DisagreementScore.per_query`.
        overlap: ``(Q,)``, in per cent, the expected :attr:`OverlapScore.per_query`, label by label.
    """

    disagreement: np.ndarray
    overlap: np.ndarray


@whole_options()
def retrieval_by_chance(query_labels, reference_labels, k: int = 3) -> ChanceRetrieval:
    """What is to be expected of k different references drawn at random: the floor of both measures of retrieval.

    The disagreement is the mean over all references. The overlap is the chance that at least one of k is among those
    whose label is nearest to the query's; it grows with their number, so that labels that many references share are
    easily met.

    Args:
        query_labels: the attributes of the queries, ``(Q, L)``: numbers, categories one-hot. NumPy or torch.
        reference_labels: the attributes of the references, ``(R, L)``, R at least k.
        k: how many are drawn.

    Raises:
        ValueError: a shape is wrong, ``k`` is not in 1 to R, or a value is NaN or infinite.
    """
    queries, references = _label_pair(query_labels, reference_labels)
    if not 1 <= k <= len(references):
        raise ValueError(f"k must be between 1 and the number of references {len(references)}, got {k}")
    disagreement, best = np.empty(len(queries)), np.empty(len(queries), np.intp)
    for part in _parts(len(queries)):
        divergence = cdist(queries[part], references, "sqeuclidean") / references.shape[1]
        disagreement[part] = divergence.mean(1)
        best[part] = (divergence == divergence.min(1, keepdims=True)).sum(1)
    return ChanceRetrieval(disagreement, 100 * hypergeom.sf(0, len(references), best, k))


def _label_pair(query_labels, reference_labels) -> tuple[np.ndarray, np.ndarray]:
    queries = finite("query_labels", query_labels, "(Q, L)")
    references = finite("reference_labels", reference_labels, "(R, L)")
    if queries.shape[1] != references.shape[1]:
        raise ValueError(f"reference_labels: {references.shape[1]} attributes, query_labels has {queries.shape[1]}")
    return queries, references


def _labels_and_neighbours(query_labels, reference_labels, neighbours) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    queries, references = _label_pair(query_labels, reference_labels)
    indices = to_numpy("neighbours", neighbours)
    if indices.ndim != 2 or len(indices) != len(queries) or not indices.size or indices.dtype.kind not in "iu":
        raise ValueError(
            f"neighbours: expected positions ({len(queries)}, k), got {indices.dtype} {indices.shape}; "
            "pass the indices that nearest_neighbours found"
        )
    if indices.min() < 0 or indices.max() >= len(references):
        raise ValueError(
            f"neighbours: positions from {indices.min()} to {indices.max()} among {len(references)} references"
        )
    return queries, references, indices


def _parts(rows: int, size: int = 256) -> list[slice]:
    return [slice(start, start + size) for start in range(0, rows, size)]
