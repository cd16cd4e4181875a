"""Directions of a latent space that nobody has to train: random ones, principal components, and a closed form.

What a search for directions is to be compared with: each of them is a few lines. All return a matrix ``(d, K)`` with
one direction of unit length a column, as the search does.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..options import whole_options
from .base import measured

ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Softplus, nn.Tanh, nn.Sigmoid)
WEIGHTED = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


@whole_options()
def random_directions(latent_dim: int, K: int, seed: int | None = None) -> Tensor:
    """K directions drawn uniformly from the unit sphere, ``(d, K)``: a_k = ε / ‖ε‖ with ε ~ N(0, I).

    Two of them meet at nearly a right angle: their cosine has mean 0 and deviation d^-½.

    Args:
        latent_dim: d, the dimension of the code.
        K: how many; there may be more than d.
        seed: of the numbers, which are drawn on the CPU; by default from PyTorch's global generator.

    Raises:
        ValueError: an argument is below 1.
    """
    if latent_dim < 1 or K < 1:
        raise ValueError(f"expected latent_dim ≥ 1 and K ≥ 1, got {latent_dim} and {K}")
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    drawn = torch.randn(latent_dim, K, generator=generator)
    return drawn / drawn.norm(dim=0, keepdim=True)


@whole_options()
def principal_directions(activations: Tensor, codes: Tensor | None = None, K: int | None = None) -> Tensor:
    """The directions along which activations, or codes, vary most, as GANSpace has them (Härkönen et al. 2020).

    V holds the eigenvectors of the covariance of the activations y, the greatest eigenvalue first. Of codes themselves,
    such as the means of a VAE's posteriors or the w of StyleGAN, V is the result. Activations of a layer, y = h(z),
    have another space, and x = Vᵀ(y - μ) is brought back by least squares: U = argmin Σ ‖U x - z‖², whose columns are
    the directions. Where h is linear they are those of :func:`sefa_directions`. Codes of an isotropic prior have no
    principal directions of their own.

    Args:
        activations: N of them, ``(N, F)``, N greater than K.
        codes: the codes that they belong to, ``(N, d)``; by default the activations are the codes.
        K: how many, at most F and d; by default as many as there can be.

    Returns:
        A, ``(d, K)``, float32, the columns of unit length, the greatest variance first; of the two signs of each the
        one whose entry of the greatest size is positive.

    Raises:
        ValueError: a shape is wrong, a value is NaN or infinite, or there are fewer than K principal directions.
    """
    y = _matrix("activations", activations)
    z = y if codes is None else _matrix("codes", codes)
    if len(z) != len(y):
        raise ValueError(f"codes: {len(z)} rows for {len(y)} activations")
    centred = y - y.mean(0)
    _, sizes, vectors = torch.linalg.svd(centred, full_matrices=False)
    there = min(int((sizes > sizes.max() * 1e-9).sum()), z.shape[1])
    K = there if K is None else K
    if not 1 <= K <= there:
        raise ValueError(f"K: the activations vary along {there} directions of the code, got {K}")
    if codes is None:
        return _signed(vectors[:K].T)
    x = centred @ vectors[:K].T  # uncorrelated: least squares takes one column at a time
    return _signed((z - z.mean(0)).T @ x / x.square().sum(0))


@whole_options()
def sefa_directions(weight: Tensor, K: int | None = None) -> Tensor:
    """The unit directions that the first layer of a generator stretches most: SeFa (Shen and Zhou 2021, equation 6).

    The first layer makes W z + b of a code, and W n of a shift along n. The n with ‖n‖ = 1 that maximise ‖W n‖² are the
    eigenvectors of WᵀW with the greatest eigenvalues: the right singular vectors of W.

    Args:
        weight: W, ``(F, d)``, see :func:`first_layer`.
        K: how many, at most d; by default d.

    Returns:
        A, ``(d, K)``, float32, orthonormal, the greatest eigenvalue first; of the two signs of each the one whose entry
        of the greatest size is positive.

    Raises:
        ValueError: the shape is wrong, a value is NaN or infinite, or K is out of its range.
    """
    w = _matrix("weight", weight)
    K = w.shape[1] if K is None else K
    if not 1 <= K <= w.shape[1]:
        raise ValueError(f"K must be between 1 and the dimension {w.shape[1]} of the code, got {K}")
    _, vectors = torch.linalg.eigh(w.T @ w)  # rising
    return _signed(vectors.flip(1)[:, :K])


@whole_options()
def first_layer(generator: nn.Module, latent_dim: int) -> Tensor:
    """W, ``(F, d)``: what the first layer with weights adds for each dimension of a code, biases aside.

    It is seen rather than read: the layer's output for each unit vector, less that for 0. So a convolution over a code
    that stands for one pixel, or for four, counts with its border.

    Args:
        generator: a module that takes codes ``(B, d)``, or a model with ``decode``.
        latent_dim: d.

    Raises:
        ValueError: no linear layer and no convolution is met on the way.
    """
    codes = torch.cat([torch.zeros(1, latent_dim), torch.eye(latent_dim)])
    found = _seen(generator, codes, WEIGHTED, "no linear layer and no convolution")
    return (found[1:] - found[0]).T


def first_activations(generator: nn.Module, codes: Tensor) -> Tensor:
    """What the first activation function of a generator gives for codes ``(N, d)``: ``(N, F)``.

    Raises:
        ValueError: no activation function that is a module is met on the way.
    """
    return _seen(generator, codes, ACTIVATIONS, "no module that is an activation function")


class _SeenEnough(Exception):
    """Ends a pass whose rest nobody needs."""


@torch.no_grad()
def _seen(generator: nn.Module, codes: Tensor, kinds: tuple[type[nn.Module], ...], lacking: str) -> Tensor:
    found: list[Tensor] = []

    def look(module: nn.Module, inputs: object, output: Tensor) -> None:
        found.append(output.flatten(1).float().cpu())
        raise _SeenEnough

    decode: Callable[[Tensor], Tensor] = getattr(generator, "decode", generator)
    weights = next(generator.parameters(), None)
    hooks = [m.register_forward_hook(look) for m in generator.modules() if isinstance(m, kinds)]
    try:
        with measured(generator):
            decode(codes if weights is None else codes.to(weights.device))
    except _SeenEnough:
        return found[0]
    finally:
        for hook in hooks:
            hook.remove()
    raise ValueError(f"generator: {lacking} is met on the way of a code through {type(generator).__name__}")


def _matrix(name: str, values: Tensor) -> Tensor:
    values = torch.as_tensor(values).detach().cpu().double()
    if values.ndim != 2 or not values.numel():
        raise ValueError(f"{name}: expected a matrix, got {tuple(values.shape)}")
    if not values.isfinite().all():
        row = int((~values.isfinite()).any(1).nonzero()[0])
        raise ValueError(f"{name}: row {row} holds NaN or infinity")
    return values


def _signed(directions: Tensor) -> Tensor:
    """Unit columns, of whose two signs one is chosen."""
    directions = directions / directions.norm(dim=0, keepdim=True)
    greatest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    return (directions * greatest.sign()).float()
