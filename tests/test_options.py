"""Options that are numbers: what is none is refused by the name of the option, everywhere alike."""

import importlib
import inspect
import pkgutil

import numpy as np
import pytest
import torch

from medlatent.data import DataError, phantoms
from medlatent.metrics.disentanglement import mig_knn
from medlatent.models import GAN, VAE, AttriVAE, LatentModel
from medlatent.options import MAY_BE_NONE, REAL_MAY_BE_NONE, is_real, real_options, whole, whole_options

PACKAGES = ("metrics", "losses", "models", "nets", "explore.figures", "data.phantoms", "data.sources")


def _public(module):
    """The functions, the methods, and the constructors of networks and models that a module defines."""
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", "") != module.__name__:
            continue
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value) and issubclass(value, LatentModel):
            yield from ((f"{name}.{key}", one) for key, one in vars(value).items() if key == "__init__")


def _options():
    for package in PACKAGES:
        top = importlib.import_module(f"medlatent.{package}")
        found = pkgutil.walk_packages(getattr(top, "__path__", []), f"{top.__name__}.")
        for module in (top, *(importlib.import_module(one.name) for one in found)):
            if module.__name__.rpartition(".")[2].startswith("_") or module.__name__ == "medlatent.nets.sides":
                continue  # what is inside
            for name, function in _public(module):
                options = [p for p in inspect.signature(function).parameters.values() if p.annotation in MAY_BE_NONE]
                for option in options:
                    yield pytest.param(function, option.name, id=f"{module.__name__}.{name}-{option.name}")


NO_WHOLE_NUMBERS = (20.5, 3.0, np.float64(3), True, np.True_, "3", float("nan"), 2**70, [3])


@pytest.mark.parametrize(("function", "option"), list(_options()))
def test_of_no_whole_number_the_name_is_said(function, option) -> None:
    # The other arguments are nonsense: what is asked of this one comes first.
    parameters = inspect.signature(function).parameters.values()
    others = {p.name: 1 for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD}
    for value in NO_WHOLE_NUMBERS:
        with pytest.raises(ValueError, match=rf"^{option} must be a whole number of 64 bits, got "):
            function(**(others | {option: value}))


@pytest.mark.parametrize("three", [3, np.int64(3), np.uint8(3), np.array(3), torch.tensor(3)], ids=repr)
def test_whole_numbers_of_every_kind_are_pythons(three) -> None:
    assert whole("k", three) == 3
    assert type(whole("k", three)) is int


def test_a_number_below_the_least_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^k must be at least 2, got 1$"):
        whole("k", 1, 2)


def test_none_passes_where_it_is_an_option() -> None:
    @whole_options(k=1)
    def both(n: int, k: int | None = None) -> tuple:
        return n, k

    assert both(np.int8(2)) == (2, None)
    assert both(2, None) == (2, None)
    with pytest.raises(ValueError, match=r"^n must be a whole number"):
        both(None)
    with pytest.raises(ValueError, match=r"^k must be at least 1"):
        both(2, 0)


def test_a_small_kind_of_numpy_does_not_overflow() -> None:
    codes = np.random.default_rng(0).normal(size=(300, 2))
    assert mig_knn(codes, codes, np.uint8(255)).score == mig_knn(codes, codes, 255).score


def test_a_model_takes_numpys_numbers() -> None:
    model = VAE(np.int64(4), channels=np.int64(1), size=np.int64(32))
    assert type(model.latent_dim) is int
    assert model.decode(torch.zeros(1, 4)).shape == (1, 1, 32, 32)


def test_data_say_it_with_their_own_error() -> None:
    with pytest.raises(DataError, match=r"^n must be a whole number"):
        phantoms.lesion.generate(2.5)


def _real_options_of_models():
    for name, model in LatentModel.registry.items():
        for option in inspect.signature(model.__init__).parameters.values() if "__init__" in vars(model) else ():
            if option.annotation in REAL_MAY_BE_NONE:
                yield pytest.param(model, option.name, id=f"{name}-{option.name}")


@pytest.mark.parametrize(("model", "option"), list(_real_options_of_models()))
def test_of_no_real_number_a_model_says_the_name(model, option) -> None:
    for value in ("x", "3", float("nan"), float("inf"), 10**400, True, [1.0], {}, 1j):
        with pytest.raises(ValueError, match=rf"^{option} must be a finite number, got "):
            model(**{option: value})
    if option.endswith("rate"):
        with pytest.raises(ValueError, match=rf"^{option} must be at least 0, got -1$"):
            model(**{option: -1})


@pytest.mark.parametrize("half", [0.5, np.float32(0.5), np.array(0.5), torch.tensor(0.5)], ids=repr)
def test_real_numbers_of_every_kind_are_passed_on_as_they_are(half) -> None:
    @real_options()
    def same(x: float, y: float | None = None) -> float:
        return x

    assert is_real(half)
    assert same(half, None) is half


@pytest.mark.parametrize("option", ["channels", "width"])
def test_networks_have_a_channel_at_least(option) -> None:
    for model in (GAN, AttriVAE):
        with pytest.raises(ValueError, match=rf"^{option} must be at least 1, got -1$"):
            model(**{option: -1})


@pytest.mark.parametrize(
    ("model", "option", "value"),
    [
        (GAN, "smoothing", ["a", "b"]),
        (GAN, "smoothing", None),
        (GAN, "loss", []),
        (AttriVAE, "attributes", 3),
        (AttriVAE, "attributes", [["a"]]),
    ],
)
def test_other_options_are_refused_by_name(model, option, value) -> None:
    with pytest.raises(ValueError, match=rf"^{option} "):
        model(**{option: value})
