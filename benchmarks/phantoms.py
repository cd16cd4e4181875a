"""Images a second of the phantom renderers at 64×64 on one core, factors included.

Prints the best of several runs: other load on the machine only ever slows a run down.
"""

import argparse
import time

import torch

from medlatent.data.phantoms import lesion


def images_per_second(images: int, correlated: bool, device: str) -> float:
    start = time.perf_counter()
    lesion.render(lesion.sample_factors(images, correlated=correlated), device=device)
    if device != "cpu":
        torch.cuda.synchronize()
    return images / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for correlated in (True, False):
        best = max(images_per_second(arguments.images, correlated, arguments.device) for _ in range(arguments.runs))
        print(f"lesion, {'correlated' if correlated else 'independent'} factors: {best:,.0f} images/s")


if __name__ == "__main__":
    main()
