"""Checks of the exercises of ``notebooks/NN_new_chapter_exercises``."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from .answers import call, choose, compare, correct


def condition(function: Callable, seed: int = 0) -> None:
    """``condition(skin_colour, dx, classes)``: two columns ``(B,)`` as one vector an image, ``(B, 1 + classes)``.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    generator = torch.Generator().manual_seed(seed)
    colour, dx = torch.rand(6, generator=generator), torch.tensor([0, 3, 1, 3, 2, 0])
    one_hot = F.one_hot(dx, 4).float()
    compare(
        function,
        call(function, colour, dx, 4),
        torch.cat([colour[:, None], one_hot], 1),
        meaning="one vector an image: the colour, then one number a class",
        mistakes={
            "the classes come first; the colour should.": torch.cat([one_hot, colour[:, None]], 1),
            "the index of a class is no amount: make it one-hot.": torch.stack([colour, dx.float()], 1),
            "the colour is missing; it comes before the classes.": one_hot,
        },
    )
    correct("Classes three and one are now as far apart as three and two: a name has no size.")


def objective(function: Callable, seed: int = 0) -> None:
    """``objective(errors, kl, variance)``: squared errors ``(B,)`` and KL ``(B, D)`` to one number, in nats.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    generator = torch.Generator().manual_seed(seed)
    errors, kl = 40 * torch.rand(5, generator=generator), torch.rand(5, 3, generator=generator)
    for variance in (0.1, 0.5):
        reconstruction = errors / (2 * variance)
        compare(
            function,
            call(function, errors, kl, variance),
            (reconstruction + kl.sum(1)).mean(),
            meaning="one number, the mean over the images",
            mistakes={
                "the KL is averaged over the dimensions of z; take their sum.": (reconstruction + kl.mean(1)).mean(),
                "the variance is missing: divide the squared error by 2σ².": (errors + kl.sum(1)).mean(),
                "the KL is subtracted; the loss falls when either term does.": (reconstruction - kl.sum(1)).mean(),
            },
        )
    correct("The condition appears in neither term: it is given, and costs no nats.")


def effect(function: Callable, seed: int = 0) -> None:
    """``effect(first, second)``: how far the pixels of images ``(B, C, H, W)`` move, ``(B,)``.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    generator = torch.Generator().manual_seed(seed)
    first, second = torch.rand(2, 4, 3, 5, 5, generator=generator)
    moved = (first - second).flatten(1)
    compare(
        function,
        call(function, first, second),
        moved.abs().mean(1),
        meaning="one number an image",
        mistakes={
            "gains and losses cancel: take the absolute difference of each pixel.": moved.mean(1),
            "the differences are added up; take their mean, which no size of image changes.": moved.abs().sum(1),
            "the images are averaged, too; each should keep its number.": moved.abs().mean(),
        },
    )
    correct("Zero means that nothing moves: then the decoder does not listen to the condition.")


def deaf(answer: str) -> None:
    """What a decoder that ignores z costs.

    Raises:
        WrongAnswer: another statement was chosen.
    """
    choose(
        "deaf",
        answer,
        "b",
        {
            "a": "what the decoder does not read can still be paid for: the KL asks what the encoder says.",
            "c": "the condition is given; no term of the loss charges for it.",
        },
    )
    correct("An encoder that says nothing pays nothing, and the condition alone draws the image.")
