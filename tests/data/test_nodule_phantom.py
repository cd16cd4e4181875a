"""Nodule phantoms: reproducible, true to their factors, and of the world of LIDC-IDRI."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from medlatent.data import DataError, ImageSet, nodules, open_images, phantoms

nodule = phantoms.nodule

REGULAR = {
    "size": 10.0,
    "subtlety_rating": 5.0,
    "sphericity_rating": 5.0,
    "margin_rating": 5.0,
    "texture_rating": 5.0,
    "malignancy_rating": 1.0,
    "calcification": 0.0,
    "position_x": 0.0,
    "position_y": 0.0,
    "rotation": 0.0,
    "lung_density": -850.0,
    "vessels": 0.0,
    "wall_distance": 30.0,
    "wall_angle": 0.0,
    "noise": 0.0,
    "kernel": 0.0,
}


def traverse(name=None, values=(0.0,), seed=3, size=64, **fixed):
    """Patches ``(k, size, size)`` of one nodule under k values of one factor."""
    changes = fixed | ({name: torch.tensor(values)} if name else {})
    factors = {key: torch.as_tensor(changes.get(key, value)).expand(len(values)) for key, value in REGULAR.items()}
    same = torch.zeros(len(values), dtype=torch.long)
    return nodule.render(factors, size, seed, same)[:, 0].numpy().astype(float)


def bright(patches, level=-400):
    return (patches > level).sum((1, 2)) * (nodule.FIELD / patches.shape[-1]) ** 2


def moments(patch):
    """Centre (x, y) in mm and the 2 × 2 covariance of what is bright, y upwards."""
    row, column = np.nonzero(patch > -400)
    place = np.stack([column - 31.5, 31.5 - row]) * nodule.FIELD / 64
    return place.mean(1), np.cov(place)


def test_the_same_seed_gives_the_same_patch_whatever_is_beside_it():
    many, few = nodule.generate(7, seed=5), nodule.generate(3, seed=5)
    assert np.array_equal(many.images[:3], few.images)
    assert many.table[:3].drop(columns="split").equals(few.table.drop(columns="split"))
    assert (nodule.generate(3, seed=6).images != few.images).any((1, 2, 3)).all()


def test_a_patch_of_another_size_shows_the_same():
    small, large = traverse(size=32)[0], traverse(size=64)[0]
    np.testing.assert_allclose(large.reshape(32, 2, 32, 2).mean((1, 3)), small, atol=160)
    assert abs(large.reshape(32, 2, 32, 2).mean((1, 3)) - small).mean() < 6


class TestTheFactorsShow:
    def test_size_is_the_diameter_of_the_disc_of_that_area(self):
        sizes = [4.0, 8.0, 12.0, 20.0]
        for shape in ({}, {"sphericity_rating": 2.0}, {"malignancy_rating": 3.0}):
            area = bright(traverse("size", sizes, **shape))
            np.testing.assert_allclose(2 * np.sqrt(area / math.pi), sizes, rtol=0.05)

    def test_sphericity_and_rotation(self):
        for rotation in (0.0, 0.7, -1.2):
            (_, cov), (_, round_) = map(moments, traverse("sphericity_rating", [1.0, 5.0], rotation=rotation, size=64))
            values, axes = np.linalg.eigh(cov)
            assert math.sqrt(values[1] / values[0]) == pytest.approx(2, abs=0.25)
            turned = math.atan2(axes[1, 1], axes[0, 1])
            assert math.cos(2 * (turned - rotation)) > 0.97
            assert np.linalg.cond(round_) < 1.2

    def test_position(self):
        for x, y in ((3.0, -2.0), (-4.0, 4.0)):
            centre, _ = moments(traverse(position_x=x, position_y=y)[0])
            assert centre == pytest.approx([x, y], abs=0.3)

    def test_a_poor_margin_is_wide(self):
        steepest = [abs(np.gradient(p, axis=1)).max() for p in traverse("margin_rating", [1.0, 2.0, 3.0, 4.0, 5.0])]
        assert (np.diff(steepest) > 0).all()
        assert steepest[-1] > 2 * steepest[0]

    def test_texture_goes_from_ground_glass_over_a_core_to_solid(self):
        glass, part, solid = traverse("texture_rating", [1.0, 3.0, 5.0], size=64)
        row = slice(30, 34)
        assert glass[row, 32].max() < -500
        assert part[row, 26:38].max() > -150
        assert part[row, 24].max() < -300, "the halo around the core"
        assert solid[row, 24:40].min() > -150

    def test_subtlety_is_contrast_and_keeps_the_area(self):
        patches = traverse("subtlety_rating", [1.0, 3.0, 5.0])
        middle = patches[:, 30:34, 30:34].mean((1, 2)) + 850
        assert (np.diff(middle) > 150).all()
        half = [bright(p[None], p[:8].mean() + m / 2)[0] for p, m in zip(patches, middle, strict=True)]
        np.testing.assert_allclose(half, half[2], rtol=0.08)

    def test_calcification_is_in_the_middle(self):
        without, with_ = traverse("calcification", [0.0, 1.0])
        assert with_[30:34, 30:34].mean() > without[30:34, 30:34].mean() + 100
        assert abs(with_ - without)[:12].max() == 0

    def test_malignancy_makes_the_outline_irregular(self):
        def roughness(patch):
            framed = patch > -500
            edge = (framed != np.roll(framed, 1, 0)).sum() + (framed != np.roll(framed, 1, 1)).sum()
            return edge / math.sqrt(framed.sum())

        several = [traverse("malignancy_rating", [1.0, 3.0, 5.0], seed=seed) for seed in range(8)]
        rough = [[roughness(patch) for patch in patches] for patches in several]
        assert (np.diff(np.mean(rough, axis=0)) > 0.1).all()

    def test_the_wall_lies_in_its_direction(self):
        for angle, side in ((0.0, np.s_[:, 60:]), (math.pi / 2, np.s_[:4]), (-math.pi / 2, np.s_[60:])):
            near, far = traverse("wall_distance", [2.0, 30.0], wall_angle=angle)
            assert near[side].mean() > -300
            assert far[side].mean() < -700

    def test_vessels_are_bright_and_leave_the_middle_of_the_nodule(self):
        none, many = traverse("vessels", [0.0, 1.0])
        assert (many > none + 200).mean() > 0.02
        assert abs(many - none)[30:34, 30:34].max() < 40

    def test_noise_is_as_strong_as_it_says_whatever_the_kernel(self):
        for kernel in (-1.0, 0.0, 1.0):
            quiet, loud = traverse("noise", [0.0, 40.0], kernel=kernel)
            assert (loud - quiet)[quiet > -900].std() == pytest.approx(40, rel=0.15)

    def test_a_soft_kernel_blurs(self):
        steepest = [abs(np.gradient(p, axis=1)).max() for p in traverse("kernel", [-1.0, 0.0, 1.0])]
        assert (np.diff(steepest) > 20).all()

    def test_the_lung_has_its_density(self):
        for density, patch in zip((-900.0, -780.0), traverse("lung_density", [-900.0, -780.0]), strict=True):
            assert patch[:10].mean() == pytest.approx(density, abs=8)


@pytest.fixture(scope="module")
def factors():
    return {name: values.numpy() for name, values in nodule.sample_factors(2000, seed=1).items()}


class TestSampled:
    def test_sizes_and_ratings_are_those_of_lidc(self, factors):
        shares = np.bincount(nodules.size_bin(factors["size"]), minlength=5) / 2000
        np.testing.assert_allclose(shares, [0.24, 0.29, 0.16, 0.11, 0.20], atol=0.03)
        low = {name: sum(counts[:5]) / 829 for name, counts in nodule.MEDIANS.items()}
        for name, share in low.items():
            assert (factors[name] <= 3).mean() == pytest.approx(share, abs=0.03)
        assert factors["calcification"].mean() == pytest.approx(172 / 829, abs=0.03)
        assert not ((factors["malignancy_rating"] > 2.76) & (factors["malignancy_rating"] < 2.99)).any()
        assert spearmanr(factors["size"], factors["malignancy_rating"])[0] == pytest.approx(0.72, abs=0.06)
        assert spearmanr(factors["margin_rating"], factors["texture_rating"])[0] > 0.35

    def test_nodules_of_a_patient_share_the_scanner(self, factors):
        for name, values in factors.items():
            same = (values[::2] == values[1::2]).mean()
            assert same == 1 if name in nodule.OF_THE_PATIENT else same < 0.99

    def test_independent_factors_are(self):
        factors = nodule.sample_factors(2000, seed=2, independent=True)
        correlation = np.corrcoef(np.stack([values.numpy() for values in factors.values()]))
        assert abs(correlation - np.eye(len(factors))).max() < 0.09
        assert factors["calcification"].mean() == pytest.approx(0.5, abs=0.04)

    @pytest.mark.parametrize("independent", [False, True])
    def test_within_the_ranges(self, independent):
        nodule.render(nodule.sample_factors(60, seed=4, independent=independent), 16)


class TestTheSet:
    def test_what_it_holds(self):
        images = nodule.generate(40, seed=2)
        assert images.images.shape == (40, 1, 64, 64)
        assert images.value_range == (-1000, 400)
        assert images.group == "patient_id"
        assert images.table["patient_id"].nunique() == 20
        assert images.table["nodule"].tolist() == [0, 1] * 20
        table = images.table
        assert (table["margin"] == (table["margin_rating"] > 3)).all()
        vector = nodules.condition(images.columns(nodules.CONDITIONED))
        assert vector.shape == (40, 17)
        assert (vector.sum(1) == 7).all()
        assert [nodules.SIZES[i] for i in vector[:, 12:].argmax(1)] == table["size_bin"].tolist()

    def test_it_is_saved_and_opened(self, tmp_path):
        images = nodule.generate(4)
        images.save(tmp_path / "set")
        assert ImageSet.load(tmp_path / "set").fingerprint == images.fingerprint

    def test_sources(self):
        small = open_images("phantoms.nodule.32", 6, 3)
        assert small.images.shape == (6, 1, 32, 32)
        assert (small.card.attributes["size"], small.card.attributes["pixel_mm"]) == (32, 1.0)
        independent = open_images("phantoms.nodule.independent", 6, 3)
        assert independent.table["patient_id"].is_unique

    def test_content_and_style_are_all_factors(self):
        assert sorted(nodule.CONTENT + nodule.STYLE) == sorted(nodule.FACTORS)
        assert len(nodule.CONTENT) == 7


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize("name", list(nodule.RANGES))
def test_a_value_out_of_range_is_refused_by_name(name):
    low, high = nodule.RANGES[name]
    for value in (low - 0.01, high + 0.01, math.nan):
        factors = {key: torch.full((3,), number) for key, number in REGULAR.items()}
        factors[name][1] = value
        with pytest.raises(DataError, match=f"factor '{name}': .* in row 1 is not between"):
            nodule.render(factors)


def test_other_bad_arguments():
    factors = {key: torch.full((2,), number) for key, number in REGULAR.items()}
    with pytest.raises(DataError, match=r"factor 'calcification': 0\.5 in row 0 is neither 0 nor 1"):
        nodule.render(factors | {"calcification": torch.tensor([0.5, 1.0])})
    with pytest.raises(DataError, match="size: a multiple of 16"):
        nodule.render(factors, 50)
    with pytest.raises(DataError, match="nodule: expected 2 whole numbers"):
        nodule.render(factors, nodule=torch.tensor([1.0, 2.0]))
    with pytest.raises(DataError, match="'vessels' is missing"):
        nodule.render({name: values for name, values in factors.items() if name != "vessels"})
    with pytest.raises(DataError, match="n: at least one image is needed, got 0"):
        nodule.generate(0)


@pytest.mark.parametrize("write", [nodule.write_dicom, nodule.write_patches])
def test_writers_refuse_an_existing_folder_and_leave_nothing(write, tmp_path):
    with pytest.raises(DataError, match="exists: choose another folder"):
        write(tmp_path)
    for patients in (0, 1013):
        with pytest.raises(DataError, match=f"patients: 1 to 1012 are possible, got {patients}"):
            write(tmp_path / "new", patients)
    assert not list(tmp_path.iterdir())
