"""Codes, factors and posteriors that the tests of this folder share, and plain forms of what they compare with."""

import numpy as np
from scipy import stats
from scipy.integrate import trapezoid
from sklearn.metrics import mutual_info_score

RANDOM = np.random.default_rng(0)
N = 600
# Imbalanced: 12 % and 88 %; four classes of very different size; whole numbers that do not begin at 0.
FACTORS = np.stack(
    [RANDOM.random(N) < 0.12, RANDOM.choice(4, N, p=[0.6, 0.25, 0.1, 0.05]), RANDOM.integers(3, 9, N)], 1
).astype(float)
CODES = RANDOM.normal(size=(N, 5))
CODES[:, :3] += 2 * FACTORS
CODES[:, 3] += FACTORS[:, 1] - FACTORS[:, 2]
CONTINUOUS = np.c_[CODES[:, 0] + RANDOM.normal(size=N), np.exp(CODES[:, 4]) + 0.1 * RANDOM.normal(size=N)]
GRID = np.indices((2, 2)).reshape(2, -1).T.repeat(10, 0).astype(float)  # two independent binary factors, 40 rows


def pairs(function, codes=CODES, factors=FACTORS):
    return np.array([[function(z, v) for v in factors.T] for z in codes.T])


def plug_in(z, v, bins=20):
    return mutual_info_score(v, np.digitize(z, np.histogram(z, bins)[1][:-1]))


def gap(matrix):
    ordered = np.sort(matrix, axis=0)
    return ordered[-1] - ordered[-2]


def entropy(v):
    return stats.entropy(np.unique(v, return_counts=True)[1])


ENTROPY = np.array([entropy(v) for v in FACTORS.T])


def integrated_information(mean, deviation, v, nodes=40001):
    """I(z; v) of one dimension on a fine grid, Σ_v p(v) ∫ q(z|v) log [q(z|v) / q(z)]."""
    z = np.linspace((mean - 9 * deviation).min(), (mean + 9 * deviation).max(), nodes)
    q = stats.norm.pdf(z, mean[:, None], deviation[:, None])
    total = q.mean(0)
    information = 0.0
    for value in np.unique(v):
        inside = q[v == value].mean(0)
        integrand = inside * (np.log(np.maximum(inside, 1e-300)) - np.log(np.maximum(total, 1e-300)))
        information += (v == value).mean() * trapezoid(integrand, z)
    return information


POSTERIOR_FACTORS = FACTORS[:40].copy()
POSTERIOR_FACTORS[:6, 0] = 1
MEAN = RANDOM.normal(size=(40, 3)) + 1.5 * POSTERIOR_FACTORS * [1, 1, 0.3]
LOGVAR = RANDOM.normal(-1, 0.5, (40, 3))
SPREAD = RANDOM.normal(-2, 0.3, CODES.shape)  # log-variances of the codes
EXPECTED = np.array(
    [
        [integrated_information(m, s, v) for v in POSTERIOR_FACTORS.T]
        for m, s in zip(MEAN.T, np.exp(LOGVAR / 2).T, strict=True)
    ]
)
