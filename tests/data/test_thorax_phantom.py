"""Thorax phantoms: reproducible, true to their factors, an anatomy that changes with height, in the world of CT."""

import math

import numpy as np
import pandas as pd
import pydicom
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from medlatent.data import DataError, ImageSet, chest_ct, open_images, phantoms, split_by_group
from medlatent.metrics.thorax import MEASURED, measure

thorax = phantoms.thorax
SCHOEN = ["width", "height", "size", "rotation", "y_position", "wall_thickness", "breast_size", "z_position"]

MEAN = {
    "width": 1.0,
    "height": 1.0,
    "size": 1.0,
    "rotation": 0.0,
    "y_position": 0.0,
    "wall_thickness": 40.0,
    "breast_size": 0.0,
    "z_position": 0.4,
    "x_position": 0.0,
    "arms": 0.0,
    "table": 0.5,
    "heart_size": 1.0,
    "diaphragm": 0.3,
    "lung_density": -870.0,
    "vessels": 0.5,
    "contrast": 0.0,
    "field_of_view": 480.0,
    "noise": 0.0,
    "kernel": 0.0,
}


def rows(n, **changes):
    """n rows of the mean body; a change is one value or n of them."""
    return {name: torch.as_tensor(changes.get(name, value)).expand(n).clone() for name, value in MEAN.items()}


def traverse(name, values, side=128, patient=0, **fixed):
    """Pictures ``(k, side, side)`` in HU of one patient under k values of one factor."""
    factors = rows(len(values), **fixed, **{name: torch.tensor(values)})
    same = torch.full((len(values),), patient)
    return thorax.render(factors, side, seed=3, patient=same).numpy()[:, 0].astype(float)


def measured(pictures, pixel=480 / 128):
    return dict(zip(MEASURED, measure(pictures[:, None], pixel).T, strict=True))


def at(picture, x, y, field=480.0):
    """The pixel at a point in mm from the middle of the image, y upwards."""
    side = len(picture)
    return picture[int(side / 2 - y * side / field), int(side / 2 + x * side / field)]


# ------------------------------------------------------------------------------------------ reproducibility


def test_same_seed_same_images_another_seed_others():
    factors = thorax.sample_factors(6, seed=1)
    images = thorax.render(factors, 64, seed=5)
    assert images.shape == (6, 1, 64, 64)
    assert images.dtype == torch.int16
    assert images.min() == thorax.LOW
    assert images.max() <= thorax.HIGH
    assert torch.equal(images, thorax.render(factors, 64, seed=5))
    assert not torch.equal(images, thorax.render(factors, 64, seed=6))
    again = thorax.sample_factors(6, seed=1)
    assert all(torch.equal(factors[name], again[name]) for name in thorax.FACTORS)
    assert not torch.equal(factors["width"], thorax.sample_factors(6, seed=2)["width"])


@pytest.mark.parametrize("independent", [False, True])
def test_more_slices_leave_the_first_ones_as_they_are(independent):
    few, many = (thorax.generate(n, 32, seed=3, independent=independent) for n in (13, 31))
    # A matrix product of another batch may round differently in the last bit, and so may a pixel.
    assert np.abs(few.images.astype(int) - many.images[:13]).max() <= 1
    assert few.table["split"].equals(many.table["split"][:13])
    pd.testing.assert_frame_equal(few.table, many.table[:13], rtol=1e-5)


def test_a_slice_is_the_same_wherever_it_stands_in_a_batch():
    factors = thorax.sample_factors(9, seed=1)
    patient, level = torch.arange(9) // 4, torch.arange(9) % 4
    images = thorax.render(factors, 64, 0, patient, level)
    order = torch.tensor([8, 2, 5])
    chosen = {name: values[order] for name, values in factors.items()}
    assert (images[order].int() - thorax.render(chosen, 64, 0, patient[order], level[order]).int()).abs().max() <= 1


def test_noise_is_the_slice_s_and_detail_the_patient_s():
    still, other = (
        thorax.render(rows(2, noise=noise), 64, 3, torch.zeros(2, dtype=torch.long), torch.tensor([0, 1]))
        for noise in (0.0, 20.0)
    )
    assert torch.equal(still[0], still[1])
    assert not torch.equal(other[0], other[1])
    two = thorax.render(rows(2), 64, 3)
    assert not torch.equal(two[0], two[1])  # by default two patients


def test_slices_of_a_patient_share_the_body():
    factors = thorax.sample_factors(4 * thorax.SLICES_PER_PATIENT, seed=1)
    for name in (*thorax.FACTORS, "sex"):
        of_patient = factors[name].view(4, thorax.SLICES_PER_PATIENT)
        assert (of_patient == of_patient[:, :1]).all() == (name not in thorax.OF_THE_SLICE)
    z = factors["z_position"].view(4, -1).sort(1).values
    assert (z.diff(dim=1) > 0.05).all()  # spread over the lungs
    assert ((z >= 0) & (z <= 1)).all()


# ------------------------------------------------------------------------- each factor moves what it names


def test_the_directions_of_the_paper_come_first():
    assert list(thorax.FACTORS)[:8] == SCHOEN
    assert list(thorax.FACTORS) == list(thorax.RANGES)


def test_width_height_and_size_are_scales():
    bare = {"wall_thickness": 20.0}
    seen = measured(traverse("width", [0.9, 1.1], **bare))
    across = seen["body_width"] - 40
    assert across[1] / across[0] == pytest.approx(1.1 / 0.9, rel=0.01)
    assert seen["body_height"][0] == pytest.approx(seen["body_height"][1], rel=0.01)
    seen = measured(traverse("height", [0.9, 1.1], **bare))
    deep = seen["body_height"] - 2 * thorax.BEHIND * 20
    assert deep[1] / deep[0] == pytest.approx(1.1 / 0.9, rel=0.01)
    assert seen["body_width"][0] == pytest.approx(seen["body_width"][1], rel=0.01)
    seen = measured(traverse("size", [0.9, 1.1], **bare))
    assert seen["lung_area"][1] / seen["lung_area"][0] == pytest.approx((1.1 / 0.9) ** 2, rel=0.03)
    across = seen["body_width"] - 40
    assert across[1] / across[0] == pytest.approx(1.1 / 0.9, rel=0.01)


def test_rotation_and_position_are_those_of_the_body():
    turns = [-0.3, -0.1, 0.1, 0.3]
    for patient in range(3):  # no body is quite symmetric
        seen = measured(traverse("rotation", turns, patient=patient))
        np.testing.assert_allclose(np.diff(seen["rotation"]), np.diff(turns), atol=0.015)
        np.testing.assert_allclose(seen["rotation"], turns, atol=0.06)
        np.testing.assert_allclose(seen["body_area"], seen["body_area"][0], rtol=0.01)
    seen = measured(traverse("y_position", [-30.0, 10.0, 25.0]))
    np.testing.assert_allclose(np.diff(seen["centroid_y"]), [40, 15], atol=0.3)
    left, right = traverse("x_position", [-15.0, 15.0], table=0.0)
    body = np.s_[40:80]
    shifted = np.roll(left, 8, axis=1)  # 30 mm are eight pixels
    assert np.corrcoef(shifted[body].ravel(), right[body].ravel())[0, 1] > 0.98


def test_the_wall_has_its_thickness_and_leaves_the_lungs():
    walls = [25.0, 40.0, 60.0]
    for z in (0.3, 0.45):
        seen = measured(traverse("wall_thickness", walls, z_position=z))
        np.testing.assert_allclose(seen["wall_thickness"], walls, atol=5)
        assert np.ptp(seen["lung_area"]) < 0.01 * seen["lung_area"][0]
    for size in (0.85, 1.15):  # in millimetres, whatever the body's size
        np.testing.assert_allclose(
            measured(traverse("wall_thickness", walls, size=size))["wall_thickness"], walls, atol=5
        )


def test_breasts_are_where_breasts_are():
    pictures = traverse("breast_size", [0.0, 30.0, 60.0], z_position=0.36)
    seen = measured(pictures)
    assert (np.diff(seen["breast"]) > 5).all()
    changed = np.abs(pictures[2] - pictures[0]) > 200
    assert not changed[64:].any()  # in front only, and on both sides
    assert changed[:, :64].sum() > 100 < changed[:, 64:].sum()
    for z in (0.0, 0.9):
        high = traverse("breast_size", [0.0, 60.0], z_position=z)
        assert (np.abs(high[1] - high[0]) > 200).sum() < 60


def test_z_position_is_the_height_in_the_lungs():
    z = [-0.15, -0.01, 0.04, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 1.01, 1.1]
    for patient in range(3):
        area = measured(traverse("z_position", z, patient=patient))["lung_area"]
        inside = np.array([0 <= value <= 1 for value in z])
        assert (area[inside] > 0).all()
        assert (area[~inside] < 700).all()  # gas in the stomach may be taken for lung
        assert area[4:6].min() > 3 * area[-3]
        assert area[4] > 3 * area[2]


def test_what_lies_at_each_height():
    abdomen, liver, heart, arch, apex = traverse(
        "z_position", [-0.12, 0.1, 0.35, 0.69, 0.95], contrast=150.0, vessels=0.0
    )
    assert at(liver, -80, 20) == pytest.approx(55 + 0.35 * 150, abs=25)  # on the patient's right, left in the image
    assert at(abdomen, -80, 20) == pytest.approx(at(liver, -80, 20), abs=25)
    assert at(heart, 40, 22) > 150
    assert at(heart, -80, 0) < -800
    assert at(heart, 80, -20) < -800
    assert at(arch, 12, -14) > 150  # the arch of the aorta
    assert at(arch, 0, 60) < 100
    assert at(apex, 0, 0) < -900 < at(heart, 0, 0)  # the windpipe
    for picture in (abdomen, liver, heart, arch, apex):
        spine = picture[60:95, 58:70]
        assert spine.max() > 350
    assert at(apex, 44, -26) < -750  # two tips of lungs
    assert at(apex, -44, -26) < -750
    assert at(apex, 100, -25) > -150  # and muscle of the shoulder beside them


def test_neighbouring_slices_show_the_same_vessels():
    none = traverse("z_position", [0.40, 0.41, 0.55], vessels=0.0, lung_density=-900.0)
    many = traverse("z_position", [0.40, 0.41, 0.55], vessels=1.0, lung_density=-900.0)
    lung = (none < -800).all(0)
    lung[:, 54:74] = False
    vessels = (many - none)[:, lung]
    assert ((vessels > 100).sum(1) > 50).all()
    close, far = (np.corrcoef(vessels[0], vessels[k])[0, 1] for k in (1, 2))
    assert close > 0.7 > far + 0.3


def test_tissues_have_their_densities():
    picture = traverse("wall_thickness", [55.0], contrast=200.0, lung_density=-850.0)[0]
    density = np.median(picture[(picture < -700) & (picture > -950)])
    assert density == pytest.approx(-850, abs=25)
    assert np.median(picture[(picture < -60) & (picture > -160)]) == pytest.approx(thorax.FAT, abs=12)
    assert np.median(picture[(picture < 90) & (picture > 10)]) == pytest.approx(thorax.MUSCLE, abs=12)
    assert at(picture, 20, -47) == pytest.approx(42 + 200, abs=40)  # the aorta
    assert 400 < picture.max() < 1200
    assert picture[0, 0] == -1000


def test_lung_density_and_vessels():
    thin, dense = traverse("lung_density", [-920.0, -760.0], vessels=0.0)
    lung = (thin < -850) & (dense < -650) & (dense > -850)
    assert lung.sum() > 1500
    assert np.median((dense - thin)[lung]) == pytest.approx(160, abs=3)
    none, some, many = traverse("vessels", [0.0, 0.4, 1.0])
    inside = none < -780
    inside &= none > -990
    bright = [(picture[inside] > -700).sum() for picture in (none, some, many)]
    assert bright[0] < 20 < bright[1] < bright[2]


def test_contrast_brightens_blood():
    none, given_ = traverse("contrast", [0.0, 200.0])
    assert at(none, 20, -47) == pytest.approx(42, abs=25)
    assert at(given_, 20, -47) - at(none, 20, -47) == pytest.approx(200, abs=40)
    wall = (none > 30) & (none < 70)
    wall[20:110, 35:93] = False
    assert np.abs(given_ - none)[wall].max() < 1  # muscles stay


def test_heart_and_diaphragm_take_the_room_of_the_lungs():
    area = measured(traverse("heart_size", [0.8, 1.0, 1.3], z_position=0.35))["lung_area"]
    assert (np.diff(area) < -1000).all()
    area = measured(traverse("diaphragm", [0.2, 0.3, 0.45], z_position=0.18))["lung_area"]
    assert (np.diff(area) < -1000).all()
    area = measured(traverse("diaphragm", [0.2, 0.45], z_position=0.6))["lung_area"]
    assert area[0] == area[1]


def test_arms_lie_beside_the_body():
    raised, beside = traverse("arms", [0.0, 1.0], field_of_view=560.0)
    for x in (-215, 215):
        assert at(raised, x, -10, 560) < -900
        assert at(beside, x, -14, 560) > 0
    assert (beside > 700).sum() > (raised > 700).sum()  # with their bones
    wide = measured(traverse("arms", [0.0, 1.0], z_position=0.97))["body_width"]
    assert wide[0] > wide[1] + 30  # raised arms widen the shoulders


def test_the_table_lies_under_the_body_and_bows():
    flat, bowed = traverse("table", [0.0, 1.0])
    under = [picture[86:] for picture in (flat, bowed)]
    top = [[np.flatnonzero(picture[:, column] > -850)[0] for column in (24, 103)] for picture in under]
    assert max(top[1]) < min(top[0]) - 4  # its sides are higher
    assert top[0][0] == pytest.approx(top[0][1], abs=1)
    body = measured(np.stack([flat, bowed]))
    assert body["body_area"][0] == pytest.approx(body["body_area"][1], rel=1e-3)


def test_noise_has_the_stated_standard_deviation():
    for side in (64, 128):
        still, noisy = traverse("noise", [0.0, 20.0], side)
        middle = np.s_[int(0.45 * side) : int(0.55 * side), int(0.45 * side) : int(0.6 * side)]
        # 20 HU at 128 pixels: coarser pixels are quieter.
        assert (noisy - still)[middle].std() == pytest.approx(20 * side / 128, rel=0.2)
    tops = []
    for kernel in (-1.0, 1.0):
        still, noisy = (traverse("noise", [level], kernel=kernel)[0] for level in (0.0, 20.0))
        difference = (noisy - still)[45:75, 45:80]
        tops.append(np.corrcoef(difference[:, 1:].ravel(), difference[:, :-1].ravel())[0, 1])
    assert tops[0] > 0.3 > tops[1] + 0.2  # smooth with a soft kernel


def test_the_kernel_blurs_or_sharpens():
    soft, middle, sharp = traverse("kernel", [-1.0, 0.0, 1.0], field_of_view=320.0)
    steep = [np.abs(np.diff(picture, axis=1)).max() for picture in (soft, middle, sharp)]
    assert steep[0] < 0.98 * steep[1] < 0.93 * steep[2]
    assert soft.mean() == pytest.approx(middle.mean(), abs=2)


def test_the_field_of_view_is_the_size_of_the_picture():
    for field in (420.0, 560.0):
        seen = measured(traverse("field_of_view", [field]), field / 128)
        assert seen["body_width"][0] == pytest.approx(2 * (thorax.WIDEST + 40), rel=0.05)


def test_size_changes_the_grid_and_not_the_body():
    factors = thorax.sample_factors(8, seed=3)
    small, large = (thorax.render(factors, size, 3).numpy() for size in (64, 128))
    means = large.reshape(8, 1, 64, 2, 64, 2).mean((3, 5))
    assert np.corrcoef(means.ravel(), small.ravel())[0, 1] > 0.99


# ------------------------------------------------------------------------------------------------- sampling


def test_women_and_men_differ_as_they_do():
    factors = {name: values[:: thorax.SLICES_PER_PATIENT] for name, values in thorax.sample_factors(5000, 4).items()}
    women = factors["sex"] == thorax.SEXES.index("female")
    assert 0.45 < women.float().mean() < 0.55
    assert factors["size"][women].median() < factors["size"][~women].median() - 0.05
    assert factors["breast_size"][women].median() > 20
    assert factors["breast_size"][~women].quantile(0.9) < 8
    assert spearmanr(factors["wall_thickness"], factors["width"]).statistic > 0.3  # who is stout is wide
    across = 2 * (factors["size"] * factors["width"] * thorax.WIDEST + factors["wall_thickness"])
    assert (factors["field_of_view"] > 0.95 * across).float().mean() > 0.95  # the chest is in the picture
    assert 0.4 < (factors["contrast"] > 0).float().mean() < 0.6
    for name, (low, high) in thorax.RANGES.items():
        assert factors[name].min() >= low
        assert factors[name].max() <= high


def test_independent_factors_are_independent():
    factors = thorax.sample_factors(3000, seed=0, independent=True)
    assert list(factors) == list(thorax.FACTORS)
    dependence, _ = spearmanr(torch.stack(list(factors.values()), dim=1).double().numpy())
    assert np.abs(dependence[np.triu_indices(len(factors), 1)]).max() < 4.5 / math.sqrt(3000)
    for name, values in factors.items():  # broad: uniform over its range
        spread = 0.5 if name == "arms" else (values.max() - values.min()) / math.sqrt(12)
        assert values.std() > 0.95 * spread
        assert thorax.RANGES[name][0] <= values.min() < values.max() <= thorax.RANGES[name][1]


def test_pictures_are_measured_as_those_of_people():
    """The reference values are of ten whole chest CT series, 750 slices with lung, by the same measure."""
    factors = thorax.sample_factors(200, seed=1)
    patient = torch.arange(200) // thorax.SLICES_PER_PATIENT
    images = thorax.render(factors, 64, 1, patient)
    seen = dict(zip(MEASURED, measure(images, factors["field_of_view"] / 64).T, strict=True))
    raised = (factors["arms"] == 0).numpy()
    middle = raised & ((factors["z_position"] > 0.3) & (factors["z_position"] < 0.6)).numpy()
    reference = {"body_width": 340, "body_height": 237, "body_area": 67_000, "lung_area": 21_500, "wall_thickness": 42}
    for name, value in reference.items():
        assert np.nanmedian(seen[name][middle]) == pytest.approx(value, rel=0.2)
    apex = raised & (factors["z_position"] > 0.8).numpy()
    assert np.median(seen["body_height"][apex]) == pytest.approx(205, rel=0.15)
    assert np.median(seen["lung_area"][apex]) == pytest.approx(8_100, rel=0.5)
    shares = [((images > low) & (images <= high)).float().mean().item() for low, high in SHARES]
    np.testing.assert_allclose(shares, list(SHARES.values()), atol=0.06)


SHARES = {(-1001, -950): 0.47, (-950, -700): 0.18, (-200, -40): 0.10, (0, 120): 0.13, (200, 2000): 0.03}


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize("name", list(thorax.RANGES))
@pytest.mark.parametrize("where", ["below", "above", "nan"])
def test_a_value_out_of_range_is_refused_by_name(name, where):
    low, high = thorax.RANGES[name]
    factors = rows(3)
    factors[name][1] = {"below": low - 0.01, "above": high + 0.01, "nan": math.nan}[where]
    with pytest.raises(DataError, match=f"{name}.*row 1"):
        thorax.render(factors)


def test_wrong_sets_of_factors_are_refused():
    factors = rows(2)
    with pytest.raises(DataError, match="'table' is missing"):
        thorax.render({name: values for name, values in factors.items() if name != "table"})
    with pytest.raises(DataError, match="'spleen' is unknown"):
        thorax.render({**factors, "spleen": torch.zeros(2)})
    with pytest.raises(DataError, match=r"table.*shape"):
        thorax.render({**factors, "table": torch.zeros(3)})
    with pytest.raises(DataError, match="no rows"):
        thorax.render({name: values[:0] for name, values in factors.items()})
    with pytest.raises(DataError, match=r"'arms': 0\.5 in row 1 is neither 0 nor 1"):
        thorax.render({**factors, "arms": torch.tensor([1.0, 0.5])})
    for size in (0, 8, 100, -16):
        with pytest.raises(DataError, match="size: a multiple of 16 pixels"):
            thorax.render(factors, size)
    for name in ("patient", "level"):
        with pytest.raises(DataError, match=f"{name}: expected 2"):
            thorax.render(factors, 64, **{name: torch.tensor([0, -1])})
    for call in (thorax.sample_factors, thorax.generate):
        with pytest.raises(DataError, match="at least one image"):
            call(0)
        with pytest.raises(DataError, match="seed: a whole number from 0"):
            call(2, seed=-1)
    with pytest.raises(DataError, match="seed: a whole number from 0"):
        thorax.render(factors, 64, seed=-1)


def column(name):
    low, high = thorax.RANGES[name]
    values = st.sampled_from([0.0, 1.0]) if name == "arms" else st.floats(low, high, width=64)
    return st.lists(values, min_size=2, max_size=2)


@given(
    values=st.fixed_dictionaries({name: column(name) for name in thorax.RANGES}),
    size=st.sampled_from([16, 64]),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=30, deadline=None)
def test_all_valid_factors_render(values, size, seed):
    factors = {name: torch.tensor(column, dtype=torch.float64) for name, column in values.items()}
    images = thorax.render(factors, size, seed)
    assert images.shape == (2, 1, size, size)
    assert images.min() >= thorax.LOW
    assert (images.float().amax((1, 2, 3)) > 100).all()  # NaN would have become -32768, or 0
    assert (images.float().mean((1, 2, 3)) < 100).all()


# ---------------------------------------------------------------------------------------------------- sets


def test_generate_gives_an_image_set_of_patients(tmp_path):
    images = thorax.generate(23, 32, seed=3)
    assert isinstance(images, ImageSet)
    assert images.images.shape == (23, 1, 32, 32)
    assert images.value_range == (-1000, 2000)
    assert images.group == "patient_id"
    table = images.table
    assert set(thorax.FACTORS) | {"sex", "patient_id", "slice", "split"} == set(table)
    assert list(images.factors) == [*thorax.FACTORS, "sex"]
    assert images.factors["wall_thickness"].unit == "mm"
    assert list(table["patient_id"].value_counts(sort=False)) == [5, 5, 5, 5, 3]
    assert list(table["split"]) == list(split_by_group(table["patient_id"], seed=3))
    assert table.groupby("patient_id")["sex"].nunique().max() == 1
    assert images.fingerprint == thorax.generate(23, 32, seed=3).fingerprint
    assert images.fingerprint != thorax.generate(23, 32, seed=4).fingerprint
    images.save(tmp_path / "set")
    assert ImageSet.load(tmp_path / "set").fingerprint == images.fingerprint
    independent = thorax.generate(4, 32, independent=True)
    assert list(independent.factors) == list(thorax.FACTORS)
    assert independent.table["patient_id"].is_unique


def test_it_is_opened_by_its_name():
    images = open_images("phantoms.thorax", 3, seed=1)
    assert images.images.shape == (3, 1, 128, 128)
    half = open_images("phantoms.thorax.64", 3, seed=1)
    assert half.images.shape == (3, 1, 64, 64)
    assert half.images.dtype == np.int16
    assert half.value_range == (-1000, 2000)
    assert "sex" not in open_images("phantoms.thorax.independent.64", 2).table


# --------------------------------------------------------------------------------------------------- layouts


def test_series_in_dicom_are_packed_to_the_slices_that_were_written(tmp_path):
    truth = thorax.write_dicom(tmp_path / "series", 2, seed=2, size=64, distance=20)
    assert list(truth["patient_id"].unique()) == ["THORAX-0001", "THORAX-0002"]
    packed = chest_ct.pack(tmp_path / "series", tmp_path / "packed", size=64, workers=1, progress=False)
    table = packed.table
    for name in ("patient_id", "series_uid", "slice"):
        assert list(table[name]) == list(truth[name])
    np.testing.assert_allclose(table["position"], truth["position"], atol=1e-3)
    np.testing.assert_allclose(table["slice_distance"], 20, rtol=1e-4)
    np.testing.assert_allclose(table["row_spacing"], truth["field_of_view"] / 64, rtol=1e-5)
    assert (truth.groupby("patient_id")["z_position"].diff().dropna() > 0).all()
    assert truth["z_position"].min() < 0
    assert truth["z_position"].max() > 1
    factors = {name: torch.tensor(list(truth[name])) for name in thorax.FACTORS}
    patient = torch.from_numpy(truth["patient_id"].factorize()[0])
    images = thorax.render(factors, 64, 2, patient, torch.tensor(list(truth["slice"]))).numpy()
    assert np.abs(packed.images.astype(int) - images).max() <= 1
    first = thorax.sample_factors(6, seed=2)
    np.testing.assert_allclose(truth.groupby("patient_id")["width"].first(), first["width"][[0, -1]], rtol=1e-6)


def test_files_are_those_of_a_scanner(tmp_path):
    truth = thorax.write_dicom(tmp_path / "series", 1, seed=5, size=32, distance=20)
    files = sorted((tmp_path / "series").rglob("*.dcm"))
    assert [file.relative_to(tmp_path / "series").parts[0] for file in files] == ["THORAX-0001"] * len(truth)
    sets = [pydicom.dcmread(file) for file in files]
    assert [data.InstanceNumber for data in sets] == list(range(1, len(truth) + 1))
    np.testing.assert_allclose([data.ImagePositionPatient[2] for data in sets], truth["position"][::-1], atol=1e-3)
    assert len({data.SOPInstanceUID for data in sets}) == len(sets)
    assert {data.PatientSex for data in sets} == {truth["sex"][0][0].upper()}
    assert {str(data.SeriesInstanceUID) for data in sets} == set(truth["series_uid"])
    pixel = float(sets[0].PixelSpacing[0])
    assert float(sets[0].ImagePositionPatient[0]) == pytest.approx(-pixel * 31 / 2, abs=1e-3)
    again = thorax.write_dicom(tmp_path / "again", 1, seed=5, size=32, distance=20)
    pd.testing.assert_frame_equal(again, truth)
    for file in files:
        assert file.read_bytes() == (tmp_path / "again" / file.relative_to(tmp_path / "series")).read_bytes()


def test_a_circle_is_padded(tmp_path):
    seed = next(s for s in range(20) if thorax._detail(torch.zeros(1, dtype=torch.long), s)[1][0, thorax.CIRCLE] > -0.5)
    thorax.write_dicom(tmp_path / "series", 1, seed=seed, size=32, distance=20)
    data = pydicom.dcmread(next((tmp_path / "series").rglob("*.dcm")))
    assert data.PixelPaddingValue == data.pixel_array[0, 0] == data.pixel_array.min() == -2000
    assert data.pixel_array[16, 16] > 0


def test_a_failed_writing_leaves_nothing(tmp_path, monkeypatch):
    def full_disk(*_):
        raise OSError(28, "No space left on device")

    for arguments, message in (
        ({"patients": 0}, "patients: at least one is needed"),
        ({"distance": 0}, "distance: expected at most 20 mm"),
        ({"distance": 21}, "distance: expected at most 20 mm"),
        ({"size": 100}, "size: a multiple of 16"),
        ({"seed": -1}, "seed: a whole number"),
    ):
        with pytest.raises(DataError, match=message):
            thorax.write_dicom(tmp_path / "set", **arguments)
    monkeypatch.setattr(thorax, "write_ct_series", full_disk)
    with pytest.raises(OSError, match="No space"):
        thorax.write_dicom(tmp_path / "set", 1, size=32, distance=20)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "set").mkdir()
    with pytest.raises(DataError, match="exists"):
        thorax.write_dicom(tmp_path / "set", 1)
