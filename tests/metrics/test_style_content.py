"""CIFC, retrieval and its two scores: systems whose answer is known, and brute force."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import f_oneway
from torch import nn

from medlatent.metrics.style_content import (
    cifc,
    disagreement_divergence,
    kept,
    label_overlap,
    nearest_neighbours,
    retrieval_by_chance,
)

RANDOM = np.random.default_rng(5)
IMAGES = RANDOM.normal(size=(9, 1, 2, 3))  # the first row is the style, the second the content


def encode(images):
    return images[:, 0, 0], images[:, 0, 1]


def generate(z, c):
    return np.stack([z, c], 1)[:, None]


def leaky(amount):
    """A generator whose content takes in some of the style."""
    return lambda z, c: generate(z, c + amount * z)


# ------------------------------------------------------------------------------------------------------------- CIFC


def test_a_system_that_keeps_style_and_content_apart_has_no_error():
    result = cifc(encode, generate, IMAGES)
    assert result.score == result.style == result.content == 0
    assert sorted(result.pairs[:, 0]) == sorted(result.pairs[:, 1]) == list(range(9))
    assert (result.pairs[:, 0] != result.pairs[:, 1]).all()


@pytest.mark.parametrize(
    ("norm", "size"),
    [("mae", lambda d: np.mean(np.abs(d))), ("l1", lambda d: np.sum(np.abs(d))), ("l2", lambda d: np.sqrt(d @ d))],
)
def test_equation_19_by_brute_force(norm, size):
    first, second = RANDOM.normal(size=(2, 6, 6))

    def twisted_encode(images):
        code = np.tanh(images.reshape(len(images), 6) @ first)
        return code[:, :2], code[:, 2:]

    def twisted_generate(z, c):
        return (np.concatenate([z, c], 1) @ second).reshape(-1, 1, 2, 3)

    result = cifc(twisted_encode, twisted_generate, IMAGES, norm=norm, batch_size=4, seed=1)
    style, content = [], []
    for a, b in result.pairs:
        (z_a, c_a), (z_b, c_b) = (twisted_encode(IMAGES[[i]]) for i in (a, b))
        i_ab, i_ba = twisted_generate(z_b, c_a), twisted_generate(z_a, c_b)  # content of the first, style of the second
        (z_ab, c_ab), (z_ba, c_ba) = twisted_encode(i_ab), twisted_encode(i_ba)
        z_aa, c_aa = twisted_encode(twisted_generate(z_ba, c_ab))
        z_bb, c_bb = twisted_encode(twisted_generate(z_ab, c_ba))
        style.append(size((z_a - z_aa)[0]) + size((z_b - z_bb)[0]))
        content.append(size((c_a - c_aa)[0]) + size((c_b - c_bb)[0]))
    assert result.score == pytest.approx(np.mean(style) + np.mean(content))
    assert result.style == pytest.approx(np.mean(style))
    assert result.content == pytest.approx(np.mean(content))
    np.testing.assert_allclose(result.per_pair, np.add(style, content))


def test_a_leak_by_hand():
    # I_ab has the content c_a + z_b, I_aa the content c_a + z_b + z_a; likewise for b: the style is kept.
    result = cifc(encode, leaky(1), IMAGES, norm="l1")
    z = IMAGES[:, 0, 0]
    a, b = result.pairs.T
    assert result.style == 0
    np.testing.assert_allclose(result.per_pair, 2 * np.abs(z[a] + z[b]).sum(1))


def test_reconstructions_from_the_images_own_codes_would_miss_the_leak():
    # The mistake: encode and decode once, without a swap. A generator that takes style from the content of the *other*
    # image only shows in hybrids.
    def entangled(z, c):
        own = np.array([np.isclose(IMAGES[:, 0, 0], zi).all(1) @ np.isclose(IMAGES[:, 0, 1], ci).all(1)
                        for zi, ci in zip(z, c, strict=True)], dtype=bool)  # fmt: skip
        return generate(z, np.where(own[:, None], c, 0))

    again = encode(entangled(*encode(IMAGES)))
    assert all((x == y).all() for x, y in zip(again, encode(IMAGES), strict=True))
    assert cifc(encode, entangled, IMAGES).score > 0.5


def test_torch_and_numpy_agree_and_no_gradient_is_kept():
    def torch_generate(z, c):
        assert not torch.is_grad_enabled()
        return torch.stack([z, c + 0.3 * z], 1)[:, None]

    tensors = torch.tensor(IMAGES, requires_grad=True)
    assert cifc(encode, torch_generate, tensors).score == pytest.approx(cifc(encode, leaky(0.3), IMAGES).score)


def test_seed_and_batch_size():
    result = cifc(encode, leaky(0.5), IMAGES, batch_size=2)
    np.testing.assert_allclose(result.per_pair, cifc(encode, leaky(0.5), IMAGES).per_pair)
    assert not np.array_equal(result.pairs, cifc(encode, leaky(0.5), IMAGES, seed=1).pairs)


class Model(nn.Module):
    def encode(self, images):
        return encode(images)

    def generate(self, z, c):
        return torch.stack([z, c], 1)[:, None]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cifc(encode, generate, IMAGES[:1]), "at least two images"),
        (lambda: cifc(encode, generate, IMAGES[0]), r"\(N, C, H, W\)"),
        (lambda: cifc(encode, generate, IMAGES, norm="l3"), "norm 'l3'"),
        (lambda: cifc(encode, generate, IMAGES, batch_size=0), "batch_size"),
        (lambda: cifc(lambda x: (x[:, 0, 0] * np.nan, x[:, 0, 1]), generate, IMAGES), "encode's z: row 0 holds NaN"),
        (lambda: cifc(lambda x: (x[:, 0, 0], x), generate, IMAGES), r"encode's c: expected an array \(B, D\)"),
        (lambda: cifc(lambda x: x[:, 0, 0], generate, IMAGES), "encode: expected a pair"),
        (lambda: cifc(Model().encode, Model().eval().generate, torch.tensor(IMAGES)), "encode: Model is in training"),
        (lambda: cifc(Model().eval().encode, Model().generate, torch.tensor(IMAGES)), "generate: Model is in training"),
    ],
)
def test_cifc_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# --------------------------------------------------------------------------------------------------------- retrieval

QUERIES, REFERENCES = RANDOM.normal(size=(7, 4)), RANDOM.normal(size=(20, 4))
QUERY_LABELS, REFERENCE_LABELS = RANDOM.integers(0, 2, (7, 5)), RANDOM.integers(0, 2, (20, 5))


def test_neighbours_by_brute_force():
    result = nearest_neighbours(QUERIES, REFERENCES, k=4)
    for query, indices, distances in zip(QUERIES, result.indices, result.distances, strict=True):
        every = [np.mean(np.abs(query - reference)) for reference in REFERENCES]
        assert indices.tolist() == np.argsort(every)[:4].tolist()
        np.testing.assert_allclose(distances, np.sort(every)[:4])
    assert result.score == pytest.approx(result.distances.mean())


def test_neighbours_among_images_are_pixel_matched():
    images = torch.tensor(IMAGES, requires_grad=True)
    result = nearest_neighbours(images, IMAGES, k=9)
    assert result.indices[:, 0].tolist() == list(range(9))
    assert (result.distances[:, 0] == 0).all()
    np.testing.assert_array_equal(
        result.indices, nearest_neighbours(IMAGES.reshape(9, 6), IMAGES.reshape(9, 6), 9).indices
    )


def test_of_equally_near_references_the_first_comes_first():
    assert nearest_neighbours(np.zeros((1, 1)), [[2.0], [1.0], [-1.0], [1.0], [3.0]], k=4).indices.tolist() == [
        [1, 2, 3, 0]
    ]


def test_many_queries_are_joined_in_order():
    many = RANDOM.normal(size=(600, 4))
    chosen = [0, 255, 256, 599]
    whole = nearest_neighbours(many, REFERENCES)
    np.testing.assert_array_equal(whole.indices[chosen], nearest_neighbours(many[chosen], REFERENCES).indices)
    labels = RANDOM.integers(0, 2, (600, 5))
    overlap = label_overlap(labels, REFERENCE_LABELS, whole.indices)
    few = label_overlap(labels[chosen], REFERENCE_LABELS, whole.indices[chosen])
    np.testing.assert_array_equal(overlap.per_query[chosen], few.per_query)


def test_disagreement_by_hand():
    # Neighbours that are off by (1, 0) and (0, 2): squares 1, 0, 0, 4, whose mean is 1.25.
    result = disagreement_divergence([[0, 0]], [[9, 9], [1, 0], [0, 2]], [[1, 2]])
    assert result.score == 1.25
    assert result.per_attribute.tolist() == [0.5, 2]
    assert disagreement_divergence(QUERY_LABELS, QUERY_LABELS, np.arange(7)[:, None]).score == 0


def test_overlap_by_hand():
    references = [[0, 0], [0, 1], [1, 1], [1, 1]]
    # The first query's label exists at 2 and 3: either will do. The second's nearest label is (0, 0), not found.
    result = label_overlap([[1, 1], [-1, 0]], references, [[0, 3], [1, 2]])
    assert result.per_query.tolist() == [100, 0]
    assert result.score == 50
    assert result.ground_truth.tolist() == [2, 0]
    # Of (0, 0) the neighbours (0, 1) and (1, 1) have the first attribute.
    assert label_overlap([[1, 1], [-1, 0]], references, [[0, 3], [1, 2]], match="attributes").per_query.tolist() == [
        100,
        50,
    ]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_retrieval_scores_by_brute_force(seed, k):
    random = np.random.default_rng(seed)
    queries, references = random.integers(0, 3, (5, 4)), random.integers(0, 3, (8, 4))
    neighbours = np.stack([random.permutation(8)[:k] for _ in range(5)])
    divergence, label, attributes = [], [], []
    for query, found in zip(queries, neighbours, strict=True):
        every = [np.mean((query - reference) ** 2) for reference in references]
        divergence.append(np.mean([every[i] for i in found]))
        truth = references[int(np.argmin(every))]
        label.append(100.0 * any(every[i] == min(every) for i in found))
        attributes.append(100 * np.mean([any(references[i][j] == truth[j] for i in found) for j in range(4)]))
    result = disagreement_divergence(queries, references, neighbours)
    np.testing.assert_allclose(result.per_query, divergence)
    assert result.score == pytest.approx(np.mean(divergence)) == pytest.approx(result.per_attribute.mean())
    np.testing.assert_allclose(label_overlap(queries, references, neighbours).per_query, label)
    by_attributes = label_overlap(queries, references, neighbours, match="attributes")
    np.testing.assert_allclose(by_attributes.per_query, attributes)
    assert by_attributes.score >= label_overlap(queries, references, neighbours[:, :1], match="attributes").score
    # Retrieving by the labels themselves is the best there is.
    best = np.argsort(((queries[:, None] - references) ** 2).mean(2), 1, kind="stable")[:, :k]
    assert disagreement_divergence(queries, references, best).score <= result.score + 1e-12
    assert label_overlap(queries, references, best).score == 100


@pytest.mark.parametrize("k", [1, 3, 7])
def test_retrieval_by_chance_is_the_mean_over_all_that_could_be_drawn(k):
    references = RANDOM.integers(0, 2, (7, 2))  # several have the best label
    queries = RANDOM.integers(0, 3, (4, 2))
    drawn = [np.tile(chosen, (4, 1)) for chosen in itertools.combinations(range(7), k)]
    found = retrieval_by_chance(queries, references, k)
    disagreement = [disagreement_divergence(queries, references, indices).per_query for indices in drawn]
    overlap = [label_overlap(queries, references, indices).per_query for indices in drawn]
    np.testing.assert_allclose(found.disagreement, np.mean(disagreement, 0))
    np.testing.assert_allclose(found.overlap, np.mean(overlap, 0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nearest_neighbours(QUERIES, REFERENCES[:, :2]), "fit each other"),
        (lambda: nearest_neighbours(QUERIES[0], REFERENCES[0]), "fit each other"),
        (lambda: nearest_neighbours(QUERIES, REFERENCES, k=21), "k must be between 1 and the number of references 20"),
        (lambda: nearest_neighbours(QUERIES * np.nan, REFERENCES), "queries: row 0 holds NaN"),
        (lambda: nearest_neighbours(QUERIES[:0], REFERENCES), "queries: expected"),
        (lambda: disagreement_divergence(QUERY_LABELS, REFERENCE_LABELS[:, :2], [[0]] * 7), "2 attributes"),
        (lambda: disagreement_divergence(QUERY_LABELS, REFERENCE_LABELS, [[0]] * 3), r"positions \(7, k\)"),
        (lambda: disagreement_divergence(QUERY_LABELS, REFERENCE_LABELS, [[20]] * 7), "among 20 references"),
        (lambda: disagreement_divergence(QUERY_LABELS, REFERENCE_LABELS, [[-1]] * 7), "among 20 references"),
        (lambda: label_overlap(QUERY_LABELS, REFERENCE_LABELS, [[0.5]] * 7), "neighbours: expected positions"),
        (lambda: label_overlap(QUERY_LABELS, REFERENCE_LABELS, [[0]] * 7, match="some"), "match 'some'"),
        (lambda: label_overlap(QUERY_LABELS[:, 0], REFERENCE_LABELS, [[0]] * 7), "query_labels: expected"),
        (lambda: retrieval_by_chance(QUERY_LABELS, REFERENCE_LABELS[:, :2]), "2 attributes"),
        (lambda: retrieval_by_chance(QUERY_LABELS, REFERENCE_LABELS, k=0), "k must be between 1 and the number of ref"),
        (lambda: retrieval_by_chance(QUERY_LABELS, REFERENCE_LABELS, k=21), "number of references 20, got 21"),
    ],
)
def test_retrieval_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


class TestKept:
    def test_against_the_analysis_of_variance(self):
        random = np.random.default_rng(0)
        measured = random.normal(size=(9, 1)) + random.normal(size=(9, 5))
        found = kept(torch.from_numpy(measured))
        ratio = f_oneway(*measured).statistic
        assert found.score == pytest.approx((ratio - 1) / (ratio + 4))
        assert found.between / found.within == pytest.approx(ratio)

    def test_ends(self):
        groups = np.arange(6.0)[:, None].repeat(4, 1)
        assert kept(groups).score == 1
        assert kept(groups.T).score == pytest.approx(-1 / 5)  # all that differs, differs within
        assert kept(np.ones((6, 4))).score == 0

    def test_noise_keeps_nothing(self):
        scores = [kept(np.random.default_rng(seed).normal(size=(40, 8))).score for seed in range(50)]
        assert np.mean(scores) == pytest.approx(0, abs=0.02)

    @pytest.mark.parametrize(
        ("measured", "message"),
        [
            (np.ones((1, 4)), "measured"),
            (np.ones((4, 1)), "at least two images of each shared code, got 1"),
            (np.full((4, 4), np.nan), "measured"),
        ],
    )
    def test_bad_input(self, measured, message):
        with pytest.raises(ValueError, match=message):
            kept(measured)
