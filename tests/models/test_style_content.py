"""The ten systems of Havaei et al. (2021): their terms, an update by hand, who learns in which step, codes, files."""

import copy

import pytest
import torch
from torch.testing import assert_close

from medlatent import losses
from medlatent.data import Factor
from medlatent.models import (
    CAVAE,
    DAI,
    DCAVAE,
    DRAI,
    CInfoGAN,
    DAIFeatureCycle,
    DAIMIReg,
    DAISelfReg,
    DAISelfRegMIReg,
    DCInfoGAN,
    load,
)
from medlatent.models.style_content_terms import Batch, content_preserving
from medlatent.nets import count_parameters

SINGLE = [CInfoGAN, CAVAE]
DOUBLE = [DCInfoGAN, DCAVAE, DAI, DAIFeatureCycle, DAIMIReg, DAISelfReg, DAISelfRegMIReg, DRAI]
SYSTEMS = SINGLE + DOUBLE
CONDITION = {"dx": 3, "old": 2}


def build(system, **options):
    torch.manual_seed(0)
    small = {"condition": CONDITION, "size": 8, "width": 2, "style_dim": 3, "content_dim": 2}
    rates = {"generator_rate": 1e-2, "discriminator_rate": 1e-2}
    return system(**small | rates | options).train()


def batch_of(n=6, seed=1):
    generator = torch.Generator().manual_seed(seed)
    columns = {"dx": torch.randint(3, (n,), generator=generator), "old": torch.randint(2, (n,), generator=generator)}
    return torch.rand(n, 1, 8, 8, generator=generator), columns


def test_what_drai_has_that_dai_has_not():
    assert list(DRAI.objective)[: len(DAI.objective)] == list(DAI.objective)
    added = {
        DAIFeatureCycle: {"code_cycle"},
        DAIMIReg: {"reversed_prediction"},
        DAISelfReg: {"self_supervision"},
        DAISelfRegMIReg: {"reversed_prediction", "self_supervision"},
        DRAI: {"code_cycle", "reversed_prediction", "self_supervision"},
    }
    for system, terms in added.items():
        assert set(system.objective) - set(DAI.objective) == terms
        assert system.divergences == DAI.divergences


def test_all_have_the_same_generator_and_encoders():
    shared = ["generator", "condition_encoder", "style_encoder"]
    sizes = {tuple(count_parameters(getattr(build(system), name)) for name in shared) for system in SYSTEMS}
    assert len(sizes) == 1
    assert len({count_parameters(build(system).content_encoder) for system in DOUBLE}) == 1
    ablations = {count_parameters(build(system).terms) for system in (DAI, DAIFeatureCycle, DAISelfReg)}
    assert len(ablations) == 1


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_step_moves_its_own_networks(system):
    images, columns = batch_of()
    for frozen, moving in (("generator_rate", "terms"), ("discriminator_rate", "generator")):
        model = build(system, **{frozen: 0.0})
        before = copy.deepcopy(model.state_dict())
        found = model.update(images, **columns)
        assert next(iter(found)) == "loss"
        assert set(found) > set(system.objective) | {"discriminators"}
        assert all(value.isfinite() for value in found.values())
        discriminators = {f"terms.{name}" for name in model.games}
        for name, parameter in model.named_parameters():
            is_discriminator = any(name.startswith(f"{term}.") for term in discriminators)
            learns = is_discriminator if moving == "terms" else not is_discriminator
            assert torch.equal(parameter, before[name]) is not learns, name


@pytest.mark.parametrize("system", [DRAI, DCAVAE, DCInfoGAN])
def test_an_update_by_hand(system):
    images, columns = batch_of()
    model = build(system, generator_rate=0.0, discriminator_rate=0.0, lambda_kl=0.3)
    torch.manual_seed(5)
    found = model.update(images, **columns)

    torch.manual_seed(5)
    x = torch.cat([images, content_preserving(images)])
    t = model.condition(**columns).repeat(2, 1)
    assert t.shape == (12, 5)
    assert (t.sum(1) == 2).all()

    def draw(mean, logvar):
        return mean + (logvar / 2).exp() * torch.randn_like(mean)

    def mismatched():
        differs = torch.tensor([[bool((a != b).any()) for b in t] for a in t])
        return t[torch.where(differs, torch.rand(12, 12), -1.0).argmax(1)]

    def square(output, target):
        return 0.5 * (output - target) ** 2

    terms, posterior = model.terms, {"c|t": model.condition_encoder(t), "z|x": model.style_encoder(x)}
    expected = {}
    if system is DRAI:
        z, c = torch.randn(12, 3), draw(*posterior["c|t"])
        made = model.decode(torch.cat([z, c], 1))
        other = mismatched()
        z_in = draw(*posterior["z|x"])
        posterior["c|x"] = model.content_encoder(x)
        # In the order in which the terms ask for them: ẑ with its game, then ĉ.
        c_in = draw(*posterior["c|x"])
        again = model.decode(torch.cat([z_in, c_in], 1))
        game, dual, cycle = terms["game"], terms["inference"], terms["image_cycle"]
        d_x, d_made = game.images(x), game.images(made)
        pair, wrong, made_pair = game.pairs(x, t), game.pairs(x, other), game.pairs(made, t)
        judged = square(d_x, 1) + square(d_made, 0) + square(pair, 1) + (square(wrong, 0) + square(made_pair, 0)) / 2
        for d, inferred, drawn in ((dual.style, z_in, z), (dual.content, c_in, c)):
            judged = judged + square(d(x, inferred), 1) + square(d(made, drawn), 0)
        same, reconstructed = (cycle.cycle(torch.cat([x, other], 1)) for other in (x, again))
        judged = judged + square(same, 1) + square(reconstructed, 0)
        expected["discriminators"] = judged.mean()
        expected["game"] = (square(d_made, 1) + square(made_pair, 1) / 2).mean()
        expected["inference"] = sum(
            square(d(x, inferred), 0) + square(d(made, drawn), 1)
            for d, inferred, drawn in ((dual.style, z_in, z), (dual.content, c_in, c))
        ).mean()
        expected["image_cycle"] = square(reconstructed, 1).mean()
        z_again, c_again = draw(*model.style_encoder(made)), draw(*model.content_encoder(made))
        expected["code_cycle"] = (z_again - z).abs().mean() + (c_again - c).abs().mean()
        predictors = terms["reversed_prediction"]
        expected["reversed_prediction"] = (z_in - predictors.style(c_in)).abs().mean() + (
            c_in - predictors.content(z_in)
        ).abs().mean()
        expected["self_supervision"] = (c_in[:6] - c_in[6:]).abs().mean() - (z_in[:6] - z_in[6:]).abs().mean()
    elif system is DCAVAE:
        # The order: what D_cycle asks for first, the style of the image and the content of the condition.
        z_in, c = draw(*posterior["z|x"]), draw(*posterior["c|t"])
        conditional = model.decode(torch.cat([z_in, c], 1))
        other = mismatched()
        posterior["c|x"] = model.content_encoder(x)
        c_in = draw(*posterior["c|x"])
        again = model.decode(torch.cat([z_in, c_in], 1))
        matching = terms["matching"].pairs
        judged = square(matching(x, t), 1) + (square(matching(x, other), 0) + square(matching(conditional, t), 0)) / 2
        expected["matching"] = square(matching(conditional, t), 1).mean() / 2
        for name, made in (("image_cycle", conditional), ("content_image_cycle", again)):
            d = terms[name].cycle
            judged = judged + square(d(torch.cat([x, x], 1)), 1) + square(d(torch.cat([x, made], 1)), 0)
            expected[name] = square(d(torch.cat([x, made], 1)), 1).mean()
        for name, made, code in (("style_triples", conditional, z_in), ("content_triples", again, c_in)):
            d = terms[name].triples
            joined = torch.cat([t, code], 1)
            judged = judged + square(d(x, joined), 1) + square(d(made, joined), 0)
            expected[name] = (square(d(x, joined), 0) + square(d(made, joined), 1)).mean()
        expected["discriminators"] = judged.mean()
    else:
        z, c = torch.randn(12, 3), draw(*posterior["c|t"])
        made = model.decode(torch.cat([z, c], 1))
        mean, logvar = model.style_encoder(made)
        log_q = torch.distributions.Normal(mean, (logvar / 2).exp()).log_prob(z)
        mismatched()
        entropy = torch.distributions.Normal(0.0, 1.0).entropy()
        expected["style_information"] = -(log_q + entropy).mean()
        expected["content_cycle"] = (draw(*model.content_encoder(made)) - c).abs().mean()
        posterior = {"c|t": posterior["c|t"]}

    for name, value in expected.items():
        assert_close(found[name], value, msg=lambda m, name=name: f"{name}: {m}")
    kls = [
        torch.distributions.kl_divergence(
            torch.distributions.Normal(mean, (logvar / 2).exp()), torch.distributions.Normal(0.0, 1.0)
        )
        for mean, logvar in posterior.values()
    ]
    parts = sum(found[name] for name in system.objective)
    assert_close(found["loss"], parts + 0.3 * sum(kl.mean() for kl in kls))
    assert_close(sum(v for k, v in found.items() if k.startswith("kl_")), sum(kl.sum(1).mean() for kl in kls))


def prediction_error(model):
    images, columns = batch_of()
    torch.manual_seed(4)
    return model.terms["reversed_prediction"](Batch(model, images, model.condition(**columns))).mean()


@pytest.mark.parametrize(
    ("weight", "rises"), [("terms.reversed_prediction.style.0.weight", False), ("style_encoder.outputs.weight", True)]
)
def test_predictors_lower_what_encoders_raise(weight, rises):
    model = build(DAIMIReg)
    parameter = dict(model.named_parameters())[weight]
    before = prediction_error(model)
    (gradient,) = torch.autograd.grad(before, parameter)
    with torch.no_grad():  # a step down the gradient that each is given
        parameter -= 1e-2 * gradient / gradient.norm()
    change = float((prediction_error(model) - before).detach())
    assert abs(change) > 1e-5
    assert (change > 0) is rises


class TestMismatched:
    def test_another_condition_for_each_image(self):
        images, columns = batch_of(30)
        model = build(DAI)
        t = model.condition(**columns)
        seen = set()
        for seed in range(20):
            torch.manual_seed(seed)
            batch = Batch(model, images, t)
            other, exists = batch.mismatched
            assert exists.all()
            assert (other != batch.t).any(1).all()
            assert (other.unsqueeze(1) == t).all(2).any(1).all()  # one of the batch's
            seen.add(tuple(other[0].tolist()))
        assert len(seen) == len({tuple(row) for row in t.tolist()}) - 1

    def test_a_batch_of_one_condition_is_trained_without(self):
        images, _ = batch_of()
        columns = {name: torch.ones(6, dtype=torch.int64) for name in CONDITION}
        model = build(DAI)
        batch = Batch(model, images, model.condition(**columns))
        assert not batch.mismatched[1].any()
        game = model.terms["game"]
        generated = game.pairs(batch.generated.detach(), batch.t)
        pairs = losses.matching_discriminator_loss(game.pairs(batch.images, batch.t), generated, generated)
        images_alone = losses.least_squares_discriminator_loss(
            game.images(batch.images), game.images(batch.generated.detach())
        )
        assert_close(game.discriminate(batch), pairs + images_alone)


def test_transformations_are_the_five():
    image = torch.arange(2 * 16.0).reshape(1, 2, 4, 4)
    five = [image.rot90(k, (2, 3)) for k in (1, 2, 3)] + [image.flip(2), image.flip(3)]
    torch.manual_seed(0)
    transformed = content_preserving(image.repeat(200, 1, 1, 1))
    counts = [int((transformed == one).all((1, 2, 3)).sum()) for one in five]
    assert sum(counts) == 200
    assert min(counts) > 20


class TestCodes:
    def test_style_is_normal_and_content_depends_on_the_condition(self):
        model = build(DRAI).eval()
        assert [(part.name, part.start, part.stop) for part in model.code_layout] == [
            ("style", 0, 3),
            ("content", 3, 5),
        ]
        columns = {"dx": torch.tensor([0, 0, 2]), "old": torch.tensor([1, 1, 0])}
        codes = model.sample_codes(3, torch.Generator().manual_seed(0), **columns)
        generator = torch.Generator().manual_seed(0)
        assert_close(codes[:, :3], torch.randn(3, 3, generator=generator))
        with torch.no_grad():
            mean, logvar = model.content_of(model.condition(**columns))
        assert_close(codes[:, 3:], mean + (logvar / 2).exp() * torch.randn(3, 2, generator=generator))
        assert_close(mean[0], mean[1])
        assert not torch.allclose(mean[0], mean[2])
        with pytest.raises(ValueError, match="needs the column 'old'"):
            model.sample_codes(3, dx=columns["dx"])

    def test_a_code_is_style_and_content_in_this_order(self):
        model = build(DRAI).eval()
        images, _ = batch_of()
        with torch.no_grad():
            mean, logvar = model.encode(images)
            style, content = model.infer_style(images), model.infer_content(images)
            assert_close(mean, torch.cat([style.mean, content.mean], 1))
            assert_close(logvar, torch.cat([style.logvar, content.logvar], 1))
            assert_close(model.decode(mean), model.generate(style.mean, content.mean))

    @pytest.mark.parametrize("system", SINGLE)
    def test_a_system_of_one_variable_infers_no_content(self, system):
        model = build(system).eval()
        assert not hasattr(model, "encode")
        assert model.infer_style(batch_of()[0]).mean.shape == (6, 3)
        with pytest.raises(ValueError, match=f"{system.__name__} infers the style alone"):
            model.infer_content(batch_of()[0])


@pytest.mark.parametrize("system", [CInfoGAN, DRAI])
def test_a_file_without_discriminators_draws_and_infers_the_same(system, tmp_path):
    model = build(system).eval()
    path = model.save(tmp_path / "model.safetensors", without=model.only_for_training)
    again = load(path)
    assert again.terms is None
    assert again.config == model.config
    images, columns = batch_of()
    codes = [m.sample_codes(6, torch.Generator().manual_seed(0), **columns) for m in (model, again)]
    assert_close(*codes)
    with torch.no_grad():
        assert_close(model.decode(codes[0]), again.decode(codes[1]))
        assert_close(model.infer_style(images).mean, again.infer_style(images).mean)


def test_prepare_compares_the_condition_with_the_data():
    model = build(DAI)
    fitting = {
        "dx": Factor("diagnosis", kind="categorical", values=("nv", "mel", "bkl")),
        "old": Factor("over 60", kind="binary"),
    }
    model.prepare(100, fitting)
    for name, factor, message in (
        ("dx", Factor("diagnosis", kind="categorical", values=("nv", "mel")), "'dx' has 2 values, not 3"),
        ("old", Factor("age", unit="a"), "'old' has no values to count"),
    ):
        with pytest.raises(ValueError, match=message):
            model.prepare(100, fitting | {name: factor})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"style_dim": 0}, "style_dim must be at least 1"),
        ({"content_dim": 0}, "content_dim must be at least 1"),
        ({"lambda_kl": -1.0}, "lambda_kl must not be negative"),
        ({"lambda_information": -1.0}, "lambda_information must not be negative"),
        ({"condition": {}}, "condition: expected columns"),
        ({"condition": {"dx": 1}}, "condition: expected columns"),
        ({"condition": {"dx": 2.5}}, "condition: expected columns .* got {'dx': 2.5}"),
        ({"condition": 3}, "condition: expected columns"),
        ({"condition": [["dx", 7]]}, "condition: expected columns"),
        ({"size": 7}, "size: the shorter side needs at least 8 pixels"),
    ],
)
def test_arguments_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        build(DRAI, **options)
