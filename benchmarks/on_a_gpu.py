"""Updates a second on a GPU, as they are and replayed; and what two protocols under results/ choose before their runs.

    python benchmarks/on_a_gpu.py speed | calibrate | tune

``calibrate`` finds the scale of the squared error for ``results/adversarial_vae/claims.toml``, ``tune`` the weights of
both GANs for ``results/hsic_infogan/claims.toml``, with seed 100, which is not judged. HAM10000 and MNIST must be
packed.
"""

from __future__ import annotations

import argparse
import json

import torch

from medlatent.data import ImageSet, open_images
from medlatent.evaluation import evaluate
from medlatent.models import LatentModel
from medlatent.runs import build
from medlatent.training import train

SEED = 100
SYSTEMS = {  # source, batch, arguments
    "VAE": ("ham10000", 256, {}),
    "BetaTCVAE": ("ham10000", 256, {}),
    "ResidualTCVAE": ("ham10000", 256, {}),
    "AdversarialVAE": ("ham10000", 256, {}),
    "InfoGAN": ("mnist", 100, {}),
    "HSICInfoGAN": ("mnist", 100, {"hsic_weight": 300.0}),
}


def make(system: str, images: ImageSet, seed: int, **settings) -> LatentModel:
    _, channels, size, _ = images.images.shape
    return build(system, {"channels": channels, "size": size, **settings}, seed)


def speed() -> None:
    """Each system in both precisions: 20 updates that do not count, then 400."""
    for system, (source, batch, settings) in SYSTEMS.items():
        images = open_images(source).split("train")
        for replayed in (False, True):
            for precision in ("float32", "bfloat16"):
                model = make(system, images, 0, **settings)
                model.capturable = replayed
                options = {"batch_size": batch, "precision": precision, "device": "cuda", "progress": False}
                train(model, images, 20, **options)
                history = train(model, images, 400, **options)
                how = "replayed" if replayed else "as it is"
                print(f"{system:<15} {how} {precision:<8} {400 / history.seconds:7.0f} updates/s", flush=True)


def calibrate() -> None:
    """The PSNR of VAEs of 10 000 steps at several variances, on the validation split."""
    images = open_images("ham10000")
    for variance in (0.5, 1.0, 2.0, 4.0, 8.0):
        model = make("VAE", images, SEED, variance=variance)
        options = {"batch_size": 256, "seed": SEED, "precision": "float32", "device": "cuda", "progress": False}
        train(model, images.split("train"), 10_000, **options)
        print(variance, evaluate(model, images.split("validation"), ["reconstruction"]), flush=True)


def tune() -> None:
    """Both GANs after five epochs: the mean of the category's NMI and of the gaps of slant and thickness."""
    images, digits = open_images("mnist").split("train", "validation"), open_images("mnist.digits").split("test")
    weights = [{"category_weight": a, "continuous_weight": b} for a in (0.3, 1.0, 3.0) for b in (0.03, 0.1, 0.3)]
    kernels = [
        {"sigma": s, "hsic_weight": round(r * 300 * (s / 5) ** 4, 3)} for s in (2.0, 5.0, 10.0) for r in (1 / 3, 1, 3)
    ]
    for system, points in (("InfoGAN", weights), ("HSICInfoGAN", kernels)):
        for point in points:
            model = make(system, images, SEED, **point)
            options = {"batch_size": 100, "seed": SEED, "precision": "float32", "device": "cuda", "progress": False}
            train(model, images, 3_000, **options)
            found = evaluate(model, digits)
            gaps = [abs(abs(found[f"{name}.c1"]) - abs(found[f"{name}.c2"])) for name in ("slant", "thickness")]
            print(system, json.dumps(point), f"score {(found['category_nmi'] + sum(gaps)) / 3:.3f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("what", choices=("speed", "calibrate", "tune"))
    what = parser.parse_args().what
    if not torch.cuda.is_available():
        parser.exit(1, "this measures a GPU, and there is none\n")
    {"speed": speed, "calibrate": calibrate, "tune": tune}[what]()
