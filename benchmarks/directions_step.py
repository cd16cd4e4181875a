"""Seconds of one step of the search for directions: medlatent against the published code's way, side by side.

Both train the same reconstructor and the same directions of the same generator, an untrained DCGAN, on pairs drawn
anew in each step. *Published* draws both images with a graph, lets the gradient of every weight of the generator be
computed, which nobody uses, and keeps two optimisers, as the code of Schön et al. (2022) does. The contenders take
turns in one process. Printed are the medians over the rounds, the medians of each round's ratios, and in brackets the
same ratios of the processor's time, which other load moves less. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from medlatent.models import GAN, LatentDirections
from medlatent.training import train


def build(options: argparse.Namespace, reconstructor: str, directions: str) -> LatentDirections:
    """The same weights for everyone."""
    torch.manual_seed(0)
    generator = GAN(latent_dim=32, channels=1, size=options.size, width=options.width)
    width = {"lenet": None, "resnet18": options.resnet_width}[reconstructor]
    return LatentDirections(generator, K=32, directions=directions, reconstructor=reconstructor, width=width)


def published(model: LatentDirections, batch: int, steps: int) -> Callable[[], float]:
    """The step as the published code writes it down; returns the mean loss."""
    generator = copy.deepcopy(model.generator.generator).eval().requires_grad_(True)
    matrix, reconstructor = model.matrix.train(), model.reconstructor.train()
    optimisers = [torch.optim.Adam(part.parameters(), lr=1e-4) for part in (matrix, reconstructor)]

    def run() -> float:
        total = 0.0
        for _ in range(steps):
            generator.zero_grad()
            for optimiser in optimisers:
                optimiser.zero_grad()
            z, k = torch.randn(batch, 32), torch.randint(32, (batch,))
            alpha = 6 * (2 * torch.rand(batch) - 1)
            alpha = torch.where(alpha < 0, alpha.clamp(max=-0.5), alpha.clamp(min=0.5))
            shift = F.linear(alpha[:, None] * F.one_hot(k, 32), matrix())
            images, shifted = torch.sigmoid(generator(z)), torch.sigmoid(generator(z + shift))
            logits, predicted = reconstructor(images, shifted)
            loss = F.cross_entropy(logits, k) + 0.25 * (predicted - alpha).abs().mean()
            loss.backward()
            for optimiser in optimisers:
                optimiser.step()
            total += loss.item()
        return total / steps

    return run


def ours(model: LatentDirections, batch: int, steps: int) -> Callable[[], float]:
    """``medlatent.training.train`` itself, its history and checks included."""
    images = torch.zeros(batch, *model.image_shape)

    def run() -> float:
        history = train(model, images, steps, batch_size=batch, device="cpu", precision="float32", progress=False)
        return float(history["loss"].mean())

    return run


def compare(options: argparse.Namespace, reconstructor: str, directions: str) -> None:
    """Prints two lines."""
    found = {
        name: contender(build(options, reconstructor, directions), options.batch_size, options.steps)
        for name, contender in (("published", published), ("medlatent", ours))
    }
    wall: dict[str, list[float]] = {name: [] for name in found}
    processor: dict[str, list[float]] = {name: [] for name in found}
    losses = {}
    for turn in range(options.rounds + 1):
        for name, run in found.items():
            began, used = time.perf_counter(), time.process_time()
            losses[name] = run()
            if turn:  # the first round warms up
                wall[name].append((time.perf_counter() - began) / options.steps)
                processor[name].append((time.process_time() - used) / options.steps)
    for name in found:
        ratios = [
            statistics.median(a / b for a, b in zip(times["published"], times[name], strict=True))
            for times in (wall, processor)
        ]
        seconds, used = (1000 * statistics.median(times[name]) for times in (wall, processor))
        cells = f"{seconds:>8.0f} ms{used:>8.0f} ms{ratios[0]:>8.2f} ({ratios[1]:.2f}){losses[name]:>8.2f}"
        print(f"{reconstructor:9} {directions:12} {name:10}{cells}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--width", type=int, default=32, help="of the generator")
    parser.add_argument("--resnet-width", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=4, help="a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"batch {options.batch_size}, {options.threads} thread(s), load average before {os.getloadavg()[0]:.1f}")
    print(f"{'':33}{'a step':>11}{'processor':>11}{'to published':>15}{'loss':>8}")
    for reconstructor in ("lenet", "resnet18"):
        for directions in ("unit", "orthonormal"):
            compare(options, reconstructor, directions)


if __name__ == "__main__":
    main()
