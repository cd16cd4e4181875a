"""The U-Net: shapes, what it learns, and Dice against its definition."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medlatent.nets import UNet, dice, train_unet
from medlatent.nets.segmentation import _changed, soft_dice


def discs(n: int = 24, side: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """Bright discs within grey ones, and their labels 1 and 2."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    centre = side / 2 + 4 * (torch.rand(n, 2, generator=generator) - 0.5)
    radius = 4 + 3 * torch.rand(n, generator=generator)
    away = ((y - centre[:, 0, None, None]) ** 2 + (x - centre[:, 1, None, None]) ** 2).sqrt()
    labels = (away < radius[:, None, None] + 4).long() * 2
    labels[away < radius[:, None, None]] = 1
    return torch.tensor([0.1, 0.9, 0.5])[labels][:, None], labels


def test_it_learns_to_find_regions():
    images, labels = discs()
    unet = train_unet(images, labels, classes=3, steps=60, width=4, batch_size=8)
    assert not unet.training
    found = unet.labels(images)[:, 0]
    assert np.nanmean(dice(found.numpy(), labels.numpy(), 3)) > 0.8


def test_training_follows_its_seed_and_leaves_the_generator_alone():
    images, labels = discs(8)
    state = torch.get_rng_state()
    runs = [train_unet(images, labels, 3, 2, width=2, batch_size=4, seed=seed).head.weight for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_pictures_of_weight_0_are_not_drawn():
    images, labels = discs(8)
    spoilt = images.clone()
    spoilt[4:] = float("nan")
    weights = torch.tensor([1.0] * 4 + [0.0] * 4)
    unet = train_unet(spoilt, labels, 3, 3, weights=weights, width=2, batch_size=4)
    assert all(torch.isfinite(p).all() for p in unet.parameters())


def test_each_channel_is_a_picture_and_the_mode_is_kept():
    unet = UNet(3, 2)
    images = torch.rand(5, 2, 16, 24)
    found = unet.labels(images, batch_size=3)
    assert unet.training
    assert found.shape == images.shape
    unet.eval()
    for c in range(2):
        assert torch.equal(found[:, c], unet(images[:, [c]]).argmax(1))


def test_labels_move_with_the_picture():
    """Where the picture is brighter than half, its label is 1, before and after it is changed."""
    torch.manual_seed(0)
    images, labels = discs(16)
    labels = (labels == 1).long()
    x, y = _changed(labels[:, None].float(), labels, 2)
    assert x.shape == images.shape
    agreement = dice((x[:, 0] > 0.4).numpy(), y.numpy(), 2)
    assert np.nanmedian(agreement) > 0.85
    assert float((y - labels).abs().sum()) > 0


@given(arrays(np.int64, (3, 12), elements=st.integers(0, 2)), arrays(np.int64, (3, 12), elements=st.integers(0, 2)))
def test_dice_is_twice_the_shared_by_the_sum(found, truth):
    scores = dice(found, truth, 3)
    for row in range(3):
        for label in (1, 2):
            a, b = {*np.flatnonzero(found[row] == label)}, {*np.flatnonzero(truth[row] == label)}
            expected = 2 * len(a & b) / (len(a) + len(b)) if a or b else np.nan
            np.testing.assert_allclose(scores[row, label - 1], expected)
    np.testing.assert_array_equal(scores, dice(truth, found, 3))


def test_soft_dice_of_certain_pixels_is_dice_but_for_its_ones():
    labels = torch.tensor([[[0, 1], [1, 2]]])
    certain = torch.nn.functional.one_hot(torch.tensor([[[0, 1], [2, 2]]]), 3).movedim(-1, 1).float()
    assert soft_dice(certain, labels).tolist() == pytest.approx([(2 * 1 + 1) / (3 + 1), (2 * 1 + 1) / (3 + 1)])


def test_wrong_arguments_are_named():
    images, labels = discs(4)
    with pytest.raises(ValueError, match="expected classes ≥ 2 and width ≥ 1, got 1 and 8"):
        UNet(1)
    with pytest.raises(ValueError, match=r"expected images \(N, 1, H, W\) and labels \(N, H, W\)"):
        train_unet(images, labels[:, :8], 3)
    with pytest.raises(ValueError, match="labels: expected whole numbers from 0 to 1"):
        train_unet(images, labels, 2)
    with pytest.raises(ValueError, match="expected steps ≥ 1, batch_size ≥ 1 and learning_rate > 0, got 0, 32 and"):
        train_unet(images, labels, 3, 0)
    with pytest.raises(ValueError, match=r"weights: expected one for each of 4 images, got \(3,\)"):
        train_unet(images, labels, 3, weights=torch.ones(3))
    with pytest.raises(ValueError, match="found and truth must have one shape"):
        dice(np.zeros((2, 4)), np.zeros((2, 5)), 2)
