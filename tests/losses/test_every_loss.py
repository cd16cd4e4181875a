"""What holds for every public loss: no shape is broadcast to a table of pairs, and no NaN turns into a number."""

import inspect
import math
from functools import partial

import pytest
import torch
from torch import Tensor

from medlatent import losses
from medlatent.losses import JudgedImages, JudgedPairs

torch.manual_seed(0)
B, D = 4, 3
IMAGES, CODES = (2, B, 1, 4, 4), (2, B, D)
IMAGE, OTHER = torch.rand(IMAGES).double()
CODE, SECOND = torch.rand(CODES).double()
ONE, TWO = torch.rand(2, B).double()
JOINT = torch.full((2, 2, 2), 0.125).double()


def pair(inferred, generated):
    return JudgedPairs(inferred, generated)


def kernels(x, z):
    return losses.hsic(losses.gaussian_kernel(x, 1.0), losses.gaussian_kernel(z, 1.0))


def linear(code):
    return 2 * code


def critic(images):
    return images.square().flatten(1).sum(1)


# Of each loss, tensors by name; those of a group have one shape, or rows that agree.
LOSSES = {
    "ali_discriminator_loss": (losses.ali_discriminator_loss, {"inferred": ONE, "generated": TWO}),
    "ali_generator_loss": (losses.ali_generator_loss, {"inferred": ONE, "generated": TWO}),
    "ar_sivae_encoder_loss": (
        lambda real, generated: losses.ar_sivae_encoder_loss(real, generated, TWO),
        {"real": -ONE, "generated": -TWO},
    ),
    "attri_vae_objective": (
        lambda reconstruction, kl: losses.attri_vae_objective(reconstruction, kl, TWO),
        {"reconstruction": ONE, "kl": CODE},
    ),
    "attribute_distances": (losses.attribute_distances, {"values": ONE}),
    "attribute_loss": (losses.attribute_loss, {"z": CODE, "attributes": SECOND}),
    "bernoulli_nll": (losses.bernoulli_nll, {"logits": IMAGE, "images": OTHER}),
    "beta_vae_objective": (losses.beta_vae_objective, {"reconstruction": ONE, "kl": CODE}),
    "categorical_entropy": (losses.categorical_entropy, {}),
    "categorical_nll": (losses.categorical_nll, {"logits": CODE, "category": SECOND}),
    "centre": (losses.centre, {"kernel": JOINT[0]}),
    "code_cycle_loss": (
        losses.code_cycle_loss,
        {"z": CODE, "c": SECOND, "z_again": SECOND, "c_again": CODE},
    ),
    "code_distance": (losses.code_distance, {"code": CODE, "other": SECOND}),
    "conditional_discriminator_loss": (
        losses.conditional_discriminator_loss,
        {"real": ONE, "generated": TWO, "real_pair": ONE, "mismatched_pair": TWO, "generated_pair": ONE},
    ),
    "conditional_generator_loss": (losses.conditional_generator_loss, {"generated": ONE, "generated_pair": TWO}),
    "deception_loss": (losses.deception_loss, {"fake": ONE}),
    "direction_loss": (
        lambda logits, k: losses.direction_loss(logits, k.long()),
        {"logits": CODE, "k": torch.tensor([0.0, 1, 2, 0])},
    ),
    "directions_objective": (losses.directions_objective, {"classification": ONE, "shift": TWO}),
    "discriminator_loss": (losses.discriminator_loss, {"real": ONE, "fake": TWO, "smoothing": ONE / 2}),
    "drai_objective": (
        lambda terms, divergences: losses.drai_objective({"terms": terms}, {"divergences": divergences}),
        {"terms": ONE, "divergences": CODE},
    ),
    "dual_ali_discriminator_loss": (
        lambda style, content: losses.dual_ali_discriminator_loss(pair(style, ONE), pair(TWO, content)),
        {"style": ONE, "content": TWO},
    ),
    "dual_ali_generator_loss": (
        lambda style, content: losses.dual_ali_generator_loss(pair(style, ONE), pair(TWO, content)),
        {"style": ONE, "content": TWO},
    ),
    "factorised_posterior": (losses.factorised_posterior, {"joint": JOINT}),
    "feature_error": (
        lambda maps, targets: losses.feature_error([maps], [targets]),
        {"maps": IMAGE, "targets": OTHER},
    ),
    "gaussian_code_nll": (losses.gaussian_code_nll, {"mean": CODE, "logvar": SECOND, "code": CODE}),
    "gaussian_information": (losses.gaussian_information, {"correlation": ONE / 2}),
    "gaussian_kernel": (lambda x: losses.gaussian_kernel(x, 1.0), {"x": CODE}),
    "gaussian_log_density": (losses.gaussian_log_density, {"z": CODE}, {"mean": ONE[:D], "logvar": SECOND}),
    "gaussian_nll": (losses.gaussian_nll, {"reconstruction": IMAGE, "images": OTHER}),
    "gradient_penalty": (
        partial(losses.gradient_penalty, critic),
        {"real": IMAGE, "fake": OTHER},
    ),
    "gradient_reversal": (losses.gradient_reversal, {"x": CODE}),
    "hsic": (kernels, {"x": CODE}, {"z": SECOND}),
    "image_cycle_discriminator_loss": (losses.image_cycle_discriminator_loss, {"same": ONE, "reconstructed": TWO}),
    "image_cycle_generator_loss": (losses.image_cycle_generator_loss, {"reconstructed": ONE}),
    "infogan_objective": (losses.infogan_objective, {"game": ONE, "bound": TWO}),
    "information_bound": (lambda nll: losses.information_bound(1.0, nll), {"nll": ONE}),
    "introspective_penalty": (
        lambda reconstruction, kl: losses.introspective_penalty(JudgedImages(reconstruction, kl), 0.1),
        {"reconstruction": ONE, "kl": TWO},
    ),
    "kl_decomposition": (
        lambda z, mean, logvar: torch.stack(losses.kl_decomposition(z, mean, logvar, 10)),
        {"z": CODE, "mean": SECOND, "logvar": CODE},
    ),
    "kl_to_standard_normal": (losses.kl_to_standard_normal, {"mean": CODE, "logvar": SECOND}),
    "laplace_code_nll": (losses.laplace_code_nll, {"mean": CODE, "code": SECOND}),
    "laplace_information_bound": (losses.laplace_information_bound, {"correlation": ONE / 2}),
    "least_squares_deception_loss": (losses.least_squares_deception_loss, {"fake": ONE}),
    "least_squares_discriminator_loss": (
        lambda real, fake, b: losses.least_squares_discriminator_loss(real, fake, b=b),
        {"real": ONE, "fake": TWO, "b": ONE / 2},
    ),
    "log_importance_weights": (lambda: losses.log_importance_weights(B, 10, "mss"), {}),
    "log_mse": (losses.log_mse, {"reconstruction": IMAGE, "images": OTHER}),
    "log_mse_objective": (lambda kl: losses.log_mse_objective(ONE[0], kl), {"kl": CODE}),
    "matching_discriminator_loss": (
        losses.matching_discriminator_loss,
        {"real_pair": ONE, "mismatched_pair": TWO, "generated_pair": ONE},
    ),
    "matching_generator_loss": (losses.matching_generator_loss, {"generated_pair": ONE}),
    "median_squared_distance": (losses.median_squared_distance, {"x": CODE}),
    "normal_entropy": (losses.normal_entropy, {}),
    "posterior_dependence": (losses.posterior_dependence, {"joint": JOINT}),
    "reparametrise": (losses.reparametrise, {"mean": CODE, "logvar": SECOND}),
    "reversed_prediction_loss": (
        lambda z, c: losses.reversed_prediction_loss(z, c, linear, linear),
        {"z": CODE, "c": SECOND},
    ),
    "saturating_deception_loss": (losses.saturating_deception_loss, {"fake": ONE}),
    "self_supervision_loss": (
        losses.self_supervision_loss,
        {"z": CODE, "c": SECOND, "z_transformed": SECOND, "c_transformed": CODE},
    ),
    "shift_loss": (losses.shift_loss, {"predicted": ONE, "alpha": TWO}),
    "sivae_decoder_loss": (
        lambda reconstruction, kl: losses.sivae_decoder_loss(TWO, [JudgedImages(reconstruction, kl)], 0.1),
        {"reconstruction": ONE, "kl": TWO},
    ),
    "sivae_encoder_loss": (
        lambda reconstruction, kl: losses.sivae_encoder_loss(JudgedImages(reconstruction, kl), [], 0.1),
        {"reconstruction": ONE, "kl": TWO},
    ),
    "soft_exponential": (losses.soft_exponential, {"elbo": -ONE}),
    "soft_introspective_decoder_loss": (losses.soft_introspective_decoder_loss, {"real": -ONE, "generated": -TWO}),
    "soft_introspective_encoder_loss": (losses.soft_introspective_encoder_loss, {"real": -ONE, "generated": -TWO}),
    "squared_distances": (losses.squared_distances, {"x": CODE}),
    "squared_error": (losses.squared_error, {"reconstruction": IMAGE, "images": OTHER}),
    "uniform_entropy": (lambda: losses.uniform_entropy(0, 1), {}),
    "wasserstein_critic_loss": (losses.wasserstein_critic_loss, {"real": ONE, "fake": TWO}),
    "wasserstein_deception_loss": (losses.wasserstein_deception_loss, {"fake": ONE}),
}
# Sums of terms that are averaged one by one: their rows need not agree.
APART = {"drai_objective"}
# A KL has any number of dimensions, fewer of them may have attributes, and style and content have their own.
WIDTH_IS_FREE = {
    *("attri_vae_objective", "attribute_loss", "beta_vae_objective", "code_cycle_loss", "direction_loss"),
    *("reversed_prediction_loss", "self_supervision_loss"),
}


def test_no_public_loss_escapes():
    assert LOSSES.keys() == {name for name in losses.__all__ if inspect.isfunction(getattr(losses, name))}


@pytest.mark.parametrize("name", [n for n, (_, group, *_) in LOSSES.items() if len(group) > 1 and n not in APART])
def test_no_shape_is_broadcast(name):
    loss, group, *_ = LOSSES[name]
    for argument, value in group.items():
        others = {"one more": value.unsqueeze(1), "one row": value[:1], "a row less": value[:-1]}
        if value.ndim > 1 and name not in WIDTH_IS_FREE:
            others["one column"] = value[:, :1] if value.shape[1] > 1 else value.repeat(1, 2, 1, 1)
        for changed in others.values():
            with pytest.raises(ValueError, match=rf"\b{argument}\b"):
                loss(**group | {argument: changed})


@pytest.mark.parametrize("name", [name for name, (_, group, *_) in LOSSES.items() if group])
def test_nan_does_not_turn_into_a_number(name):
    loss, group, *rest = LOSSES[name]
    given = group | (rest[0] if rest else {})
    for argument, value in given.items():
        if argument == "k":  # whole numbers
            continue
        broken = value.clone()
        broken.flatten()[0] = math.nan
        assert broken.isnan().any()
        try:
            found = loss(**given | {argument: broken})
        except ValueError:
            continue
        assert isinstance(found, Tensor)
        assert found.isnan().any(), argument
