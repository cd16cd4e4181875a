"""Random, principal and closed-form directions against NumPy, and what the first layers of a generator do to a code."""

import numpy as np
import pytest
import torch
from torch import nn

from medlatent.models import (
    GAN,
    ResidualVAE,
    first_activations,
    first_layer,
    principal_directions,
    random_directions,
    sefa_directions,
)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def same_up_to_sign(found: torch.Tensor, expected: np.ndarray) -> bool:
    cosines = (found.double().numpy() * expected).sum(0) / np.linalg.norm(expected, axis=0)
    return np.allclose(np.abs(cosines), 1, atol=1e-5)


class TestRandom:
    def test_are_uniform_on_the_sphere(self):
        found = random_directions(6, 20_000, seed=0)
        assert torch.allclose(found.norm(dim=0), torch.ones(20_000), atol=1e-6)
        assert torch.allclose(found.mean(1), torch.zeros(6), atol=0.02)
        assert torch.allclose(found @ found.T / 20_000, torch.eye(6) / 6, atol=0.01)

    def test_the_angle_between_two(self):
        a, b = random_directions(50, 10_000, seed=1).split(5_000, 1)
        cosine = (a * b).sum(0)
        assert cosine.mean().item() == pytest.approx(0, abs=0.01)
        assert cosine.std().item() == pytest.approx(50**-0.5, rel=0.05)

    def test_the_seed(self):
        state = torch.get_rng_state()
        assert torch.equal(random_directions(3, 5, seed=2), random_directions(3, 5, seed=2))
        assert torch.equal(torch.get_rng_state(), state)
        assert not torch.equal(random_directions(3, 5), random_directions(3, 5))
        with pytest.raises(ValueError, match="latent_dim ≥ 1 and K ≥ 1, got 3 and 0"):
            random_directions(3, 0)


class TestPrincipal:
    def test_of_codes_they_are_numpys_eigenvectors(self):
        codes = draw(500, 5) @ torch.diag(torch.tensor([5.0, 1.0, 3.0, 0.5, 2.0])) @ draw(5, 5, seed=1) + 7
        values, vectors = np.linalg.eigh(np.cov(codes.double().numpy(), rowvar=False))
        found = principal_directions(codes)
        assert same_up_to_sign(found, vectors[:, values.argsort()[::-1]])
        assert torch.equal(principal_directions(codes, K=2), found[:, :2])
        assert (found.gather(0, found.abs().argmax(0, keepdim=True)) > 0).all()

    def test_of_activations_they_are_brought_back_by_least_squares(self):
        codes = draw(400, 4)
        activations = torch.relu(codes @ draw(4, 9, seed=1)) ** 1.5
        y = activations.double().numpy()
        _, vectors = np.linalg.eigh(np.cov(y, rowvar=False))
        x = (y - y.mean(0)) @ vectors[:, ::-1][:, :3]
        z = codes.double().numpy()
        solution = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), z, rcond=None)[0]
        assert same_up_to_sign(principal_directions(activations, codes, K=3), solution[:3].T)

    def test_of_a_linear_layer_they_are_those_of_sefa(self):
        """Of infinitely many codes; here of codes whose covariance is exactly the identity."""
        codes = torch.linalg.qr(draw(200, 5).double())[0]
        codes = torch.linalg.qr(codes - codes.mean(0))[0]
        weight = draw(12, 5, seed=3).double() * torch.tensor([1.0, 5.0, 2.0, 0.3, 4.0])
        found = principal_directions(codes @ weight.T, codes)
        assert torch.allclose(found.abs(), sefa_directions(weight).abs(), atol=1e-4)

    def test_arguments(self):
        flat = torch.cat([draw(50, 2), torch.ones(50, 3)], 1)
        assert principal_directions(flat).shape == (5, 2)
        with pytest.raises(ValueError, match="K: the activations vary along 2 directions of the code, got 3"):
            principal_directions(flat, K=3)
        with pytest.raises(ValueError, match="codes: 4 rows for 50 activations"):
            principal_directions(flat, draw(4, 3))
        with pytest.raises(ValueError, match="activations: row 1 holds NaN"):
            principal_directions(torch.tensor([[0.0], [torch.nan]]))
        with pytest.raises(ValueError, match="activations: expected a matrix"):
            principal_directions(draw(3))


class TestSefa:
    def test_against_numpys_singular_vectors(self):
        weight = draw(30, 6) * torch.arange(1, 7)
        _, _, rows = np.linalg.svd(weight.double().numpy())
        found = sefa_directions(weight)
        assert same_up_to_sign(found, rows.T)
        assert torch.allclose(found.T @ found, torch.eye(6), atol=1e-6)
        assert torch.equal(sefa_directions(weight, 2), found[:, :2])

    def test_no_direction_is_stretched_more(self):
        weight = draw(8, 5)
        best = (weight @ sefa_directions(weight, 1)).norm()
        assert (weight @ random_directions(5, 5_000, seed=4)).norm(dim=0).max() <= best

    @pytest.mark.parametrize("K", [0, 6])
    def test_arguments(self, K):
        with pytest.raises(ValueError, match=f"K must be between 1 and the dimension 5 of the code, got {K}"):
            sefa_directions(draw(8, 5), K)


class TestFirstLayer:
    def test_of_a_dcgan_it_is_the_weight_of_the_linear_layer(self):
        torch.manual_seed(0)
        model = GAN(latent_dim=5, channels=1, size=16, width=2).train()
        assert torch.allclose(first_layer(model, 5), model.generator[0].weight, atol=1e-6)
        assert model.training  # left as it was

    def test_of_a_convolution_it_counts_what_the_border_lets_through(self):
        torch.manual_seed(0)
        model = ResidualVAE(latent_dim=3, size=16, width=4)
        found = first_layer(model, 3)
        convolution = model.decoder[1].shortcut[1]  # the first that is met, over a code repeated 2×2
        corners = convolution(torch.eye(3)[:, :, None, None].expand(-1, -1, 2, 2)).flatten(1) - convolution(
            torch.zeros(1, 3, 2, 2)
        ).flatten(1)
        assert torch.allclose(found, corners.T, atol=1e-6)

    def test_activations_are_what_the_first_function_gives(self):
        torch.manual_seed(0)
        model, codes = GAN(latent_dim=5, channels=1, size=16, width=2).eval(), draw(7, 5)
        with torch.no_grad():
            expected = nn.Sequential(*list(model.generator)[:4])(codes).flatten(1)
        assert isinstance(model.generator[3], nn.ReLU)
        assert torch.allclose(first_activations(model, codes), expected)

    def test_one_without_layers(self):
        class Plain(nn.Module):
            def forward(self, z):
                return z[:, :, None, None]

        with pytest.raises(ValueError, match=r"generator: no linear layer and no convolution is met .* Plain"):
            first_layer(Plain(), 3)
        with pytest.raises(ValueError, match=r"no module that is an activation function is met .* Plain"):
            first_activations(Plain(), draw(2, 3))
