"""Digits by category and code: what the pages on InfoGAN draw."""

from __future__ import annotations

import torch
from torch import Tensor

from ..models import CodePart, LatentModel, decode_all


def part_of(model: LatentModel, name: str) -> CodePart:
    """Where a part of the code stands, by its name.

    Args:
        model: of any kind; its ``code_layout`` is asked.
        name: of the part, such as ``"c1"``.

    Raises:
        ValueError: the code has no such part; the message lists those it has.
    """
    parts = {part.name: part for part in model.code_layout}
    if name not in parts:
        raise ValueError(f"the code has no part {name!r}; it has {', '.join(parts)}")
    return parts[name]


def code_grid(model: LatentModel, name: str, values, seed: int = 0) -> Tensor:
    """Images with a category along each row and a value of one code along each column, the noise everywhere the same.

    The other codes stand in the middle of the range that they were trained on.

    Args:
        model: an :class:`~medlatent.models.InfoGAN` or another model with the parts ``category`` and ``z``.
        name: of the code that changes, such as ``"c1"``.
        values: of that code, V of them.
        seed: of the noise.

    Returns:
        ``(K, V, C, H, W)`` in [0, 1], for K categories.

    Raises:
        ValueError: the code has no such part.
    """
    category, noise, moved = (part_of(model, part) for part in ("category", "z", name))
    values = torch.as_tensor(values, dtype=torch.float32)
    codes = torch.zeros(category.prior.size, len(values), model.latent_dim)
    for part in model.code_layout:
        codes[:, :, part.slice] = torch.tensor(part.prior.centre)
    codes[:, :, category.slice] = torch.eye(category.prior.size)[:, None]
    codes[:, :, noise.slice] = noise.prior.sample(1, torch.Generator().manual_seed(seed))[0]
    codes[:, :, moved.slice] = values[None, :, None]
    return decode_all(model, codes.flatten(0, 1)).unflatten(0, codes.shape[:2])
