"""Clustering and few-label accuracy: known codes, independent computations, and what is refused."""

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier

from medlatent.metrics.downstream import clustering_nmi, few_label_accuracy

RANDOM = np.random.default_rng(4)
LABELS = np.repeat([0, 1, 2], [60, 40, 20])
APART = RANDOM.normal(size=(120, 3)) + 12 * np.eye(3)[LABELS]
NOISE = RANDOM.normal(size=(120, 3))


def nmi(first, second):
    """From the table of counts: I / ((H₁ + H₂)/2), in nats."""
    table = np.array([[((first == a) & (second == b)).mean() for b in np.unique(second)] for a in np.unique(first)])
    rows, columns = table.sum(1), table.sum(0)
    product = np.outer(rows, columns)
    information = (table[table > 0] * np.log(table[table > 0] / product[table > 0])).sum()
    return information / (-(rows * np.log(rows)).sum() - (columns * np.log(columns)).sum()) * 2


def test_nmi_of_classes_that_lie_apart_is_one():
    result = clustering_nmi(APART, LABELS, fits=4)
    assert result.score == pytest.approx(1)
    assert result.per_fit.shape == (4,)
    assert result.converged.all()


def test_nmi_of_noise_is_low_and_the_mean_of_fits_that_can_be_repeated():
    result = clustering_nmi(NOISE, LABELS, fits=3, seed=7)
    states = np.random.SeedSequence(7).generate_state(3)
    expected = [nmi(LABELS, GaussianMixture(3, random_state=int(s)).fit_predict(NOISE)) for s in states]
    np.testing.assert_allclose(result.per_fit, expected, rtol=1e-9)
    assert result.score == pytest.approx(np.mean(expected))
    assert result.score < 0.15
    assert clustering_nmi(NOISE, LABELS, fits=3, seed=7).score == result.score
    assert not np.array_equal(clustering_nmi(NOISE, LABELS, fits=3, seed=8).per_fit, result.per_fit)


def test_names_and_order_of_the_classes_do_not_matter():
    score = clustering_nmi(NOISE, LABELS, fits=2).score
    assert clustering_nmi(torch.tensor(NOISE, requires_grad=True), np.array(["b", "c", "a"])[LABELS], fits=2).score == (
        pytest.approx(score)
    )
    assert clustering_nmi(APART[:, ::-1] * 3 + 1, LABELS, fits=2).score == pytest.approx(1)


def test_one_cluster_for_constant_codes(recwarn):
    assert clustering_nmi(np.full((120, 2), 3.0), LABELS).score == 0
    # Fewer distinct codes than classes: no warning, a value, and the same classes where the codes say so.
    two = clustering_nmi(np.c_[LABELS > 0, np.zeros(120)], LABELS, fits=2)
    assert two.score == pytest.approx(nmi(LABELS, LABELS > 0))
    assert not recwarn.list


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_few_labels_equal_the_protocol_spelt_out():
    codes = NOISE + 1.5 * np.eye(3)[LABELS]  # so close that the accuracy depends on who trains
    result = few_label_accuracy(codes, LABELS, folds=4, seed=3)
    scores, balanced = [], []
    for rest, fold in StratifiedKFold(4, shuffle=True, random_state=3).split(codes, LABELS):
        assert len(fold) * 3 == len(rest)
        mean, deviation = codes[fold].mean(0), codes[fold].std(0)
        network = MLPClassifier((100,), random_state=3).fit((codes[fold] - mean) / deviation, LABELS[fold])
        right = network.predict((codes[rest] - mean) / deviation) == LABELS[rest]
        scores.append(right.mean())
        balanced.append(np.mean([right[LABELS[rest] == c].mean() for c in range(3)]))
    np.testing.assert_allclose(result.per_fold, scores)
    assert result.score == pytest.approx(np.mean(scores))
    assert 0.5 < result.score < 0.9
    assert result.balanced == pytest.approx(np.mean(balanced))
    assert result.converged.shape == (4,)


def test_of_a_group_all_rows_lie_in_one_fold():
    """Codes that name the lesion say nothing of another one, and everything of its other photographs."""
    random = np.random.default_rng(0)
    label = np.repeat(random.integers(0, 2, 60), 4)  # four photographs of each lesion
    whose = np.repeat([f"lesion {k}" for k in range(60)], 4)
    codes = np.repeat(random.normal(size=(60, 40)), 4, axis=0) + 0.01 * random.normal(size=(240, 40))
    order = random.permutation(240)
    codes, label, whose = codes[order], label[order], whose[order]
    assert few_label_accuracy(codes, label, folds=2).score > 0.85
    assert few_label_accuracy(codes, label, folds=2, groups=whose).score < 0.7
    alone = few_label_accuracy(codes, label, folds=2, groups=np.arange(240))
    assert alone.score == few_label_accuracy(codes, label, folds=2).score


def test_few_labels_at_the_extremes():
    assert few_label_accuracy(APART, np.array(["x", "y", "z"])[LABELS], folds=5).score == pytest.approx(1, abs=0.02)
    constant = few_label_accuracy(np.zeros((120, 2)), LABELS, folds=3)
    assert constant.score == pytest.approx(constant.majority) == pytest.approx(0.5)
    assert constant.balanced == pytest.approx(1 / 3)


@pytest.mark.parametrize("function", [clustering_nmi, few_label_accuracy])
@pytest.mark.parametrize(
    ("codes", "labels", "message"),
    [
        (NOISE, np.zeros(120), "labels: all rows have the class"),
        (NOISE, LABELS[:5], r"labels: expected one a row, \(120,\)"),
        (NOISE, np.where(LABELS == 1, np.nan, LABELS), "labels: that of row 60 is NaN"),
        (NOISE[:, 0], LABELS, r"codes: expected an array \(N, D\)"),
        (np.where(NOISE > 2, np.inf, NOISE), LABELS, "codes: row .* infinity"),
        (NOISE[:1], LABELS[:1], "codes: 1 rows, at least 2"),
    ],
)
def test_errors_of_both(function, codes, labels, message):
    with pytest.raises(ValueError, match=message):
        function(codes, labels)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: clustering_nmi(NOISE, LABELS, fits=0), "fits"),
        (lambda: few_label_accuracy(NOISE, LABELS, folds=1), "folds"),
        (lambda: few_label_accuracy(NOISE, LABELS, folds=21), "class .*2.* has 20 rows for 21 folds"),
        (lambda: few_label_accuracy(NOISE, LABELS, hidden=0), "hidden"),
        (
            lambda: few_label_accuracy(NOISE, LABELS, groups=LABELS[:5]),
            r"groups: expected one a row, \(120,\), got \(5,\)",
        ),
        (lambda: few_label_accuracy(NOISE, LABELS, groups=np.r_[np.nan, LABELS[1:]]), "groups: that of row 0 is NaN"),
        (lambda: few_label_accuracy(NOISE, LABELS, groups=LABELS), "class .*0.* has 1 groups for 10 folds"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
