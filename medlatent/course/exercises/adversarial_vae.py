"""Checks of the exercises on the adversarial VAE, ``notebooks/10_adversarial_vae_exercises``."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from ...losses import deception_loss, discriminator_loss
from ...metrics import disentanglement
from ...nets import Bottleneck, count_parameters
from .answers import WrongAnswer, call, closest, compare, correct, number, several

IMAGE = (3, 64, 64)  # of exercise 3


def slopes(non_saturating: float, saturating: float, found: Sequence[float]) -> None:
    """The derivatives of -log D and log(1 - D) in the logit where D = 0.01, predicted before the run.

    Raises:
        WrongAnswer: one of them is wrong; the message says which.
    """
    certain = 0.01
    right = {"non_saturating": certain - 1, "saturating": -certain}
    for name, answer in zip(right, (non_saturating, saturating), strict=True):
        other = next(value for key, value in right.items() if key != name)
        compare(
            name,
            answer,
            right[name],
            reveal=False,
            mistakes={
                "the two losses are exchanged.": other,
                "the sign is wrong: both losses fall when the logit rises.": -right[name],
                "that is the derivative in D; the chain rule brings dD/dℓ = D (1 - D).": -1 / certain
                if name == "non_saturating"
                else -1 / (1 - certain),
                "that is the value of the loss, not its slope.": -math.log(certain)
                if name == "non_saturating"
                else math.log(1 - certain),
            },
            hint="Write D as 1/(1 + exp(-ℓ)) and differentiate in ℓ.",
            rtol=0,
            atol=2e-4,
        )
    correct(f"The run found {found[0]:.2f} and {found[1]:.2f}: a sure critic silences only the saturating form.")


def optimal_logit(function: Callable, seed: int = 0) -> None:
    """``optimal_logit(log_p, log_q, share)``: the best discriminator's logit where ``share`` of what it sees is real.

    At the right logit the gradient of the expected loss, computed by autograd, vanishes, which is asserted too.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    torch.manual_seed(seed)
    x = torch.linspace(-3, 4, 15, dtype=torch.float64)
    shift = 0.5 + torch.rand(1, dtype=torch.float64)
    log_p, log_q = Normal(0.0, 1.0).log_prob(x), Normal(shift, 1.0).log_prob(x)
    p, q = log_p.exp(), log_q.exp()
    for share in (0.2, 0.9, 0.5):  # first those with which each mistake has a result of its own
        odds = math.log(share / (1 - share))
        expected = log_p - log_q + odds
        compare(
            function,
            call(function, log_p, log_q, share),
            expected,
            meaning="one logit for each image",
            mistakes={
                "that is D itself; its logit is asked for.": torch.sigmoid(expected),
                "the sign is wrong: the logit is positive where real images are the denser.": -expected,
                "the densities are compared, but their logarithms are not subtracted.": p - q + odds,
                "that is right for equally many of both; the share of real ones is missing.": log_p - log_q,
                "the share of real images is taken for that of reconstructions.": log_p - log_q - odds,
                "the odds of the share enter by their logarithm.": log_p - log_q + share / (1 - share),
                "the share alone enters; the other side has 1 - share.": log_p - log_q + math.log(share),
            },
            hint="Minimise share·p·log(1 + exp(-ℓ)) + (1 - share)·q·log(1 + exp(ℓ)) at one image.",
        )
        logit = expected.clone().requires_grad_()
        loss = (share * p * deception_loss(logit) + (1 - share) * q * deception_loss(-logit)).sum()
        assert torch.autograd.grad(loss, logit)[0].abs().max() < 1e-12
    found = call(function, torch.tensor([-2000.0]), torch.tensor([-1990.0]), 0.5)
    if isinstance(found, Tensor) and not found.isfinite().all():
        raise WrongAnswer(
            "optimal_logit(…) is not finite far from all images, where densities underflow: subtract logarithms, "
            "and never exponentiate."
        )
    compare("optimal_logit(…) far from all images", found, torch.tensor([-10.0]))
    correct("The logit is the log-ratio plus the log-odds of what the discriminator is shown.")


def rescaled(beta: float, weight: float) -> None:
    """What beta = 6 and adversarial weight 1 beside a mean over an image's values are beside a sum.

    Raises:
        WrongAnswer: one of them is wrong; the message says which.
    """
    values = math.prod(IMAGE)
    for name, answer, factor in (("equal_beta", beta, 6.0), ("equal_weight", weight, 1.0)):
        compare(
            name,
            number(name, answer, text=False),  # a later cell multiplies by it
            factor * values,
            reveal=False,
            mistakes={
                "the scale of the reconstruction does matter: the minimum moves.": factor,
                "the other way round: a mean is a small reconstruction term, so that the others weigh more.": factor
                / values,
                "count the channels, too.": factor * values / 3,
                "an image has two sides.": factor * 3 * math.isqrt(values // 3),
            },
            hint="Multiply the whole loss by the number of values, so that the mean becomes a sum.",
        )
    correct(f"Both are multiplied by {values}: with a mean, beta 6 empties the code and the critic rules.")


def block_parameters(function: Callable, seed: int = 0) -> None:
    """``block_parameters(inputs, width, outputs)``: the trainable numbers of a bottleneck block.

    Compared with those of :class:`medlatent.nets.Bottleneck`.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    rng = np.random.default_rng(seed)
    for _ in range(3):
        i, w, o = (int(n) for n in rng.choice(np.arange(3, 40), 3, replace=False))
        expected = count_parameters(Bottleneck(i, w, o))
        norms, shortcut = 2 * (w + w + o), i * o + 2 * o
        compare(
            f"block_parameters({i}, {w}, {o})",
            call(function, i, w, o),
            expected,
            meaning="one number",
            mistakes={
                "the shortcut's convolution and its batch normalisation are missing.": expected - shortcut,
                "the batch normalisation of the shortcut is missing.": expected - 2 * o,
                "the convolution of the shortcut is missing.": expected - i * o,
                "batch normalisation trains two numbers a channel.": expected - norms - 2 * o,
                "batch normalisation has a scale and a shift, two numbers a channel.": expected - norms // 2 - o,
                "running averages are not trained.": expected + norms + 2 * o,
                "these convolutions have no bias, since batch normalisation would subtract it.": expected
                + w
                + w
                + o
                + o,
                "the middle convolution is 4×4.": expected - 7 * w * w,
                "the middle convolution goes from width to width, not from inputs to outputs.": expected
                - 16 * w * w
                + 16 * i * o,
            },
            hint="Three convolutions and their normalisations, and a shortcut with one of each.",
        )
    plain, narrow = 16 * 64 * 64, count_parameters(Bottleneck(64, 32, 64))
    correct(f"From 64 to 64 channels a bottleneck of width 32 trains {narrow:,} numbers, a plain 4×4 {plain:,}.")


class _Generator(nn.Module):
    """A generator of vectors, with a prior term; it notes gradients that reach it after its own step."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.reached_late = False

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        rebuilt, version = self.layer(images), self.layer.weight._version

        def note(_: Tensor) -> None:
            self.reached_late |= self.layer.weight._version != version

        if rebuilt.requires_grad:
            rebuilt.register_hook(note)
        return rebuilt, 0.3 * rebuilt.square().mean()


class _Discriminator(nn.Module):
    """A discriminator of vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.square()).squeeze(1)


def update(function: Callable, seed: int = 0) -> None:
    """``update(generator, discriminator, optimisers, images)``: a step of each player; returns L_gen and L_disc.

    Two steps on small networks, compared with the same steps by hand.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    torch.manual_seed(seed)
    generator, discriminator, images = _Generator(), _Discriminator(), torch.randn(2, 5, 4)

    def weights(player: nn.Module) -> np.ndarray:
        return torch.cat([w.detach().flatten() for w in player.parameters()]).numpy()

    def play(step: Callable) -> tuple[list[Any], np.ndarray, np.ndarray, bool]:
        players = copy.deepcopy(generator), copy.deepcopy(discriminator)
        optimisers = tuple(torch.optim.SGD(player.parameters(), lr=0.05) for player in players)
        said = [step(*players, optimisers, batch) for batch in images]
        return said, weights(players[0]), weights(players[1]), players[0].reached_late

    def wrong(**changes: Any) -> tuple[np.ndarray, np.ndarray]:
        return play(lambda *arguments: _step(*arguments, **changes))[1:3]

    reaches = "a gradient of L_disc reaches the generator: hand rebuilt.detach() to the discriminator."
    try:
        said, generated, discriminating, reached_late = play(lambda *arguments: call(function, *arguments))
    except WrongAnswer as stopped:
        if "backward through the graph a second time" in str(stopped):
            raise WrongAnswer(f"update(…): {reaches}") from None
        raise
    if reached_late:
        raise WrongAnswer(f"update(…): {reaches}")
    right_said, right_generated, right_discriminating, _ = play(_step)
    if np.allclose(discriminating, wrong(exchanged=True)[1]):
        raise WrongAnswer("update(…): the optimisers are exchanged; the first is the generator's.")
    for player, found, start in (
        ("generator", generated, weights(generator)),
        ("discriminator", discriminating, weights(discriminator)),
    ):
        if np.array_equal(found, start):
            raise WrongAnswer(
                f"update(…) leaves the {player}'s weights as they were: backward() and step() are needed."
            )

    variants = {
        "the term log(1 - D(x̂)) saturates; L_gen has -log D(x̂).": wrong(saturating=True),
        "the sign of the adversarial term is wrong: the generator is to be taken for real.": wrong(sign=-1.0),
        "the adversarial term is missing from L_gen.": wrong(sign=0.0),
        "L_prior is missing from L_gen.": wrong(prior=0.0),
        "the squared error is averaged over the values; L_rec sums them for each image.": wrong(mean=True),
        "the discriminator moves first; L_gen has to be judged by the one before its step.": wrong(
            discriminator_first=True
        ),
        "gradients of the step before are still there: clear them before each backward().": wrong(clear=False),
        "gradients of the step before are still in the generator: clear them before its backward().": wrong(
            clear_generator=False
        ),
        "gradients of L_gen are still in the discriminator: clear them before its backward().": wrong(
            clear_discriminator=False
        ),
        "real and reconstructed images are exchanged in L_disc.": wrong(swap=True),
        "the discriminator has to judge the x̂ of this step, not one made after the generator's.": wrong(fresh=True),
    }
    for name, found, right, place in (
        ("The generator's weights after two steps", generated, right_generated, 0),
        ("The discriminator's weights after two steps", discriminating, right_discriminating, 1),
    ):
        mistakes = {sentence: both[place] for sentence, both in variants.items()}
        compare(name, found, right, mistakes=mistakes, hint="Compare your lines with both lines of equation 3.")
    for answer, values in zip(said, right_said, strict=True):
        pair = several(function, answer, 2, "L_gen and L_disc")
        for name, one, value, other in zip(("L_gen", "L_disc"), pair, values, values[::-1], strict=True):
            exchanged = {"the two are exchanged: return L_gen first, and then L_disc.": other}
            compare(name, one, value, meaning="a scalar, the mean over the batch", mistakes=exchanged)
    correct("Each player moved on its own loss, judged by the other as it was before.")


def halves(function: Callable, seed: int = 0) -> None:
    """``halves(factors)``: which values of each factor lie above its median, ``(N, K)`` to ``(N, K)`` of 0 and 1.

    The MIG of the result is compared with :func:`medlatent.metrics.disentanglement.mig_hf`.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    rng = np.random.default_rng(seed)
    factors = np.c_[rng.gamma(1.0, 0.1, 301), rng.random(301), rng.normal(3, 2, 301)]
    median = np.median(factors, axis=0)
    found = call(function, factors)
    compare(
        function,
        found,
        factors > median,
        meaning="0 or 1 for each image and factor",
        mistakes={
            "the cut is at the mean, which a skewed factor such as the size has above its median.": factors
            > factors.mean(0),
            "the cut is at half the range, which leaves few lesions on one side.": factors
            > (factors.min(0) + factors.max(0)) / 2,
            "there is one median for all factors; take one for each column.": factors > np.median(factors),
            "the median is that of each image; take that of each factor.": factors
            > np.median(factors, axis=1, keepdims=True),
            "high and low are exchanged.": factors <= median,
            "the median itself is not above the median.": factors >= median,
        },
        hint="One threshold for each column.",
        kind=np.ndarray,
        rtol=0,
    )
    codes = factors + 0.3 * rng.normal(size=factors.shape)
    score = disentanglement.mig(codes, np.asarray(found).astype(int)).score
    ours = disentanglement.mig_hf(codes, factors).score
    compare("The MIG of your halves", score, ours)
    correct(f"Each half has an entropy of log 2; with it the MIG of a noisy code is {score:.3f}, as mig_hf says.")


def movement(function: Callable, seed: int = 0) -> None:
    """``movement(walks, data)``: how far quantities move along walks, as a share of their spread in the data.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    torch.manual_seed(seed)
    data = torch.randn(200, 3) * torch.tensor([1.0, 0.2, 4.0]) + 2
    steps = torch.linspace(-1, 1, 7)[:, None] * torch.tensor([1.5, 0.02, 1.0])
    # Walks of different lengths, some of them backwards.
    lengths = torch.linspace(-1.2, 1.6, 12)[:, None, None]
    walks = data[:12, None] + lengths * steps + 0.05 * torch.randn(12, 7, 3)

    def moved(inside: Callable, spread: Callable) -> list[Tensor]:
        """With each denominator, n or n - 1, of both standard deviations; the usual one first."""
        return [inside(n) / spread(m) for n, m in itertools.product((1, 0), repeat=2)]

    def of_data(correction: int) -> Tensor:
        return data.std(0, correction=correction)

    mistakes = {
        "the movement is not divided by the spread in the data.": moved(
            lambda n: walks.std(1, correction=n).mean(0), lambda m: torch.ones(3)
        ),
        "the spread is that over images at each step, which is large even if nothing moves.": moved(
            lambda n: walks.std(0, correction=n).mean(0), of_data
        ),
        "all walks are pooled, so that the images' own differences count as movement.": moved(
            lambda n: walks.flatten(0, 1).std(0, correction=n), of_data
        ),
        "this is the range along a walk; the standard deviation is asked for.": moved(
            lambda n: (walks.amax(1) - walks.amin(1)).mean(0), of_data
        ),
        "variances are divided; take their square roots first.": moved(
            lambda n: walks.var(1, correction=n).mean(0), lambda m: data.var(0, correction=m)
        ),
        "the root is taken of the mean variance; the mean is over standard deviations.": moved(
            lambda n: walks.var(1, correction=n).mean(0).sqrt(), of_data
        ),
        "the movement is divided by the variance of the data; a standard deviation is asked for.": moved(
            lambda n: walks.std(1, correction=n).mean(0), lambda m: data.var(0, correction=m)
        ),
        "the walks are averaged first, which hides movements in opposite directions.": moved(
            lambda n: walks.mean(0).std(0, correction=n), of_data
        ),
        "the median over the walks is taken; the mean is asked for.": moved(
            lambda n: walks.std(1, correction=n).median(0).values, of_data
        ),
    }
    found = call(function, walks, data)
    expected = closest(found, moved(lambda n: walks.std(1, correction=n).mean(0), of_data))
    compare(
        function,
        found,
        expected,
        meaning="one value for each quantity",
        mistakes=[(sentence, value) for sentence, values in mistakes.items() for value in values],
        hint="A standard deviation along each walk, its mean over the walks, divided by that of the data.",
    )
    correct(f"The knob moves the first quantity by {expected[0]:.2f} of its spread, the second by {expected[1]:.2f}.")


def _step(
    generator: nn.Module,
    discriminator: nn.Module,
    optimisers: tuple[torch.optim.Optimizer, ...],
    images: Tensor,
    *,
    saturating: bool = False,
    sign: float = 1.0,
    prior: float = 1.0,
    mean: bool = False,
    discriminator_first: bool = False,
    clear: bool = True,
    clear_generator: bool = True,
    clear_discriminator: bool = True,
    exchanged: bool = False,
    swap: bool = False,
    fresh: bool = False,
) -> tuple[float, float]:
    """Equation 3, or one of the mistakes that can be made in it."""
    rebuilt, price = generator(images)
    if exchanged:
        optimisers = optimisers[::-1]

    def critic() -> float:
        again = generator(images)[0] if fresh else rebuilt
        real, fake = discriminator(images), discriminator(again.detach())
        loss = discriminator_loss(*((fake, real) if swap else (real, fake))).mean()
        if clear and clear_discriminator:
            optimisers[1].zero_grad()
        loss.backward()
        optimisers[1].step()
        return loss.item()

    said = critic() if discriminator_first else None
    error = (rebuilt - images).square().sum(1).mean() / (images.shape[1] if mean else 1)
    logits = discriminator(rebuilt)
    deceived = -deception_loss(-logits) if saturating else deception_loss(logits)
    loss = error + prior * price + sign * deceived.mean()
    if clear and clear_generator:
        optimisers[0].zero_grad()
    loss.backward()
    optimisers[0].step()
    return loss.item(), critic() if said is None else said
