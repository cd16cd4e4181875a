"""Images a second of the phantom renderers on one core, factors included: lesions at 64×64, pairs of hearts at 128×128,
slices of the chest at both.

Prints the best of several runs: other load on the machine only ever slows a run down.
"""

import argparse
import time
from collections.abc import Callable

import torch

from medlatent.data.phantoms import heart, lesion, thorax


def images_per_second(images: int, render: Callable[[int], torch.Tensor], device: str) -> float:
    start = time.perf_counter()
    render(images)
    if device != "cpu":
        torch.cuda.synchronize()
    return images / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4096, help="lesions; an eighth as many hearts and slices")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="where lesions are rendered; all else is on the CPU")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    def lesions(n: int, correlated: bool) -> torch.Tensor:
        return lesion.render(lesion.sample_factors(n, correlated=correlated), device=arguments.device)

    def hearts(n: int, independent: bool) -> torch.Tensor:
        return heart.render(heart.sample_factors(n, independent=independent))

    def chests(n: int, size: int) -> torch.Tensor:
        return thorax.render(thorax.sample_factors(n), size)

    rows = {
        "lesion, correlated factors": (arguments.images, lambda n: lesions(n, True)),
        "lesion, independent factors": (arguments.images, lambda n: lesions(n, False)),
        "heart, correlated factors": (arguments.images // 8, lambda n: hearts(n, False)),
        "heart, independent factors": (arguments.images // 8, lambda n: hearts(n, True)),
        "thorax at 64×64": (arguments.images // 8, lambda n: chests(n, 64)),
        "thorax at 128×128": (arguments.images // 8, lambda n: chests(n, 128)),
    }
    for name, (images, render) in rows.items():
        best = max(images_per_second(images, render, arguments.device) for _ in range(arguments.runs))
        print(f"{name}: {best:,.0f} images/s")


if __name__ == "__main__":
    main()
