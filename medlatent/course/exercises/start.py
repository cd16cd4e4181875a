"""Checks of the exercises on a first latent space, ``notebooks/00_start_exercises``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ...metrics import psnr
from ...models import VAE
from .answers import WrongAnswer, call, choose, compare, correct, whole_number, without

# Below this many of 255 grey levels, root mean square, nobody sees that a picture changes.
INVISIBLE = 3.0


def walk(function: Callable, seed: int = 0) -> None:
    """``walk(code, dimension, values)``: a code ``(D,)`` for each value, ``(S, D)``, the argument left alone.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    generator = torch.Generator().manual_seed(seed)
    values = torch.linspace(-3, 3, 4)
    for code in (torch.randn(5, generator=generator) + 4, torch.zeros(5)):
        for dimension in (0, 3):
            expected = torch.stack([code] * len(values))
            expected[:, dimension] = values
            alone = torch.zeros_like(expected)
            alone[:, dimension] = values
            added = torch.stack([code] * len(values))
            added[:, dimension] += values
            compare(
                function,
                call(function, code, dimension, values),
                expected,
                meaning="one code a value, so values by dimensions",
                mistakes={
                    "the other dimensions are 0, but should stay as they are in the code.": alone,
                    "the values are added to the dimension; they should take its place.": added,
                    "the dimension is multiplied by the values; they should take its place.": torch.where(
                        torch.arange(5) == dimension, code * values[:, None], code
                    ),
                    "every dimension walks; only one should.": values[:, None].expand(-1, 5),
                    "nothing walks: all codes are the one that came in.": torch.stack([code] * len(values)),
                    "the codes stand in columns; each should be a row.": expected.T,
                },
                dtype=torch.float32,
            )
    correct("One column walks, and the others stay where the code has them.")


def idle(answer: int, model: VAE, code: Tensor) -> None:
    """How many dimensions leave the picture as it is when they walk from -3 to 3 in seven steps.

    Raises:
        WrongAnswer: it is another number of them.
    """
    answer = whole_number("idle", answer, 0, model.latent_dim)
    codes = code.detach().repeat(model.latent_dim, 7, 1)
    for j in range(model.latent_dim):
        codes[j, :, j] = torch.linspace(-3, 3, 7)
    with torch.inference_mode():
        pictures = model.decode(codes.flatten(0, 1)).unflatten(0, (-1, 7))
    spread = 255 * (pictures - pictures.mean(1, keepdim=True)).square().flatten(1).mean(1).sqrt()
    idle = spread < INVISIBLE
    right = int(idle.sum())
    compare(
        "idle",
        answer,
        right,
        reveal=False,
        mistakes={
            "those are the dimensions that change the picture; the others are asked for.": model.latent_dim - right,
            "no dimension leaves the picture exactly as it is; count those that change it by less than asked.": 0,
            "so many have their change below a share of the grey, not of 255: multiply by 255.": model.latent_dim,
        },
        hint=f"Print the change for each of the {model.latent_dim}, and count those below {INVISIBLE:g}.",
        rtol=0,
    )
    correct(
        f"{right} of the {model.latent_dim} dimensions change the picture by {spread[idle].max():.1f} of 255 grey "
        f"levels at most, the others by {spread[~idle].min():.1f} or more: it does not listen to those {right}."
    )


def between(function: Callable, seed: int = 0) -> None:
    """``between(first, second, steps)``: codes at equal distances on a line, ``(steps, D)``, both ends included.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    generator = np.random.default_rng(seed)
    first, second = (torch.from_numpy(generator.normal(size=6)).float() for _ in range(2))
    for steps in (2, 5):
        expected = torch.from_numpy(np.linspace(first.numpy(), second.numpy(), steps))
        open_end = first + (second - first) * torch.arange(steps)[:, None] / steps
        inner = first + (second - first) * torch.arange(1, steps + 1)[:, None] / (steps + 1)
        compare(
            function,
            call(function, first, second, steps),
            expected,
            meaning="one code a step, so steps by dimensions",
            mistakes={
                "it walks from the second code to the first.": expected.flip(0),
                "the second end is missing: with 5 steps t is 0, 0.25, 0.5, 0.75 and 1.": open_end,
                "both ends are missing: the first code is at t = 0, the second at t = 1.": inner,
                "the weights do not add up to one: (1 − t) belongs to the first code, t to the second.": first
                + second * torch.linspace(0, 1, steps)[:, None],
                "the codes stand in columns; each should be a row.": expected.T,
            },
            dtype=torch.float32,
            atol=1e-5,
        )
    correct("The codes lie at equal distances on a straight line, from the first to the second.")


def halfway(answer: str) -> None:
    """What the decoder would have to be for the two pictures halfway to agree for any two codes.

    Raises:
        WrongAnswer: another statement was chosen.
    """
    choose(
        "halfway",
        answer,
        "b",
        {
            "a": "both pictures start from the same two codes; what the encoder did before has no part in it.",
            "c": "the prior says how codes are distributed, and both pictures start from the same two codes.",
            "d": "with more dimensions the straight line has more coordinates, and the decoder bends as before.",
        },
    )
    correct("Only an affine decoder takes the middle of any two codes to the middle of their pictures.")


def centre(at_zero: Callable, mean_image: Callable, seed: int = 0) -> None:
    """``at_zero(model)``, the picture ``(1, C, H, W)`` of the zero code; ``mean_image(images)``, of the same shape.

    Tried on an untrained model, whose code has another dimension than that of the notebook.

    Raises:
        WrongAnswer: one of them is wrong; the message says which and how.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, images = VAE(latent_dim=3 + seed % 5, size=16).eval(), torch.rand(4, 3, 16, 16)
        with torch.no_grad():
            for bias in (*model.encoder.parameters(), *model.decoder.parameters()):
                if bias.ndim == 1:  # without biases zero would stay zero through every layer
                    bias.normal_()
    black = torch.zeros(1, 3, 16, 16)
    with torch.inference_mode():
        expected = model.decode(torch.zeros(1, model.latent_dim))
        encoded = model.decode(model.encode(black)[0])
        ones = model.decode(torch.ones(1, model.latent_dim))
    compare(
        at_zero,
        call(at_zero, model),
        expected,
        meaning="one picture of (1, C, H, W), so decode one code of (1, D)",
        mistakes={
            "that is the reconstruction of a black image; decode a code of zeros instead.": encoded,
            "that is the zero code itself; decode it.": torch.zeros(1, model.latent_dim),
            "the code holds ones.": ones,
            "that is a black picture, and not what the decoder makes of the code.": black,
        },
    )
    mean = images.numpy().astype(float).mean(0, keepdims=True)
    compare(
        mean_image,
        call(mean_image, images),
        mean,
        meaning="one picture of (1, C, H, W), so average over the images and keep that axis",
        mistakes={
            "the axis of the images is gone: keep it, as by keepdim=True.": mean[0],
            "the mean is taken over everything, which leaves one number.": mean.mean(),
            "each image is averaged over its pixels; average each pixel over the images.": images.flatten(1).mean(1),
            "the images are summed and not divided by their number.": 4 * mean,
        },
        kind=Tensor,
    )
    correct("Both functions return one picture.")


def picture_of_zero(answer: str, zero: Tensor, mean: Tensor, images: Tensor) -> None:
    """What the decoder shows for a code of zeros, predicted before it is drawn.

    Raises:
        WrongAnswer: another statement was chosen.
    """
    choose(
        "picture_of_zero",
        answer,
        "c",
        {
            "a": "black is a number of the image; the 0 of a code means nothing until the decoder has had its say.",
            "b": "training drew codes around 0 more often than anywhere else, so the decoder knows the place well.",
            "d": "that would need an affine decoder, and codes whose mean is exactly 0.",
        },
    )
    near, far = psnr(zero, mean).score, psnr(images, zero.expand_as(images)).score
    correct(f"To the mean image it has a PSNR of {near:.1f} dB, to single phantoms {far:.1f} dB on average.")


def scores(mean_of_decibels: Callable, decibels_of_mean: Callable, seed: int = 0) -> None:
    """Both ``(images, reconstructions)`` to a number in dB: the mean of the images' dB, and the dB of their mean error.

    Raises:
        WrongAnswer: one of them is wrong; the message says which and how.
    """
    generator = np.random.default_rng(seed)
    images = generator.uniform(0.2, 0.8, (5, 3, 4, 4)).astype(np.float32)
    # Each image has an error of its own size, so that the two means are far apart.
    noise = generator.normal(size=images.shape) * np.geomspace(0.01, 0.2, 5)[:, None, None, None]
    images, rebuilt = torch.from_numpy(images), torch.from_numpy((images + noise).astype(np.float32))
    errors = [
        float(np.mean((a - b) ** 2)) for a, b in zip(images.double().numpy(), rebuilt.double().numpy(), strict=True)
    ]
    each = -10 * np.log10(errors)
    right = {mean_of_decibels: each.mean(), decibels_of_mean: -10 * np.log10(np.mean(errors))}
    swapped = {
        mean_of_decibels: "that is the dB of the mean error; convert each image's error to dB, and average then.",
        decibels_of_mean: "that is the mean of the dB; average the errors, and convert the mean to dB.",
    }
    total = 3 * 4 * 4
    for function, other in ((mean_of_decibels, decibels_of_mean), (decibels_of_mean, mean_of_decibels)):
        with without(f"{function.__name__}(…) is to be written from the images, without psnr.", psnr):
            found = call(function, images, rebuilt)
        compare(
            function,
            found,
            right[function],
            meaning="one number for all images",
            mistakes={
                swapped[function]: right[other],
                "the sign is wrong: a smaller error is more dB.": -right[function],
                "the logarithm is the natural one; decibels take the one to base 10.": right[function] * np.log(10),
                "the error is summed over the pixels; the MSE is their mean.": right[function] - 10 * np.log10(total),
                "the root of the MSE is taken before the logarithm, which halves the dB.": right[function] / 2,
                "the values of the images are not averaged yet.": each,
            },
        )
    gap = right[mean_of_decibels] - right[decibels_of_mean]
    correct(f"On five images whose errors differ widely the two scores lie {gap:.1f} dB apart.")


def one_failure(answer: str, images: Tensor, good: Tensor, failed: Tensor) -> None:
    """Which of the two scores falls further when one reconstruction fails, predicted before it is computed.

    Raises:
        WrongAnswer: another statement was chosen.
    """
    each, changed = psnr(images, failed).per_image, (good != failed).flatten(1).any(1).numpy()
    below = each[~changed].mean() - each[changed].mean()
    choose(
        "one_failure",
        answer,
        "b",
        {
            "a": f"in dB the failed image is only {below:.0f} below the mean of the others, and it is one of many.",
            "c": "the logarithm is not linear, so it matters whether the mean is taken before or after it.",
        },
    )
    falls = []
    for rebuilt in (good, failed):
        errors = (images - rebuilt).double().square().flatten(1).mean(1)
        falls.append((psnr(images, rebuilt).score, float(-10 * errors.mean().log10())))
    before, after = falls
    correct(
        f"The mean of the dB falls by {before[0] - after[0]:.2f} dB, the dB of the mean error by "
        f"{before[1] - after[1]:.2f} dB: a mean error is ruled by its largest terms."
    )


def lazy_loss(function: Callable, seed: int = 0) -> None:
    """``lazy_loss(images, variance)``: the loss in nats per image of the model that answers with the mean image.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    generator = np.random.default_rng(seed)
    pixels = generator.uniform(size=(6, 3, 4, 4))
    images = torch.from_numpy(pixels.astype(np.float32))
    # The sum of squared distances to the mean is that of all pairs, divided by their number (and by two).
    pairs = [np.sum((a - b) ** 2) for a in pixels for b in pixels]
    sse = float(np.mean(pairs) / 2)
    for variance in (0.1, 0.5):  # first the one with which each mistake has a result of its own
        loss = sse / (2 * variance)
        compare(
            f"lazy_loss(…, variance={variance:g})",
            call(function, images, variance),
            loss,
            meaning="one number, the mean over the images",
            mistakes={
                "the squared error is averaged over the pixels; the SSE is their sum.": loss / 48,
                "the errors of all images are added up; take the mean over the images.": loss * 6,
                "the variance over the images is divided by n − 1; the mean squared error, by n: correction=0.": (
                    loss * 6 / 5
                ),
                "the variance is missing: divide the SSE by 2σ².": sse,
                "the 2 is missing: divide the SSE by 2σ².": 2 * loss,
                "the SSE is multiplied by 2σ²; divide by it.": sse * 2 * variance,
                "the variance is a square already: divide by 2σ², not by its square.": sse / (2 * variance**2),
                "that divides by 2σ; the variance is σ² already, so take no root of it.": sse / (2 * variance**0.5),
                "the mean image is one number for all pixels; average each pixel over the images.": float(
                    np.square(pixels - pixels.mean()).sum((1, 2, 3)).mean() / (2 * variance)
                ),
                "the mean image is one number for each colour; average each pixel over the images.": float(
                    np.square(pixels - pixels.mean((0, 2, 3), keepdims=True)).sum((1, 2, 3)).mean() / (2 * variance)
                ),
            },
            rtol=1e-3,
        )
    correct("This is the loss that a model has to fall below before its codes can be worth anything.")


def better(answer: str, runs: Mapping[str, VAE], mean: Tensor, images: Tensor) -> None:
    """Which of two short runs reproduces images better.

    Raises:
        WrongAnswer: another statement was chosen.
    """
    choose(
        "better",
        answer,
        "c",
        {
            "a": "the losses are in different units, so to speak: multiply each by its 2σ², and compare again.",
            "b": "it fell by more nats, but each of its nats stands for less squared error: multiply by 2σ².",
        },
    )
    measured = []
    with torch.inference_mode():
        for name, model in runs.items():
            measured.append(f"{name} {psnr(images, model.decode(model.encode(images)[0])).score:.2f} dB")
    baseline = psnr(images, mean.expand_as(images)).score
    correct(f"On test phantoms: {', '.join(measured)}, and the mean image {baseline:.2f} dB.")


def first_better(answer: int, history: Mapping[str, Sequence[float]], lazy: float) -> None:
    """The first step of the record whose loss is below nine tenths of the lazy model's.

    Raises:
        WrongAnswer: it is another step.
    """
    step = whole_number("first_better", answer, 1, int(history["step"][-1]))
    losses = dict(zip(history["step"], history["loss"], strict=True))
    right = next((s for s, loss in losses.items() if loss < 0.9 * lazy), history["step"][-1])
    if step not in losses:
        raise WrongAnswer(f"first_better = {step} is no step of the record: take one from the column of steps.")
    if step < right:
        raise WrongAnswer(
            f"first_better = {step}: there the loss is {losses[step]:.1f}. It is to be below {0.9 * lazy:.1f}, nine "
            f"tenths of the {lazy:.1f} that the mean image alone reaches."
        )
    if step > right:
        raise WrongAnswer(f"first_better = {step}: an earlier step is below nine tenths of the lazy loss already.")
    kl = history["kl"][history["step"].index(step)]
    correct(f"At step {step} the loss is {losses[step]:.0f} against {lazy:.0f}, and the codes carry {kl:.1f} nats.")
