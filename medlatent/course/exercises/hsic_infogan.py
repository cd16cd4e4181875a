"""Checks of the exercises on HSIC-InfoGAN, ``notebooks/50_hsic_infogan_exercises``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from ...losses import gaussian_kernel
from ...losses import hsic as package_hsic
from .answers import WrongAnswer, as_array, call, choose, compare, correct, has_a_loop, without


def entropies(printed: float, bound: float, codes: float, found: Sequence[float]) -> None:
    """L_I at a perfect reader of ten categories, as printed and with H(c), and H of two codes on (-1, 1).

    Raises:
        WrongAnswer: one of them is wrong; the message says which.
    """
    compare(
        "printed",
        printed,
        0.0,
        reveal=False,
        mistakes={
            "that is H(c), which the printed form leaves out.": math.log(10),
            "a perfect reader gives the true category the probability 1, and log 1 is not 1.": 1.0,
        },
        hint="Which probability does a perfect Q give to the true category, and what is its logarithm?",
        atol=5e-3,
    )
    compare(
        "bound",
        bound,
        math.log(10),
        reveal=False,
        mistakes={
            "that is in bits; take the natural logarithm.": math.log2(10),
            "H(c) has to be added: a perfect reader has all the information there is.": 0.0,
            "ten categories have the entropy log 10, not 10.": 10.0,
        },
        hint="Add the entropy of ten equally probable categories.",
        rtol=0,
        atol=5e-3,
    )
    compare(
        "codes",
        codes,
        2 * math.log(2),
        reveal=False,
        mistakes={
            "that is one code; there are two.": math.log(2),
            "that is the entropy on (0, 1); the interval (-1, 1) has the length 2.": 0.0,
            "the entropies of independent codes add up, they do not multiply.": math.log(2) ** 2,
        },
        hint="The density of U(-1, 1) is 1/2.",
        rtol=0,
        atol=5e-3,
    )
    correct(f"The run found {found[0]:.2f}, {found[1]:.2f} and {found[2]:.2f}: only with H(c) it is an information.")


def information_bound(function: Callable, seed: int = 0) -> None:
    """``information_bound(joint, q)``: L_I with H(c) of tables p(c, x) and Q(c | x).

    Compared with a sum over all entries, and with the exact information, which no Q may exceed.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    generator = torch.Generator().manual_seed(seed)
    for categories, images in ((3, 5), (4, 2)):
        joint = torch.rand(categories, images, generator=generator, dtype=torch.float64)
        joint = joint / joint.sum()
        q = torch.rand(categories, images, generator=generator, dtype=torch.float64)
        q = q / q.sum(0)
        prior = joint.sum(1)
        entropy = -sum(p * math.log(p) for p in prior.tolist())
        log_q = sum(joint[c, x].item() * math.log(q[c, x].item()) for c in range(categories) for x in range(images))
        found = call(function, joint, q)
        compare(
            function,
            found,
            entropy + log_q,
            meaning="one number",
            mistakes={
                "H(c) is missing.": log_q,
                "the entropy of the code is subtracted; it has to be added.": log_q - entropy,
                "the codes are not equally probable: take H(c) from the table.": math.log(categories) + log_q,
                "that is H(c) minus the mean log Q: the sign of the second term is wrong.": entropy - log_q,
                "the logarithms are averaged with equal weights, not with p(c, x).": entropy + q.log().mean().item(),
                "the logarithms are summed without their probabilities p(c, x).": entropy + q.log().sum().item(),
                "Q is weighted by itself and not by p(c, x).": entropy
                + (joint.sum(0) * (q * q.log()).sum(0)).sum().item(),
                "the two tables are exchanged: p(c, x) is the weight, Q(c | x) stands in the logarithm.": (
                    (q * joint.log()).sum() - torch.xlogy(q.sum(1), q.sum(1)).sum()
                ),
                "the entropy is that of the image, not of the code: sum the table over x, its columns.": log_q
                - torch.xlogy(joint.sum(0), joint.sum(0)).sum().item(),
            },
            hint="L_I = H(c) + the sum over c and x of p(c, x) log Q(c | x).",
        )
    certain = torch.tensor([[0.25, 0.0], [0.0, 0.75]], dtype=torch.float64)
    reader = torch.eye(2, dtype=torch.float64)
    found = as_array("information_bound(…)", call(function, certain, reader))
    if not np.isfinite(found).all():
        raise WrongAnswer(
            "information_bound(…) is not finite for a perfect reader, whose Q holds zeros: 0 · log 0 counts as 0, "
            "which torch.xlogy knows."
        )
    compare("information_bound(…) for a perfect reader", found, -(0.25 * math.log(0.25) + 0.75 * math.log(0.75)))
    correct("At Q = p(c | x) the bound is the information; any other Q says less.")


def hsic(function: Callable, seed: int = 0) -> None:
    """``hsic(kernel_x, kernel_z)``: equation 5 from two kernel matrices.

    Compared with a double loop over pairs, and for a gradient.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    generator = torch.Generator().manual_seed(seed)
    for m in (6, 9):
        x = torch.randn(m, 3, generator=generator)
        z = torch.sin(x) + 0.3 * torch.randn(m, 3, generator=generator)
        kx, kz = gaussian_kernel(x, 1.2), gaussian_kernel(z, 0.8)
        total = 0.0
        rows, mean = kz.mean(1), kz.mean().item()
        for i in range(m):
            for j in range(m):
                total += kx[i, j].item() * (kz[i, j] - rows[i] - rows[j] + mean).item()
        centring = torch.eye(m) - 1 / m
        with without(f"{function.__name__}(…) is to be written by hand, without losses.hsic.", package_hsic):
            found = call(function, kx, kz)
        compare(
            function,
            found,
            total / (m - 1) ** 2,
            meaning="one number",
            mistakes={
                "the kernels are not centred: where is H?": (kx * kz).sum() / (m - 1) ** 2,
                "the divisor is m², the other form; equation 5 has (m - 1)².": total / m**2,
                "the divisor is m - 1, and not its square.": total / (m - 1),
                "nothing is divided: equation 5 has (m - 1)⁻².": total,
                "that is divided by the values of each with itself: CKA.": package_hsic(kx, kz, "cka"),
                "the rows alone are centred on one side: H stands before and behind a kernel.": (
                    (kx @ centring) * (kz @ centring)
                ).sum()
                / (m - 1) ** 2,
                "the matrices are multiplied entry by entry and their diagonal is taken; the trace is of a matrix "
                "product.": torch.trace((kx @ centring) * (kz @ centring)) / (m - 1) ** 2,
            },
            hint="trace(K_x H K_z H) / (m - 1)² with H = I - 1/m.",
            rtol=1e-3,
        )
    if has_a_loop(function):
        raise WrongAnswer("hsic(…) is right, and has a loop: write it as the trace of a product of matrices.")
    correct("The trace of a product of m × m matrices: no second network, but m² similarities.")


def p_value(function: Callable, seed: int = 0) -> None:
    """``p_value(kernel_x, kernel_z, orders)``: the share of pairings with a HSIC at least as large.

    Two of the orders leave all rows where they are, so that their HSIC is the original's. The kernels are rounded to
    64ths, and the rows are a power of two: then no sum is rounded, whoever adds up, and what is equal stays equal.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    generator = torch.Generator().manual_seed(seed)
    for dependence in (0.35, 0.0, 3.0):
        ways: dict[str, float] = {}
        while len(set(ways.values())) < len(ways) or not ways:  # until each way of counting has a result of its own
            x = torch.randn(16, 1, generator=generator, dtype=torch.float64)
            z = dependence * x + torch.randn(16, 1, generator=generator, dtype=torch.float64)
            kx, kz = ((64 * gaussian_kernel(v, 1.0)).round() / 64 for v in (x, z))
            here = package_hsic(kx, kz).item()
            orders = [torch.randperm(16, generator=generator) for _ in range(37)]
            orders[20:20] = [torch.arange(16)] * 2
            shuffled = np.array([package_hsic(kx, kz[o][:, o]).item() for o in orders])
            rows_only = np.array([package_hsic(kx, kz[o]).item() for o in orders])
            of_x = np.array([package_hsic(kx[o][:, o], kz).item() for o in orders])
            count, larger = int((shuffled >= here).sum()), int((shuffled > here).sum())
            ways = {
                "": (1 + count) / 40,
                "the original pairing has to be counted too, above and below: a p-value is never 0.": count / 39,
                "the original pairing is counted above, but not below.": (1 + count) / 39,
                "that is the share of shuffled pairings with a smaller HSIC, one minus the p-value.": (39 - count) / 40,
                "a shuffled HSIC that is equal to the original's counts, too: at least as large is ≥, not >.": (
                    1 + larger
                )
                / 40,
                "equal values count, too, and so does the original pairing: at least as large is ≥, not >.": (
                    larger / 39
                ),
                "only the rows of the kernel are shuffled: a pairing moves rows and columns alike.": (
                    1 + int((rows_only >= here).sum())
                )
                / 40,
                "the orders are those of the rows of z: shuffle kernel_z, not kernel_x.": (
                    1 + int((of_x >= here).sum())
                )
                / 40,
            }
            if dependence > 1:
                break  # nothing that is shuffled comes near
        compare(
            function,
            call(function, kx, kz, orders),
            ways.pop(""),
            meaning="one number",
            mistakes=ways,
            hint="Shuffle rows and columns of one kernel by the same order, and count HSIC ≥ the original.",
        )
    correct("The shuffled values are what HSIC is where nothing depends: compare with them, never with 0.")


def purity(function: Callable, seed: int = 0) -> None:
    """``purity(category, digit)``: the share of images that show the commonest digit of their category.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    rng = np.random.default_rng(seed)
    for few in (
        [[30, 25, 3, 2, 1], [1, 2, 20, 1, 2]],  # two digits share the large category: the two ways of counting differ
        [[30, 4, 2], [25, 3, 6], [1, 12, 2], [0, 9, 2], [2, 1, 7]],
    ):
        counts = np.array(few) + rng.integers(2, size=np.shape(few))
        kinds, digits = counts.shape
        best = np.arange(kinds)
        while (best == np.arange(kinds)).all():  # the digit must not be the number of its category
            counts = counts[rng.permutation(kinds)][:, rng.permutation(digits)]
            best = counts.argmax(1)
        size = counts.sum()
        cells = rng.permutation(np.repeat(np.arange(counts.size), counts.ravel()))
        category, digit = np.divmod(cells, digits)
        compare(
            function,
            call(function, torch.from_numpy(category), torch.from_numpy(digit)),
            counts.max(1).sum() / size,
            meaning="one number",
            mistakes={
                "each category counts the same there; a large category has more images.": np.mean(
                    [row.max() / row.sum() for row in counts if row.sum()]
                ),
                "rows and columns are exchanged: that is the commonest category of each digit.": counts.max(0).sum()
                / size,
                "that is the share of images whose digit is the number of the category, but categories have no "
                "order.": float((category == digit).mean()),
                "that is the number of images; divide by how many there are.": counts.max(1).sum(),
                "that is the share of the commonest digit over all images.": counts.sum(0).max() / size,
            },
            hint="For each category the count of its commonest digit; their sum over the number of images.",
        )
    correct("A model that always draws a 1 is pure as well: read purity beside NMI, or beside the digits found.")


def misread(answer: str) -> None:
    """Which conclusion a purity of 1 with an NMI of 0 allows.

    Raises:
        WrongAnswer: it is another one, or no letter.
    """
    choose(
        "conclusion",
        answer,
        "b",
        {
            "a": "then NMI would be near 1: knowing the category would tell the digit.",
            "c": "then purity would be one over the number of digits, since each category would hold all alike.",
        },
    )
    correct("Every image looks like one and the same digit, so that each category is pure and none says anything.")


def doubled(factor: float) -> None:
    """By which factor λ must grow when a large σ is doubled, so that λ HSIC stays as it is.

    Raises:
        WrongAnswer: it is another number.
    """
    x = torch.rand(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z = x[:, :2] ** 2
    small, large = (package_hsic(gaussian_kernel(x, s), gaussian_kernel(z, s)).item() for s in (50.0, 100.0))
    compare(
        "factor",
        factor,
        16.0,
        reveal=False,
        mistakes={
            "each of the two kernels has σ², and HSIC is a product of both.": 4.0,
            "HSIC is not inversely proportional to σ.": 2.0,
            "HSIC falls when σ grows, so that λ has to grow.": 1 / 16,
            "count again: each kernel brings a power of two.": 8.0,
        },
        hint="For large σ each kernel is 1 - ‖·‖²/(2σ²), and centring removes the 1.",
        rtol=0.01,
    )
    correct(f"With σ from 50 to 100, HSIC of one batch falls by {small / large:.3f}.")


def choose_weight(function: Callable, seed: int = 0) -> None:
    """``choose_weight(dependence, adversarial, weights)``: the λ whose ratio is nearest to 1 on a logarithmic scale.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    generator = torch.Generator().manual_seed(seed)
    weights = [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]
    exponent, other = torch.rand(2, 40, 1, generator=generator, dtype=torch.float64).numpy()
    dependence, adversarial = 10 ** (-3.4 + 4.4 * exponent), 10 ** (2 * other - 1)
    found = []
    for pair in zip(dependence.ravel().tolist(), adversarial.ravel().tolist(), strict=True):
        found.append(as_array("choose_weight(…)", call(function, *pair, weights)))
        if found[-1].shape:
            raise WrongAnswer("choose_weight(…) has to return a single number, one of the weights.")
    ratios = np.array(weights) * dependence / adversarial
    reached = ratios >= 1

    def nearest(distance: np.ndarray) -> np.ndarray:
        """The weight of each case, of distances (cases, weights)."""
        return np.array(weights)[distance.argmin(1)]

    right = nearest(np.abs(np.log(ratios)))
    # Of all cases together: a single one may be explained by several mistakes.
    compare(
        function,
        np.array(found),
        right,
        mistakes={
            "that is nearest on a linear scale, where 0.001 is nearer to 1 than 3 is.": nearest(np.abs(ratios - 1)),
            "that is nearest on a linear scale of the inverse, where 1000 is as far from 1 as 0.001 is near.": nearest(
                np.abs(1 / ratios - 1)
            ),
            "the adversarial loss is left out.": nearest(np.abs(np.log(ratios * adversarial))),
            "the dependence is left out.": nearest(np.abs(np.log(ratios / dependence))),
            "that is the smallest weight that reaches the adversarial loss; a smaller one may be nearer.": np.where(
                reached.any(1), np.array(weights)[reached.argmax(1)], weights[-1]
            ),
            "that is the largest weight that stays below the adversarial loss; a larger one may be nearer.": np.where(
                reached.all(1), weights[0], np.array(weights)[(ratios <= 1).sum(1) - 1]
            ),
            "that is the exact quotient; one of the given weights is asked for.": (adversarial / dependence).ravel(),
            "that is the position of the weight in the list; the weight itself is asked for.": np.searchsorted(
                weights, right
            ),
        },
        hint="Minimise |log(λ · dependence / adversarial)| over the weights.",
    )
    correct("The order of magnitude is met. Whether the dependence can be seen is another question.")
