"""Small models and image sets whose numbers can be computed by hand."""

from functools import cache

import numpy as np
import pandas as pd
import torch

from medlatent.data import Card, ClassifierSpec, Factor, ImageSet
from medlatent.evaluation import classifiers
from medlatent.models import VAE, InfoGAN
from medlatent.nets import DomainClassifier, train_domain_classifier

OF_PAIRS = ["sse", "psnr", "ssim"]
NUMBERS = [*OF_PAIRS, "kl", "active_units", "gaussian_tc"]  # of any set
CARD = Card("packed", "computed here", "CC0-1.0", "nobody", "cut to 16 pixels")


def image_set(n: int = 30) -> ImageSet:
    images = np.random.default_rng(0).integers(0, 256, (n, 3, 16, 16), dtype=np.uint8)
    return ImageSet(images, pd.DataFrame({"split": ["train", "test"] * (n // 2)}), {}, CARD)


def factor_set(n: int = 150) -> ImageSet:
    """Images whose brightness, lower half and tint follow factors; class c of "kind" has 3 images."""
    random = np.random.default_rng(1)
    kind = np.array(["a", "b"])[random.integers(2, size=n)]
    kind[[3, 30, 60]] = "c"
    table = pd.DataFrame(
        {
            "size": random.random(n),
            "eccentricity": random.random(n),
            "orientation": random.uniform(-np.pi / 2, np.pi / 2, n),
            "hairy": random.integers(2, size=n),
            "kind": kind,
        }
    )
    images = random.normal(120, 10, (n, 3, 16, 16))
    images[:, :, 8:] += 100 * table["size"].to_numpy()[:, None, None, None]
    images[:, 0] -= 80 * (kind == "a")[:, None, None]
    images[:, 1, :, ::2] += 60 * table["hairy"].to_numpy()[:, None, None]
    known = {
        "size": Factor("size"),
        "eccentricity": Factor("eccentricity"),
        "orientation": Factor("axis", kind="angle", period=np.pi),
        "kind": Factor("class", kind="categorical", values=("a", "b", "c", "never")),
        "hairy": Factor("has hair", kind="binary"),
    }
    return ImageSet(images.clip(0, 255).astype(np.uint8), table, known, CARD)


def small_vae(seed: int = 0, system: type = VAE, **options) -> VAE:
    torch.manual_seed(seed)
    model = system(**{"latent_dim": 3, "size": 16, **options})
    with torch.no_grad():
        model.encoder[-1].weight.mul_(200)  # spread the posterior means, so that some units are active
    return model


def small_generator(system: type = InfoGAN, **options):
    torch.manual_seed(0)
    model = system(**{"noise_dim": 4, "width": 2, **options})
    with torch.no_grad():
        for _ in range(20):
            model.decode(model.sample_codes(64))  # running statistics that are those of its codes
        model.generator[-1].weight.mul_(100)  # black and white in place of grey
    return model


@cache
def trained_little(spec: ClassifierSpec, steps: int = 10) -> DomainClassifier:
    return train_domain_classifier(
        classifiers.images_of(spec.source).split("train"), spec.factor, steps, dtype=torch.float64
    )
