"""Checks of the exercises on latent directions, ``notebooks/20_latent_directions_exercises``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.distributions import Normal

from ...metrics.direction_effects import direction_effects
from ...models import LatentDirections, random_directions
from .answers import WrongAnswer, as_array, call, choose, compare, correct, gradient, of_kind, several, value_of

# The four pairs of exercise 4: the direction that was taken, counted from 1, its logits, the shift, and the guess.
PAIRS = (
    (1, (2.0, 0.5, -1.0), 4.0, 3.0),
    (3, (-0.3, 0.1, 0.2), -2.0, 1.0),
    (2, (1.2, 1.0, 0.0), -5.5, -4.5),
    (1, (-0.5, -2.0, -1.0), 0.5, 0.0),
)
PRINTED = 0.2538  # in Table 1 of Schön et al. (2022): GAN, ResNet, orthonormal directions
SHIFTS = (6.0, 0.5)  # the largest size of the method's shifts, and the least
GAMMA = 0.25  # the weight of L_s in the loss


def likelihood(best_variance: Callable, nats: Callable, kl_weight: Callable, seed: int = 0) -> None:
    """The best variance of a Gaussian, -log p(x|z) with it, and the weight of the KL in nats an image.

    Compared with the log-density of ``torch.distributions``.

    Raises:
        WrongAnswer: one of them is wrong; the message says which, and how.
    """
    torch.manual_seed(seed)
    images = torch.rand(5, 2, 6, 4, dtype=torch.float64)
    spread = torch.tensor([0.05, 0.1, 0.15, 0.25, 0.4], dtype=torch.float64).view(5, 1, 1, 1)
    decoded = images + 0.05 + spread * torch.randn_like(images)
    P, error = images[0].numel(), decoded - images
    mse, of_each = error.square().mean(), error.square().flatten(1).mean(1)

    def by_density(variance: Tensor) -> Tensor:
        return -Normal(decoded, variance.sqrt()).log_prob(images).flatten(1).sum(1).mean()

    assert by_density(mse) < min(by_density(0.99 * mse), by_density(1.01 * mse))
    compare(
        best_variance,
        call(best_variance, decoded, images),
        mse,
        meaning="one variance for all images and pixels",
        mistakes={
            "that is the standard deviation σ; σ² is asked for.": mse.sqrt(),
            "the images share one variance; that is one for each.": of_each,
            "that is the sum of the squared errors; divide it by their number.": error.square().sum(),
            "that is the sum over the pixels; divide by their number, too.": error.square().flatten(1).sum(1).mean(),
            "the mean error is subtracted, though a constant error counts as noise as well.": error.var(correction=0),
            "the mean error is subtracted: this is no variance around a mean, but around 0.": error.var(),
            "both terms of the derivative have the factor ½, which cancels.": mse / 2,
            "that is the mean absolute error; a Gaussian asks for squares.": error.abs().mean(),
            "the square of the mean |error| is not the mean of its square.": error.abs().mean().square(),
        },
        hint="Set the derivative of P/2 (log 2πσ² + MSE/σ²) with respect to σ² to 0.",
    )
    right, single = by_density(mse), by_density(of_each.view(-1, 1, 1, 1))
    compare(
        nats,
        call(nats, decoded, images),
        right,
        meaning="one number, the mean over the images",
        mistakes={
            "the constant P/2 (log 2π + 1) is missing.": P / 2 * mse.log(),
            "log 2π, from the Gaussian's normalisation, is missing.": P / 2 * (mse.log() + 1),
            "MSE/σ² is 1 at the best variance, and still counts.": P / 2 * (mse.log() + math.log(2 * math.pi)),
            "that is log MSE, in which the nats are divided by P/2, and the constant is left out.": mse.log(),
            "that is for one pixel; an image has P of them.": right / P,
            "the factor ½ is missing.": 2 * right,
            "that is the sum over the batch; the mean is asked for.": right * len(images),
            "that is the log-likelihood; its negative is asked for.": -right,
            "each image has a variance of its own there; all share one.": single,
            "σ² is handed over as σ: torch.distributions.Normal takes the standard deviation.": by_density(
                mse.square()
            ),
            "σ stands in the place of σ²: take no root of the best variance.": by_density(mse.sqrt()),
            "the logarithm is of σ, not of σ²: that is P/2 log σ too little.": right - P / 4 * mse.log(),
        },
        hint="P/2 (log 2πσ² + MSE/σ²) at the σ² that you have found.",
    )
    for shape, beta in (((1, 128, 128), 0.01), ((3, 20, 24 + seed % 5), 0.05)):
        channels, height, width = shape
        size = channels * height * width
        compare(
            kl_weight,
            call(kl_weight, shape, beta),
            beta * size / 2,
            meaning="one number",
            mistakes={
                "that is β itself; log MSE is the nats divided by P/2, the KL is not divided.": beta,
                "the factor ½ of the Gaussian's exponent is missing.": beta * size,
                "the first term was divided by P/2; to have nats, multiply.": beta / (size / 2),
                "P counts the channels, too.": beta * height * width / 2,
                "P is the number of pixels, not the side of the image.": beta * height / 2,
                "β is missing.": size / 2,
            },
            hint="Multiply log MSE + β KL by what makes its first term nats.",
        )
    beta, (large, small) = 0.01, (128, 64)
    correct(
        f"β = {beta} weighs the KL {beta * large**2 / 2:.0f}-fold in images of {large}×{large} pixels, and "
        f"{beta * small**2 / 2:.0f}-fold in {small}×{small}. A variance for each image would save another "
        f"{float(right - single):.0f} nats here."
    )


def shifts(draw: Callable, mean_size: Callable, seed: int = 0) -> None:
    """``draw(n, max_shift, min_shift)``, the shifts α of the method; ``mean_size(max_shift, min_shift)``, E|α|.

    The draws are judged by 20 000 of them: their ends, their signs, and the distribution of their sizes.

    Raises:
        WrongAnswer: one of them is wrong; the message says which, and how.
    """
    n = 20_000
    for most, least in ((6.0, 0.5), (4.0, 1.0 + 0.1 * (seed % 3))):
        torch.manual_seed(seed)
        np.random.seed(seed)
        drawn = call(draw, n, most, least)
        _check_drawn(as_array("draw(…)", drawn), n, most, least)
        of_kind(draw, drawn, Tensor)
        right = _mean_size(most, least)
        compare(
            mean_size,
            call(mean_size, most, least),
            right,
            meaning="one number",
            mistakes={
                "the small shifts are raised, which lifts the mean a little.": most / 2,
                "that is for a uniform size from the least to the largest; here small sizes gather at the least.": (
                    most + least
                )
                / 2,
                "those that are raised count with the least shift, not with 0.": (most**2 - least**2) / (2 * most),
                "that is the mean of α, not of its size.": 0.0,
                "that is the root of the mean square.": math.sqrt(least**3 / most + (most**3 - least**3) / (3 * most)),
                "the part from the least to the largest shift has to be weighted with its probability.": (
                    least**2 / most + (most + least) / 2
                ),
                "divide by the length of the interval once more: the integral is over u/M.": (most**2 + least**2) / 2,
            },
            hint="Integrate max(u, least shift) over u from 0 to the largest shift, divided by that length.",
        )
    blind = _mean_size(*SHIFTS)
    correct(
        f"{blind:.2f} for {SHIFTS[0]:g} and {SHIFTS[1]:g}. It is the L_s of a reconstructor that always says 0, the "
        f"best that one can say who has not seen the pair; its γ L_s is {GAMMA * blind:.2f}."
    )


def _mean_size(most: float, least: float) -> float:
    """E|α| of a shift that is uniform up to the largest size and raised to the least."""
    return (most**2 + least**2) / (2 * most)


def _check_drawn(alpha: np.ndarray, n: int, most: float, least: float) -> None:
    if alpha.shape != (n,):
        raise WrongAnswer(f"draw(…) has the shape {alpha.shape}, expected ({n},): one shift for each pair.")
    if not np.isfinite(alpha).all():
        raise WrongAnswer("draw(…) holds a value that is NaN or infinite.")
    size, tiny = np.abs(alpha), 1e-5
    negative = float((alpha < 0).mean())
    if size.max() > most + tiny:
        raise WrongAnswer(f"draw(…) goes to {size.max():.2f}, beyond the largest shift {most:g}.")
    if not 0.45 < negative < 0.55:
        lost = " Raise the size of a shift and keep its sign: a clamp from below raises all negative ones."
        raise WrongAnswer(
            f"draw(…): {100 * negative:.0f} % of the shifts are negative; half of them should be."
            f"{lost if negative < 0.45 else ''}"
        )
    if size.min() < least - tiny:
        raise WrongAnswer(f"draw(…): a shift of the size {size.min():.3f} is left as it is, below {least:g}.")
    at_least = np.abs(size - least) < tiny
    share = least / most
    if at_least.mean() < 0.5 * share:
        raise WrongAnswer(
            f"draw(…): {100 * at_least.mean():.1f} % of the shifts have exactly the size {least:g}, "
            f"{100 * share:.1f} % should: the small ones are raised to it, not drawn anew."
        )
    if not 0.35 < (alpha[at_least] < 0).mean() < 0.65:
        raise WrongAnswer(f"draw(…): shifts that are raised to {least:g} lose their sign.")
    # The sizes above the least one are uniform: their distribution function is u/M.
    ordered = np.sort(size)
    ecdf = np.arange(1, n + 1) / n
    away = np.abs(ecdf - ordered / most)[ordered > least + tiny].max(initial=0)
    if away > 0.03 or len(ordered[ordered > least + tiny]) < 0.5 * n:
        raise WrongAnswer(
            f"draw(…): the sizes are not uniform up to {most:g}; half of them should be below {most / 2:g}, and "
            f"{100 * (size < most / 2).mean():.0f} % are."
        )


def matrices(orthonormal: Callable, unit: Callable, many: Any, seed: int = 0) -> None:
    """``orthonormal(W, K)``, the first K columns of exp(W - Wᵀ); ``unit(W)``, unit columns; and K > d.

    Raises:
        WrongAnswer: one of them is wrong; the message says which, and how.
    """
    torch.manual_seed(seed)
    d = 6
    for K, scale in ((4, 1.0), (6, 0.3)):
        W = (scale * torch.randn(d, d, dtype=torch.float64)).requires_grad_()
        skew, rotation = (W - W.T).detach(), torch.linalg.matrix_exp((W - W.T).detach())
        right = torch.linalg.matrix_exp(W - W.T)[:, :K]
        found, one = call(orthonormal, W, K), torch.eye(d, dtype=torch.float64)
        compare(
            orthonormal,
            found,
            right,
            meaning="d rows and K columns",
            mistakes={
                "that is the exponential of each entry; the matrix exponential is asked for.": skew.exp()[:, :K],
                "the exponent is not skew-symmetric: W + Wᵀ is symmetric, and the result no rotation.": (
                    torch.linalg.matrix_exp((W + W.T).detach())[:, :K]
                ),
                "the exponent is W itself; only W - Wᵀ is skew-symmetric whatever W is.": (
                    torch.linalg.matrix_exp(W.detach())[:, :K]
                ),
                "that is the inverse rotation: the exponent is Wᵀ - W, or rows were taken and transposed; a direction "
                "is a column.": rotation.T[:, :K],
                "those are the first K rows; a direction is a column.": rotation[:K],
                "all d columns are returned; K are asked for.": rotation,
                "that is orthonormal, by QR, but not the exponential.": torch.linalg.qr(W.detach())[0][:, :K],
                "that is Cayley's transform, orthonormal, but not the exponential.": (
                    torch.linalg.solve(one - skew / 2, one + skew / 2)[:, :K]
                ),
            },
            hint="torch.linalg.matrix_exp(W - W.T), and of it the first K columns.",
        )
        gradient(orthonormal, found, ("W", W), expected=right)
    W = torch.randn(4, 7, dtype=torch.float64).requires_grad_()
    plain, right, found = W.detach(), W / W.norm(dim=0), call(unit, W)
    compare(
        unit,
        found,
        right,
        meaning="a direction a column, as in W",
        mistakes={
            "the rows have unit length; a direction is a column.": plain / plain.norm(dim=1, keepdim=True),
            "the matrix has length 1 as a whole; each column is to have it.": plain / plain.norm(),
            "divided by the squared length.": plain / plain.square().sum(0),
            "divided by the sum of the absolute entries, not by the Euclidean length.": plain / plain.abs().sum(0),
            "divided by the greatest entry, not by the length.": plain / plain.abs().amax(0),
        },
        hint="Divide column k by its Euclidean length.",
    )
    gradient(unit, found, ("W", W), expected=right)
    choose(
        "many",
        many,
        "b",
        {
            "a": "of a rotation in 100 dimensions, cut to 32 rows, the columns are shorter than 1 and no longer "
            "perpendicular: in 32 dimensions there is no room for more than 32 perpendicular directions.",
            "c": "any unit vector is a direction, and there are as many as you like; only 32 of them can be linearly "
            "independent.",
        },
    )
    K, d = 100, 32
    cosine = math.sqrt((K - d) / (d * (K - 1)))
    correct(
        f"However {K} unit columns lie in {d} dimensions, two of them meet at {math.degrees(math.acos(cosine)):.0f}° "
        "or less, by a theorem of Welch (1974); and nothing keeps two columns from becoming one."
    )


def by_hand(answers: Sequence[float]) -> None:
    """RCA and L_s of the four pairs of exercise 4, and L_s of the paper if its table holds γ L_s.

    Raises:
        WrongAnswer: one of them is wrong; the message says which.
    """
    if not isinstance(answers, tuple | list) or len(answers) != 3:
        raise WrongAnswer("expected three numbers, rca, shift_loss and unweighted.")
    taken, logits, alpha, guessed = (np.array(column, float) for column in zip(*PAIRS, strict=True))
    right = logits.argmax(1) + 1 == taken
    error, gamma = np.abs(alpha - guessed), GAMMA
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    probability = softmax[np.arange(len(PAIRS)), taken.astype(int) - 1]
    compare(
        "rca",
        answers[0],
        right.mean(),
        reveal=False,
        mistakes={
            "a share is asked for, not per cent.": 100 * right.mean(),
            "that is how many are recognised; divide by the number of pairs.": float(right.sum()),
            "that is the share of those that are not recognised.": 1 - right.mean(),
            "that is the mean probability of the right direction; RCA counts how often it is the largest.": (
                probability.mean()
            ),
            "a negative logit can be the largest all the same: compare logits with each other.": 0.5,
            "all four are taken to be recognised: compare the logits within each row.": 1.0,
        },
        hint="The share of rows whose largest logit stands at the direction that was taken.",
        rtol=0,
        atol=5e-3,
    )
    compare(
        "shift_loss",
        answers[1],
        error.mean(),
        reveal=False,
        mistakes={
            "that is γ L_s; L_s is asked for.": gamma * error.mean(),
            "errors of both signs cancel: take absolute values.": (alpha - guessed).mean(),
            "errors of both signs cancel: take the absolute value of each, not of their mean.": (
                guessed - alpha
            ).mean(),
            "the sizes are compared, and a wrong sign goes unseen.": np.abs(np.abs(alpha) - np.abs(guessed)).mean(),
            "that is the mean squared error.": np.square(error).mean(),
            "that is the root of the mean squared error.": math.sqrt(np.square(error).mean()),
            "that is the sum; L_s is the mean.": error.sum(),
            "pairs whose direction is not recognised count, too.": error[right].mean(),
        },
        hint="The mean of |α - α̂| over all four pairs.",
        rtol=0,
        atol=5e-3,
    )
    compare(
        "unweighted",
        answers[2],
        PRINTED / gamma,
        reveal=False,
        mistakes={
            "multiplied by γ; if the table holds γ L_s, divide by it.": PRINTED * gamma,
            "that is what the table holds, γ L_s; L_s is asked for.": PRINTED,
        },
        hint="Divide the printed number by γ.",
        rtol=0,
        atol=5e-3,
    )
    blind = _mean_size(*SHIFTS)
    correct(
        f"Then the shift is misjudged by {PRINTED / gamma:.2f} units, {PRINTED / gamma / blind:.0%} of what always "
        f"saying 0 costs; otherwise by {PRINTED:.2f} units, {PRINTED / blind:.0%} of it. Which of the two is printed "
        "the paper does not say: so print both."
    )


def counts(from_counts: Callable, seed: int = 0) -> None:
    """``from_counts(confusion)``: RCA, and that of a reconstructor that says the same without looking.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    rng = np.random.default_rng(seed)
    K = 4
    uneven = rng.integers(2, 9, (K, K)) + np.diag(rng.integers(5, 60, K))
    uneven[0] += 40
    # Every direction is taken equally often; what is named is right in part, and else mostly the first one.
    even = rng.multinomial(100, 0.6 * np.eye(K) + 0.4 * np.array([0.55, 0.2, 0.15, 0.1]))
    for confusion in (uneven, even):
        total = confusion.sum()
        taken, named = confusion.sum(1) / total, confusion.sum(0) / total
        rca, chance = np.trace(confusion) / total, float(taken @ named)
        found = call(from_counts, confusion)
        answer, floor = several(from_counts, found, 2, "RCA and the one without looking")
        compare(
            "RCA",
            answer,
            rca,
            mistakes={
                "that is a number of pairs; divide by all of them.": float(np.trace(confusion)),
                "that weighs every direction alike; here pairs are counted.": (
                    np.diag(confusion) / confusion.sum(1)
                ).mean(),
                "columns are what was named; and pairs are counted, not directions.": (
                    np.diag(confusion) / confusion.sum(0)
                ).mean(),
                "that is the share of those that are not recognised.": 1 - rca,
                "divide by all pairs, not by the number of directions.": np.trace(confusion) / K,
                "RCA is not corrected for chance: that is Cohen's kappa.": (rca - chance) / (1 - chance),
            },
            hint="The diagonal holds the pairs whose direction is recognised.",
        )
        compare(
            "Without looking",
            floor,
            chance,
            mistakes={
                "1/K is right only where all directions are drawn, or named, equally often.": 1 / K,
                "that is for naming always the commonest direction; this one names others as well.": taken.max(),
                "that is how often the commonest answer is given.": named.max(),
                "what is named has its own shares, which differ from those that are drawn.": float(taken @ taken),
                "what is drawn has its own shares, which differ from those that are named.": float(named @ named),
                "that is a number of pairs; divide by all of them.": chance * total,
            },
            hint="Σ_k P(k was taken) P(k is named), the two being independent.",
        )
    correct(
        f"RCA {np.trace(even) / even.sum():.2f}, and {1 / K:.2f} without looking: where each of {K} directions is "
        "taken equally often, that is 1/K, whatever a reconstructor prefers to say."
    )


def matrix(effects: Callable, seed: int = 0) -> None:
    """``effects(slopes)``: effect and share of each direction and factor, and the selectivity of each direction.

    Compared with :func:`medlatent.metrics.direction_effects.direction_effects`.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    rng = np.random.default_rng(seed)
    codes, K, F = 40, 5, 3
    slopes = rng.normal(size=(K, F)) + 0.3 * rng.normal(size=(codes, K, F))
    slopes[: codes // 2, 1, 0] -= 4  # from half of the codes this factor falls, from the others it rises
    slopes[codes // 2 :, 1, 0] += 4
    slopes[:, 3] = 0  # a direction that moves nothing
    slopes[:, 4] *= 0.01  # and one that moves little
    right_effect = direction_effects(slopes, np.sign(slopes)).effect
    with np.errstate(all="ignore"):
        found = call(effects, slopes)
    effect, share, selectivity = several(effects, found, 3, "effect, share and selectivity")
    mean, size = slopes.mean(0), np.abs(slopes.mean(0))
    total = size.sum(1, keepdims=True)

    def over(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
        return np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)

    right_share = over(size, np.broadcast_to(total, size.shape))
    compare(
        "The effect",
        effect,
        right_effect,
        meaning="directions and factors",
        mistakes={
            "a factor that rises from some codes and falls from others is not moved: average the slopes, not their "
            "sizes.": np.abs(slopes).mean(0),
            "the effect keeps its sign.": size,
            "that is the sum over codes; the mean is asked for.": slopes.sum(0),
            "that is the median over codes; the mean is asked for.": np.median(slopes, 0),
            "that is transposed: directions are rows.": mean.T,
        },
        hint="The mean over codes, the first axis.",
        kind=np.ndarray,
    )
    answer = as_array("The share", share)
    if answer.shape == (K, F) and np.isnan(answer[3]).all():
        raise WrongAnswer("The share is 0/0 for a direction that moves nothing: 0 is asked for.")
    compare(
        "The share",
        share,
        right_share,
        meaning="directions and factors",
        mistakes={
            "the shares of one direction sum to 1: divide by the sum over factors.": over(
                size, np.broadcast_to(size.sum(0), size.shape)
            ),
            "the sizes are shared out, not the signed effects.": over(mean, np.broadcast_to(total, mean.shape)),
            "effects of both signs cancel in the sum: take sizes first.": over(
                mean, np.broadcast_to(mean.sum(1, keepdims=True), mean.shape)
            ),
            "the effects are squared.": over(
                np.square(size), np.broadcast_to(np.square(size).sum(1, keepdims=True), size.shape)
            ),
            "all directions are taken together; each has its own sum.": size / size.sum(),
            "the chapter's floor of 0.1 lowers the shares of a direction that moves little: leave it out here.": (
                size / np.maximum(total, 0.1)
            ),
        },
        hint="|effect| over the sum of |effect| of all factors, for each direction.",
        kind=np.ndarray,
    )
    two = np.sort(right_share, 1)
    compare(
        "The selectivity",
        selectivity,
        right_share.max(1),
        meaning="one value for each direction",
        mistakes={
            "that is the greatest share of each factor; of each direction it is asked for.": right_share.max(0),
            "that is the lead over the second factor; the greatest share is asked for.": two[:, -1] - two[:, -2],
            "that is the factor's number; its share is asked for.": right_share.argmax(1),
            "that is the greatest effect; the greatest share is asked for.": size.max(1),
        },
        hint="The greatest share in the row.",
        kind=np.ndarray,
    )
    correct(
        f"A direction that moves a factor by {np.abs(slopes[:, 1, 0]).mean():.1f} a unit, but up from some codes and "
        f"down from others, has an effect of {right_effect[1, 0]:+.1f}: it does not mean that factor."
    )


def assignment(assign: Callable, trap: Any, seed: int = 0) -> None:
    """``assign(share)``: the direction of each factor; ``trap``, shares on which a greedy choice fails.

    Raises:
        WrongAnswer: one of them is wrong; the message says which, and how.
    """
    rng = np.random.default_rng(seed)
    base = np.array(
        [[0.50, 0.46, 0.04], [0.46, 0.04, 0.50], [0.10, 0.10, 0.80], [0.42, 0.16, 0.42], [0.38, 0.20, 0.42]]
    )
    for _ in range(2):
        while True:  # until each mistake has a result of its own; the smallest sum may be the indexed directions
            share = base + rng.uniform(0, 0.005, base.shape)
            share = (share / share.sum(1, keepdims=True))[rng.permutation(5)][:, rng.permutation(3)]
            rows, columns = linear_sum_assignment(share, maximize=True)
            right, least = _by_factor(rows, columns), _by_factor(*linear_sum_assignment(share))
            ways = [right, _greedy(share), rows, columns, least]
            if len({tuple(way) for way in ways}) == len(ways) and (rows[columns] != right).any():
                break
        found = call(assign, share)
        indexed = "the directions are indexed by their factors: order them, as by np.argsort(columns)."
        smallest = "that is the assignment with the smallest sum; maximise."
        if (rows[columns] == least).all():
            indexed = smallest = (
                "that is the smallest sum (maximise it), or the directions are indexed by their factors (order them, "
                "as by np.argsort(columns))."
            )
        answer = as_array("assign(…)", found)
        if answer.shape == (3,) and len(np.unique(answer)) < 3:
            raise WrongAnswer("assign(…): a direction stands for two factors; each is to be used once.")
        compare(
            assign,
            found,
            right,
            meaning="one direction for each factor",
            mistakes={
                "that is a greedy choice, the largest share first; another assignment has a larger sum.": (
                    _greedy(share)
                ),
                "those are the directions in rising order; put them in the order of their factors.": rows,
                "those are the factors of the directions; the directions of the factors are asked for.": columns,
                indexed: rows[columns],
                smallest: least,
                "directions are counted from 0.": right + 1,
            },
            hint="scipy.optimize.linear_sum_assignment(share, maximize=True).",
            kind=np.ndarray,
            rtol=0,
        )
    shares = as_array("trap", value_of("trap", trap))
    if shares.shape != (3, 3):
        comma = ""
        if shares.ndim == 2 and shares.shape[1] > 3:
            comma = " A comma separates numbers: write decimal ones with a point, as in 0.5."
        raise WrongAnswer(f"trap has the shape {shares.shape}, expected (3, 3): directions and factors.{comma}")
    if not np.isfinite(shares).all() or (shares < 0).any() or not np.allclose(shares.sum(1), 1, rtol=0, atol=1e-6):
        raise WrongAnswer("trap: the shares of a direction, a row, are 0 or more and add up to 1.")
    rows, columns = linear_sum_assignment(shares, maximize=True)
    # Where two shares are equal greed may take either: the order that is best for it counts.
    orders = [shares[np.ix_(r, c)] for r in permutations(range(3)) for c in permutations(range(3))]
    greedy = max(order[_greedy(order), np.arange(3)].sum() for order in orders)
    best = shares[rows, columns].sum()
    if best - greedy < 0.2:
        raise WrongAnswer(
            f"trap: the greedy choice reaches {greedy:.2f}, the best assignment {best:.2f}; the greedy one is to lose "
            "0.2 or more. Let the largest share be of a direction that another factor cannot do without."
        )
    correct(
        f"{greedy:.2f} by greed, {best:.2f} by assignment: the best direction for one factor may be the only one for "
        "another. With two factors greed never loses, since the shares of a row add up to 1."
    )


def _by_factor(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The direction of each factor, from pairs of both."""
    matched = np.empty(len(columns), int)
    matched[columns] = rows
    return matched


def _greedy(share: np.ndarray) -> np.ndarray:
    """The direction of each factor: the largest share first, without its row and column then."""
    left, matched = share.copy(), np.empty(share.shape[1], int)
    for _ in range(share.shape[1]):
        row, column = np.unravel_index(left.argmax(), left.shape)
        matched[column] = row
        left[row], left[:, column] = -1, -1
    return matched


def closed_form(function: Callable, seed: int = 0) -> None:
    """``closed_form(weight, K)``: the K orthonormal directions that a layer stretches most, up to their signs.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    torch.manual_seed(seed)
    for features, d, K in ((9, 5, 3), (6, 6, 4)):
        left, right = (torch.linalg.qr(torch.randn(n, n, dtype=torch.float64))[0] for n in (features, d))
        sizes = 3.0 - torch.arange(d, dtype=torch.float64) * 0.45
        weight = left[:, :d] * sizes @ right.T
        found = call(function, weight, K)
        answer = torch.as_tensor(as_array("closed_form(…)", found))

        def signed(directions: Tensor, answer: Tensor = answer) -> Tensor:
            """With the signs of the answer, which are arbitrary."""
            if answer.shape != directions.shape:
                return directions
            return directions * torch.where((answer * directions).sum(0) < 0, -1.0, 1.0)

        wanted, weakest = right[:, :K], right.flip(1)[:, :K]
        # A row of the matrix of eigenvectors has a sign of each of them.
        if any(
            answer.shape == rows.T.shape and torch.allclose(answer.abs(), rows.T.abs(), 1e-4)
            for rows in (right[:K], right.flip(1)[:K])
        ):
            raise WrongAnswer("closed_form(…): those are rows of the matrix of eigenvectors; they are its columns.")
        compare(
            function,
            answer,
            signed(wanted),
            meaning="a direction a column",
            mistakes={
                "those are the directions that change least; the greatest eigenvalues are asked for.": signed(weakest),
                "those are the right directions in rising order; the one that changes most comes first.": (
                    signed(wanted.flip(1))
                ),
                "directions are columns: transpose.": _signs_of(wanted.T, answer),
                "those are eigenvectors of W Wᵀ, patterns of the layer's outputs; a direction has d entries.": (
                    signed(left[:, :K])
                ),
                "the columns are not of unit length.": signed(wanted * sizes[:K]),
                "the columns are not of unit length: they carry the eigenvalue.": signed(wanted * sizes[:K].square()),
                "K columns are asked for, all d are returned.": signed(right),
            },
            hint="The eigenvectors of WᵀW with the greatest eigenvalues; torch.linalg.eigh gives them in rising order.",
        )
        of_kind(function, found, Tensor)
    correct("The squared stretch of each direction is its eigenvalue, and what a further one adds can only be less.")


def _signs_of(rows: Tensor, answer: Tensor) -> Tensor:
    """Directions that are rows, with the signs of the answer."""
    if answer.shape != rows.shape:
        return rows
    return rows * torch.where((answer * rows).sum(1, keepdim=True) < 0, -1.0, 1.0)


def search(function: Callable, seed: int = 0) -> None:
    """``search(generator, directions, K, latent_dim, steps)``: a trained ``LatentDirections`` around any generator.

    Judged by a generator of the check's own and four steps: what is trained, for how long, and what is left alone.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    d, K, steps = 5, 3, 4
    for kind in ("unit", "random", "fixed"):
        torch.manual_seed(seed)
        generator = nn.Sequential(nn.Linear(d, 1024), nn.Sigmoid(), nn.Unflatten(1, (1, 32, 32)))
        weights = [p.detach().clone() for p in generator.parameters()]
        given = random_directions(d, K, seed) if kind == "fixed" else kind
        model = call(function, generator, given, K, d, steps)
        if not isinstance(model, LatentDirections):
            raise WrongAnswer(
                f"search(…) returns an object of type {type(model).__name__}, expected the LatentDirections itself."
            )
        asked = "a matrix was" if kind == "fixed" else f"{kind!r} was"
        if (used := model.config["directions"]) != kind:
            raise WrongAnswer(f"search(…): {asked} asked for as directions, the model has {used!r}.")
        if tuple(model.directions.shape) != (d, K):
            raise WrongAnswer(
                f"search(…): its directions are {tuple(model.directions.shape)}, expected (latent_dim, K) = ({d}, {K})."
            )
        if kind == "fixed" and not torch.allclose(model.directions, given):
            raise WrongAnswer("search(…): the matrix that was given is not the one that is used.")
        if any(not torch.equal(w, p.detach()) for w, p in zip(weights, generator.parameters(), strict=True)):
            raise WrongAnswer("search(…): the generator's weights have changed; it is to stay as it is.")
        z = torch.randn(3, d)
        with torch.no_grad():
            same = torch.allclose(model.decode(z), generator(z))
        if not same:
            raise WrongAnswer("search(…): the model makes other images than the generator that was given.")
        made = max((int(state["step"]) for state in model.optimiser.state.values()), default=0)
        if made != steps:
            raise WrongAnswer(
                f"search(…): {made} updates were made, {steps} were asked for; an untrained reconstructor says nothing "
                "of any directions, of random ones neither."
            )
        if model.training:
            raise WrongAnswer(
                "search(…): the model is in training mode; for what follows put it into evaluation mode with eval(), "
                "or its batch normalisation looks at the other pairs of the batch."
            )
    correct("A few lines for any generator; and random directions get a reconstructor of their own, as a floor.")
