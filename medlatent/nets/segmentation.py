"""A small U-Net that finds the regions of a picture, and its training."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..options import whole_options

BLUR = 1.5  # pixels: the most that a training picture is smoothed
NOISE = 0.05  # of the intensities in [0, 1]
GAMMA = 1.5
SHIFT, TURN, STRETCH = 0.08, 0.35, 0.15  # shares of the side, radians, and a share


class UNet(nn.Module):
    """A U-Net (Ronneberger et al. 2015) for one grey picture at a time.

    Two 3×3 convolutions with batch norm and ReLU at each of four resolutions, halved by maxima and doubled by
    repeating pixels, whose maps are joined with those of the way down.

    Args:
        classes: of a pixel, the background included.
        width: channels at full resolution; each halving doubles them.

    Raises:
        ValueError: an argument is out of its range.
    """

    LEVELS = 4

    @whole_options()
    def __init__(self, classes: int = 4, width: int = 8) -> None:
        if classes < 2 or width < 1:
            raise ValueError(f"expected classes ≥ 2 and width ≥ 1, got {classes} and {width}")
        super().__init__()
        self.config = {"classes": classes, "width": width}
        widths = [width * 2**level for level in range(self.LEVELS)]
        self.down = nn.ModuleList(_block(i, o) for i, o in zip([1, *widths[:-1]], widths, strict=True))
        self.up = nn.ModuleList(_block(o + i, i) for i, o in zip(widths[-2::-1], widths[:0:-1], strict=True))
        self.pool, self.enlarge = nn.MaxPool2d(2), nn.Upsample(scale_factor=2)
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Pictures ``(B, 1, H, W)`` in [0, 1], sides multiples of 8, to the logits ``(B, classes, H, W)`` of pixels."""
        x, skips = images, []
        for block in self.down:
            x = block(x if not skips else self.pool(x))
            skips.append(x)
        for block, skip in zip(self.up, skips[-2::-1], strict=True):
            x = block(torch.cat([self.enlarge(x), skip], dim=1))
        return self.head(x)

    @torch.no_grad()
    @whole_options()
    def labels(self, images: Tensor, batch_size: int = 64) -> Tensor:
        """The most likely class of each pixel, ``(N, C, H, W)`` int64, of images whose C channels are pictures.

        In evaluation mode, and left in the mode it was in.
        """
        was_training = self.training
        self.eval()
        n, c, h, w = images.shape
        pictures = images.reshape(n * c, 1, h, w).to(self.head.weight)
        found = [self(part).argmax(1) for part in pictures.split(batch_size)]
        self.train(was_training)
        return torch.cat(found).reshape(n, c, h, w)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before in (inputs, outputs):
        layers += [
            nn.Conv2d(before, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


@whole_options()
def train_unet(
    images: Tensor,
    labels: Tensor,
    classes: int = 4,
    steps: int = 1500,
    *,
    weights: Tensor | None = None,
    width: int = 8,
    batch_size: int = 32,
    learning_rate: float = 2e-3,
    seed: int = 0,
) -> UNet:
    """Trains a :class:`UNet` on pictures and their labels, and leaves it in evaluation mode.

    Adam, its rate falling to 0 along a cosine, on the sum of the cross-entropy and of 1 - Dice, averaged over classes.
    Every picture is turned, shifted, stretched, brightened, made noisy and, what matters for what an autoencoder
    decodes, blurred at random.

    Args:
        images: ``(N, 1, H, W)`` in [0, 1].
        labels: ``(N, H, W)``, int64 from 0.
        classes: of a pixel.
        steps: batches.
        weights: ``(N,)``, how often each picture is drawn; by default all are alike.
        width: see :class:`UNet`.
        batch_size: pictures a step.
        learning_rate: of the first step.
        seed: of weights, batches and changes. PyTorch's global generator is left as it was.

    Raises:
        ValueError: shapes or labels do not fit, or an argument is out of its range.
    """
    n = len(images)
    if images.ndim != 4 or images.shape[1] != 1 or labels.shape != (n, *images.shape[2:]):
        raise ValueError(f"expected images (N, 1, H, W) and labels (N, H, W), got {images.shape} and {labels.shape}")
    if labels.is_floating_point() or int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise ValueError(f"labels: expected whole numbers from 0 to {classes - 1}")
    if steps < 1 or batch_size < 1 or not learning_rate > 0:
        raise ValueError(
            f"expected steps ≥ 1, batch_size ≥ 1 and learning_rate > 0, got {steps}, {batch_size} and {learning_rate}"
        )
    if weights is not None and weights.shape != (n,):
        raise ValueError(f"weights: expected one for each of {n} images, got {tuple(weights.shape)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet(classes, width).train().to(memory_format=torch.channels_last)
        optimiser = torch.optim.Adam(unet.parameters(), lr=learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for _ in range(steps):
            chosen = torch.multinomial(torch.ones(n) if weights is None else weights, min(batch_size, n))
            x, y = _changed(images[chosen], labels[chosen], classes)
            logits = unet(x)
            loss = functional.cross_entropy(logits, y) + 1 - soft_dice(logits.softmax(1), y).mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
    return unet.eval()


def soft_dice(probabilities: Tensor, labels: Tensor) -> Tensor:
    """The Dice coefficient of each class but the first over a batch, ``(K - 1,)``, with probabilities for a region."""
    truth = functional.one_hot(labels, probabilities.shape[1]).movedim(-1, 1).to(probabilities.dtype)
    shared, both = (probabilities * truth).sum((0, 2, 3)), (probabilities + truth).sum((0, 2, 3))
    return ((2 * shared + 1) / (both + 1))[1:]


def _changed(images: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    n = len(images)

    def uniform(reach: float) -> Tensor:
        return reach * (2 * torch.rand(n) - 1)

    turn, stretch = uniform(TURN), 1 + uniform(STRETCH)
    cos, sin = stretch * turn.cos(), stretch * turn.sin()
    affine = torch.stack([cos, -sin, uniform(2 * SHIFT), sin, cos, uniform(2 * SHIFT)], 1).view(n, 2, 3)
    grid = functional.affine_grid(affine, list(images.shape), align_corners=False)
    x = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    regions = functional.one_hot(labels, classes).movedim(-1, 1).to(x.dtype)
    y = functional.grid_sample(regions, grid, padding_mode="border", align_corners=False).argmax(1)

    sigma = BLUR * torch.rand(n).clamp_min(1e-3)
    reach = torch.arange(-4, 5)
    kernel = torch.exp(-0.5 * (reach / sigma[:, None]).square())
    kernel = kernel / kernel.sum(1, keepdim=True)
    for shape in ((n, 1, 9, 1), (n, 1, 1, 9)):  # each picture with a kernel of its own, one as a channel of one image
        padding = (shape[2] // 2, shape[3] // 2)
        x = functional.conv2d(x.movedim(0, 1), kernel.view(shape), padding=padding, groups=n).movedim(1, 0)
    x = x.clamp(0, 1) ** (GAMMA ** uniform(1))[:, None, None, None]
    x = x * (1 + uniform(0.2))[:, None, None, None] + NOISE * torch.rand(n, 1, 1, 1) * torch.randn_like(x)
    return x.clamp(0, 1).contiguous(memory_format=torch.channels_last), y


@whole_options()
def dice(found: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """The Dice coefficient of each class but the first: twice the shared pixels by the sum of both regions.

    Args:
        found: labels ``(N, …)``.
        truth: labels of the same shape.
        classes: how many, the background included.

    Returns:
        ``(N, classes - 1)``, float64; NaN where neither has a pixel of the class.

    Raises:
        ValueError: the shapes differ.
    """
    found, truth = np.asarray(found), np.asarray(truth)
    if found.shape != truth.shape:
        raise ValueError(f"found and truth must have one shape, got {found.shape} and {truth.shape}")
    found, truth = found.reshape(len(found), -1), truth.reshape(len(truth), -1)
    columns = []
    for label in range(1, classes):
        a, b = found == label, truth == label
        with np.errstate(invalid="ignore"):
            columns.append(2 * (a & b).sum(1) / (a.sum(1) + b.sum(1)))
    return np.stack(columns, 1)
