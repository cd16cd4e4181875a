"""Checks of the exercises on generative adversarial networks, ``notebooks/04_gan_exercises``."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.integrate import quad
from scipy.special import expit, logit
from scipy.stats import norm
from torch import Tensor

from .answers import WrongAnswer, as_array, call, choose, compare, correct, gradient, several, value_of


def best_logit(function: Callable, seed: int = 0) -> None:
    """``best_logit(log_p, log_q, s)``: the logit of the best discriminator under one-sided label smoothing.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    generator = torch.Generator().manual_seed(seed)
    log_p, log_q = (2 * torch.randn(6, generator=generator, dtype=torch.float64) for _ in range(2))
    p, q = log_p.exp().numpy(), log_q.exp().numpy()
    for s in (0.1, 0.25, 0.0):
        best = (1 - s) * p / (p + q)
        mistakes = {
            "this is D*, a probability; its logit log(D/(1 - D)) is asked for.": best,
            "this is the logarithm of D*; the logit is log D - log(1 - D).": np.log(best),
            "the sign is wrong: the logit is large where real images are.": -logit(best),
            "p and q are exchanged: a large D means real.": logit((1 - s) * q / (p + q)),
        }
        if s:
            mistakes |= {
                "the smoothing is missing: this is log p - log q.": np.log(p / q),
                "1 - D* is not q/(p + q) here: where D* is too small, 1 - D* is too large.": np.log((1 - s) * p / q),
                "the labels of generated images are smoothed too; here only those of real ones are.": logit(
                    ((1 - s) * p + s * q) / (p + q)
                ),
            }
        try:
            found = call(function, log_p, log_q, s)
        except WrongAnswer as stopped:
            if s or "Error" not in str(stopped):
                raise
            raise WrongAnswer(
                f"{stopped} This happens where s is 0, as it may be: log 0 needs a case of its own."
            ) from None
        compare(
            f"best_logit(…, s={s:g})",
            found,
            logit(best),
            meaning="one value a point",
            mistakes=mistakes,
            kind=Tensor,
        )
    far = torch.tensor([-800.0, 0.0, -900.0], dtype=torch.float64), torch.tensor([0.0, -800.0, -800.0]).double()
    values = as_array("best_logit(…)", call(function, *far, 0.1))
    # At the first point D* is e^-800, at the second 0.9, at the third e^-100.
    right = [math.log(0.9) - 800, logit(0.9), math.log(0.9) - 100]
    if values.shape != (3,) or not np.allclose(values, right, rtol=1e-6):
        raise WrongAnswer(
            "best_logit(…) is right for moderate densities, and fails where a density is e^-800: stay with "
            "logarithms, and add densities with torch.logaddexp."
        )
    correct(f"With s = 0.1 no logit exceeds {logit(0.9):.3f}, however surely an image is real.")


def divergence(function: Callable, seed: int = 0) -> None:
    """``divergence(p, q, width)``: the Jensen-Shannon divergence of two densities on a grid.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    rng = np.random.default_rng(seed)
    for _ in range(2):
        mean, spread = rng.uniform(0.5, 2), rng.uniform(0.5, 1.5)
        grid = torch.linspace(-12, 14, 5_201, dtype=torch.float64)
        width = (grid[1] - grid[0]).item()
        p, q = (torch.from_numpy(norm.pdf(grid.numpy(), *d)) for d in ((0, 1), (mean, spread)))

        m = (p + q) / 2
        one, other = (0.0, 1.0), (mean, spread)
        parts = _kl_to_middle(one, other), _kl_to_middle(other, one)
        right = sum(parts) / 2
        compare(
            "divergence(…)",
            call(function, p, q, width),
            right,
            meaning="one number",
            mistakes={
                "the factor ½ of the two KL divergences is missing.": sum(parts),
                "this is KL(p ‖ q); both densities are compared with their mean.": _kl(one, other),
                "this is the mean of KL(p ‖ q) and KL(q ‖ p); compare both with (p + q)/2.": (
                    _kl(one, other) + _kl(other, one)
                )
                / 2,
                "only p is compared with the mean of both; q is missing.": parts[0],
                "half of KL(p ‖ m) is there, the half of KL(q ‖ m) is missing.": parts[0] / 2,
                "the sum is not multiplied by the width of the grid's cells.": right / width,
                "the unit is bits; use the natural logarithm.": right / math.log(2),
                "the mean of the densities is (p + q)/2; without the half, log 2 is missing.": right - math.log(2),
                "this is the best value V = 2 JSD - 2 log 2.": 2 * right - 2 * math.log(2),
                "that is the root of the divergence, a distance, which SciPy's jensenshannon returns.": right**0.5,
                "those are KL(m ‖ p) and KL(m ‖ q), as F.kl_div(p.log(), m) has them: exchange the two.": (
                    width * (torch.xlogy(m, m / p) + torch.xlogy(m, m / q)).sum() / 2
                ),
            },
            rtol=1e-3,
        )
    flat = torch.zeros(40, dtype=torch.float64)
    apart = flat.clone(), flat.clone()
    apart[0][5:15], apart[1][20:30] = 1.0, 1.0  # inside the grid: a trapezoid rule counts its ends by half
    far = as_array("divergence(…)", call(function, *apart, 0.1))
    if not np.isfinite(far).all():
        raise WrongAnswer(
            "divergence(…) is not finite for densities that do not overlap: 0 log 0 counts as 0; torch.xlogy knows."
        )
    compare("divergence(…) of densities that do not overlap", far, math.log(2), rtol=1e-6)
    correct(f"Densities that nowhere overlap have log 2 = {math.log(2):.3f} nats, however far apart they are.")


def predicted_loss(loss_apart: float, half_missed: float) -> None:
    """The least discriminator's loss of two densities that do not overlap, and the divergence if half is missed.

    Raises:
        WrongAnswer: one of them is another number.
    """
    compare(
        "loss_apart",
        loss_apart,
        2 * math.log(2) - 2 * math.log(2),
        reveal=False,
        mistakes={
            "that is the loss where the densities are equal and nothing can be told.": 2 * math.log(2),
            "that is the divergence itself; put it into 2 log 2 - 2 JSD.": math.log(2),
        },
        hint="Put the largest possible divergence into 2 log 2 - 2 JSD.",
        rtol=0,
        atol=0.005,
    )
    # Two cells: the generator draws from the first alone, twice as often as there are real images.
    p, q = torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0])
    m = (p + q) / 2
    from_p, from_q = (torch.xlogy(d, d / m).sum().item() for d in (p, q))
    right = (from_p + from_q) / 2
    compare(
        "half_missed",
        half_missed,
        right,
        reveal=False,
        mistakes={
            "the two KL divergences are averaged, not added.": from_p + from_q,
            "that is KL(p ‖ m) alone; the mean of both is asked for.": from_p,
            "that is KL(q ‖ m) alone; the mean of both is asked for.": from_q,
            "that is half of KL(p ‖ m); the half of KL(q ‖ m) is missing.": from_p / 2,
            "that is right where the two do not overlap at all.": math.log(2),
            "that is in bits: the unit is nats.": right / math.log(2),
            "that is the loss, 2 log 2 - 2 JSD; the divergence is asked for.": 2 * math.log(2) - 2 * right,
        },
        hint="Where q = 2 p, m is 3/2 p; where q = 0, m is p/2.",
        rtol=0,
        atol=0.002,
    )
    correct(
        "Everything can be told, and the loss has nothing left to say about how far apart the two are. Half of all "
        f"images missed is only {right / math.log(2):.0%} of that divergence."
    )


def least_squares(function: Callable, seed: int = 0) -> None:
    """``least_squares(real, fake, a, b, c)``: the losses of the discriminator and of the generator.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    generator = torch.Generator().manual_seed(seed)
    real, fake = (torch.randn(7, generator=generator).requires_grad_() for _ in range(2))
    a, b, c = -0.7, 1.3, 0.4
    found = call(function, real, fake, a, b, c)
    of_both = several(function, found, 2, "the discriminator's loss and the generator's")
    r, f = real.detach().numpy(), fake.detach().numpy()
    of_discriminator, of_generator = ((r - b) ** 2 + (f - a) ** 2) / 2, (f - c) ** 2 / 2
    compare(
        "The discriminator's loss of least_squares(…)",
        of_both[0],
        of_discriminator.mean(),
        meaning="one number, the mean over the batch",
        mistakes={
            "the two are exchanged: the discriminator's loss comes first.": of_generator.mean(),
            "the factor ½ is missing.": 2 * of_discriminator.mean(),
            "the targets are exchanged: real images have b, generated ones a.": (
                ((r - a) ** 2 + (f - b) ** 2) / 2
            ).mean(),
            "it is summed over the batch; take the mean.": of_discriminator.sum(),
            "a sigmoid stands before the square; the output is taken as it is.": (
                ((expit(r) - b) ** 2 + (expit(f) - a) ** 2) / 2
            ).mean(),
            "the term of the generated images is missing.": ((r - b) ** 2 / 2).mean(),
        },
    )
    compare(
        "The generator's loss of least_squares(…)",
        of_both[1],
        of_generator.mean(),
        meaning="one number, the mean over the batch",
        mistakes={
            "the factor ½ is missing.": 2 * of_generator.mean(),
            "the generator aims at c, not at b.": ((f - b) ** 2 / 2).mean(),
            "the generator is not to be found out: it aims at c, not at a.": ((f - a) ** 2 / 2).mean(),
            "the sign is wrong: the generator comes closer to c by descending.": -of_generator.mean(),
            "it is summed over the batch; take the mean.": of_generator.sum(),
            "the generator's images are in fake, not in real.": ((r - c) ** 2 / 2).mean(),
        },
    )
    right = ((real - b).square() + (fake - a).square()).mean() / 2, (fake - c).square().mean() / 2
    gradient(
        "The discriminator's loss of least_squares(…)", of_both[0], ("real", real), ("fake", fake), expected=right[0]
    )
    gradient("The generator's loss of least_squares(…)", of_both[1], ("fake", fake), expected=right[1])
    correct("An output beyond c is pulled back, too: a square does not know that an image is good enough.")


def balanced_output(output: float, slope: float, ratio: float) -> None:
    """Where p is ``ratio`` times q: the best least-squares D for the targets -1 and 1, and the generator's slope there.

    The slope is for the targets 0, 1 and 1.

    Raises:
        WrongAnswer: one of them is another number.
    """
    a, b = -1, 1
    compare(
        "output_there",
        output,
        (b * ratio + a) / (ratio + 1),
        reveal=False,
        mistakes={
            "the targets are exchanged: b belongs to p.": (a * ratio + b) / (ratio + 1),
            "that is p/(p + q), the best D of the first game; here the targets are a and b.": ratio / (ratio + 1),
            "that is the middle of the targets, right where p = q.": (a + b) / 2,
            "the weights have to sum to 1: divide by p + q.": b * ratio + a,
        },
        hint="It is the mean of the two targets, weighted by p and q.",
        rtol=0,
        atol=0.005,
    )
    share = ratio / (ratio + 1)
    compare(
        "slope_there",
        slope,
        share - 1,
        reveal=False,
        mistakes={
            "the sign is wrong: the output is below c, so the loss falls when it rises.": 1 - share,
            "that is the best output itself; the slope is its distance from c.": share,
            "that is the loss; its derivative by the output is asked for.": (share - 1) ** 2 / 2,
            "the ½ cancels with the 2 of the square.": (share - 1) / 2,
            "that is the slope for a = -1; here a is 0.": (b * ratio + a) / (ratio + 1) - 1,
        },
        hint="Find the best output for a = 0 and b = 1, and differentiate ½ (D - c)² there.",
        rtol=0,
        atol=0.005,
    )
    correct(
        "The best output is a mean of targets: linear in p/(p + q), and bounded without any sigmoid. With "
        "the usual targets the generator's slope vanishes only where there are real images alone."
    )


def who_learns(answers: tuple[str, str, str], slopes: dict[str, Tensor]) -> None:
    """Which loss has which slope at an image that is surely found out: three letters.

    Args:
        answers: of minimax, non-saturating and least squares.
        slopes: the slope at the output -6 of each loss, by its name, as the notebook computed it.

    Raises:
        WrongAnswer: a letter is wrong; the message says why.
    """
    letters = {"a": 0.0, "b": -1.0, "c": -7.0}
    why = {
        "minimax": "its slope is -D, and D is close to 0 here: the loss teaches nothing.",
        "non-saturating": "its slope is D - 1, and D is close to 0 here: the largest slope that this softplus has.",
        "least squares": "its slope is the distance from the target 1, which no softplus bounds.",
    }
    values = value_of("answers", answers)
    if not isinstance(values, tuple | list) or len(values) != 3:
        raise WrongAnswer("answers must hold three letters, for minimax, non-saturating and least squares.")
    for (name, slope), answer in zip(slopes.items(), values, strict=True):
        right = min(letters, key=lambda letter: abs(letters[letter] - float(slope)))
        feedback = {letter: why[name] for letter in letters if letter != right}
        choose(f"the answer for {name}", answer, right, feedback)
    correct("The minimax loss is silent exactly where the generator has most to learn.")


def coverage(function: Callable, seed: int = 0) -> None:
    """``coverage(points, centres, radius, share)``: the number of modes that are covered, and the share close by.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    generator = torch.Generator().manual_seed(seed)
    angle = torch.arange(10) * 2 * math.pi / 10
    centres = torch.stack([angle.cos(), angle.sin()], 1)
    # Of 1024 points a sixty-fourth is 16: three modes have more, one has exactly so many, three have more than a
    # sixty-fourth of the close points only, one has a few, and two have points that are nearest to them and not close.
    amounts = torch.tensor([300, 280, 40, 16, 14, 14, 14, 3, 200, 143])
    mode = torch.repeat_interleave(torch.arange(10), amounts)
    radius, share = 0.2, 1 / 64
    # Close points are mostly beyond half the radius; of the others some are within its root, and some beyond that.
    away = 0.08 + 0.1 * torch.rand(len(mode), generator=generator)
    turn = 2 * math.pi * torch.rand(len(mode), generator=generator)
    away[mode == 8], away[mode == 9], turn[mode == 9] = 0.28, 0.5, angle[9].item()
    points = centres[mode] + away[:, None] * torch.stack([turn.cos(), turn.sin()], 1)
    points = points[torch.randperm(len(points), generator=generator)]
    found = call(function, points, centres, radius, share)
    modes, close = several(function, found, 2, "the number of modes and the share of close points")
    # One point after the other.
    counts, anywhere, half, root = np.zeros((4, len(centres)), int)
    for point in points.tolist():
        distances = [math.dist(point, c) for c in centres.tolist()]
        nearest = int(np.argmin(distances))
        anywhere[nearest] += 1
        counts[nearest] += distances[nearest] < radius
        half[nearest] += distances[nearest] < radius / 2
        root[nearest] += distances[nearest] ** 2 < radius
    n = len(points)
    compare(
        "The number of modes of coverage(…)",
        modes,
        int((counts >= share * n).sum()),
        meaning="one number",
        mistakes={
            "the squared distance is compared with the radius; take its root.": int((root >= share * n).sum()),
            "the radius is halved; a point is close if its distance is below the radius itself.": int(
                (half >= share * n).sum()
            ),
            "a mode counts as soon as a single point is close; it needs the share of all points.": int(
                (counts > 0).sum()
            ),
            "points that are far from every mode count for the nearest one; leave them out.": int(
                (anywhere >= share * n).sum()
            ),
            "that is the number of all modes, whether there are points or not.": len(centres),
            "the share is that of all points, those far from every mode included, not that of the close ones.": int(
                (counts >= share * counts.sum()).sum()
            ),
            "a mode with exactly the given share is covered, too: at least is ≥, not >.": int(
                (counts > share * n).sum()
            ),
        },
    )
    compare(
        "The share of close points of coverage(…)",
        close,
        counts.sum() / n,
        meaning="one number",
        mistakes={
            "every point is close to its nearest mode by this; compare the distance with the radius.": 1.0,
            "the squared distance is compared with the radius; take its root.": root.sum() / n,
            "the radius is halved; a point is close if its distance is below the radius itself.": half.sum() / n,
            "that is the share of the covered modes among all modes; the share of close points is asked for.": (
                int((counts >= share * n).sum()) / len(centres)
            ),
            "that is their number; divide by the number of points.": counts.sum(),
            "that is the share of points that are close to no mode.": 1 - counts.sum() / n,
            "only the points of covered modes are counted; all points that are close to a mode count.": counts[
                counts >= share * n
            ].sum()
            / n,
        },
    )
    # 30 points and 2, of which the first are close to both centres.
    between = torch.tensor([[0.3, 0.0]] * 30 + [[1.0, 0.0]] * 2)
    found = call(function, between, torch.tensor([[0.0, 0.0], [1.0, 0.0]]), 0.8, 0.25)
    modes, close = several(function, found, 2, "the number of modes and the share of close points")
    both = "a point may be close to two centres: it counts once, for the nearest."
    compare("The number of modes of coverage(…) of two that overlap", modes, 1, mistakes={both: 2})
    compare("The share of close points of coverage(…) of two modes that overlap", close, 1.0, mistakes={both: 62 / 32})
    covered = int((counts >= share * n).sum())
    correct(f"{covered} of {len(centres)} modes, although {counts.sum() / n:.0%} of the points look right.")


def search(function: Callable, seed: int = 0) -> None:
    """``search(decode, image, start, steps, rate, weight)``: gradient descent on a code.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(20, 3, generator=generator, dtype=torch.float64) / 4
    image = torch.randn(20, generator=generator, dtype=torch.float64)
    start = torch.randn(3, generator=generator, dtype=torch.float64)

    def decode(z: Tensor) -> Tensor:
        return matrix @ z

    inner, right_side = (matrix.T @ matrix).numpy(), (matrix.T @ image).numpy()

    def descent(weight: float, factor: float = 2.0, sign: float = -1.0, steps: int = 4) -> np.ndarray:
        z = start.numpy()
        for _ in range(steps):
            z = z + sign * 0.05 * (factor * (inner @ z - right_side) + 2 * weight * z)
        return z

    for weight in (0.0, 0.7):
        found = call(function, decode, image, start, 4, 0.05, weight)
        compare(
            f"search(…, steps=4, weight={weight:g})",
            found,
            descent(weight),
            meaning="one code, as start",
            mistakes={
                "it goes uphill: subtract the gradient.": descent(weight, sign=1.0),
                "this is one step too many.": descent(weight, steps=5),
                "this is one step too few.": descent(weight, steps=3),
                "this is the start: no step was taken.": start.numpy(),
                "the squared error is averaged over the pixels; it is the sum.": descent(weight, 2 / 20),
                "the squared error is halved.": descent(weight, 1.0),
                "the penalty is missing.": descent(0.0),
                "the penalty pushes the code away from 0: its sign is wrong.": descent(-weight),
            },
            kind=Tensor,
        )
    ridge = np.linalg.solve(inner + 0.7 * np.eye(3), right_side)
    far = as_array("search(…)", call(function, decode, image, start, 500, 0.05, 0.7))
    compare("search(…) after 500 steps", far, ridge, rtol=1e-3, atol=1e-4)
    correct("After 500 steps it is the solution of ridge regression, since this generator is linear.")


def trust(answer: str, errors: Tensor, distances: Tensor) -> None:
    """What follows from a search whose starts end at different codes with small errors: a letter.

    Raises:
        WrongAnswer: the letter is wrong; the message says why.
    """
    feedback = {
        "a": f"the errors of the starts are between {errors.min():.2g} and {errors.max():.2g}: the pictures are found.",
        "b": f"two of the codes are {distances.max():.1f} apart, and their pictures are the same.",
        "d": "more starts find more such codes here, and never a reason to prefer one.",
    }
    choose("conclusion", answer, "c", feedback)
    correct("The generator maps several codes to one picture; the error alone cannot tell them apart.")


def _kl(first: tuple[float, float], second: tuple[float, float]) -> float:
    """KL of two Gaussians, each a mean and a deviation."""

    def integrand(x: float) -> float:
        log_p, log_q = norm.logpdf(x, *first), norm.logpdf(x, *second)
        return math.exp(log_p) * (log_p - log_q)

    return quad(integrand, -12, 14, limit=300, points=[first[0], second[0]])[0]


def _kl_to_middle(first: tuple[float, float], second: tuple[float, float]) -> float:
    """KL of the first Gaussian from the mean of the densities of both."""

    def integrand(x: float) -> float:
        log_p, log_q = norm.logpdf(x, *first), norm.logpdf(x, *second)
        return math.exp(log_p) * (log_p - np.logaddexp(log_p, log_q) + math.log(2))

    return quad(integrand, -12, 14, limit=300, points=[first[0], second[0]])[0]
