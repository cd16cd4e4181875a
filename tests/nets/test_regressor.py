"""The network that measures factors: what it learns, what it refuses, and what it leaves alone."""

import pytest
import torch

from medlatent.nets import FactorRegressor, train_factor_regressor


def bars(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Images with a bar: how bright it is, and in which row it lies, both of about unit deviation."""
    draw = torch.Generator().manual_seed(seed)
    bright, row = torch.rand(n, generator=draw), torch.randint(16, (n,), generator=draw)
    images = torch.zeros(n, 1, 16, 16)
    images[torch.arange(n), 0, row] = 0.3 + 0.7 * bright[:, None]
    return images, torch.stack([(bright - 0.5) * 12**0.5, (row - 7.5) / 4.6], 1)


def test_it_learns_how_much_and_where():
    state = torch.get_rng_state()
    network = train_factor_regressor(*bars(400), steps=100, batch_size=32)
    assert torch.equal(torch.get_rng_state(), state)
    assert not network.training
    images, targets = bars(100, seed=1)
    error = (network.predict(images) - targets).square().mean(0) / targets.var(0)
    assert error.max() < 0.25
    assert torch.allclose(network.predict(images, batch_size=7), network.predict(images), atol=1e-5)


def test_the_seed_decides():
    images, targets = bars(20)
    first, same, other = (train_factor_regressor(images, targets, 2, batch_size=4, seed=seed) for seed in (0, 0, 1))
    for name, value in first.state_dict().items():
        assert torch.equal(value, same.state_dict()[name])
    assert not torch.equal(first.head[0].weight, other.head[0].weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": torch.rand(5, 16, 16)}, r"expected images \(N, C, H, W\) and targets"),
        ({"targets": torch.rand(4, 2)}, r"expected images \(N, C, H, W\) and targets"),
        ({"targets": torch.tensor([[0.0]] * 4 + [[torch.nan]])}, "targets: row 4 is NaN or infinite"),
        ({"steps": 0}, "steps ≥ 1, batch_size ≥ 2 and learning_rate > 0, got 0, 64 and 0.002"),
        ({"batch_size": 1}, "got 3000, 1 and 0.002"),
    ],
)
def test_arguments(change, message):
    given = {"images": torch.rand(5, 1, 16, 16), "targets": torch.rand(5, 1)} | change
    with pytest.raises(ValueError, match=message):
        train_factor_regressor(**given)
    with pytest.raises(ValueError, match="outputs ≥ 1 and channels ≥ 1, got 0 and 1"):
        FactorRegressor(0)
