"""The network that measures factors: its scales, its errors by hand, its file, and who finds it."""

import numpy as np
import pandas as pd
import pytest
import torch

from medlatent.data import Card, DataError, Factor, ImageSet
from medlatent.evaluation import factor_meters
from medlatent.evaluation.factor_meters import (
    load_meter,
    main,
    meter_error,
    meter_of,
    save_meter,
    train_factor_meter,
)

CARD = Card("bars", "computed here", "CC0-1.0", "nobody", "none")


def bars(n: int = 240, name: str = "bars", gaps: bool = False) -> ImageSet:
    """A bar whose brightness, row and angle are known; three images a patient."""
    random = np.random.default_rng(0)
    bright, row = random.uniform(40, 100, n), random.uniform(0, 1, n)
    turn = random.uniform(-np.pi / 2, np.pi / 2, n)
    y, x = np.mgrid[:16, :16] / 15
    across = (y - row[:, None, None]) * np.cos(turn / 4)[:, None, None] + 0.3 * (x - 0.5) * np.sin(2 * turn)[
        :, None, None
    ]
    pixels = 2 * bright[:, None, None] * np.exp(-np.square(across / 0.12)) + 20 * np.cos(2 * turn)[:, None, None] + 20
    table = pd.DataFrame({"bright": bright, "row": row, "turn": turn, "hairy": 0, "patient": np.arange(n) // 3})
    table["split"] = np.where(table["patient"] % 4 == 0, "test", "train")
    if gaps:
        table.loc[4, "row"] = np.nan
    factors = {
        "bright": Factor("brightness"),
        "row": Factor("place"),
        "turn": Factor("axis", kind="angle", period=np.pi),
        "hairy": Factor("has hair", kind="binary"),
    }
    images = pixels.clip(0, 255).astype(np.uint8)[:, None]
    return ImageSet(images, table, factors, Card(name, *list(vars(CARD).values())[1:5]), group="patient")


@pytest.fixture(scope="module")
def trained():
    return train_factor_meter(bars(), steps=150)


def test_what_it_learns(trained):
    assert list(trained.scales) == ["bright", "row", "turn"]  # what can be measured
    training = bars().split("train")
    values = training.factor_matrix(["bright", "row"])
    for name, column in zip(("bright", "row"), values.T, strict=True):
        assert trained.scales[name].centre == pytest.approx(column.mean())
        assert trained.scales[name].deviation == pytest.approx(column.std())
    assert trained.scales["turn"].period == pytest.approx(np.pi)
    assert trained.error["row"].r2 > 0.6
    assert trained.error["bright"].r2 > 0.6
    assert trained.data["images"] == len(training)


def test_the_errors_by_hand(trained):
    test = bars().split("test")
    found, truth = trained.measure(test.batch(slice(None))), test.factor_matrix(["bright", "row", "turn"])
    difference = found - truth
    difference[:, 2] = (difference[:, 2] + np.pi / 2) % np.pi - np.pi / 2
    for k, name in enumerate(trained.scales):
        error = trained.error[name]
        assert error.rmse == pytest.approx(np.sqrt(np.square(difference[:, k]).mean()), rel=1e-5)
        patients = test.table["patient"].to_numpy()
        expected = {str(p): np.sqrt(np.square(difference[patients == p, k]).mean()) for p in np.unique(patients)}
        assert error.by_group == pytest.approx(expected, rel=1e-5)
    row = trained.error["row"]
    assert row.r2 == pytest.approx(1 - row.rmse**2 / truth[:, 1].var(), rel=1e-5)


def test_it_is_measured_in_standard_deviations(trained):
    centre, deviation = trained.scales["row"].centre, trained.scales["row"].deviation
    measured = np.array([[[0.0, centre, 0.0], [0.0, centre + 2 * deviation, 0.0]]])
    assert trained.standard(measured)[0, :, 1].tolist() == pytest.approx([0, 2])
    assert trained.periods[:2].tolist() == [np.inf, np.inf]
    assert trained.periods[2] == pytest.approx(np.pi / trained.scales["turn"].deviation)


def test_an_angle_is_measured_about_its_centre():
    """Angles about the end of their period: nothing is cut there."""
    scale = factor_meters._scale(Factor("axis", kind="angle", period=np.pi), np.array([1.5, -1.5, 1.55, -1.55]))
    assert abs(scale.centre) == pytest.approx(np.pi / 2, abs=1e-6)
    assert scale.deviation == pytest.approx(np.sqrt(np.mean(np.square([np.pi / 2 - 1.5, np.pi / 2 - 1.55]))), abs=1e-6)
    angles = np.array([[1.5], [-1.5], [0.2]])
    outputs = factor_meters._outputs(angles, {"turn": scale})
    found = factor_meters._factors(outputs, {"turn": scale})
    assert (found - angles + np.pi / 2) % np.pi - np.pi / 2 == pytest.approx(np.zeros((3, 1)), abs=1e-9)
    assert np.abs(found - scale.centre).max() <= np.pi / 2


def test_saved_and_loaded_it_is_the_same(trained, tmp_path):
    again = load_meter(save_meter(trained, tmp_path / "meter_bars.safetensors"))
    images = torch.rand(5, 1, 16, 16)
    assert np.array_equal(again.measure(images), trained.measure(images))
    assert (again.scales, again.shape, again.error, again.data) == (
        trained.scales,
        trained.shape,
        trained.error,
        trained.data,
    )
    assert meter_error(again, bars().split("test")) == trained.error


def test_it_is_found_by_the_data_and_their_size(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(factor_meters, "project_files", lambda pattern: sorted(tmp_path.glob("*/meter_*.safetensors")))
    assert meter_of(bars()) is None
    (tmp_path / "chapter").mkdir()
    save_meter(trained, tmp_path / "chapter" / "meter_bars.safetensors")
    assert meter_of(bars()).data == trained.data
    assert meter_of(bars(name="other bars")) is None
    small = ImageSet(bars().images[:, :, ::2, ::2], bars().table, bars().factors, CARD)
    assert meter_of(small) is None
    save_meter(trained, tmp_path / "chapter" / "meter_again.safetensors")
    with pytest.raises(ValueError, match=r"meter_again.safetensors and .*meter_bars.safetensors both measure bars"):
        meter_of(bars())


def test_images_without_a_value_do_not_count():
    with_gap = train_factor_meter(bars(gaps=True), ["row"], steps=1)
    assert with_gap.data["images"] + 1 == train_factor_meter(bars(), ["row"], steps=1).data["images"]


def test_what_is_refused(trained, tmp_path):
    with pytest.raises(ValueError, match="factors: 'hairy' is binary; continuous factors and angles can be measured"):
        train_factor_meter(bars(), ["hairy"])
    images = bars()
    images.table["row"] = 0.5
    with pytest.raises(ValueError, match=r"factors: 'row' is 0.5 in all training images"):
        train_factor_meter(images, ["row"])
    images.table["row"] = np.nan
    with pytest.raises(DataError, match="bars: 0 training images have a value of row"):
        train_factor_meter(images, ["row"])
    with pytest.raises(DataError, match="bars: no factor is continuous"):
        train_factor_meter(ImageSet(images.images, images.table, {}, CARD))
    with pytest.raises(ValueError, match=r"images: the meter was trained on \(1, 16, 16\), got \(1, 8, 8\)"):
        trained.measure(torch.rand(2, 1, 8, 8))
    broken = tmp_path / "meter_broken.safetensors"
    save_meter(trained, broken)
    broken.write_bytes(broken.read_bytes()[:-4])
    with pytest.raises(ValueError, match=r"meter_broken.safetensors is damaged"):
        load_meter(broken)


def test_the_command(tmp_path, capsys):
    bars().save(tmp_path / "bars")
    out = tmp_path / "meter_bars.safetensors"
    main([str(tmp_path / "bars"), "--factors", "row", "turn", "--steps", "2", "--out", str(out)])
    assert load_meter(out).data["source"] == str(tmp_path / "bars")
    assert "row: error" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([str(tmp_path / "bars"), "--out", str(tmp_path / "bars.safetensors")])
    assert "--out: a meter is found by its name" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([str(tmp_path / "none"), "--out", str(out)])
