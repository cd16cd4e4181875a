"""The matrix of directions against its constraints, and the reconstructors' sizes and reach."""

import pytest
import torch
import torch.nn.functional as F

from medlatent.nets import (
    BasicBlock,
    FixedDirections,
    LeNetReconstructor,
    OrthonormalDirections,
    ResNetReconstructor,
    UnitDirections,
    count_parameters,
)
from medlatent.nets.directions import RECONSTRUCTORS


def descended(matrix, steps: int = 30):
    """After some steps of Adam towards columns that agree, which no constraint would allow."""
    optimiser = torch.optim.Adam(matrix.parameters(), lr=0.1)
    for _ in range(steps):
        optimiser.zero_grad()
        (-matrix().sum(1).square().sum()).backward()
        optimiser.step()
    return matrix().detach()


@pytest.mark.parametrize("K", [1, 5, 8])
def test_orthonormal_columns_stay_so_whatever_is_learnt(K):
    torch.manual_seed(0)
    matrix = OrthonormalDirections(8, K)
    for found in (matrix().detach(), descended(matrix)):
        assert found.shape == (8, K)
        assert torch.allclose(found.T @ found, torch.eye(K), atol=1e-6)


def test_the_exponential_of_a_skew_symmetric_matrix_is_its_power_series():
    torch.manual_seed(1)
    matrix = OrthonormalDirections(6, 4).double()
    with torch.no_grad():
        matrix.weight.mul_(0.5)
    skew = (matrix.weight - matrix.weight.T).detach()
    assert torch.equal(skew, -skew.T)
    term, total = torch.eye(6, dtype=torch.float64), torch.zeros(6, 6, dtype=torch.float64)
    for n in range(1, 60):
        total, term = total + term, term @ skew / n
    assert torch.allclose(matrix().double(), total[:, :4], atol=1e-6)
    assert torch.linalg.det(total).item() == pytest.approx(1)  # a rotation, no reflection


@pytest.mark.parametrize(("latent_dim", "K"), [(8, 3), (3, 8)])
def test_unit_columns_have_length_one_and_any_angle(latent_dim, K):
    torch.manual_seed(0)
    matrix = UnitDirections(latent_dim, K)
    assert torch.allclose(matrix().norm(dim=0), torch.ones(K), atol=1e-6)
    after = descended(matrix, 100)
    assert torch.allclose(after.norm(dim=0), torch.ones(K), atol=1e-6)
    assert (after.T @ after).min() > 0.9  # they have fallen upon each other


def test_autocast_leaves_the_rotation_exact():
    torch.manual_seed(0)
    matrix = OrthonormalDirections(16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = matrix().detach()
    assert found.dtype == torch.float32
    assert torch.allclose(found.T @ found, torch.eye(16), atol=1e-5)


def test_fixed_directions_are_given_and_never_trained():
    given = torch.tensor([[3.0, 0.0], [4.0, 2.0]])
    matrix = FixedDirections(given)
    given[0, 0] = 7
    assert matrix().tolist() == [[3, 0], [4, 2]]  # a copy, of the lengths it came with
    assert not list(matrix.parameters())
    assert list(matrix.state_dict()) == ["directions"]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: OrthonormalDirections(4, 5), "K: in 4 dimensions at most as many directions are orthonormal, got 5"),
        (lambda: UnitDirections(0, 5), "latent_dim ≥ 1 and K ≥ 1, got 0 and 5"),
        (lambda: OrthonormalDirections(4, 0), "latent_dim ≥ 1 and K ≥ 1, got 4 and 0"),
        (lambda: FixedDirections(torch.ones(3)), r"directions: expected a matrix \(d, K\), got \(3,\)"),
        (lambda: FixedDirections(torch.tensor([[1.0, 0.0]])), "directions: column 1 has the length 0"),
        (lambda: FixedDirections(torch.tensor([[torch.nan, 1.0]])), "directions: column 0 has the length nan"),
        (lambda: LeNetReconstructor(5, size=31), "needs images of 32 pixels or more, got 31"),
        (lambda: LeNetReconstructor(0), "K ≥ 1, channels ≥ 1 and width ≥ 1, got 0, 1 and 4"),
        (lambda: ResNetReconstructor(5, width=0), "K ≥ 1, channels ≥ 1 and width ≥ 1, got 5, 1 and 0"),
    ],
)
def test_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_parameters_worked_out_by_hand():
    # torchvision's resnet18 has 11 689 512, of which 513 000 are its classifier's and 9 408 the first convolution's.
    body, first = 11_689_512 - 513_000 - 9_408, 2 * 64 * 49
    assert count_parameters(ResNetReconstructor(32)) == body + first + (512 * 32 + 32) + (512 + 1)
    convolutions = (2 * 12 + 12 * 32 + 32 * 240) * 25 + (12 + 32 + 240) * (1 + 2)
    heads = 2 * (240 * 168 + 168 + 2 * 168) + (168 * 100 + 100) + (168 + 1)
    assert count_parameters(LeNetReconstructor(100)) == convolutions + heads


@pytest.mark.parametrize("name", sorted(RECONSTRUCTORS))
@pytest.mark.parametrize(("channels", "size"), [(1, 32), (3, 45)])
def test_shapes_and_who_reaches_whom(name, channels, size):
    torch.manual_seed(0)
    network = RECONSTRUCTORS[name](7, channels, size, width=2).train()
    images = [torch.rand(4, channels, size, size, requires_grad=True) for _ in range(2)]
    logits, shift = network(*images)
    assert logits.shape == (4, 7)
    assert shift.shape == (4,)
    (logits.square().sum() + shift.square().sum()).backward()
    assert all(image.grad.abs().sum((1, 2, 3)).min() > 0 for image in images)  # it looks at both
    assert network.eval()(images[0], images[1])[1].shape == (4,)
    assert not torch.equal(network(*images)[0], network(*images[::-1])[0])


def test_a_block_is_the_sum_of_its_two_ways():
    torch.manual_seed(0)
    for block, side in ((BasicBlock(4, 6, 2), 4), (BasicBlock(4, 4), 8)):
        block.eval()
        x = torch.randn(2, 4, 8, 8)
        assert torch.allclose(block(x), F.relu(block.shortcut(x) + block.main(x)))
        assert block(x).shape[2:] == (side, side)
    assert torch.equal(block.shortcut(x), x)
