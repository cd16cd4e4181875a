"""Checks of the exercises on style and content, ``notebooks/30_style_content_exercises``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...losses import code_cycle_loss, self_supervision_loss
from ...metrics.style_content import cifc, disagreement_divergence, label_overlap, nearest_neighbours
from ...models import DAI, StyleContentModel, TwoVariableModel
from ...models.style_content_terms import CodeCycle, ConditionalGame, DualInferenceGame, ImageCycleGame
from .answers import (
    WrongAnswer,
    as_array,
    call,
    call_as_it_is,
    choose,
    compare,
    correct,
    gradient,
    of_kind,
    several,
    without,
)

LEAK = 0.1  # of the content into the style, in exercise 6
PAIR = ((1.0, 3.0), (-2.0, -0.5))  # style and content of its two images
QUERIES = ((1, 0, 1, 0), (0, 1, 1, 0))  # the labels of exercise 7
FOUND = (((1, 0, 1, 1), (0, 0, 1, 1), (1, 0, 0, 1)), ((1, 1, 1, 1), (0, 1, 1, 1), (1, 0, 0, 1)))
BEST = ((1, 0, 1, 0), (0, 1, 1, 1))  # of what else the archive holds, the most similar to each query


def _truth(name: str, answer: Any) -> bool:
    """An answer that is true or false.

    Raises:
        WrongAnswer: it is neither.
    """
    if isinstance(answer, bool | np.bool_) or (
        isinstance(answer, Tensor) and answer.dtype == torch.bool and answer.numel() == 1
    ):
        return bool(answer)
    raise WrongAnswer(f"{name} has to be True or False, got a value of type {type(answer).__name__}.")


def _predictions(answers: Sequence[Any], names: Sequence[str]) -> None:
    """Refuses anything but one answer for each name.

    Raises:
        WrongAnswer: it has another number of them.
    """
    if not isinstance(answers, tuple | list) or len(answers) != len(names):
        raise WrongAnswer(f"expected {len(names)} values, {', '.join(names)}.")


# ------------------------------------------------------------------------------------------- 1: the conditional game


def _tables(seed: int) -> list[Tensor]:
    """Tables p(x, t): one where image and condition go together loosely, and one where they do so closely."""
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, 3, generator=random, dtype=torch.float64)
    logits[0, 1] = logits.min() - 1  # in the second table a pair that hardly ever occurs
    return [(scale * logits).flatten().softmax(0).unflatten(0, (4, 3)) for scale in (0.2, 2.0)]


def helpless_generator(helpless: Callable, output: Callable, meaning: str, seed: int = 0) -> None:
    """``helpless(p)``, the generator 2p - m; ``output(p, g)``, the best D_{x,t}; what a negative one means.

    Raises:
        WrongAnswer: one of them is wrong; the message says which, and how.
    """
    negative = 0.0
    for p in _tables(seed):
        m = p.sum(1, keepdim=True) * p.sum(0)
        right = 2 * p - m
        negative = min(negative, float(right.min()))
        compare(
            helpless,
            call(helpless, p),
            right,
            meaning="one value for each image and condition",
            mistakes={
                "that is the data: half of the negatives are mismatched pairs, and it has to make up for them.": p,
                "those are the mismatched pairs.": m,
                "a mismatched pair is image and condition drawn apart, p(x) p(t); those are not equally frequent.": (
                    2 * p - 1 / p.numel()
                ),
                "that is conditional on t, of which the images of each sum to 1; the joint table is asked for.": (
                    right / p.sum(0)
                ),
                "data and mismatched pairs are exchanged.": 2 * m - p,
                "the mismatched pairs are subtracted, not added.": 2 * p + m,
                "the negatives have half a weight each: the data count twice, and the sum is 1.": p - m,
                "negative values are cut off; leave them, the letter below is about them.": right.clamp(min=0),
                "negative values are cut off and the rest is scaled; leave them, the letter below is about them.": (
                    right.clamp(min=0) / right.clamp(min=0).sum()
                ),
            },
            hint="Set the best D_{x,t}, p / (p + m/2 + g/2), to ½, and solve for g.",
        )
        random = torch.Generator().manual_seed(seed + 1)
        drawn = torch.randn(p.numel(), generator=random, dtype=torch.float64).softmax(0).view_as(p)
        for g in (p, drawn):
            compare(
                output,
                call(output, p, g),
                p / (p + m / 2 + g / 2),
                meaning="one value for each image and condition",
                mistakes={
                    "the mismatched pairs are missing among the negatives.": p / (p + g),
                    "the generated pairs are missing among the negatives.": p / (p + m),
                    "each of the two kinds of negatives has the weight ½.": p / (p + m + g),
                    "that is how probably a pair is a negative.": 1 - p / (p + m / 2 + g / 2),
                    "that is the odds of a positive, not its probability.": p / (m / 2 + g / 2),
                },
                hint="The weight of the positives, divided by that of positives and negatives together.",
            )
    choose(
        "meaning",
        meaning,
        "b",
        {
            "a": "the rest would sum to more than 1, and D_{x,t} would still know the pair for what it mostly is.",
            "c": "a pair that is drawn less often than in the data has 0 < 2p - m < p; below 0 nothing can be drawn.",
        },
    )
    correct(
        f"In a world where image and condition go together closely, 2p - m goes down to {negative:.3f}: there "
        "no generator leaves the discriminator helpless."
    )


# ------------------------------------------------------------------------------------------------ 2: a game of joints


def inference(joints: Callable, judge: Callable, over: Callable, seed: int = 0) -> None:
    """``joints(p_z, p_x_z, q_x, q_z_x)``, ``judge(q, p)``, the best discriminator, and ``over(q, p)``.

    Raises:
        WrongAnswer: one of them is wrong; the message says which, and how.
    """
    random = torch.Generator().manual_seed(seed)

    def table(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random, dtype=torch.float64).softmax(-1)

    p_z, p_x_z, q_x, q_z_x = table(3), table(3, 4), table(4), table(4, 3)
    p, q = (p_z[:, None] * p_x_z).T, q_x[:, None] * q_z_x
    found = several(
        joints,
        call(joints, p_z, p_x_z, q_x, q_z_x),
        2,
        "the table of inferred pairs, q, and that of generated ones, p",
    )
    compare(
        "q, the first table,",
        found[0],
        q,
        meaning="one row for each image, one column for each code",
        mistakes={
            "that is p, of generated pairs; q comes first.": p,
            "the encoder's rows are weighed by how frequent their image is; that is q(z|x) itself.": q_z_x,
            "the real images are those of q(x), not those that the generator makes.": p.sum(1, keepdim=True) * q_z_x,
            "rows are images, columns codes.": q.T,
        },
        hint="q(x, z) = q(x) q(z|x).",
    )
    compare(
        "p, the second table,",
        found[1],
        p,
        meaning="one row for each image, one column for each code",
        mistakes={
            "that is q, of inferred pairs.": q,
            "the generator's rows are weighed by how frequent their code is; that is p(x|z) itself.": p_x_z.T,
            "the codes are drawn from the prior, not inferred.": (q.sum(0)[:, None] * p_x_z).T,
            "p(x|z) has a row for each code; here rows are images.": p.T,
        },
        hint="p(x, z) = p(z) p(x|z), with a row for each image.",
    )
    compare(
        judge,
        call(judge, q, p),
        q / (q + p),
        meaning="one value for each image and code",
        mistakes={
            "inferred pairs are the positives: that is how probably a pair is a generated one.": p / (q + p),
            "that is a ratio without a bound; divide by both together.": q / p,
            "the marginals of the images are compared, not the pairs.": (q.sum(1) / (q.sum(1) + p.sum(1)))[
                :, None
            ].expand_as(q),
            "that is the difference.": q - p,
        },
        hint="What is inferred, divided by inferred and generated together.",
    )
    # The posterior, and the same marginals with codes that are drawn without a look at the image.
    posterior = p.sum(1, keepdim=True) * (p / p.sum(1, keepdim=True))
    apart = p.sum(1, keepdim=True) * p.sum(0)
    unequal = p.sum(1, keepdim=True) * q_z_x
    for case, end, said in (
        (posterior, True, "the joints are the same up to rounding, and yet the game is said to go on"),
        (apart, False, "images and codes have the right marginals and are paired without a look at each other"),
        (unequal, False, "the images are the same, and the codes are not"),
        (q, False, "the joints differ"),
        (0.99 * posterior + 0.01 * apart, False, "the joints differ by up to a hundredth, which is no rounding"),
    ):
        if _truth("over(…)", call(over, case, p)) != end:
            raise WrongAnswer(f"over(…) says {not end}: {said}.")
    correct(
        "The game is over where each pair is as frequent among both. Right images and right codes are not enough: "
        "with codes drawn without a look at the image the best discriminator still says up to "
        f"{(apart / (apart + p)).max():.2f}."
    )


# --------------------------------------------------------------------------------------------- 3: mismatched conditions


def _mismatched_shares(p: Tensor) -> Tensor:
    """Of conditions with the shares p ``(K,)``: of another image's that differs, the shares, ``(K,)``."""
    pairs = p[:, None] * p / (1 - p[:, None])
    return (pairs - pairs.diag().diag()).sum(0)


def mismatched(another: Callable, shares: Callable, seed: int = 0) -> None:
    """``another(t)``, an image with another condition and whether there is one, and ``shares(p)`` of what is drawn.

    Raises:
        WrongAnswer: one of them is wrong; the message says which, and how.
    """
    torch.manual_seed(seed)
    np.random.seed(seed)  # an answer may draw by NumPy's global state
    t = torch.tensor([0] * 6 + [1] * 5 + [2] * 2)[torch.randperm(13)]  # no majority: a shuffle can be right, too
    draws = 800
    counts = torch.zeros(len(t), len(t))
    for k in range(draws):
        chosen, exists = _chosen(another, t)
        if not exists.all():
            raise WrongAnswer("another(…): each of these images has some of another condition; the second is all True.")
        if (same := t[chosen] == t).any():
            image = int(same.nonzero()[0])
            itself = "itself" if chosen[image] == image else "an image of its own condition"
            raise WrongAnswer(
                f"another(…) gave image {image} {itself}: a matched pair would be called mismatched (draw {k + 1})."
            )
        counts[torch.arange(len(t)), chosen] += 1
    allowed = t[:, None] != t
    expected = draws / allowed.sum(1, keepdim=True)
    if ((counts == draws).any(1)).all():
        raise WrongAnswer("another(…) gives an image the same partner in each call; draw it at random.")
    if ((counts == 0) & allowed).any():
        raise WrongAnswer("another(…) never gives some images of another condition; all of them may be drawn.")
    if (((counts - expected) / expected.sqrt())[allowed].abs() > 6).any():
        raise WrongAnswer(
            "another(…) does not draw all images of another condition equally often: it is images that are drawn, "
            "not conditions."
        )
    _, exists = _chosen(another, torch.full((5,), 1))
    if exists.any():
        raise WrongAnswer("another(…) says that there is another condition in a batch that has one alone.")
    for p in (torch.tensor([4.0, 1.0, 1.0]).double() / 6, torch.rand(4).double().softmax(0)):
        compare(
            shares,
            call(shares, p),
            _mismatched_shares(p),
            meaning="one share for each condition",
            mistakes={
                "those are the shares in the data: conditions that are the same are not drawn, which hits the frequent "
                "ones most.": p,
                "they do not sum to 1: each image draws among those that differ, which are a share 1 - p(t).": (
                    p * (1 - p)
                ),
                "those would be shares of pairs in which the two conditions happen to differ; here each image gets a "
                "partner.": p * (1 - p) / (p * (1 - p)).sum(),
                "the other condition is drawn by its share among images, not as if all were equally frequent.": (
                    (1 - p) / (len(p) - 1)
                ),
            },
            hint="Σ over t ≠ t' of p(t) · p(t') / (1 - p(t)).",
        )
    p = torch.tensor([4.0, 1.0, 1.0]).double() / 6
    drawn = _mismatched_shares(p)
    correct(
        f"With shares of 4 : 1 : 1 the first condition is {100 * p[0]:.0f} % of the data and {100 * drawn[0]:.0f} % of "
        f"the mismatched pairs, a rare one {100 * p[1]:.0f} and {100 * drawn[1]:.0f} %. So "
        "mismatched pairs have other shares than the data, and the condition alone tells D_x,t something."
    )


def _chosen(another: Callable, t: Tensor) -> tuple[Tensor, Tensor]:
    """Positions and truth values of each image, of the right types and shapes.

    Raises:
        WrongAnswer: they are not.
    """
    found = several(another, call(another, t), 2, "positions (B,), and whether there is another condition, (B,)")
    positions, exists = (as_array("another(…)", value) for value in found)
    if positions.shape != t.shape or exists.shape != t.shape:
        raise WrongAnswer(
            f"another(…) returns the shapes {positions.shape} and {exists.shape} for {len(t)} images, expected a "
            "position and a truth value for each."
        )
    whole = np.isfinite(positions).all() and np.equal(positions, np.round(positions)).all()
    if not whole or positions.min() < 0 or positions.max() >= len(t):
        raise WrongAnswer(f"another(…): expected positions from 0 to {len(t) - 1}.")
    if not np.isin(exists, (0, 1)).all():
        raise WrongAnswer("another(…): its second value is True or False of each image.")
    for value in found:
        of_kind(another, value, Tensor)
    return torch.as_tensor(positions).long(), torch.as_tensor(exists).bool()


def next_image(same: float, alone: str) -> None:
    """How often the next image has the same condition at shares of 4 : 1 : 1, and what to do with a batch of one.

    Raises:
        WrongAnswer: one of them is wrong; the message says which.
    """
    p = np.array([4, 1, 1]) / 6
    compare(
        "same",
        same,
        float(np.square(p).sum()),
        reveal=False,
        mistakes={
            "that is how often an image has the frequent condition; the next has to have it as well.": p[0],
            "the rare conditions follow each other, too.": p[0] ** 2,
            "that would hold of three equally frequent conditions.": 1 / 3,
        },
        hint="Sum, over the conditions, the probability that both images have it.",
        rtol=0,
        atol=5e-3,
    )
    choose(
        "alone",
        alone,
        "b",
        {
            "a": "then a matched pair is called mismatched, and D_{x,t} learns the opposite of what it is there for.",
            "c": "no image has that condition: D_{x,t} knows it at a glance, and need not look at the image.",
        },
    )
    correct(
        f"In {np.square(p).sum():.0%} of the mismatched pairs of this kind image and condition belong together. "
        "D_{x,t} would be told that they do and that they do not."
    )


# ------------------------------------------------------------------------------------------------ 4: reversed gradients


def reversal(reverse: Callable, step: Callable, growth: Callable, seed: int = 0) -> None:
    """``reverse(x, strength)``; ``step(a, u, rate)`` of the game reverse(a) u, by hand; ``growth(rate)``.

    Raises:
        WrongAnswer: one of them is wrong; the message says which, and how.
    """
    random = torch.Generator().manual_seed(seed)
    for strength in (0.5, 1.0, 0.0):  # first the one with which each mistake has a result of its own
        x, w, v = (torch.randn(4, 3, generator=random, dtype=torch.float64) for _ in range(3))
        x.requires_grad_()
        found = call(reverse, x, strength)
        compare(
            reverse,
            found,
            x,
            meaning="that of x",
            mistakes={
                "forwards nothing is reversed: the values of x come out as they are.": -x,
                "forwards strength plays no part: the values of x come out as they are.": strength * x,
                "forwards nothing is reversed, and strength plays no part.": -strength * x,
            },
            hint="Forwards it is the identity.",
        )
        (slope,) = gradient(reverse, found * w, ("x", x))
        compare(
            "The gradient through reverse(…)",
            slope,
            -strength * w,
            meaning="that of x",
            mistakes={
                "it is as if nothing stood there; turn its sign.": w,
                "strength is missing.": -w,
                "the sign is not turned.": strength * w,
            },
            hint="It is that of what follows, times -strength.",
        )
        # Another way from x to the loss must not be reversed with it.
        (both,) = torch.autograd.grad((call_as_it_is(reverse, x, strength) * w + x * v).sum(), x)
        if not torch.allclose(both, v - strength * w):
            raise WrongAnswer(
                "reverse(…) also reverses what reaches x by another way: the sign is turned at x, not at the layer."
            )
    for a, u, rate in ((1.0, 2.0, 0.1), (0.7 + 0.1 * (seed % 7), -1.3, 0.25)):
        sentence = "step(…) is to be written by hand, without automatic differentiation."
        with without(sentence, torch.autograd.grad, torch.autograd.backward):
            found = call(step, a, u, rate)
        compare(
            step,
            torch.as_tensor([float(v) for v in _numbers(step, found)]),
            torch.tensor([a + rate * u, u - rate * a]),
            meaning="a and u after the step",
            mistakes={
                "nothing is reversed: both go downhill.": torch.tensor([a - rate * u, u - rate * a]),
                "the sign is turned for both; u, behind the layer, goes downhill.": torch.tensor(
                    [a + rate * u, u + rate * a]
                ),
                "a and u are exchanged: a, before the layer, goes uphill.": torch.tensor([a - rate * u, u + rate * a]),
                "both gradients are taken where the step begins; u has to use the a of before.": torch.tensor(
                    [a + rate * u, u - rate * (a + rate * u)]
                ),
                "both gradients are taken where the step begins; a has to use the u of before.": torch.tensor(
                    [a + rate * (u - rate * a), u - rate * a]
                ),
                "those are the gradients; take a step against them.": torch.tensor([-u, a]),
            },
            hint="The derivative by u is a; that by a is u, and reversed -u.",
        )
        right = math.sqrt(1 + rate**2)
        compare(
            growth,
            call(growth, rate),
            right,
            meaning="one number",
            mistakes={
                "that is the factor of the square of the distance.": 1 + rate**2,
                "the distance does not stay: a step along the circle leaves it.": 1.0,
                "that would be a step straight away from (0, 0); it is one along the circle.": 1 + rate,
                "the distance does not shrink.": 1 / right,
                "that would be a step towards (0, 0).": 1 - rate,
            },
            hint="Square and add both numbers of the step.",
        )
    doubled = math.log(2) / math.log(math.sqrt(1.01))
    correct(
        f"With the rate 0.1 the distance doubles in {doubled:.0f} steps: the end of the game, (0, 0), is not where two "
        "players arrive who walk at the same time."
    )


def _numbers(function: Callable, found: Any) -> list[Any]:
    pair = several(function, found, 2, "a and u after the step")
    for value in pair:
        if as_array(f"{function.__name__}(…)", value).shape:
            raise WrongAnswer(f"{function.__name__}(…) has to return two single numbers.")
    return pair


# ----------------------------------------------------------------------------- 5: the cycle of codes, attract and repel


def distances(cycle: Callable, contrast: Callable, apart: Callable, seed: int = 0) -> None:
    """``cycle(z, c, z_again, c_again)``, ``contrast(z, c, z_turned, c_turned)`` and ``apart(lam, dim, summed)``.

    Raises:
        WrongAnswer: one of them is wrong; the message says which, and how.
    """
    random = torch.Generator().manual_seed(seed)
    z, z2 = torch.randn(2, 6, 3, generator=random, dtype=torch.float64)
    c, c2 = torch.randn(2, 6, 5, generator=random, dtype=torch.float64)
    style, content = (z - z2).abs(), (c - c2).abs()
    first, other = style.mean(1), content.mean(1)
    codes = (z, c, z2, c2)
    compare(
        cycle,
        call(cycle, *codes),
        code_cycle_loss(*codes),
        meaning="one value for each image",
        mistakes={
            "the sums over the dimensions are taken; a mean does not grow with the code.": style.sum(1)
            + content.sum(1),
            "the differences are squared; the norm is an ℓ1 norm.": (z - z2).square().mean(1)
            + (c - c2).square().mean(1),
            "the root of a sum of squares is an ℓ2 norm.": style.norm(dim=1) + content.norm(dim=1),
            "each code has a mean of its own; in one over all dimensions the larger code has more weight.": torch.cat(
                [style, content], 1
            ).mean(1),
            "the content is missing.": first,
            "the style is missing.": other,
            "take the absolute values before the mean, or differences of both signs cancel.": (z - z2).mean(1).abs()
            + (c - c2).mean(1).abs(),
            "the content is subtracted; a cycle asks for both.": first - other,
            "that is the mean over the batch, too.": first.mean() + other.mean(),
        },
        hint="The mean of |z' - z| over its dimensions, and of |c' - c| over its own.",
    )
    compare(
        contrast,
        call(contrast, *codes),
        self_supervision_loss(*codes),
        meaning="one value for each image",
        mistakes={
            "the signs are exchanged: contents attract, styles repel.": first - other,
            "the styles repel: their distance is subtracted.": first + other,
            "the sums over the dimensions are taken; take means.": content.sum(1) - style.sum(1),
            "the differences are squared; the norm is an ℓ1 norm.": (c - c2).square().mean(1)
            - (z - z2).square().mean(1),
            "the styles are missing.": other,
            "that is the mean over the batch, too.": other.mean() - first.mean(),
        },
        hint="‖ĉ - ĉ'‖ - ‖ẑ - ẑ'‖, each norm a mean over dimensions.",
    )
    for lam, dim in ((0.5, 8 + seed % 5), (1.0, 4)):  # with the first each mistake has a result of its own
        for summed in (False, True):
            weight = lam * (dim if summed else 1)
            compare(
                "apart(…), with the KL " + ("summed" if summed else "averaged") + " over the dimensions,",
                call(apart, lam, dim, summed),
                2 / weight,
                meaning="one number",
                mistakes={
                    "the two styles are 2 m apart, not m, and the KL, a mean over both images, is m²/2 a dimension.": (
                        1 / weight
                    ),
                    "that is how far the two styles lie apart; m is half of it.": 4 / weight,
                    "that is right for the mean of the KL; a sum has dim times the weight.": 2 / lam,
                    "that is right for the sum of the KL; in a mean the dimension plays no part.": 2 / (lam * dim),
                    "the dimension enters the wrong way: a sum costs more, and m is smaller.": 2 * dim / lam,
                    "m falls as λ grows.": weight / 2,
                },
                hint="Set the derivative of -2 m + λ KL(m) to 0.",
            )
    lam, dim = 1, 32
    correct(
        f"With λ = {lam} the mean of the KL lets the styles go to {2 / lam:g} and {-2 / lam:g}. Its sum over {dim} "
        f"dimensions holds them at {2 / (lam * dim):.2f} and {-2 / (lam * dim):.2f}, which cannot be told apart in "
        "codes whose deviation is 1."
    )


# ------------------------------------------------------------------------------------------------------------- 6: CIFC


def _linear(seed: int) -> tuple[Callable, Callable, Tensor]:
    """An encoder and a generator that are linear and do not fit each other, and images."""
    random = torch.Generator().manual_seed(seed)
    into = torch.randn(5, 9, generator=random, dtype=torch.float64) / 3
    out = torch.randn(9, 5, generator=random, dtype=torch.float64) / 3
    images = torch.rand(12, 1, 3, 3, generator=random, dtype=torch.float64)

    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        codes = x.flatten(1) @ into.T
        return codes[:, :3], codes[:, 3:]

    def generate(z: Tensor, c: Tensor) -> Tensor:
        return (torch.cat([z, c], 1) @ out.T).unflatten(1, (1, 3, 3))

    return encode, generate, images


def exchange(errors: Callable, leak: float, hidden: float, seed: int = 0) -> None:
    """``errors(encode, generate, a, b)``, the CIFC of pairs; that of a leak, by hand; and where it hides a leak.

    Raises:
        WrongAnswer: one of them is wrong; the message says which, and how.
    """
    encode, generate, images = _linear(seed)
    package = cifc(encode, generate, images, seed=seed)
    a, b = (images[torch.as_tensor(side)] for side in package.pairs.T)

    def apart(code: Tensor, again: Tensor, reduced: Callable = torch.mean) -> Tensor:
        return reduced((code - again).abs(), 1)

    (z_a, c_a), (z_b, c_b) = encode(a), encode(b)
    (z_ab, c_ab), (z_ba, c_ba) = encode(generate(z_b, c_a)), encode(generate(z_a, c_b))
    twice = (*encode(generate(z_ba, c_ab)), *encode(generate(z_ab, c_ba)))
    turned = (*encode(generate(z_ab, c_ba)), *encode(generate(z_ba, c_ab)))
    plain = (*encode(generate(z_a, c_a)), *encode(generate(z_b, c_b)))
    codes = (z_a, c_a, z_b, c_b)

    def together(again: Sequence[Tensor], reduced: Callable = torch.mean) -> Tensor:
        parts = [apart(code, other, reduced) for code, other in zip(codes, again, strict=True)]
        return parts[0] + parts[1] + parts[2] + parts[3]

    right = together(twice)
    compare(
        errors,
        call(errors, encode, generate, a, b),
        package.per_pair,
        meaning="one value for each pair of images",
        mistakes={
            "the codes are exchanged once; exchange those of the hybrids, too.": together((z_ba, c_ab, z_ab, c_ba)),
            "nothing is exchanged: those are the codes of reconstructions.": together(plain),
            "the second exchange is missing: I_aa gets its style from I_ba and its content from I_ab.": together(
                turned
            ),
            "the sums over the dimensions are taken; take means.": together(twice, torch.sum),
            "that is the mean of the four terms; they are added.": right / 4,
            "the second image's terms are missing.": apart(z_a, twice[0]) + apart(c_a, twice[1]),
            "the first image's terms are missing.": apart(z_b, twice[2]) + apart(c_b, twice[3]),
            "the content is missing.": apart(z_a, twice[0]) + apart(z_b, twice[2]),
            "the style is missing.": apart(c_a, twice[1]) + apart(c_b, twice[3]),
            "that is the mean over the pairs, too.": right.mean(),
        },
        hint="Hybrids I_ab = G(ẑ_b, ĉ_a) and I_ba = G(ẑ_a, ĉ_b); from their codes I_aa = G(ẑ_ba, ĉ_ab) and I_bb.",
        kind=Tensor,
    )

    def leaky(z: Tensor, c: Tensor) -> Tensor:
        return torch.stack([z + LEAK * c, c], 2)[:, None]

    def read(x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, 0, :, 0], x[:, 0, :, 1]

    (style_a, content_a), (style_b, content_b) = PAIR
    pair = torch.tensor(PAIR, dtype=torch.float64).reshape(2, 1, 1, 2)
    compare(
        "leak",
        leak,
        cifc(read, leaky, pair).score,
        reveal=False,
        mistakes={
            "that is a leak of the style into the content, the chapter's; here the content leaks.": (
                2 * LEAK * abs(style_a + style_b)
            ),
            "both images have an error; that is one.": LEAK * abs(content_a + content_b),
            "that is after one exchange; the second brings the other content in, too.": (
                LEAK * (abs(content_a) + abs(content_b))
            ),
            "the contents, 3 and -0.5, add up with their signs; take the absolute value of their sum.": (
                2 * LEAK * (abs(content_a) + abs(content_b))
            ),
        },
        hint="z_ab = z_b + 0.1 c_a and z_ba = z_a + 0.1 c_b; what is z_aa?",
        rtol=0,
        atol=5e-3,
    )
    compare(
        "hidden",
        hidden,
        -content_a,
        reveal=False,
        mistakes={
            "with equal contents the two leaks add up; look where they cancel.": content_a,
            "then one of the two leaks is 0, and the other is seen.": 0.0,
            "it is the contents that leak, not the styles.": -style_a,
        },
        hint="The error is 0.2 |c_a + c_b|.",
        rtol=0,
        atol=5e-3,
    )
    correct(
        "CIFC sees the sum of two leaks: with contents of opposite signs it sees nothing of a generator that leaks."
    )


def _encoded(encode: Callable, images: Tensor) -> tuple[Tensor, Tensor]:
    """A pair of codes of images, each ``(N, D)``.

    Raises:
        WrongAnswer: it is none.
    """
    name = encode.__name__
    pair = several(encode, call(encode, images), 2, "style and content")
    for code in pair:
        if not isinstance(code, Tensor) or code.ndim != 2 or len(code) != len(images) or not code.shape[1]:
            raise WrongAnswer(f"{name}(…) has to return two tensors ({len(images)}, D) for {len(images)} images.")
        if not torch.isfinite(as_tensor := torch.as_tensor(as_array(f"{name}(…)", code))).all():
            raise WrongAnswer(f"{name}(…) holds a value that is NaN or infinite: {as_tensor.flatten()[0]}.")
    return pair[0].detach().double(), pair[1].detach().double()


def _made(generate: Callable, z: Tensor, c: Tensor, images: Tensor) -> Tensor:
    """Images of codes, of the shape of images.

    Raises:
        WrongAnswer: it has another shape.
    """
    made = call(generate, z.float(), c.float())
    if not isinstance(made, Tensor) or made.shape != images.shape:
        raise WrongAnswer(
            f"{generate.__name__}(…) has to return a tensor of images {tuple(images.shape)} for {len(images)} codes."
        )
    if not np.isfinite(as_array(f"{generate.__name__}(…)", made)).all():
        raise WrongAnswer(f"{generate.__name__}(…) holds a value that is NaN or infinite.")
    return made.detach().float()


def _chance(z: Tensor, c: Tensor) -> Tensor:
    """What CIFC would be were the codes of I_aa those of another image of the set."""
    return 2 * sum(torch.pdist(code, 1).mean() / code.shape[1] for code in (z, c))


def trivial(encode: Callable, generate: Callable, relative: Callable, all_in_one: str, seed: int = 0) -> None:
    """``idle_encode(x)`` and ``idle_generate(z, c)`` with CIFC 0; ``relative(score, z, c)``; and who still wins it.

    Raises:
        WrongAnswer: one of them is wrong; the message says which, and how.
    """
    random = torch.Generator().manual_seed(seed)
    images = torch.rand(16, 1, 8, 8, generator=random)
    z, c = _encoded(encode, images)
    _made(generate, z, c, images)

    def encoded(x: Tensor) -> tuple[Tensor, Tensor]:
        return _encoded(encode, x)

    def made(z: Tensor, c: Tensor) -> Tensor:
        return _made(generate, z, c, torch.empty(len(z), 1, 8, 8))

    try:
        found = cifc(encoded, made, images, seed=seed)
    except ValueError as error:
        raise WrongAnswer(f"{encode.__name__}(…) has codes of changing shapes: {error}.") from error
    if found.score > 1e-5:
        raise WrongAnswer(
            f"The CIFC of your pair is {found.score:.3f} on random images, not 0: an exchange changes its codes."
        )
    if max(float(code.std(0).max()) for code in (z, c)) > 1e-6:
        raise WrongAnswer(
            "The CIFC of your pair is 0, but its codes tell images apart, and the score relative to chance is 0 as "
            "well: look for a pair whose codes say nothing of the image."
        )
    z = torch.randn(9, 3, generator=random, dtype=torch.float64)
    c = 2 * torch.randn(9, 5, generator=random, dtype=torch.float64)
    chance = _chance(z, c)

    def all_pairs(code: Tensor) -> Tensor:
        return (code[:, None] - code).abs()

    for score in (0.4, 3.1):
        right = score / chance
        compare(
            relative,
            call(relative, score, z, c),
            right,
            meaning="one number",
            mistakes={
                "CIFC has four terms: both images count, and chance is twice that.": 2 * right,
                "an image with itself is no pair of different images.": score
                / (2 * sum(all_pairs(code).mean() for code in (z, c))),
                "the sums over the dimensions are taken; take means.": score
                / (2 * sum(torch.pdist(code, 1).mean() for code in (z, c))),
                "that is the ratio upside down.": chance / score,
                "that is chance itself; divide the score by it.": chance,
                "the content is missing in chance.": score / (2 * torch.pdist(z, 1).mean() / 3),
                "the style is missing in chance.": score / (2 * torch.pdist(c, 1).mean() / 5),
                "standard deviations are no distances: take the mean absolute difference.": score
                / (2 * sum(code.std(0).mean() for code in (z, c))),
            },
            hint="2 (mean distance of two different styles + of two different contents), and the score divided by it.",
        )
    constant = as_array(relative.__name__, call(relative, 0.0, torch.zeros(6, 3).double(), torch.ones(6, 2).double()))
    if constant.shape or not np.isfinite(constant):
        raise WrongAnswer("relative(…) of constant codes is 0 / 0: they are no better than chance, so give them 1.")
    if not math.isclose(float(constant), 1):
        raise WrongAnswer(
            f"relative(…) gives constant codes {float(constant):.3g}: they say nothing, which is chance, 1."
        )
    choose(
        "all_in_one",
        all_in_one,
        "a",
        {
            "b": "the styles of two images differ, so chance is not 0, and the error is.",
            "c": "the content has no error and no spread: it adds 0 to both sides of the ratio.",
        },
    )
    correct(
        "Codes that say nothing win CIFC, and do not win the ratio. A style that holds everything wins both: for that "
        "one has to draw one code anew and look at the image."
    )


# -------------------------------------------------------------------------------------------------------- 7: retrieval


def retrieval(nearest: Callable, seed: int = 0) -> None:
    """``nearest(content, patient, k)``: positions of the k nearest images of other patients, the nearest first.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    rng = np.random.default_rng(seed)
    for patients, pictures, k in ((8, 4, 3), (5, 3, 2)):
        patient = rng.permutation(np.repeat(np.arange(patients) + 100, pictures))
        centres = rng.standard_normal((patients, 6))
        content = centres[patient - 100] + 0.4 * rng.standard_normal((len(patient), 6))

        def order(distance: np.ndarray, allowed: np.ndarray, largest: bool = False, patient=patient, k=k) -> np.ndarray:
            table = np.where(allowed, -distance if largest else distance, np.inf)
            return table.argsort(1, kind="stable")[:, :k]

        difference = content[:, None] - content
        others = patient[:, None] != patient
        everyone = np.ones_like(others)
        mean, root = np.abs(difference).mean(2), np.sqrt(np.square(difference).sum(2))
        right = order(mean, others)
        for row, image in enumerate(right):  # the package's, among other patients alone
            rows = np.flatnonzero(others[row])
            assert (rows[nearest_neighbours(content[[row]], content[rows], k).indices[0]] == image).all()
        compare(
            nearest,
            call(nearest, content, patient, k),
            right,
            meaning=f"{k} positions for each image",
            mistakes={
                "each image finds itself, and others of its patient.": order(mean, everyone),
                "images of the same patient are found: leave out all of them, not the image alone.": order(
                    mean, ~np.eye(len(patient), dtype=bool)
                ),
                "only images of the same patient are searched.": order(mean, ~others),
                "those are the farthest.": order(mean, others, largest=True),
                "that is by the Euclidean distance; the mean absolute difference is asked for.": order(root, others),
                "the nearest comes first.": right[:, ::-1],
                "those are not positions among all images, but among those of other patients.": np.stack(
                    [
                        mean[row, others[row]].argsort(kind="stable")[:k]
                        for row in range(len(patient))  # others[row] leaves out one patient's images
                    ]
                ),
                "differences of both signs cancel; take absolute values before the mean.": order(
                    np.abs(difference.mean(2)), others
                ),
            },
            hint="Mean absolute differences, infinite for images of the same patient, in increasing order.",
            kind=np.ndarray,
        )
    correct("An image of the same patient would mostly be found first, and says nothing about the finding.")


def labels(divergence: float, by_label: float, by_attribute: float) -> None:
    """Disagreement divergence and both readings of the label overlap, in per cent, of two queries, by hand.

    Raises:
        WrongAnswer: one of them is wrong; the message says which.
    """
    queries, found, best = np.array(QUERIES, float), np.array(FOUND, float), np.array(BEST, float)
    archive = np.concatenate([found.reshape(-1, 4), best])
    neighbours = np.arange(6).reshape(2, 3)
    score = disagreement_divergence(queries, archive, neighbours)
    whole = label_overlap(queries, archive, neighbours)
    each = label_overlap(queries, archive, neighbours, match="attributes")
    agrees = found == best[:, None]
    apart = np.square(queries[:, None] - found).mean(2)
    compare(
        "divergence",
        divergence,
        score.score,
        reveal=False,
        mistakes={
            "the mean over the four attributes is asked for, not their sum.": 4 * score.score,
            "that is the nearest label of each query; the mean over the three is asked for.": apart.min(1).mean(),
            "that is of the first query alone.": score.per_query[0],
            "that is of the second query alone.": score.per_query[1],
            "that is the distance to the best labels of the archive; the queries' own count.": np.square(
                found - best[:, None]
            ).mean(),
            "that is the share of attributes that agree.": 1 - score.score,
        },
        hint="The mean, over queries, neighbours and attributes, of the squared difference to the query's label.",
        rtol=0,
        atol=5e-3,
    )
    compare(
        "by_label",
        by_label,
        whole.score,
        reveal=False,
        mistakes={
            "in per cent.": whole.score / 100,
            "one neighbour of three is enough: it is the share of queries, not of neighbours.": 100 / 6,
            "the archive holds a label that is nearer to the first query than those found.": 100.0,
            "the label to be found is the best of the archive, which need not be that of the query.": 0.0,
        },
        hint="For which of the queries is one of the three as near as the best label of the archive?",
        rtol=0,
        atol=0.1,
    )
    compare(
        "by_attribute",
        by_attribute,
        each.score,
        reveal=False,
        mistakes={
            "in per cent.": each.score / 100,
            "that is the mean over the neighbours; one that has the attribute is enough.": 100 * agrees.mean(),
            "that asks all three neighbours to have it; one is enough.": 100 * agrees.all(1).mean(),
            "that is of the first query alone.": each.per_query[0],
            "the fourth attribute of the first query's best label is found in none of the three.": 100.0,
        },
        hint="Of the four attributes of the best label, how many has at least one of the three?",
        rtol=0,
        atol=0.1,
    )
    correct(
        f"The two readings differ: {whole.score:.0f} and {each.score:.1f} %. And {each.score:.1f} % is what three "
        f"neighbours drawn by chance reach with fair bits, 1 - ½³ = {100 * (1 - 0.5**3):.1f} %."
    )


# -------------------------------------------------------------------------------------------------- 8: one's own system


def own_system(function: Callable, discriminators: int, seed: int = 0) -> None:
    """``code_cycle_system()``, the class of DAI without the image cycle and with the code cycle; its discriminators.

    It is built small and updated once: all of its discriminators, its generator and its encoders must move.

    Raises:
        WrongAnswer: one of them is wrong; the message says which, and how.
    """
    system = call(function)
    if isinstance(system, StyleContentModel):
        raise WrongAnswer("code_cycle_system() returns a model; return its class, without calling it.")
    if not isinstance(system, type) or not issubclass(system, StyleContentModel):
        raise WrongAnswer("code_cycle_system() has to return a class that is derived from TwoVariableModel.")
    if not issubclass(system, TwoVariableModel):
        raise WrongAnswer(
            "The system has no encoder of the content: derive it from TwoVariableModel, which infers both codes."
        )
    objective = getattr(system, "objective", None)
    if not isinstance(objective, dict) or not all(isinstance(term, type) for term in objective.values()):
        raise WrongAnswer("objective has to be a dictionary of names and terms, which are classes, not instances.")
    have, wanted = list(objective.values()), {ConditionalGame, DualInferenceGame, CodeCycle}
    for term in (*wanted, ImageCycleGame):
        if term in wanted and term not in have:
            raise WrongAnswer(f"The objective lacks {term.__name__}.")
        if term not in wanted and term in have:
            raise WrongAnswer(f"The objective still has {term.__name__}, the cycle of images.")
    if len(have) != len(wanted):
        more = [term.__name__ for term in have if term not in wanted]
        raise WrongAnswer(f"The objective has more than what was asked for: {', '.join(more) or 'a term twice'}.")
    named = system.divergences if isinstance(system.divergences, tuple | list) else ()
    if missing := [name for name in DAI.divergences if name not in named]:
        raise WrongAnswer(
            f"divergences lacks {', '.join(map(repr, missing))}: without its KL nothing holds that code to the prior."
        )
    if surplus := [name for name in named if name not in DAI.divergences]:
        raise WrongAnswer(f"divergences holds {surplus[0]!r}, which is none of {', '.join(DAI.divergences)}.")
    torch.manual_seed(seed)
    try:
        model = system({"size": 3}, style_dim=3, content_dim=4, size=16, width=2)
        before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        model.update(torch.rand(8, 1, 16, 16), size=torch.arange(8) % 3)
    except Exception as error:
        raise WrongAnswer(f"The system cannot be updated: {type(error).__name__}: {error}.") from error
    still = [name for name, weight in model.named_parameters() if torch.equal(weight, before[name])]
    parts = sorted({name.split(".")[0] for name in before} - {n.split(".")[0] for n in before if n not in still})
    if parts or any(name.startswith("terms.") for name in still):
        raise WrongAnswer(f"An update leaves {', '.join(parts or still[:1])} as it is.")
    count = sum(len(list(term.children())) for term in model.games.values())
    compare(
        "discriminators",
        discriminators,
        count,
        reveal=False,
        mistakes={
            "those are DAI's: the cycle of images has a D_cycle, a cycle of codes is a distance without one.": count
            + 1,
            "that is the number of games; either of them has two discriminators.": len(model.games),
            "those are of the conditional game and one more; style and content have one each.": 3,
        },
        hint="Count the networks that judge: of images, of pairs, of either code beside its image.",
    )
    correct(
        f"{count} discriminators in two games, and one distance. One update moved all of them, the generator and the "
        "three encoders."
    )
