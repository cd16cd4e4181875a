"""Lesion phantoms: reproducible, true to their factors, and of the world of HAM10000."""

import io
import math
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import chisquare, spearmanr
from skimage.measure import regionprops

from medlatent.data import DataError, ImageSet, phantoms

lesion = phantoms.lesion

REGULAR = {
    "size": 0.15,
    "eccentricity": 0.7,
    "orientation": 0.4,
    "position_x": 0.0,
    "position_y": 0.0,
    "border_irregularity": 0.0,
    "lesion_colour": 0.8,
    "lesion_hue": 0.2,
    "skin_colour": 0.4,
    "hair": 0.0,
    "illumination": 0.65,
    "white_balance": 0.0,
    "vignette": 0.0,
    "dx": 5,
}


def rows(n, **changes):
    """n rows of the regular lesion; a change is one value or n of them."""
    return {name: torch.as_tensor(changes.get(name, value)).expand(n).clone() for name, value in REGULAR.items()}


def traverse(name, values, **fixed):
    """Images (k, h, w, 3) and masks of one lesion under k values of one factor."""
    factors = rows(len(values), **fixed, **{name: torch.tensor(values)})
    same = torch.zeros(len(values), dtype=torch.long)
    images = lesion.render(factors, seed=3, lesion=same).permute(0, 2, 3, 1).numpy().astype(float)
    return images, lesion.render_masks(factors, seed=3, lesion=same).numpy().astype(bool)


def wrap(angle):
    return (angle + math.pi / 2) % math.pi - math.pi / 2


# ------------------------------------------------------------------------------------------ reproducibility


def test_same_seed_same_images_another_seed_others():
    factors = lesion.sample_factors(70, seed=1)
    images = lesion.render(factors, seed=5)
    assert images.shape == (70, 3, 64, 64)
    assert images.dtype == torch.uint8
    assert torch.equal(images, lesion.render(factors, seed=5))
    assert not torch.equal(images, lesion.render(factors, seed=6))
    again = lesion.sample_factors(70, seed=1)
    assert all(torch.equal(factors[name], again[name]) for name in lesion.FACTORS)
    assert not torch.equal(factors["size"], lesion.sample_factors(70, seed=2)["size"])


def test_an_image_does_not_depend_on_its_neighbours():
    factors = lesion.sample_factors(90, seed=1)
    images = lesion.render(factors)
    first = lesion.render({name: values[:50] for name, values in factors.items()})
    last = lesion.render({name: values[85:] for name, values in factors.items()}, lesion=torch.arange(85, 90))
    # Matrix products of another batch may round differently in the last bit, and so may a grey level.
    assert (images[:50].int() - first.int()).abs().max() <= 1
    assert (images[85:].int() - last.int()).abs().max() <= 1


def test_mask_is_the_support_of_the_pigment():
    bare, masks = traverse("lesion_colour", [0.05, 2.5], border_irregularity=0.15)
    changed = (bare[1] != bare[0]).any(-1)
    assert not changed[~masks[0]].any()
    assert changed[masks[0]].mean() > 0.85
    assert masks[0].any()


# --------------------------------------------------------------------------------------- factors from masks


@pytest.mark.parametrize(("irregularity", "shape"), [(0.0, (64, 64)), (0.0, (150, 200)), (0.2, (150, 200))])
def test_moments_of_the_mask_give_back_the_factors(irregularity, shape):
    n = 40
    generator = torch.Generator().manual_seed(0)

    def uniform(low, high):
        return low + (high - low) * torch.rand(n, generator=generator)

    factors = rows(
        n,
        size=uniform(0.06, 0.15),
        eccentricity=uniform(0.6, 0.8),
        orientation=uniform(-math.pi / 2, math.pi / 2),
        position_x=uniform(-0.05, 0.05),
        position_y=uniform(-0.05, 0.05),
        border_irregularity=torch.full((n,), irregularity),
    )
    height, width = shape
    for i, mask in enumerate(lesion.render_masks(factors, shape).numpy()):
        region = regionprops(mask)[0]
        row = {name: float(values[i]) for name, values in factors.items()}
        assert mask.mean() == pytest.approx(row["size"], rel=0.03)
        assert region.eccentricity == pytest.approx(row["eccentricity"], abs=0.02)
        assert abs(wrap(region.orientation - math.pi / 2 - row["orientation"])) < 0.05
        assert (region.centroid[1] + 0.5) / width - 0.5 == pytest.approx(row["position_x"], abs=0.004)
        assert 0.5 - (region.centroid[0] + 0.5) / height == pytest.approx(row["position_y"], abs=0.004)


def test_irregular_borders_are_less_convex():
    factors = rows(30, border_irregularity=torch.tensor([0.0, 0.08, 0.2]).repeat_interleave(10))
    solidity = [regionprops(mask)[0].solidity for mask in lesion.render_masks(factors, 160).numpy()]
    regular, rough, ragged = np.reshape(solidity, (3, 10)).mean(1)
    assert regular > 0.97
    assert regular > rough + 0.01 > ragged + 0.02


# ------------------------------------------------------------------------- each factor moves what it names


def test_position_and_orientation_as_displayed():
    _, masks = traverse("position_x", [-0.1, 0.1])
    assert masks[0][:, :32].sum() > masks[1][:, :32].sum()
    _, masks = traverse("position_y", [-0.1, 0.1])
    assert masks[0][:32].sum() < masks[1][:32].sum()
    _, masks = traverse("orientation", [math.pi / 4, -math.pi / 4], eccentricity=0.9)
    upper_right = masks[:, :32, 32:].sum((1, 2))
    assert upper_right[0] > upper_right[1]  # positive is counter-clockwise


def test_lesion_colour_darkens_inside_the_mask_only():
    images, masks = traverse("lesion_colour", [0.2, 0.8, 2.0])
    inside = images[:, masks[0]].mean((1, 2))
    assert inside[0] > inside[1] + 20 > inside[2] + 40
    assert np.array_equal(images[0][~masks[0]], images[2][~masks[0]])


def test_lesion_hue_goes_from_brown_to_purple_inside_the_mask_only():
    images, masks = traverse("lesion_hue", [0.0, 1.0])
    blue_over_green = [(image[masks[0]][:, 2] / image[masks[0]][:, 1]).mean() for image in images]
    assert blue_over_green[1] > blue_over_green[0] + 0.3
    assert np.array_equal(images[0][~masks[0]], images[1][~masks[0]])


def test_skin_colour_reddens_the_skin_and_leaves_the_pigment():
    images, masks = traverse("skin_colour", [0.0, 1.0], illumination=0.5)
    skin, pigmented = images[:, ~masks[0]].mean(1), images[:, masks[0]].mean(1)
    assert skin[1, 0] > skin[0, 0] + 20
    assert skin[1, 1] < skin[0, 1] - 10
    # What the pigment transmits of the skin's light stays: a lesion is seen over its skin.
    np.testing.assert_allclose(pigmented[0] / skin[0], pigmented[1] / skin[1], atol=0.01)


def test_illumination_white_balance_and_vignette():
    images, _ = traverse("illumination", [0.45, 0.6])
    assert images[1].mean() / images[0].mean() == pytest.approx(0.6 / 0.45, rel=0.01)
    images, _ = traverse("white_balance", [-1.0, 1.0])
    yellow = (images[..., 1] - images[..., 2]).mean((1, 2))
    assert yellow[1] > yellow[0] + 20
    images, _ = traverse("vignette", [0.0, 0.5, 1.0])
    corners = images[:, [0, 0, -1, -1], [0, -1, 0, -1]].mean((1, 2))
    assert corners[0] > 3 * corners[2]
    dark = (images.mean(-1) < 20).mean((1, 2))
    assert dark[0] == 0
    assert dark[2] > dark[1]
    assert np.array_equal(images[0, 24:40, 24:40], images[2, 24:40, 24:40])


def test_hair_adds_dark_strands_bit_by_bit():
    images, _ = traverse("hair", [0.0, 0.1, 0.4, 1.0])
    assert (np.diff(images, axis=0) <= 0).all()
    covered = [(image != images[0]).any(-1).mean() for image in images]
    assert covered == sorted(covered)
    assert 0 < covered[1] < 0.1 < covered[3]


def test_the_class_changes_the_pattern_inside():
    images, masks = traverse("dx", list(range(7)))
    assert (masks == masks[0]).all()
    assert len({image.tobytes() for image in images}) == 7
    # A dermatofibroma's centre is paler than the lesion around it, a naevus's is darker.
    for dx, paler in (("df", True), ("nv", False)):
        factors = rows(100, eccentricity=0.0, dx=lesion.DX.index(dx))
        mean = lesion.render(factors).float().mean((0, 1)).numpy()
        assert (mean[30:34, 30:34].mean() > mean[30:34, 22:24].mean()) == paler


# ------------------------------------------------------------------------------------------------- sampling


def test_classes_are_as_imbalanced_as_in_ham10000():
    dx = lesion.sample_factors(20_000, seed=4)["dx"]
    expected = np.array([327, 514, 1099, 115, 1113, 6705, 142]) / 10015
    assert chisquare(np.bincount(dx, minlength=7), expected * len(dx)).pvalue > 1e-3
    assert lesion.FACTORS["dx"].values == ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")


def test_classes_look_as_in_ham10000():
    factors = lesion.sample_factors(20_000, seed=4)

    def median(name, dx):
        return float(factors[name][factors["dx"] == lesion.DX.index(dx)].median())

    for name in ("size", "border_irregularity"):
        assert median(name, "mel") > median(name, "nv") > median(name, "vasc")
    assert median("lesion_hue", "vasc") > 0.8 > median("lesion_hue", "bcc") > median("lesion_hue", "bkl")
    assert median("lesion_colour", "mel") > median("lesion_colour", "bkl") > median("lesion_colour", "akiec")


def test_independent_factors_are_independent():
    factors = lesion.sample_factors(4000, seed=0, correlated=False)
    dependence, _ = spearmanr(torch.stack([factors[name].double() for name in lesion.FACTORS], dim=1).numpy())
    off_diagonal = np.abs(dependence[np.triu_indices(len(lesion.FACTORS), 1)])
    assert off_diagonal.max() < 4.5 / math.sqrt(4000)
    correlated = lesion.sample_factors(4000, seed=0)
    assert abs(spearmanr(correlated["dx"] == 5, correlated["skin_colour"])[0]) > 0.2
    for name in lesion.RANGES:  # broad: uniform over its range
        low, high = factors[name].min(), factors[name].max()
        assert factors[name].std() > 0.9 * (high - low) / math.sqrt(12)
    assert chisquare(np.bincount(factors["dx"])).pvalue > 1e-3


@pytest.mark.parametrize("correlated", [True, False])
def test_sampled_lesions_lie_in_range_and_mostly_in_the_frame(correlated):
    factors = lesion.sample_factors(600, seed=2, correlated=correlated)
    assert list(factors) == list(lesion.FACTORS)
    for name, (low, high) in lesion.RANGES.items():
        assert low <= factors[name].min() <= factors[name].max() <= high
    shown = lesion.render_masks(factors).float().mean((1, 2)) / factors["size"]
    assert (shown > 0.9).float().mean() > 0.97
    assert shown.min() > 0.75


def test_colours_and_shapes_are_those_of_ham10000():
    """The reference values were measured on 2 500 random HAM10000 images of 64 × 64 pixels and their masks."""
    factors = lesion.sample_factors(1500, seed=9)
    images = lesion.render(factors).permute(0, 2, 3, 1).numpy() / 255
    masks = lesion.render_masks(factors).numpy().astype(bool)
    np.testing.assert_allclose(images.mean((0, 1, 2)), [0.763, 0.548, 0.571], atol=0.04)
    np.testing.assert_allclose(images.std((0, 1, 2)), [0.140, 0.151, 0.168], atol=0.035)
    inside = [image[mask].mean(0) for image, mask in zip(images, masks, strict=True)]
    outside = [image[~mask].mean(0) for image, mask in zip(images, masks, strict=True)]
    np.testing.assert_allclose(np.median(inside, axis=0), [0.670, 0.377, 0.370], atol=0.05)
    np.testing.assert_allclose(np.median(outside, axis=0), [0.811, 0.600, 0.633], atol=0.05)
    share = masks.mean((1, 2))
    np.testing.assert_allclose(np.quantile(share, [0.05, 0.25, 0.5]), [0.038, 0.125, 0.225], atol=0.03)
    solidity = [regionprops(mask)[0].solidity for mask in lesion.render_masks(factors, 160)[:200].numpy()]
    assert np.median(solidity) == pytest.approx(0.966, abs=0.02)


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize("name", list(lesion.RANGES))
@pytest.mark.parametrize("where", ["below", "above", "nan", "inf"])
def test_a_value_out_of_range_is_refused_by_name(name, where):
    low, high = lesion.RANGES[name]
    value = {"below": low - 0.01, "above": high + 0.01, "nan": math.nan, "inf": math.inf}[where]
    factors = rows(3)
    factors[name][1] = value
    with pytest.raises(DataError, match=f"{name}.*row 1"):
        lesion.render(factors)


@pytest.mark.parametrize("dx", [torch.tensor([7, 0]), torch.tensor([-1, 0]), torch.tensor([0.5, 1.0])])
def test_a_foreign_class_is_refused(dx):
    with pytest.raises(DataError, match="dx"):
        lesion.render({**rows(2), "dx": dx})


def test_wrong_sets_of_factors_are_refused():
    factors = rows(2)
    with pytest.raises(DataError, match="'hair' is missing"):
        lesion.render({name: values for name, values in factors.items() if name != "hair"})
    with pytest.raises(DataError, match="'colour' is unknown"):
        lesion.render({**factors, "colour": torch.zeros(2)})
    with pytest.raises(DataError, match=r"hair.*shape"):
        lesion.render({**factors, "hair": torch.zeros(3)})
    with pytest.raises(DataError, match="no rows"):
        lesion.render({name: values[:0] for name, values in factors.items()})
    with pytest.raises(DataError, match="size: at least 8 pixels"):
        lesion.render(factors, size=4)
    with pytest.raises(DataError, match="lesion: expected 2"):
        lesion.render(factors, lesion=torch.tensor([0, -1]))
    for call in (lesion.sample_factors, lesion.generate):
        with pytest.raises(DataError, match="at least one image"):
            call(0)


def column(name):
    low, high = lesion.RANGES[name]
    return st.lists(st.floats(low, high, width=64), min_size=2, max_size=2)


@given(
    values=st.fixed_dictionaries({name: column(name) for name in lesion.RANGES}),
    dx=st.lists(st.integers(0, 6), min_size=2, max_size=2),
    shape=st.tuples(st.integers(8, 80), st.integers(8, 80)),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_all_valid_factors_render(values, dx, shape, seed):
    factors = {name: torch.tensor(column, dtype=torch.float64) for name, column in {**values, "dx": dx}.items()}
    factors["dx"] = factors["dx"].long()
    images, masks = lesion.render(factors, shape, seed), lesion.render_masks(factors, shape, seed)
    assert images.shape == (2, 3, *shape)
    assert images.dtype == masks.dtype == torch.uint8
    assert masks.shape == (2, *shape)
    assert set(masks.unique().tolist()) <= {0, 1}
    assert (images.float().mean((1, 2, 3)) > 1).all()


# ---------------------------------------------------------------------------------------------------- sets


def test_generate_gives_an_image_set_with_lesions_in_one_split(tmp_path):
    images = lesion.generate(600, seed=3, size=32)
    assert isinstance(images, ImageSet)
    assert images.images.shape == (600, 3, 32, 32)
    assert "phantom" in images.card.name
    assert images.fingerprint == lesion.generate(600, seed=3, size=32).fingerprint
    assert images.fingerprint != lesion.generate(600, seed=4, size=32).fingerprint
    table = images.table
    assert set(lesion.FACTORS) | {"lesion_id", "image_id", "split"} == set(table)
    assert table["image_id"].is_unique
    assert (table.groupby("lesion_id")["split"].nunique() == 1).all()
    assert table["lesion_id"].nunique() == pytest.approx(600 * 7470 / 10015, rel=0.08)
    assert set(table["split"]) == {"train", "validation", "test"}
    same = table.groupby("lesion_id")
    for name in ("dx", "eccentricity", "lesion_colour", "lesion_hue", "skin_colour", "border_irregularity"):
        assert (same[name].nunique() == 1).all()
    several = same.filter(lambda group: len(group) > 1).groupby("lesion_id")
    for name in ("size", "position_x", "orientation", "illumination"):
        assert (several[name].nunique() > 1).mean() > 0.95
    images.save(tmp_path / "set")
    assert ImageSet.load(tmp_path / "set").fingerprint == images.fingerprint


def test_a_patch_is_cut_from_the_photograph_around_its_lesion():
    whole, patches = lesion.generate(60, seed=8, size=85), lesion.patches(60, seed=8)
    factors, which = lesion._photographs(60, 8, correlated=True)
    masks = lesion.render_masks(factors, 85, 8, lesion=which).numpy()
    inwards = 0
    for i, (patch, (_, row)) in enumerate(zip(patches.images, patches.table.iterrows(), strict=True)):
        top, left = next(
            (y, x) for y, x in np.ndindex(22, 22) if (whole.images[i, :, y : y + 64, x : x + 64] == patch).all()
        )
        column, line = 85 * (0.5 + whole.table["position_x"][i]), 85 * (0.5 - whole.table["position_y"][i])
        assert row["position_x"] == pytest.approx((column - left) / 64 - 0.5, abs=1e-5)
        assert row["position_y"] == pytest.approx(0.5 - (line - top) / 64, abs=1e-5)
        for place, start in ((row["position_x"], left), (row["position_y"], top)):
            assert abs(place) < 0.01 or start in (0, 21)
            inwards += abs(place) >= 0.01
        assert row["size"] == pytest.approx(masks[i, top : top + 64, left : left + 64].mean())
    assert inwards
    assert patches.table["lesion_id"].equals(whole.table["lesion_id"])
    assert (patches.card.attributes["size"], whole.card.attributes["size"]) == (64, 85)


def test_ham10000_layout(tmp_path):
    n = 60
    folder = tmp_path / "ham"
    truth = lesion.write_ham10000(folder, n, seed=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ham"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "HAM10000_images_part_1.zip",
        "HAM10000_images_part_2.zip",
        "HAM10000_metadata.csv",
        "HAM10000_segmentations_lesion_tschandl.zip",
    ]
    images, masks = {}, {}
    for path in folder.glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                target = masks if name.endswith("_segmentation.png") else images
                target[name[:12]] = Image.open(io.BytesIO(archive.read(name)))
                target[name[:12]].load()
    assert set(images) == set(masks) == set(truth["image_id"])
    assert all((image.format, image.mode, image.size) == ("JPEG", "RGB", (600, 450)) for image in images.values())
    assert all((mask.format, mask.size) == ("PNG", (600, 450)) for mask in masks.values())
    assert sorted({mask.mode for mask in masks.values()}) == ["L", "P"]
    for row in truth.itertuples():
        mask = np.asarray(masks[row.image_id].convert("L"))
        assert set(np.unique(mask)) == {0, 255}
        assert (mask == 255).mean() == pytest.approx(row.size, rel=0.25)
        picture = np.asarray(images[row.image_id]).astype(float)
        if row.lesion_colour > 0.6 and row.vignette == 0:
            assert picture[mask == 255].mean() < picture[mask == 0].mean()

    table = pd.read_csv(folder / "HAM10000_metadata.csv")
    assert list(table) == ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization"]
    assert table[["lesion_id", "image_id", "dx"]].equals(truth[["lesion_id", "image_id", "dx"]])
    assert table["image_id"].str.fullmatch(r"ISIC_\d{7}").all()
    assert table["lesion_id"].str.fullmatch(r"HAM_\d{7}").all()
    assert table["lesion_id"].nunique() < n
    assert set(table["dx_type"]) <= {"histo", "follow_up", "consensus", "confocal"}
    assert set(table["sex"]) <= {"male", "female", "unknown"}
    assert (table["age"].dropna() % 5 == 0).all()
    assert (table.groupby("lesion_id")[["age", "sex", "localization"]].nunique() <= 1).all(axis=None)
    with pytest.raises(DataError, match="exists"):
        lesion.write_ham10000(folder, n)


def test_a_failed_writing_leaves_nothing(tmp_path, monkeypatch):
    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lesion, "_metadata", full_disk)
    with pytest.raises(OSError, match="No space"):
        lesion.write_ham10000(tmp_path / "ham", 2)
    assert list(tmp_path.iterdir()) == []
