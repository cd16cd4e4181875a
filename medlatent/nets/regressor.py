"""A network that reads factors off pictures, and its training."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..options import whole_options

WIDTHS = (16, 32, 64, 96)
GRID = 4  # places a side that the last maps are averaged to: where something is must not be lost
BLUR, NOISE = 1.2, 0.02  # pixels of 64, and a share of the intensities in [0, 1], at most


class FactorRegressor(nn.Module):
    """Factors of an image, as numbers: what measures the pictures that somebody else's network decodes.

    Four 3×3 convolutions of stride 2 with batch normalisation and ReLU (16, 32, 64, 96 channels), their maps averaged
    to 4×4 places, and a hidden layer of 128 units.

    Args:
        outputs: how many numbers.
        channels: of the images.

    Raises:
        ValueError: an argument is below 1.
    """

    @whole_options()
    def __init__(self, outputs: int = 8, channels: int = 1) -> None:
        if outputs < 1 or channels < 1:
            raise ValueError(f"expected outputs ≥ 1 and channels ≥ 1, got {outputs} and {channels}")
        super().__init__()
        self.config = {"outputs": outputs, "channels": channels}
        layers: list[nn.Module] = []
        for before, after in pairwise((channels, *WIDTHS)):
            convolution = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        self.trunk = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(GRID), nn.Flatten())
        self.head = nn.Sequential(
            nn.Linear(WIDTHS[-1] * GRID * GRID, 128), nn.ReLU(inplace=True), nn.Linear(128, outputs)
        )
        self.to(memory_format=torch.channels_last)  # from the beginning: in another layout sums round otherwise

    def forward(self, images: Tensor) -> Tensor:
        """Images ``(B, C, H, W)`` in [0, 1] to ``(B, outputs)``."""
        return self.head(self.trunk(images - 0.5))

    @torch.no_grad()
    @whole_options()
    def predict(self, images: Tensor, batch_size: int = 256) -> Tensor:
        """The numbers ``(N, outputs)`` of images ``(N, C, H, W)`` in [0, 1]; in evaluation mode, and left as it was."""
        was_training = self.training
        self.eval()
        found = [self(part.to(self.head[0].weight)).cpu() for part in images.split(batch_size)]
        self.train(was_training)
        return torch.cat(found)


@whole_options()
def train_factor_regressor(
    images: Tensor,
    targets: Tensor,
    steps: int = 3000,
    *,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    seed: int = 0,
) -> FactorRegressor:
    """Trains a :class:`FactorRegressor` on the mean squared error, and leaves it in evaluation mode.

    Adam, its rate falling to 0 along a cosine. Every image is blurred and made noisy at random, since decoded pictures
    are blurred, too: a network that has seen sharp ones alone would measure the blur.

    Args:
        images: ``(N, C, H, W)`` in [0, 1].
        targets: ``(N, outputs)``, of about unit deviation each.
        steps: batches.
        batch_size: images a step, at least 2; at most all.
        learning_rate: of the first step.
        seed: of weights, batches and noise. PyTorch's global generator is left as it was.

    Raises:
        ValueError: shapes do not fit, a target is NaN or infinite, or an argument is out of its range.
    """
    n = len(images)
    if images.ndim != 4 or targets.ndim != 2 or len(targets) != n or n < 2:
        raise ValueError(f"expected images (N, C, H, W) and targets (N, F), got {images.shape} and {targets.shape}")
    if not (finite := targets.isfinite().all(1)).all():
        raise ValueError(f"targets: row {int((~finite).nonzero()[0])} is NaN or infinite")
    if steps < 1 or batch_size < 2 or not learning_rate > 0:
        raise ValueError(
            f"expected steps ≥ 1, batch_size ≥ 2 and learning_rate > 0, got {steps}, {batch_size} and {learning_rate}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = FactorRegressor(targets.shape[1], images.shape[1]).train()
        optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for _ in range(steps):
            chosen = torch.randint(n, (min(batch_size, n),))
            loss = functional.mse_loss(network(_worsened(images[chosen])), targets[chosen])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
    return network.eval()


def _worsened(images: Tensor) -> Tensor:
    """A batch blurred by one random width, and with noise of one random size."""
    sigma = max(1e-3, BLUR * images.shape[-1] / 64 * torch.rand(()).item())
    reach = torch.arange(-4, 5)
    kernel = torch.exp(-0.5 * (reach / sigma).square())
    kernel = (kernel / kernel.sum()).repeat(images.shape[1], 1)
    for shape, padding in (((-1, 1, 9, 1), (4, 4, 0, 0)), ((-1, 1, 1, 9), (0, 0, 4, 4))):
        border = (padding[2], padding[3], padding[0], padding[1])  # left, right, top, bottom
        images = functional.conv2d(
            functional.pad(images, border, "replicate"), kernel.view(shape), groups=images.shape[1]
        )
    images = images + NOISE * torch.rand(()) * torch.randn_like(images)
    return images.clamp(0, 1).contiguous(memory_format=torch.channels_last)
