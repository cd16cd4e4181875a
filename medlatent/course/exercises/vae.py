"""Checks of the exercises on the variational autoencoder, ``notebooks/02_vae_exercises``."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from ...metrics import psnr
from ...models import VAE
from .answers import WrongAnswer, as_array, call, choose, compare, correct, gradient, whole_number

# A dimension of a trained code that carries no more is called empty.
LEAST_NATS = 0.05


def kl_between(function: Callable, seed: int = 0) -> None:
    """``kl_between(mean_q, logvar_q, mean_p, logvar_p)``: KL(q ‖ p) of diagonal Gaussians, one value a code.

    Compared with ``torch.distributions``; gradients have to reach the mean and log-variance of q.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    torch.manual_seed(seed)
    mean_q, logvar_q, mean_p, logvar_p = (torch.randn(6, 3) for _ in range(4))
    mean_q.requires_grad_()
    logvar_q.requires_grad_()
    found = call(function, mean_q, logvar_q, mean_p, logvar_p)
    q, p = Normal(mean_q, (0.5 * logvar_q).exp()), Normal(mean_p, (0.5 * logvar_p).exp())
    kl = kl_divergence(q, p)
    log_ratio = logvar_p - logvar_q
    sigma_q, sigma_p, far = (0.5 * logvar_q).exp(), (0.5 * logvar_p).exp(), (mean_q - mean_p).square()
    compare(
        function,
        found,
        kl.sum(1),
        meaning="one value a code, so sum over the dimensions",
        mistakes={
            "the dimensions are averaged; the KL of a factorising code is the sum over its dimensions.": kl.mean(1),
            "that is KL(p ‖ q): in which of the two is the expectation taken?": kl_divergence(p, q).sum(1),
            "the factor ½ is missing.": 2 * kl.sum(1),
            "the sign of the difference of the log-variances is turned round.": (kl - log_ratio).sum(1),
            "the difference of the means is not squared.": (
                kl - 0.5 * ((mean_q - mean_p).square() - (mean_q - mean_p)) / logvar_p.exp()
            ).sum(1),
            "the squared difference of the means is not divided by the variance of p.": (
                kl + 0.5 * (mean_q - mean_p).square() * (1 - 1 / logvar_p.exp())
            ).sum(1),
            "this is the KL to the standard normal, whatever p is.": kl_divergence(
                q, Normal(torch.zeros(3), torch.ones(3))
            ).sum(1),
            "the terms are summed over everything; keep one value a code.": kl.sum(),
            "the variance stands in the place of σ: σ is exp(logvar / 2), and exp(logvar) is σ².": kl_divergence(
                Normal(mean_q, sigma_q.square()), Normal(mean_p, sigma_p.square())
            ).sum(1),
            "σ stands in the place of the variance, which is exp(logvar).": (
                0.5 * (log_ratio + (sigma_q + far) / sigma_p - 1)
            ).sum(1),
            "σ is taken for the log-variance, and exponentiated once more.": (
                0.5 * (sigma_p - sigma_q + (sigma_q.exp() + far) / sigma_p.exp() - 1)
            ).sum(1),
        },
    )
    gradient(function, found, ("mean_q", mean_q), ("logvar_q", logvar_q), expected=kl)
    correct("It agrees with torch.distributions on six codes, and its gradient reaches the encoder.")


def bounds(elbo: Callable, importance_bound: Callable, seed: int = 0) -> None:
    """``elbo(log_weights)`` and ``importance_bound(log_weights)``: ``(R, S)`` to ``(R,)``.

    Raises:
        WrongAnswer: one of them is wrong; the message says which and how.
    """
    torch.manual_seed(seed)
    log_weights = 3 * torch.randn(4, 7) - 50
    mean_first = log_weights.mean(1)
    tight = torch.logsumexp(log_weights, 1) - math.log(7)
    meaning = "one value a row, so reduce over the samples"
    compare(
        elbo,
        call(elbo, log_weights),
        mean_first,
        meaning=meaning,
        mistakes={
            "that is the logarithm of the mean; the ELBO is the mean of the logarithms.": tight,
            "the sum over samples is not divided by their number.": log_weights.sum(1),
        },
    )
    compare(
        importance_bound,
        call(importance_bound, log_weights),
        tight,
        meaning=meaning,
        mistakes={
            "that is the mean of the logarithms; here the mean is taken inside the logarithm.": mean_first,
            "the number of samples is missing: log (1/S) Σ = logsumexp − log S.": torch.logsumexp(log_weights, 1),
            "log S is added, and should be subtracted.": torch.logsumexp(log_weights, 1) + math.log(7),
        },
    )
    small = log_weights - 1_000 * torch.arange(1, 5)[:, None]
    if not np.isfinite(as_array("importance_bound(…)", call(importance_bound, small))).all():
        raise WrongAnswer(
            "importance_bound(…) becomes infinite for log-weights near −1000, as images have them: "
            "exponentiate inside torch.logsumexp, which subtracts the maximum of each row first."
        )
    correct("One is the mean of logarithms, the other the logarithm of a mean, which by Jensen is never below it.")


def more_samples(answer: str) -> None:
    """Which of the two estimates changes its expectation with the number of samples.

    Raises:
        WrongAnswer: another statement was chosen.
    """
    choose(
        "more_samples",
        answer,
        "b",
        {
            "a": "look at the first column: from 1 to 64 samples its mean stays within its noise. It is unbiased.",
            "c": "only one of the two columns moves with S.",
            "d": "the importance-weighted bound climbs by more than its noise.",
        },
    )
    correct("More samples reduce the noise of the ELBO, not its gap. Inside the logarithm they close the gap.")


def draw(function: Callable, seed: int = 0) -> None:
    """``draw(mean, logvar, noise)``: the reparametrised sample, with gradients.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    torch.manual_seed(seed)
    mean, logvar = torch.randn(5, 3, requires_grad=True), torch.randn(5, 3, requires_grad=True)
    noise = torch.randn(5, 3)
    found = call(function, mean, logvar, noise)
    expected = mean + (logvar.exp() ** 0.5) * noise
    compare(
        function,
        found,
        expected,
        meaning="one code an image",
        mistakes={
            "the mean and σ are there, and the noise is missing.": mean + (0.5 * logvar).exp(),
            "the noise is missing: that is the mean.": mean,
            "the noise is subtracted; it has to be added.": mean - (0.5 * logvar).exp() * noise,
            "σ is exp(logvar / 2), not the root of logvar.": mean + logvar.sqrt() * noise,
            "the noise is multiplied by the variance; it needs the standard deviation σ.": mean + logvar.exp() * noise,
            "the noise is multiplied by the log-variance itself.": mean + logvar * noise,
            "the standard deviation is exp(logvar / 2), not exp(-logvar / 2).": mean + (-0.5 * logvar).exp() * noise,
            "the mean is missing.": (0.5 * logvar).exp() * noise,
            "σ is taken for the log-variance, and exponentiated once more.": mean
            + (0.5 * (0.5 * logvar).exp()).exp() * noise,
        },
        hint="Use the noise you are given, and nothing random of your own.",
    )
    gradient(function, found, ("mean", mean), ("logvar", logvar), expected=expected)
    correct("The values are right, and the gradient of each code reaches its mean and its log-variance.")


def beta_on_sse(function: Callable) -> None:
    """``beta_on_sse(reconstruction, kl, weight, pixels, dimensions)``: the beta that a program really has.

    Raises:
        WrongAnswer: the answer is wrong for one of the programs; the message says which and how.
    """
    pixels, dimensions = 12_288, 32
    for reconstruction in ("mean", "sum"):  # first both means, with which each mistake has a result of its own
        for kl in ("mean", "sum"):
            for weight in (1.0, 6.0):
                found = call(function, reconstruction, kl, weight, pixels, dimensions)
                # Multiply the objective until the SSE stands alone.
                scale = {"sum": 1, "mean": pixels}[reconstruction]
                share = {"sum": 1, "mean": dimensions}[kl]
                compare(
                    f"beta_on_sse({reconstruction!r}, {kl!r}, {weight:g}, …)",
                    found,
                    weight * scale / share,
                    mistakes={
                        "the ratio is upside down: dividing the reconstruction makes the KL weigh more.": weight
                        * share
                        / scale,
                        "a mean over dimensions makes the KL smaller: divide by their number.": weight * scale * share,
                        "a mean over pixels makes the error smaller: multiply by their number.": weight / scale / share,
                        "the mean over dimensions is not accounted for.": weight * scale,
                        "the mean over pixels is not accounted for.": weight / share,
                        "the weight itself is missing.": scale / share,
                    },
                    hint="Multiply the objective by a constant until the SSE has the factor one.",
                )
    correct(
        f"With both means the beta is {pixels // dimensions} times what the program says, with a mean over pixels "
        f"alone {pixels} times."
    )


def nats_of_linear_vae(function: Callable, seed: int = 0) -> None:
    """``nats_of_linear_vae(eigenvalues, variance)``: the rate of each direction, equation 9 of the chapter.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    random = np.random.default_rng(seed)
    # For each variance but 1 some lie between it and its root, and between it and its square.
    ends = ((5, 9), (5, 9), (2.2, 3.8), (2.2, 3.8), (0.55, 0.65), (0.3, 0.45), (0.1, 0.2), (0.1, 0.2))
    eigenvalues = torch.tensor(np.sort([random.uniform(*pair) for pair in ends])[::-1].copy()).float()
    for variance in (0.3, 0.5, 4.0, 1.0, 100.0):  # first the one with which each mistake has a result of its own
        sigma, square = variance**0.5, variance**2

        def nats(unit: float, least: float | None = None) -> Tensor:
            """As a clamp makes them, or torch.where with a condition of its own."""
            least = unit if least is None else least
            return torch.where(eigenvalues > least, 0.5 * (eigenvalues / unit).log(), 0.0)

        right = nats(variance)
        squared = "the eigenvalues are variances already: compare them with the variance, not with its square."
        rooted = "σ stands in the place of the variance: the eigenvalues are variances, so compare them with σ²."
        condition = "the logarithm is right, and the condition is not: a direction has to exceed the variance itself."
        compare(
            f"nats_of_linear_vae(…, variance={variance:g})",
            call(function, eigenvalues, variance),
            right,
            meaning="one value a direction",
            mistakes=[
                (
                    "a direction that varies less than the noise carries 0 nats, not a negative number.",
                    0.5 * (eigenvalues / variance).log(),
                ),
                ("the factor ½ is missing.", 2 * right),
                ("the unit is nats: use the natural logarithm.", right / math.log(2)),
                *((squared, nats(square, least)) for least in (None, variance, sigma, 1)),
                *((rooted, nats(sigma, least)) for least in (None, variance, square, 1)),
                *((condition, nats(variance, least)) for least in (square, sigma, 1)),
                *(("the noise is missing from the ratio.", nats(1, least)) for least in (None, variance)),
                *(("2σ² stands where σ² belongs.", nats(2 * variance, least)) for least in (None, variance)),
            ],
        )
    correct("Directions above the noise carry half the logarithm of their ratio to it, the others nothing.")


def surviving_dimensions(answer: int, trained: torch.Tensor) -> None:
    """How many dimensions of the trained linear VAE carry more than ``LEAST_NATS``, predicted before the run.

    Raises:
        WrongAnswer: the run found another number.
    """
    survivors = int((trained > LEAST_NATS).sum())
    compare(
        "surviving",
        whole_number("surviving", answer, 0, len(trained)),
        survivors,
        reveal=False,
        mistakes={
            "no dimension is lost only if every eigenvalue exceeds the noise.": len(trained),
            "the variance of the likelihood is 1 in the chapter, but not here.": 3,
        },
        hint="Count the eigenvalues above the variance of the likelihood that this run has.",
    )
    correct(f"{survivors} of {len(trained)} dimensions carry more than {LEAST_NATS} nats after training.")


def silence(function: Callable, model: VAE, images: torch.Tensor) -> None:
    """``silence(mean, dimension)``: the codes with one dimension set to the prior's mean, the argument left alone.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    with torch.no_grad():
        mean, _ = model.encode(images)
    for dimension in (5, 0):
        expected = mean.clone()
        expected[:, dimension] = 0
        average = mean.clone()
        average[:, dimension] = mean[:, dimension].mean()
        up_to, row = mean.clone(), mean.clone()
        up_to[:, :dimension] = 0
        row[dimension] = 0
        compare(
            function,
            call(function, mean, dimension),
            expected,
            meaning="the codes of all images",
            mistakes={
                "that is a row: it silences one image. Dimensions are the columns.": row,
                "those are the dimensions before it; this one alone has to be silenced.": up_to,
                "all other dimensions are silenced, and this one is kept.": mean - expected,
                "the dimension is set to its mean over the images; the prior's mean is 0.": average,
                "nothing is silenced.": mean,
            },
            dtype=mean.dtype,
        )
    correct("One column is zero, and the codes that came in are as they were.")


def most_missed(dimension: int, model: VAE, images: torch.Tensor) -> None:
    """The dimension whose silencing costs most PSNR.

    Raises:
        WrongAnswer: it is another one.
    """
    dimension = whole_number("most_missed", dimension, 0, model.latent_dim - 1)
    with torch.inference_mode():
        mean, _ = model.encode(images)
        scores = []
        for j in range(model.latent_dim):
            silenced = mean.clone()
            silenced[:, j] = 0
            scores.append(psnr(images, model.decode(silenced)).score)
        whole = psnr(images, model.decode(mean)).score
    right = int(np.argmin(scores))
    compare(
        "most_missed",
        dimension,
        right,
        reveal=False,
        mistakes={"that dimension is missed least; a *low* PSNR is a great loss.": int(np.argmax(scores))},
        hint=f"Without it the PSNR is {scores[dimension]:.2f} dB, and some other dimension's loss is greater.",
    )
    correct(f"Without dimension {right} the PSNR falls from {whole:.2f} to {scores[right]:.2f} dB.")
