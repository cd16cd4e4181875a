"""Categories against classes, and codes against what is measured: by hand, by other ways, and at their limits."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medlatent.metrics.categories import category_agreement, correlation_within

RANDOM = np.random.default_rng(0)


class TestAgreement:
    def test_by_hand(self):
        # Category 0 shows three of class 2 and one of class 0; category 1 two of class 2; category 2 is empty.
        score = category_agreement([0, 0, 0, 0, 1, 1], [2, 2, 2, 0, 2, 2], 3, 4)
        assert score.counts.tolist() == [[1, 0, 3, 0], [0, 0, 2, 0], [0, 0, 0, 0]]
        assert score.purity == pytest.approx(5 / 6)
        assert score.classes_found == 1
        assert score.shares.tolist() == [[0.25, 0, 0.75, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
        assert score.mixed() == {0: {2: 0.75, 0: 0.25}}
        assert score.mixed(0.3) == {}
        information = (
            1 / 6 * math.log(1 / 6 / (4 / 6 * 1 / 6))
            + 3 / 6 * math.log(3 / 6 / (4 / 6 * 5 / 6))
            + 2 / 6 * math.log(2 / 6 / (2 / 6 * 5 / 6))
        )
        entropies = [-sum(p * math.log(p) for p in ps) for ps in ([4 / 6, 2 / 6], [1 / 6, 5 / 6])]
        assert score.nmi == pytest.approx(2 * information / sum(entropies))

    def test_a_relabelling_is_perfect(self):
        classes = RANDOM.integers(10, size=300)
        score = category_agreement(RANDOM.permutation(10)[classes], torch.from_numpy(classes))
        assert (score.purity, score.nmi) == (1, pytest.approx(1))
        assert score.classes_found == 10
        assert score.mixed(0.01) == {}

    def test_categories_that_say_nothing(self):
        categories, classes = np.repeat(np.arange(10), 100), np.tile(np.arange(10), 100)
        score = category_agreement(categories, classes)
        assert score.purity == pytest.approx(0.1)
        assert score.nmi == pytest.approx(0, abs=1e-12)
        assert list(score.mixed()) == list(range(10))

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=40))
    def test_bounds_and_blindness_to_order(self, pairs):
        categories, classes = np.array(pairs).T
        score = category_agreement(categories, classes, 4, 5)
        most = np.bincount(classes).max() / len(classes)
        assert most - 1e-12 <= score.purity <= 1
        assert -1e-12 <= score.nmi <= 1 + 1e-12
        assert score.counts.sum() == len(pairs)
        assert 1 <= score.classes_found <= min(4, 5)
        again = category_agreement(categories[::-1], classes[::-1], 4, 5)
        assert (again.purity, again.counts.tolist()) == (score.purity, score.counts.tolist())

    def test_arguments(self):
        with pytest.raises(ValueError, match=r"categories: expected integers of the shape \(N,\), got float64"):
            category_agreement([0.5, 1.0], [0, 1])
        with pytest.raises(ValueError, match="categories: expected integers"):
            category_agreement(np.empty(0, int), np.empty(0, int))
        with pytest.raises(ValueError, match=r"classes: expected one an image, \(2,\), got \(3,\)"):
            category_agreement([0, 1], [0, 1, 2])
        with pytest.raises(ValueError, match="classes: from 0 to 2, expected 0 to 1"):
            category_agreement([0, 1], [0, 2], 2, 2)
        with pytest.raises(ValueError, match="categories: from -1 to 1"):
            category_agreement([-1, 1], [0, 1])
        with pytest.raises(ValueError, match=r"threshold must be in \(0, 1\], got 0"):
            category_agreement([0], [0]).mixed(0)


class TestCorrelation:
    def test_without_categories_it_is_pearson_s(self):
        a, b = RANDOM.normal(size=(2, 50))
        assert correlation_within(a, a + b) == pytest.approx(np.corrcoef(a, a + b)[0, 1])
        assert correlation_within(torch.from_numpy(a), -3 * a + 1) == pytest.approx(-1)

    def test_within_categories_what_they_differ_in_does_not_count(self):
        category = RANDOM.integers(5, size=400)
        a, b = RANDOM.normal(size=(2, 400))
        measured = 0.5 * a + b
        expected = correlation_within(
            *(v - np.array([v[category == c].mean() for c in range(5)])[category] for v in (a, measured))
        )
        assert correlation_within(a, measured + 100 * category, category) == pytest.approx(expected)
        assert correlation_within(a + 7 * category, measured, category) == pytest.approx(expected)
        assert abs(correlation_within(a, measured + 100 * category)) < 0.2

    def test_images_that_could_not_be_measured_do_not_count(self):
        a, b = RANDOM.normal(size=(2, 30))
        b[[0, 7]] = np.nan
        assert correlation_within(a, b) == pytest.approx(correlation_within(np.delete(a, [0, 7]), np.delete(b, [0, 7])))
        assert correlation_within(a, np.full(30, np.nan)) == 0

    def test_what_does_not_vary_has_none(self):
        a, category = RANDOM.normal(size=30), RANDOM.integers(3, size=30)
        assert correlation_within(a, np.full(30, 0.1)) == 0
        assert correlation_within(a, 0.1 * category, category) == 0
        assert correlation_within(0.1 * category, a, category) == 0

    def test_arguments(self):
        with pytest.raises(ValueError, match=r"expected one value an image .*got \(3,\), \(2,\), \(3,\)"):
            correlation_within([1, 2, 3], [1, 2])
        with pytest.raises(ValueError, match="code: row 1 holds NaN"):
            correlation_within([1, np.nan], [1, 2])
