"""The Hilbert-Schmidt independence criterion (HSIC) between two samples, in the forms that are in use.

HSIC compares two matrices of similarities, one of the rows of ``x``, one of those of ``z``. Both are centred; without
that, HSIC of independent samples is not near 0 but near the product of the mean similarities.
"""

from __future__ import annotations

import torch
from torch import Tensor

NORMALISATIONS = ("empirical", "mean", "cka", "cca")
RIDGE = 1e-5  # of the normalised covariance operators, times the batch size


def squared_distances(x: Tensor) -> Tensor:
    """‖x_i - x_j‖² of all pairs of rows, ``(m, m)``, exactly 0 on the diagonal.

    Args:
        x: ``(m, ...)``; all dimensions but the first are one vector.
    """
    return torch.cdist(x.flatten(1), x.flatten(1), compute_mode="donot_use_mm_for_euclid_dist").square()


def median_squared_distance(x: Tensor) -> Tensor:
    """The median of the squared distances of all pairs of rows: a bandwidth that follows the data, a scalar.

    Args:
        x: ``(m, ...)``, m at least 2.

    Raises:
        ValueError: there is one row, or none.
    """
    if len(x) < 2:
        raise ValueError(f"x: expected at least two rows, which make a pair, got {len(x)}")
    distances = squared_distances(x)
    above = torch.ones_like(distances).triu(1).bool()
    return distances[above].median()


def gaussian_kernel(x: Tensor, sigma: float | Tensor, scale_by_dimension: bool = False) -> Tensor:
    """k(x_i, x_j) = exp(-‖x_i - x_j‖² / (2σ²)) of all pairs of rows, ``(m, m)``.

    Args:
        x: ``(m, ...)``; all dimensions but the first are one vector.
        sigma: the bandwidth, positive, in the units of ``x``.
        scale_by_dimension: divide the squared distance by the number of dimensions too, as the code of the HSIC
            bottleneck does, other than Liu et al. (2022) print.

    Raises:
        ValueError: ``sigma`` is not positive.
    """
    if not sigma > 0:
        raise ValueError(f"sigma must be positive, got {float(sigma):g}")
    variance = sigma**2 * (x[0].numel() if scale_by_dimension else 1)
    return torch.exp(-squared_distances(x) / (2 * variance))


def centre(kernel: Tensor) -> Tensor:
    """H K H with H = I - 11ᵀ/m: rows and columns sum to 0.

    Args:
        kernel: ``(m, m)``.
    """
    columns, rows = kernel.mean(0, keepdim=True), kernel.mean(1, keepdim=True)
    return kernel - columns - rows + kernel.mean()


def hsic(kernel_x: Tensor, kernel_z: Tensor, normalisation: str = "empirical") -> Tensor:
    """HSIC of two samples from their kernel matrices, a scalar; 0 in the limit where the two are independent.

    Implements :eq:`eq-hsic-infogan-5`:

    - ``"empirical"``: trace(K_x H K_z H) / (m - 1)², equation 5 of Liu et al. (2022), the empirical HSIC of
      Gretton et al. (2005). It is biased: of independent samples it is above 0, by an amount that falls with 1/m;
    - ``"mean"``: the same over m², as the code of the HSIC bottleneck has it;
    - ``"cka"``: the latter over the root of its values of each sample with itself: centred kernel alignment, in [0, 1],
      and 0 where one of the samples is constant;
    - ``"cca"``: trace(R_x R_z) with R = K̄ (K̄ + ε m I)⁻¹, K̄ = H K H and ε = 1e-5, the normalised cross-covariance:
      roughly the number of directions that the two share, at most m - 1.

    Args:
        kernel_x: ``(m, m)``, symmetric, not centred; see :func:`gaussian_kernel`.
        kernel_z: the same shape.
        normalisation: which of the forms.

    Raises:
        ValueError: ``normalisation`` is unknown, the shapes differ, or there are fewer than two rows.
    """
    if normalisation not in NORMALISATIONS:
        raise ValueError(f"normalisation {normalisation!r} is unknown: use one of {', '.join(NORMALISATIONS)}")
    m = len(kernel_x)
    if m < 2 or kernel_x.shape != (m, m) or kernel_z.shape != (m, m):
        raise ValueError(f"kernels: expected two of (m, m), got {tuple(kernel_x.shape)} and {tuple(kernel_z.shape)}")
    x, z = centre(kernel_x), centre(kernel_z)
    if normalisation == "cca":
        ridge = RIDGE * m * torch.eye(m, dtype=x.dtype, device=x.device)
        # R commutes with K̄, so K̄ (K̄ + εmI)⁻¹ is the solution from the left, too.
        r_x, r_z = (torch.linalg.solve(k + ridge, k) for k in (x, z))
        return (r_x * r_z.T).sum()
    shared = (x * z).sum()
    if normalisation == "cka":
        own = (x * x).sum() * (z * z).sum()
        constant = _is_constant(kernel_x, x) | _is_constant(kernel_z, z)
        return torch.where(constant, 0.0 * shared, shared / own.masked_fill(constant, 1.0).sqrt())
    return shared / (m * m if normalisation == "mean" else (m - 1) ** 2)


def _is_constant(kernel: Tensor, centred: Tensor) -> Tensor:
    """Whether all rows are alike: what centring leaves is rounding."""
    rounding = 8 * torch.finfo(kernel.dtype).eps
    return centred.square().sum() <= rounding**2 * kernel.square().sum()
