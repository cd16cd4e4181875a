"""Heart phantoms: reproducible, true to their volumes, and of the world of ACDC."""

import math
import os
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, spearmanr

from medlatent.data import DataError, ImageSet, open_images, phantoms

heart = phantoms.heart
RV, MYO, LV = (heart.LABELS[name] for name in ("RV", "Myo", "LV"))

REGULAR = {
    "LVEDV": 140.0,
    "RVEDV": 150.0,
    "MyoEDV": 110.0,
    "LVESV": 60.0,
    "RVESV": 70.0,
    "MyoESV": 115.0,
    "septal_flattening": 0.0,
    "septal_asymmetry": 1.0,
    "wall_thinning": 0.0,
    "thinning_angle": 0.0,
    "papillary": 0.0,
    "position_x": 0.0,
    "position_y": 0.0,
    "orientation": 0.0,
    "fat": 0.3,
    "lung": 0.6,
    "bias_field": 0.0,
    "noise": 0.0,
    "contrast": 2.5,
}


def rows(n, **changes):
    """n rows of the regular heart; a change is one value or n of them."""
    return {name: torch.as_tensor(changes.get(name, value)).expand(n).clone() for name, value in REGULAR.items()}


def traverse(name, values, size=128, patient=0, **fixed):
    """Pictures and masks ``(k, 2, h, w)`` of one patient under k values of one factor."""
    factors = rows(len(values), **fixed, **{name: torch.tensor(values)})
    same = torch.full((len(values),), patient)
    images = heart.render(factors, size, seed=3, patient=same).numpy().astype(float)
    return images, heart.render_masks(factors, size, seed=3, patient=same).numpy()


def area(mask, label):
    """In mm², over the last two dimensions."""
    return (mask == label).sum((-2, -1)) * (heart.FIELD / mask.shape[-1]) ** 2


def centre(mask, label):
    """The centre of gravity (x, y) of a label in mm from the middle of the image, y upwards."""
    down, right = np.argwhere(mask == label).mean(0)
    pixel = heart.FIELD / len(mask)
    return pixel * (right + 0.5 - len(mask) / 2), pixel * (len(mask) / 2 - 0.5 - down)


def thickness(mask, angle):
    """Muscle along a ray from the centre of the left ventricle, in mm; the angle is counter-clockwise as displayed."""
    pixel = heart.FIELD / len(mask)
    x, y = centre(mask, LV)
    along = np.arange(0, 80, 0.1)
    right = ((x + along * math.cos(angle)) / pixel + len(mask) / 2).astype(int)
    down = (len(mask) / 2 - (y + along * math.sin(angle)) / pixel).astype(int)
    return 0.1 * (mask[down, right] == MYO).sum()


# ------------------------------------------------------------------------------------------ reproducibility


def test_same_seed_same_images_another_seed_others():
    factors = heart.sample_factors(12, seed=1)
    images = heart.render(factors, seed=5)
    assert images.shape == (12, 2, 128, 128)
    assert images.dtype == torch.uint8
    assert torch.equal(images, heart.render(factors, seed=5))
    assert not torch.equal(images, heart.render(factors, seed=6))
    again = heart.sample_factors(12, seed=1)
    assert all(torch.equal(factors[name], again[name]) for name in heart.FACTORS)
    assert not torch.equal(factors["LVEDV"], heart.sample_factors(12, seed=2)["LVEDV"])


@pytest.mark.parametrize("independent", [False, True])
def test_more_patients_leave_the_first_ones_as_they_are(independent):
    few, many = (heart.generate(n, 32, seed=3, independent=independent) for n in (10, 37))
    # A matrix product of another batch may round differently in the last bit, and so may a grey level.
    assert np.abs(few.images.astype(int) - many.images[:10]).max() <= 1
    assert few.table["split"].equals(many.table["split"][:10])
    pd.testing.assert_frame_equal(few.table, many.table[:10], rtol=1e-5)


def test_a_patient_is_the_same_wherever_it_stands_in_a_batch():
    factors = heart.sample_factors(9, seed=1)
    images = heart.render(factors)
    last = heart.render({name: values[7:] for name, values in factors.items()}, patient=torch.tensor([7, 8]))
    assert (images[7:].int() - last.int()).abs().max() <= 1


# ------------------------------------------------------------------------------------- volumes on the picture


@pytest.mark.parametrize("name", heart.VOLUMES)
def test_a_volume_is_its_area_times_the_length(name):
    low, high = {"LV": (40, 250), "RV": (40, 220), "My": (50, 240)}[name[:2]]
    _, masks = traverse(name, np.linspace(low, high, 12).tolist())
    label = heart.LABELS[name[:-3]]
    drawn = area(masks[:, heart.PHASES.index(name[-3:-1])], label)
    volumes = drawn * heart.LENGTHS[name] / 1000
    np.testing.assert_allclose(volumes, np.linspace(low, high, 12), rtol=0.05)
    assert (np.diff(drawn) > 0).all()
    assert np.corrcoef(drawn, np.linspace(low, high, 12))[0, 1] > 0.999
    # All other areas stay, but for what the pixels round.
    for phase in range(2):
        for other in (RV, MYO, LV):
            if (phase, other) != (heart.PHASES.index(name[-3:-1]), label):
                still = area(masks[:, phase], other)
                assert np.ptp(still) < 0.05 * still.mean()


@pytest.mark.parametrize("independent", [False, True])
@pytest.mark.parametrize("size", [96, 128])
def test_whatever_the_shape_the_areas_hold(size, independent):
    factors = heart.sample_factors(150, seed=2, independent=independent)
    masks = heart.render_masks(factors, size, seed=2).numpy()
    for name in heart.VOLUMES:
        drawn = area(masks[:, heart.PHASES.index(name[-3:-1])], heart.LABELS[name[:-3]]) * heart.LENGTHS[name] / 1000
        share = drawn / factors[name].numpy()
        assert np.median(share) == pytest.approx(1, abs=0.005)
        assert np.quantile(share, 0.02) > 0.95  # a few right ventricles reach beyond the frame
        assert np.quantile(share, 0.98) < 1.05
        assert np.corrcoef(drawn, factors[name])[0, 1] > 0.99


@pytest.mark.parametrize("name", ["LVESV", "RVESV", "MyoESV"])
def test_what_happens_at_end_systole_leaves_end_diastole(name):
    images, masks = traverse(name, [50.0, 100.0])
    assert np.array_equal(images[0, 0], images[1, 0])
    assert np.array_equal(masks[0, 0], masks[1, 0])
    assert not np.array_equal(images[0, 1], images[1, 1])


def test_structures_lie_as_in_a_heart():
    masks = heart.render_masks(heart.sample_factors(60, seed=4), seed=4).numpy().reshape(-1, 128, 128)
    assert set(np.unique(masks)) == {0, 1, 2, 3}
    for mask in masks:
        inside = np.argwhere(mask == LV)
        for step in ((0, 1), (1, 0), (0, -1), (-1, 0)):  # the cavity touches muscle only
            assert set(mask[tuple((inside + step).T)]) <= {LV, MYO}
        beside = np.argwhere(mask == RV) + np.array([0, 1])  # and the right ventricle lies on it
        assert (mask[tuple(beside.T)] == MYO).sum() > 5


# ------------------------------------------------------------------------- each factor moves what it names


def test_position_and_orientation_are_those_of_the_centres_of_gravity():
    generator = torch.Generator().manual_seed(0)
    factors = heart.sample_factors(20, seed=8)
    for name, reach in (("position_x", 15), ("position_y", 15), ("orientation", 3)):
        factors[name] = reach * (2 * torch.rand(20, generator=generator) - 1)
    for name in heart.VOLUMES:
        factors[name] = factors[name].clamp_max(130)  # whole inside the frame
    masks = heart.render_masks(factors, seed=8).numpy()[:, 0]
    for i, mask in enumerate(masks):
        x, y = centre(mask, LV)
        assert x == pytest.approx(float(factors["position_x"][i]), abs=0.4)
        assert y == pytest.approx(float(factors["position_y"][i]), abs=0.4)
        rv_x, rv_y = centre(mask, RV)
        turn = math.atan2(rv_y - y, rv_x - x) - math.pi - float(factors["orientation"][i])
        assert abs((turn + math.pi) % (2 * math.pi) - math.pi) < 0.03
    _, masks = traverse("orientation", [0.0])
    assert centre(masks[0, 0], RV)[0] < -20  # on the left


def test_septal_flattening_makes_a_d():
    _, masks = traverse("septal_flattening", [0.0, 0.5, 1.0], size=256)
    for phase in range(2):
        flat = []
        for mask in masks[:, phase]:
            down, right = np.nonzero(mask == LV)
            flat.append(np.ptp(right) / np.ptp(down))
        assert flat[0] == pytest.approx(1, abs=0.15)
        assert flat[0] > flat[1] + 0.05 > flat[2] + 0.1


def test_septal_asymmetry_is_the_ratio_of_the_two_walls():
    ratios = []
    for patient in range(12):  # whose own waves even out
        _, masks = traverse("septal_asymmetry", [0.7, 1.0, 2.0], size=256, patient=patient)
        ratios.append([thickness(mask, math.pi) / thickness(mask, 0.0) for mask in masks[:, 0]])
    np.testing.assert_allclose(np.exp(np.log(ratios).mean(0)), [0.7, 1.0, 2.0], rtol=0.12)


@pytest.mark.parametrize("angle", [0.0, 2.0, -1.2])
def test_wall_thinning_thins_the_wall_where_it_says(angle):
    _, masks = traverse("wall_thinning", [0.0, 0.4, 0.8], size=512, thinning_angle=angle)
    for phase in range(2):
        there = [thickness(mask, math.pi + angle) for mask in masks[:, phase]]
        opposite = [thickness(mask, angle) for mask in masks[:, phase]]
        assert there[1] < 0.75 * there[0]
        assert there[2] < 0.35 * there[0]
        assert opposite[0] < opposite[1] < opposite[2]  # the volume of the muscle stays


def test_papillary_muscles_darken_the_cavity_and_count_as_blood():
    images, masks = traverse("papillary", [0.0, 0.3, 1.0])
    assert (masks == masks[0]).all()
    for phase in range(2):
        inside = masks[0, phase] == LV
        dark = [(image[phase][inside] < 120).mean() for image in images]
        assert dark[0] + 0.01 < dark[1] < dark[2] - 0.02
        assert dark[2] < 0.4
        elsewhere = masks[0, phase] == RV
        assert np.array_equal(images[0, phase][elsewhere], images[2, phase][elsewhere])


def test_fat_is_around_the_heart():
    images, masks = traverse("fat", [0.0, 0.5, 1.0], lung=1.0)
    around = masks[0] == 0
    bright = [(image[around] > 150).mean() for image in images]
    assert bright[0] < bright[1] < bright[2]
    # Inside, but for the pixels at the border, nothing changes.
    assert np.abs(images[2] - images[0])[masks[0] == LV].max() == 0


def test_lung_takes_the_place_of_the_abdomen():
    images, masks = traverse("lung", [0.0, 0.5, 1.0])
    below = images[:, 0, 84:108, 30:100]
    dark = [(picture < 50).mean() for picture in below]
    assert dark[0] < dark[1] < dark[2]
    assert np.array_equal(images[0][masks[0] == LV], images[2][masks[0] == LV])


def test_bias_field_is_the_logarithm_of_a_ratio():
    images, masks = traverse("bias_field", [0.0, 0.6])
    grey = (images > 20).all(0) & (images < 250).all(0)
    ratio = np.log(np.where(grey, images[1], 1) / np.where(grey, images[0], 1))
    down, right = np.mgrid[:128, :128] / 128 - 0.5
    design = np.stack([right[grey[0]], down[grey[0]], np.ones(grey[0].sum())], axis=1)
    slope = np.linalg.lstsq(design, ratio[0][grey[0]], rcond=None)[0]
    assert np.hypot(*slope[:2]) == pytest.approx(0.6, abs=0.15)
    assert slope[0] < 0  # brighter on the left, where the chest is
    assert (masks[0] == masks[1]).all()


def test_noise_has_the_stated_standard_deviation():
    images, masks = traverse("noise", [0.0, 0.05])
    difference = (images[1] - images[0])[masks[0] == MYO]
    assert difference.std() / (255 * heart.BLOOD) == pytest.approx(0.05, rel=0.07)
    background = images[0] < 25
    assert (images[1] - images[0])[background].mean() > 2  # a magnitude: noise brightens what is dark


def test_contrast_is_blood_over_muscle():
    muscle, blood = [], []
    for patient in range(10):  # whose own textures even out
        images, masks = traverse("contrast", [1.5, 2.5, 4.0], patient=patient)
        muscle.append([np.median(image[0][masks[0, 0] == MYO]) for image in images])
        blood.append([[np.median(image[i][masks[0, i] == LV]) for image in images] for i in range(2)])
    diastole, systole = np.swapaxes(blood, 0, 1)
    assert np.ptp(diastole, axis=1).max() < 5  # the muscle darkens, the blood stays
    assert systole.mean() < diastole.mean()
    np.testing.assert_allclose((diastole / muscle).mean(0), [1.5, 2.5, 4.0], rtol=0.07)  # thick slices blur the borders


def test_size_changes_the_grid_and_not_the_heart():
    factors = heart.sample_factors(10, seed=3)
    fine, coarse = (heart.render_masks(factors, size, seed=3).numpy() for size in (256, 64))
    for label in (RV, MYO, LV):
        np.testing.assert_allclose(area(coarse, label), area(fine, label), rtol=0.15)
    small = heart.render({**factors, "noise": torch.zeros(10)}, 64, seed=3).float()
    large = heart.render({**factors, "noise": torch.zeros(10)}, 128, seed=3).float()
    reduced = torch.nn.functional.avg_pool2d(large, 2)
    assert np.corrcoef(reduced.flatten(), small.flatten())[0, 1] > 0.97


# ------------------------------------------------------------------------------------------------- sampling


def test_groups_are_equally_likely_and_eject_as_in_people():
    factors = heart.sample_factors(3000, seed=4)
    assert chisquare(np.bincount(factors["diagnosis"], minlength=5)).pvalue > 1e-3
    ejected = 100 * (1 - factors["LVESV"] / factors["LVEDV"])
    found = [float(ejected[factors["diagnosis"] == i].mean()) for i in range(5)]
    assert heart.DIAGNOSES == ("NOR", "DCM", "HCM", "MINF", "RV")
    np.testing.assert_allclose(found, [60, 18, 67, 31, 55], atol=4)  # ACDC's
    assert (factors["LVESV"] < factors["LVEDV"]).all()
    assert (factors["RVESV"] < factors["RVEDV"]).all()


def test_groups_have_their_geometry():
    table = heart.generate(1500, 16, seed=4).table.groupby("diagnosis").median(numeric_only=True)
    assert table["LVEDV"].idxmax() == "DCM"
    assert table["wall_thickness"].idxmax() == "HCM"
    assert table["septal_asymmetry"].idxmax() == "HCM"
    assert table["wall_thinning"].idxmax() == "MINF"
    assert table["septal_flattening"].idxmax() == table["RVEDV"].idxmax() == "RV"
    assert 6 < table.loc["NOR", "wall_thickness"] < 12  # mm


def test_volumes_are_correlated_as_in_people():
    """The reference values are the correlations of the logarithms over ACDC's 100 patients."""
    factors = heart.sample_factors(4000, seed=4)
    found = np.corrcoef([factors[name].log().numpy() for name in heart.VOLUMES])
    expected = [0.292, 0.690, 0.913, 0.243, 0.629, 0.021, 0.223, 0.861]
    expected += [-0.014, 0.490, -0.091, 0.975, 0.289, 0.421, -0.140]
    np.testing.assert_allclose(found[np.triu_indices(6, 1)], expected, atol=0.09)
    medians = [float(factors[name].median()) for name in heart.VOLUMES]
    np.testing.assert_allclose(medians, [149, 152, 118, 64, 70, 136], rtol=0.15)


def test_independent_factors_are_independent():
    factors = heart.sample_factors(4000, seed=0, independent=True)
    assert list(factors) == list(heart.FACTORS)
    dependence, _ = spearmanr(torch.stack(list(factors.values()), dim=1).double().numpy())
    assert np.abs(dependence[np.triu_indices(len(factors), 1)]).max() < 4.5 / math.sqrt(4000)
    for values in factors.values():  # broad: uniform over its range
        assert values.std() > 0.95 * (values.max() - values.min()) / math.sqrt(12)
    assert (factors["LVESV"] < factors["LVEDV"]).all()
    assert (factors["RVESV"] < factors["RVEDV"]).all()


def test_grey_levels_are_those_of_acdc():
    """The reference values are of ACDC's basal slices, cut out at 1.8 mm, over the 99.5th percentile of the ED one."""
    factors = heart.sample_factors(200, seed=9)
    images, masks = heart.render(factors, seed=9).numpy() / 255, heart.render_masks(factors, seed=9).numpy()
    np.testing.assert_allclose(images.mean((0, 2, 3)), [0.317, 0.311], atol=0.05)
    np.testing.assert_allclose(np.quantile(images[:, 0], [0.05, 0.25, 0.5, 0.75]), [0.04, 0.14, 0.25, 0.44], atol=0.08)
    medians = [[np.median(images[:, i][masks[:, i] == label]) for label in (RV, MYO, LV)] for i in range(2)]
    np.testing.assert_allclose(medians, [[0.62, 0.30, 0.75], [0.59, 0.32, 0.70]], atol=0.07)


@pytest.mark.real_data
def test_the_constants_are_those_of_acdc():
    raw = Path(os.environ.get("MEDLATENT_RAW", "")) / "acdc"
    patients = sorted(raw.glob("**/patient[0-9][0-9][0-9]"))
    if "MEDLATENT_RAW" not in os.environ or len(patients) < 100:
        pytest.skip("$MEDLATENT_RAW holds no acdc with its 100 patients")
    groups, volumes, lengths = [], [], []
    for folder in patients[:100]:
        info = dict(line.split(": ") for line in (folder / "Info.cfg").read_text().split("\n") if line)
        files = [next(folder.glob(f"*_frame{int(info[phase]):02d}_gt.nii*")) for phase in heart.PHASES]
        masks = [np.asarray(nibabel.load(file).dataobj) for file in files]
        spacing = np.array(nibabel.load(files[0]).header.get_zooms(), dtype=float)
        numbers = [heart.ACDC_LABELS[name] for name in ("LV", "RV", "Myo")]
        counts = np.array([[(mask == label).sum((0, 1)) for label in numbers] for mask in masks])
        base = np.flatnonzero((counts > 10).all((0, 1)))[0]
        groups.append(info["Group"])
        volumes.append(counts.sum(-1).ravel() * spacing.prod() / 1000)
        lengths.append(counts.sum(-1).ravel() / counts[..., base].ravel() * spacing[2])
    logs = pd.DataFrame(np.log(volumes), columns=heart.VOLUMES).groupby(np.array(groups))
    for group in heart.DIAGNOSES:
        np.testing.assert_allclose(np.exp(logs.mean().loc[group]), heart.MEDIANS[group], rtol=2e-3)
        np.testing.assert_allclose(logs.std().loc[group], heart.SPREADS[group], atol=2e-3)
    within = logs.transform(lambda column: column - column.mean())
    np.testing.assert_allclose(within.corr(), heart.CORRELATIONS, atol=2e-3)
    np.testing.assert_allclose(np.median(lengths, axis=0), list(heart.LENGTHS.values()), atol=0.5)


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize("name", list(heart.RANGES))
@pytest.mark.parametrize("where", ["below", "above", "nan", "inf"])
def test_a_value_out_of_range_is_refused_by_name(name, where):
    low, high = heart.RANGES[name]
    value = {"below": low - 0.01, "above": high + 0.01, "nan": math.nan, "inf": math.inf}[where]
    factors = rows(3)
    factors[name][1] = value
    with pytest.raises(DataError, match=f"{name}.*row 1"):
        heart.render(factors)


def test_wrong_sets_of_factors_are_refused():
    factors = rows(2)
    with pytest.raises(DataError, match="'fat' is missing"):
        heart.render({name: values for name, values in factors.items() if name != "fat"})
    with pytest.raises(DataError, match="'spleen' is unknown"):
        heart.render_masks({**factors, "spleen": torch.zeros(2)})
    with pytest.raises(DataError, match=r"fat.*shape"):
        heart.render({**factors, "fat": torch.zeros(3)})
    with pytest.raises(DataError, match="no rows"):
        heart.render({name: values[:0] for name, values in factors.items()})
    for size in (0, 8, 100, -16):
        with pytest.raises(DataError, match="size: a multiple of 16 pixels"):
            heart.render(factors, size=size)
    with pytest.raises(DataError, match="patient: expected 2"):
        heart.render(factors, patient=torch.tensor([0, -1]))
    for call in (heart.sample_factors, heart.generate):
        with pytest.raises(DataError, match="at least one image"):
            call(0)
        with pytest.raises(DataError, match="seed: a whole number from 0"):
            call(2, seed=-1)
    with pytest.raises(DataError, match="seed: a whole number from 0"):
        heart.render(factors, seed=-1)


def column(name):
    low, high = heart.RANGES[name]
    return st.lists(st.floats(low, high, width=64), min_size=2, max_size=2)


@given(
    values=st.fixed_dictionaries({name: column(name) for name in heart.RANGES}),
    size=st.sampled_from([16, 48, 64]),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=40, deadline=None)
def test_all_valid_factors_render(values, size, seed):
    factors = {name: torch.tensor(column, dtype=torch.float64) for name, column in values.items()}
    images, masks = heart.render(factors, size, seed), heart.render_masks(factors, size, seed)
    assert images.shape == masks.shape == (2, 2, size, size)
    assert images.dtype == masks.dtype == torch.uint8
    assert set(masks.unique().tolist()) <= {0, 1, 2, 3}
    assert (images.float().mean((2, 3)) > 1).all()


# ---------------------------------------------------------------------------------------------------- sets


def test_generate_gives_an_image_set_with_pairs(tmp_path):
    images = heart.generate(60, 32, seed=3)
    assert isinstance(images, ImageSet)
    assert images.images.shape == (60, 2, 32, 32)
    assert "phantom" in images.card.name
    assert images.fingerprint == heart.generate(60, 32, seed=3).fingerprint
    assert images.fingerprint != heart.generate(60, 32, seed=4).fingerprint
    table = images.table
    derived = {"ejection_fraction", "wall_thickness", "diagnosis"}
    assert set(heart.FACTORS) | derived | {"patient_id", "split"} == set(table)
    assert set(images.factors) == set(heart.FACTORS) | derived
    assert all(images.factors[name].unit == "ml" for name in heart.VOLUMES)
    assert images.group == "patient_id"
    assert table["patient_id"].is_unique
    np.testing.assert_allclose(table["ejection_fraction"], 1 - table["LVESV"] / table["LVEDV"])
    images.save(tmp_path / "set")
    assert ImageSet.load(tmp_path / "set").fingerprint == images.fingerprint
    # What follows from the factors is no factor where they are to be independent.
    assert set(heart.generate(4, 16, independent=True).factors) == set(heart.FACTORS)


def test_wall_thickness_is_that_of_the_mask():
    images = heart.generate(30, 128, seed=5)
    factors = {name: torch.tensor(images.table[name].to_numpy()) for name in heart.FACTORS}
    factors["orientation"] *= 0
    masks = heart.render_masks(factors, 256, seed=5).numpy()[:, 0]
    found = [np.mean([thickness(mask, angle) for angle in np.linspace(0, 2 * math.pi, 90)]) for mask in masks]
    np.testing.assert_allclose(found, images.table["wall_thickness"], rtol=0.08)


def test_it_is_opened_by_its_name():
    images = open_images("phantoms.heart", 3, seed=1)
    assert images.images.shape == (3, 2, 128, 128)


# --------------------------------------------------------------------------------------------------- layouts


def test_acdc_layout(tmp_path):
    folder = tmp_path / "acdc"
    truth = heart.write_acdc(folder, 5, seed=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["acdc"]
    assert sorted(path.name for path in (folder / "training").iterdir()) == list(truth["patient_id"])
    assert list(truth["patient_id"]) == [f"patient{i:03d}" for i in range(1, 6)]
    for row in truth.to_dict("records"):
        place = folder / "training" / row["patient_id"]
        info = dict(line.split(": ") for line in (place / "Info.cfg").read_text().splitlines())
        assert list(info) == ["ED", "ES", "Group", "Height", "NbFrame", "Weight"]
        assert info["Group"] == row["diagnosis"]
        assert 1 == int(info["ED"]) < int(info["ES"]) <= int(info["NbFrame"])
        assert float(info["Height"]) == row["Height"]
        assert len(list(place.iterdir())) == 5
        for phase in heart.PHASES:
            name = f"{row['patient_id']}_frame{int(info[phase]):02d}"
            scan, labels = nibabel.load(place / f"{name}.nii.gz"), nibabel.load(place / f"{name}_gt.nii.gz")
            assert scan.shape == labels.shape == (216, 256, heart.SLICES)
            assert scan.header.get_zooms() == labels.header.get_zooms() == (1.5625, 1.5625, 10)
            assert np.array_equal(scan.affine, labels.affine)
            assert scan.get_data_dtype() == np.int16
            mask, voxel = np.asarray(labels.dataobj), 1.5625**2 * 10 / 1000
            for part, label in (("RV", 1), ("Myo", 2), ("LV", 3)):
                volume = (mask == label).sum() * voxel
                assert volume == pytest.approx(row[f"{part}{phase}V"], rel=0.03)
                counts = (mask == label).sum((0, 1))
                assert counts[0] > 0.97 * counts.max()  # the base comes first
                assert (counts[:6] > 10).all()
            grey = np.asarray(scan.dataobj)
            assert np.median(grey[mask == 3]) > 1.3 * np.median(grey[mask == 2])
    with pytest.raises(DataError, match="exists"):
        heart.write_acdc(folder, 5)


def test_ukbb_layout(tmp_path):
    folder = tmp_path / "ukbb"
    truth = heart.write_ukbb(folder, 3, seed=2)
    assert sorted(path.name for path in folder.iterdir()) == list(truth["patient_id"])
    for row in truth.to_dict("records"):
        place = folder / row["patient_id"]
        files = {"sa_ED.nii.gz", "sa_ES.nii.gz", "label_sa_ED.nii.gz", "label_sa_ES.nii.gz"}
        assert {path.name for path in place.iterdir()} == files
        for phase in heart.PHASES:
            labels = nibabel.load(place / f"label_sa_{phase}.nii.gz")
            assert np.array_equal(labels.affine, nibabel.load(place / f"sa_{phase}.nii.gz").affine)
            np.testing.assert_allclose(np.abs(np.diag(labels.affine))[:3], labels.header.get_zooms(), rtol=1e-6)
            mask, voxel = np.asarray(labels.dataobj), float(np.prod(labels.header.get_zooms())) / 1000
            for part, label in (("LV", 1), ("Myo", 2), ("RV", 3)):
                assert (mask == label).sum() * voxel == pytest.approx(row[f"{part}{phase}V"], rel=0.03)
    with pytest.raises(DataError, match="exists"):
        heart.write_ukbb(folder, 3)


def test_patients_in_a_scanner_lie_elsewhere_and_what_is_around_them_stays(tmp_path):
    truth = heart.write_acdc(tmp_path / "acdc", 4, seed=2)
    assert truth["orientation"].std() > 0.1
    assert truth["position_x"].std() > 3
    place = tmp_path / "acdc" / "training" / "patient001"
    scan = nibabel.load(place / "patient001_frame01.nii.gz").get_fdata()
    mask = nibabel.load(place / "patient001_frame01_gt.nii.gz").get_fdata()
    for name, sign, axis in (("position_x", 1, 0), ("position_y", -1, 1)):
        found = np.argwhere(mask[:, :, 0] == 3)[:, axis].mean() + 0.5 - mask.shape[axis] / 2
        assert sign * 1.5625 * found == pytest.approx(truth[name][0], abs=0.5)
    far = np.ones(mask.shape[:2], dtype=bool)
    far[40:180, 60:200] = False
    assert np.corrcoef(scan[:, :, 0][far], scan[:, :, 8][far])[0, 1] > 0.9
    assert not np.array_equal(scan[:, :, 0][far], scan[:, :, 8][far])  # the noise is each slice's own


@pytest.mark.parametrize("write", [heart.write_acdc, heart.write_ukbb])
def test_a_failed_writing_leaves_nothing(write, tmp_path, monkeypatch):
    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(heart, "_write_nifti", full_disk)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "set", 2)
    assert list(tmp_path.iterdir()) == []
    for bad in (0, -1):
        with pytest.raises(DataError, match="at least one image"):
            write(tmp_path / "set", bad)
