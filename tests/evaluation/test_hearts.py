"""The network that measures hearts: areas by hand, calibration, and volumes of phantoms that are known."""

import numpy as np
import pytest
import torch

from medlatent.data import DataError, at_hand, open_images
from medlatent.data.phantoms import heart
from medlatent.evaluation import hearts
from medlatent.evaluation.hearts import VOLUMES, areas, calibrate, halved, heart_meter, kind_of, outlines, phases_of
from medlatent.files import save_tensors
from medlatent.nets import UNet, dice


def test_areas_are_counts_in_pixels_of_64():
    labels = np.zeros((1, 2, 128, 128), np.uint8)
    labels[0, 0, :10, :8] = 1
    labels[0, 1, :4, :4] = 3
    found = areas(labels)
    assert list(found) == ["LVEDV", "MyoEDV", "RVEDV", "LVESV", "MyoESV", "RVESV"]
    assert found["LVEDV"] == 20
    assert found["RVESV"] == 4
    assert found["MyoEDV"] == found["LVESV"] == 0
    assert areas(labels[:, :1, ::2, ::2], ("ES",))["LVESV"] == 20


def test_halved_takes_the_most_frequent_label():
    labels = np.array([[1, 1, 0, 3], [0, 1, 0, 3], [2, 2, 2, 0], [0, 1, 1, 1]])
    assert halved(labels).tolist() == [[1, 3], [2, 1]]


def test_calibration_recovers_a_power_law_and_its_error():
    random = np.random.default_rng(0)
    labels = np.zeros((200, 2, 64, 64), np.uint8)
    side = random.integers(4, 40, (200, 2, 3))
    for n, c, k in np.ndindex(200, 2, 3):
        labels[n, c, 20 * k : 20 * k + 20].reshape(-1)[: side[n, c, k] * 10] = k + 1
    volumes = {}
    for name, area in areas(labels).items():
        volumes[name] = 0.5 * area**1.3 * np.exp(0.1 * random.standard_normal(200))
    line, error = calibrate(labels, volumes)
    for name in VOLUMES:
        assert line[name] == pytest.approx((0.5, 1.3), rel=0.15)
        assert error[name] == pytest.approx(0.1, abs=0.02)


def test_outlines_of_phantoms_are_those_they_were_rendered_with():
    images = open_images("phantoms.heart", 12, 5).split("train")
    factors = heart.sample_factors(12, 5)
    rows = (open_images("phantoms.heart", 12, 5).table["split"] == "train").to_numpy()
    assert np.array_equal(outlines(images), heart.render_masks(factors, seed=5).numpy()[rows])
    # In phantoms a volume is proportional to its area.
    volumes = {name: images.table[name].to_numpy() for name in VOLUMES}
    for a, b in calibrate(outlines(images), volumes)[0].values():
        assert a > 0
        assert b == pytest.approx(1, abs=0.1)


@pytest.fixture
def acdc():
    if not at_hand("acdc"):
        pytest.skip("$MEDLATENT_DATA holds no folder acdc")


@pytest.mark.real_data
def test_outlines_of_patients_lie_beside_their_pictures(acdc):
    images = open_images("acdc.64")
    found = outlines(images)
    for name, area in areas(found).items():
        assert np.corrcoef(np.log(area), np.log(images.table[name]))[0, 1] > 0.7, name


def test_what_is_a_heart():
    phantoms = open_images("phantoms.heart.64.ES", 3, 0)
    assert phases_of(phantoms) == ("ES",)
    assert kind_of(phantoms) == "phantoms"
    assert phases_of(open_images("phantoms.lesion", 3, 0)) == ()


@pytest.fixture(scope="module")
def phantoms():
    return open_images("phantoms.heart.64", 60, 4)  # of another seed than it was trained on


class TestRecordedMeter:
    def test_it_measures_phantoms(self, phantoms):
        found = heart_meter("phantoms").volumes(phantoms.batch(slice(None)))
        for name in VOLUMES:
            truth = phantoms.table[name].to_numpy()
            assert np.corrcoef(found[name], truth)[0, 1] > 0.95, name
            assert np.abs(found[name] / truth - 1).mean() < 0.15, name

    def test_it_sees_a_volume_grow_by_what_it_grew(self):
        """A walk along one factor of one patient: the slope in ml is the true one."""
        factors = {name: value[:1].repeat(5) for name, value in heart.sample_factors(1, 9).items()}
        factors["LVEDV"] = factors["LVEDV"] * torch.linspace(0.85, 1.15, 5)
        images = heart.render(factors, 64, patient=torch.zeros(5, dtype=torch.long)).float() / 255
        found = heart_meter("phantoms").volumes(images)
        slope = {name: np.polyfit(factors["LVEDV"].numpy(), value, 1)[0] for name, value in found.items()}
        assert slope["LVEDV"] == pytest.approx(1, abs=0.25)
        assert all(abs(value) < 0.25 for name, value in slope.items() if name != "LVEDV")

    def test_it_finds_regions_of_patients_and_says_how_well(self):
        meter = heart_meter("acdc")
        assert set(meter.dice) == {f"{region}{phase}" for region in hearts.REGIONS for phase in hearts.PHASES}
        assert all(len(scores) == 15 for scores in meter.dice.values())
        for region in hearts.REGIONS:
            assert np.mean(meter.dice[f"{region}ED"]) > 0.75
        assert set(meter.calibration) == set(meter.error) == set(VOLUMES)

    @pytest.mark.real_data
    def test_its_dice_is_computed_again(self, acdc):
        test = open_images("acdc").split("test")
        meter = heart_meter("acdc")
        found = meter.network.labels(open_images("acdc.64").split("test").batch(slice(None))).numpy()
        scores = dice(found[:, 0], halved(outlines(test))[:, 0], 4)[:, 0]
        np.testing.assert_allclose(scores, meter.dice["LVED"], atol=0.02)

    def test_wrong_pictures_are_refused(self):
        with pytest.raises(ValueError, match=r"images: expected \(N, 2, H, W\), the phases ED, ES"):
            heart_meter("phantoms").volumes(torch.rand(3, 1, 64, 64))
        with pytest.raises(ValueError, match="no calibration for 'mice'"):
            heart_meter("mice")


def test_a_missing_or_damaged_file_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"none\.safetensors: no such file; `python -m medlatent.evaluation.hea"
    ):
        heart_meter("acdc", tmp_path / "none.safetensors")
    path = save_tensors(tmp_path / "a.safetensors", UNet(4, 2).state_dict(), "medlatent.hearts", 1, config={})
    with pytest.raises(ValueError, match=r"a\.safetensors.*hearts"):
        heart_meter("acdc", path)


def test_masks_that_are_missing_are_named(monkeypatch):
    monkeypatch.delenv("MEDLATENT_DATA", raising=False)
    images = open_images("phantoms.heart", 3, 0)
    images.card.attributes.pop("lengths_mm")
    with pytest.raises(DataError, match="acdc is not packed"):
        outlines(images)


def test_without_acdc_the_command_says_what_to_pack(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("MEDLATENT_DATA", raising=False)
    monkeypatch.setattr(hearts, "PHANTOMS", 4)
    monkeypatch.setattr("sys.argv", ["hearts", "--out", str(tmp_path / "hearts.safetensors")])
    with pytest.raises(SystemExit):
        hearts.main()
    assert "acdc is not packed: run `python -m medlatent data acdc" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
