"""The hybrids of an explorer: what travels, against PyTorch; the order of style and content; what is refused."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from medlatent.data import Factor
from medlatent.explore import Explorer, Network
from medlatent.explore.hybrids import said_of_condition
from medlatent.models import CAVAE, DRAI, CInfoGAN, Conditional, Normal, code_parts

CONDITION = {"size_bin": 3, "margin": 2}
STYLE, CONTENT = 4, 2
MARGIN = "how well the margin is defined: 0 poorly, 1 sharply"
FACTORS = {
    "size_bin": Factor("size", kind="categorical", values=("small", "medium", "large")),
    "margin": Factor(MARGIN, kind="binary"),
    "noise": Factor("of no condition", unit="HU"),
}
COLUMNS = {"size_bin": torch.tensor([2, 0, 1]), "margin": torch.tensor([0.0, 1.0, 1.0])}


def build(system=DRAI, **options):
    torch.manual_seed(0)
    small = {"condition": CONDITION, "size": 8, "width": 2, "style_dim": STYLE, "content_dim": CONTENT}
    model = system(**small | options).train()
    for weights in model.parameters():  # so that codes and contents differ by more than rounding
        weights.data.mul_(1.5)
    return model


@pytest.fixture(scope="module")
def model():
    return build()


@pytest.fixture(scope="module")
def images():
    return torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def explorer(model, images):
    return Explorer(model, images=images, factors=FACTORS, columns=COLUMNS)


class Split(nn.Module):
    """Linear, of a code in which the content comes first and which depends on no condition."""

    latent_dim, code_layout = 6, code_parts(content=Normal(2), style=Normal(4))

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.decoder, self.encoder = nn.Linear(6, 64), nn.Linear(64, 6)

    def decode(self, codes):
        return self.decoder(codes).sigmoid().unflatten(1, (1, 8, 8))

    def encode(self, images):
        return self.encoder(images.flatten(1))


def network(explorer, name) -> Network:
    spec = explorer.networks[name]
    weights = np.frombuffer(getattr(explorer, f"{name}_weights"), "<f2")
    return Network(spec["inputs"], spec["outputs"], spec["shapes"], spec["steps"], weights)


def seen(images) -> torch.Tensor:
    """Images as the page has them, in 8 bits."""
    return (255 * images).round() / 255


def evaluated(model, method, *inputs) -> torch.Tensor:
    """What a method makes of inputs in evaluation mode, or the first of several results."""
    model.eval()
    with torch.no_grad():
        found = getattr(model, method)(*inputs)
    model.train()
    return found[0] if isinstance(found, tuple) else found


def test_the_view_comes_first_where_it_is_possible(explorer, model, images):
    assert explorer.views == ["hybrid", "traverse", "walk"]
    assert Explorer(model).views == ["traverse", "walk"]
    without = Explorer(model, images=images, views=["walk"])
    assert (without.hybrid, without.condition_weights, without.start) == ({}, b"", [0] * 6)
    assert "condition" not in without.networks
    assert model.training
    assert all(part.training for part in model.modules())  # as it was found


def test_what_is_said_of_the_condition(explorer):
    assert explorer.hybrid == {
        "style": [0, 4],
        "content": [4, 6],
        "columns": [
            {"name": "size_bin", "meaning": "size", "values": ["small", "medium", "large"]},
            {"name": "margin", "meaning": MARGIN, "values": ["poorly", "sharply"]},
        ],
        "conditions": [[2, 0], [0, 1], [1, 1]],
        "starts": True,
    }
    assert explorer.names == ["z0", "z1", "z2", "z3", "c0", "c1"]
    assert explorer.noise == [0, 1, 2, 3]  # a new draw leaves the content alone


def test_names_that_nobody_says_are_numbers():
    some = {"margin": Factor("whether it is sharp", kind="binary")}
    said = said_of_condition(CONDITION, some, None, 3)
    assert [column["values"] for column in said["columns"]] == [["0", "1", "2"], ["0", "1"]]
    assert said["conditions"] == []
    arms = {"margin": Factor("0: raised, out of the picture; 1: beside the body", kind="binary")}
    said = said_of_condition(CONDITION, arms, None, 3)
    assert said["columns"][1]["values"] == ["raised, out of the picture", "beside the body"]


def test_the_networks_are_those_of_pytorch(explorer, model, images):
    codes = network(explorer, "encoder").run(seen(images))[0]
    assert torch.allclose(codes, evaluated(model, "encode", seen(images)), atol=2e-3)
    assert codes.std(0).min() > 0.02  # in which they differ
    for size in range(3):
        for margin in range(2):
            columns = {"size_bin": torch.tensor([size]), "margin": torch.tensor([margin])}
            t = torch.tensor([[size == 0, size == 1, size == 2, margin == 0, margin == 1]]).float()
            expected = evaluated(model, "content_of", model.condition(**columns))
            assert torch.allclose(network(explorer, "condition").run(t)[0], expected, atol=2e-3)
    pictures = network(explorer, "decoder").run(codes)[0]
    assert torch.allclose(pictures, evaluated(model, "decode", codes), atol=explorer.error + 1e-6)


def test_it_starts_with_the_first_content_in_the_second_style(explorer, model, images):
    codes = evaluated(model, "encode", seen(images))
    expected = torch.cat([codes[1, :4], codes[0, 4:]])
    assert explorer.code == explorer.start
    assert explorer.start == pytest.approx(expected.tolist(), abs=2e-3)
    elsewhere = Explorer(Split(), images=images, code=range(6))
    assert elsewhere.start == [0, 1, 2, 3, 4, 5]
    assert not elsewhere.hybrid["starts"]


def test_the_content_may_come_first_and_depend_on_nothing(images):
    model = Split()
    explorer = Explorer(model, images=images, views=["hybrid"])
    assert explorer.hybrid == {"style": [2, 6], "content": [0, 2], "columns": [], "conditions": [], "starts": True}
    assert explorer.names == ["c0", "c1", "z0", "z1", "z2", "z3"]
    assert explorer.noise == [2, 3, 4, 5]
    assert set(explorer.networks) == {"decoder", "encoder"}
    codes = model.encode(seen(images)).detach()
    assert explorer.start == pytest.approx([*codes[0, :2].tolist(), *codes[1, 2:].tolist()], abs=2e-3)


def test_the_still_is_a_table_of_hybrids(explorer, model, images, monkeypatch):
    decoded, decode = [], model.decode
    monkeypatch.setattr(model, "decode", lambda z: decoded.append(z) or decode(z))
    data, metadata = explorer._repr_mimebundle_()
    assert metadata["image/png"]["alt"] == (
        "A traversal: a table of hybrids. In the rows the content of image 1, the content of image 2, the content of "
        "image 3; in the columns the style of image 1, the style of image 2, the style of image 3. On the diagonal the "
        "reconstructions."
    )
    assert data["text/plain"] == "Explorer(DRAI, 6 dimensions: hybrid, traverse, walk)"
    codes = evaluated(model, "encode", seen(images))
    expected = [torch.cat([codes[style, :4], codes[content, 4:]]) for content in range(3) for style in range(3)]
    assert torch.allclose(decoded[0], torch.stack(expected), atol=2e-3)


@pytest.mark.parametrize("system", [CInfoGAN, CAVAE])
def test_systems_of_one_variable_infer_no_content(system, images):
    message = (
        f"views: 'hybrid' is none of traverse, walk; it needs the content of images, and {system.__name__} has no "
        "encode that infers it: in a system of one variable the content comes from the condition alone"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        Explorer(build(system), images=images, views=["hybrid"])


def test_other_codes_and_too_few_images(model, images):
    other = Split()
    for layout, has in (
        (code_parts(z=Normal(6)), "z"),
        (code_parts(style=Normal(3), content=Normal(2), rest=Normal(1)), "style, content, rest"),
        ((), "no parts with names"),
    ):
        other.code_layout = layout
        message = f"a code with the parts style and content and no others, and that of Split has {has}"
        with pytest.raises(ValueError, match=re.escape(message)):
            Explorer(other, images=images, views=["hybrid"])
    for few, count in ((None, 0), (images[:1], 1)):
        with pytest.raises(ValueError, match=f"it needs images to exchange, 2 or more, got {count}"):
            Explorer(model, images=few, views=["hybrid"])
    with pytest.raises(ValueError, match="columns: the view 'hybrid' alone asks for a condition, and it needs images"):
        Explorer(model, columns=COLUMNS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": {"margin": COLUMNS["margin"]}}, "columns: 'size_bin' is missing; the condition consists of size"),
        (
            {"columns": COLUMNS | {"margin": torch.zeros(4)}},
            "columns: 'margin' has the shape (4,), expected one value for 3 images",
        ),
        (
            {"columns": COLUMNS | {"size_bin": torch.tensor([0, 1, 3])}},
            "columns: 'size_bin' holds 3 for image 3, not 0 to 2",
        ),
        ({"columns": COLUMNS | {"margin": torch.tensor([1, 0.5, 0])}}, "columns: 'margin' holds 0.5 for image 2"),
        (
            {"factors": {"margin": Factor("sharp", kind="categorical", values=("a", "b", "c"))}},
            "factors: 'margin' has 3 values, and in the model's condition it has 2",
        ),
        (
            {"factors": {"size_bin": Factor("size", unit="mm")}},
            "factors: 'size_bin' has no values to choose from (continuous), and in the model's condition it has 3",
        ),
    ],
)
def test_conditions_that_do_not_fit(model, images, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Explorer(model, images=images, **options)


def test_a_model_without_a_condition_takes_none(images):
    with pytest.raises(
        ValueError, match="factors: the view 'hybrid' alone asks for a condition, and Split says of none"
    ):
        Explorer(Split(), images=images, factors=FACTORS)


def test_a_condition_in_another_order_than_its_columns_is_found_out(images):
    class Turned(Split):
        code_layout = code_parts(
            style=Normal(4), content=Conditional(2, lambda a, b: (torch.stack([a, b], 1).float(), None), ("a", "b"))
        )
        config = {"condition": {"a": 2, "b": 2}}  # noqa: RUF012

        def content_of(self, t):
            return (t[:, [3, 1]],)

    message = "model: Turned.content_of(t) of the one-hot vectors of a, b, one after the other, is not the mean"
    with pytest.raises(ValueError, match=re.escape(message)):
        Explorer(Turned(), images=images)
