"""The numbers that ``book/mathematics.md`` computes by hand, computed again, and the sections that it promises."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

PAGE = (Path(__file__).resolve().parents[2] / "book/mathematics.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^\(mathematics-([a-z-]+)\)=\n(## .+?)(?=^\(mathematics-|\Z)", PAGE, re.M | re.S))


def kl(q, p) -> float:
    return float(sum(a * math.log(a / b) for a, b in zip(q, p, strict=True) if a))


def variance():
    x, y = np.array([0, 1, 2]), np.array([0, 1, 5])
    covariance = np.cov(x, y, ddof=0)
    assert (x.mean(), y.mean()) == (1, 2)
    assert np.isclose((x * y).mean(), 11 / 3)
    assert np.allclose(covariance, [[2 / 3, 5 / 3], [5 / 3, 14 / 3]])
    assert np.isclose((x + y).var(), 26 / 3)
    return ["11/3", "5/3", "2/3", "14/3", "26/3"]


def jensen():
    return [f"{-math.log((1 + 4) / 2):.3f}", f"{(-math.log(1) - math.log(4)) / 2:.3f}"]


def of_bits():
    q, p = (1 / 2, 1 / 2), (3 / 4, 1 / 4)
    return [f"{kl(q, p):.3f}", f"{kl(p, q):.3f}"]


def gaussians():
    x = np.linspace(-9, 11, 200_001)
    q, p = (np.exp(-(((x - m) / s) ** 2) / 2) / s / math.sqrt(2 * math.pi) for m, s in ((1, 0.5), (0, 1)))
    quadrature = np.sum(q * np.log(np.maximum(q, 1e-300) / p)) * (x[1] - x[0])
    assert abs(quadrature - (math.log(2) + 1.25 / 2 - 1 / 2)) < 1e-6
    return [f"{quadrature:.3f}"]


def information():
    joint = np.array([[3, 1], [1, 3]]) / 8
    entropy, conditional = math.log(2), -(joint * np.log(joint / joint.sum(1, keepdims=True))).sum()
    found = kl(joint.ravel(), np.outer(joint.sum(1), joint.sum(0)).ravel())
    assert np.isclose(found, entropy - conditional)
    return [f"{value:.3f}" for value in (entropy, conditional, found)]


def variables():
    step = 1e-6
    assert np.isclose((math.sqrt(0.25 + step) - math.sqrt(0.25 - step)) / (2 * step), 1 / (2 * 0.5))
    return [r"$p_y(\tfrac14) = 1$"]


def normal_mean(function) -> float:
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    return float(np.sum(weights * function(nodes)) / math.sqrt(2 * math.pi))


def gradient():
    by_mean = normal_mean(lambda e: 2 * (1.5 + 0.5 * e))
    by_deviation = normal_mean(lambda e: 2 * (1.5 + 0.5 * e) * e)
    assert np.allclose([by_mean, by_deviation], [3, 1])
    return [r"\mathbb{E}[2z] = 3", r"2\sigma = 1"]


def gaussian_moments():
    fourth = normal_mean(lambda e: (2 * e) ** 4)
    spread = fourth - normal_mean(lambda e: (2 * e) ** 2) ** 2
    length = 8 * (normal_mean(lambda e: e**4) - 1)
    assert np.isclose(math.sqrt(length), 4)
    return [f"= {fourth:.0f}$", f"= {spread:.0f}$", r"8 \pm 4"]


def jsd():
    p, q = (1, 0), (1 / 2, 1 / 2)
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    both = kl(p, middle), kl(q, middle)
    return [f"{value:.3f}" for value in (*both, sum(both) / 2)]


CHECKS = {
    "variance": variance,
    "jensen": jensen,
    "kl": of_bits,
    "gaussians": gaussians,
    "information": information,
    "variables": variables,
    "gradient": gradient,
    "gaussian-moments": gaussian_moments,
    "jsd": jsd,
}


def test_every_section_is_checked():
    assert list(SECTIONS) == list(CHECKS)
    assert PAGE.count("\n## ") == len(CHECKS)


@pytest.mark.parametrize("name", CHECKS)
def test_a_section_states_proves_computes_and_says_where_it_is_used(name):
    parts = [f"\n**{part}" for part in ("Statement.**", "Proof.**", "By hand.**", "Used in**")]
    places = [SECTIONS[name].find(part) for part in parts]
    assert -1 not in places
    assert places == sorted(places)
    assert "{ref}`" in SECTIONS[name][places[-1] :]


@pytest.mark.parametrize("name", CHECKS)
def test_the_numbers_by_hand_are_right(name):
    for number in CHECKS[name]():
        assert number in SECTIONS[name], number
