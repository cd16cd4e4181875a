"""Suite ``attributes``: a model that is right by construction, one that is not, and patients with several slices."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from medlatent.data import Card, ImageSet, open_images
from medlatent.data.phantoms import heart
from medlatent.evaluation import attributes, numbers_of, observe
from medlatent.evaluation.attributes import VOLUMES, diagnosis_accuracy, means_of_groups, numbers, scores
from medlatent.metrics import disentanglement
from medlatent.models import VAE, AttriVAE, LatentModel
from medlatent.records import read_observed, save_observed

NUMBERS = {
    *("ssim7", "ssim7.ED", "ssim7.ES", "perceptual", "perceptual.ED", "perceptual.ES"),
    *("interpretability_volumes.EDV", "interpretability_volumes.ESV", "moved_own", "moved_others", "remeasured"),
    *(f"{what}.{name}" for what in ("moved", "line_offset", "line_slope", "line_moved") for name in VOLUMES),
    *(f"diagnosis.{what}" for what in ("volumes", "dimensions", "code", "shuffled")),
    *(
        f"{name}_volumes{how}"
        for name in ("scc", "modularity", "sap", "interpretability")
        for how in ("", ".sampled", ".rotated", ".shuffled")
    ),
}


@pytest.fixture(scope="module", autouse=True)
def quicker():
    """Fewer hearts are moved, and shuffled less often, than in a record."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attributes, "MOVED", 8)
        patch.setattr(attributes, "SHUFFLES", 3)
        yield


@pytest.fixture(scope="module")
def hearts() -> ImageSet:
    images = open_images("phantoms.heart.64", 40, 4)
    assert images.table["diagnosis"].value_counts().min() >= 5
    return images


def oracle(hearts: ImageSet, mixed: bool = False) -> LatentModel:
    """Encodes the factors of known phantoms, the six volumes first, and decodes by rendering them again."""
    names = list(heart.FACTORS)
    table = torch.tensor(hearts.table[names].to_numpy(np.float32))
    mean, deviation = table.mean(0), table.std(0)
    known = hearts.batch(slice(None))

    class Oracle(LatentModel):
        columns = VOLUMES
        pictures = ("ED", "ES")

        def __init__(self):
            super().__init__({})
            self.latent_dim = len(names)
            self.weight = nn.Parameter(torch.zeros(1))

        def encode(self, images):
            row = [int((known - one).abs().flatten(1).sum(1).argmin()) for one in images]
            code = (table[row] - mean) / deviation
            if mixed:  # LVEDV and RVEDV on each other's dimension
                code[:, [0, 1]] = code[:, [1, 0]]
            return code, torch.full_like(code, -20.0)

        def decode(self, z):
            if mixed:
                z = z[:, [1, 0, *range(2, len(names))]]
            values = z * deviation + mean
            low, high = (torch.tensor([heart.RANGES[name][k] for name in names]) for k in (0, 1))
            values = values.clamp(low, high)
            factors = {name: values[:, k] for k, name in enumerate(names)}
            for region in ("LV", "RV"):
                most = (1 - heart.LEAST_EJECTION) * factors[f"{region}EDV"]
                factors[f"{region}ESV"] = torch.minimum(factors[f"{region}ESV"], most)
            return heart.render(factors, 64, seed=4, patient=torch.zeros(len(z), dtype=torch.long)).float() / 255

    LatentModel.registry.pop("Oracle")
    return Oracle().eval()


@pytest.fixture(scope="module")
def right(hearts):
    return attributes.observe(oracle(hearts), hearts)


def test_a_right_model_moves_every_volume_by_its_own_deviation(hearts, right):
    found = numbers(right, hearts)
    assert set(found) == NUMBERS
    assert found["scc_volumes"] == pytest.approx(1)
    assert found["interpretability_volumes"] == pytest.approx(1)
    assert found["interpretability_volumes.EDV"] == pytest.approx(1)
    deviation = hearts.factor_matrix(VOLUMES).std(0)
    for name, expected in zip(VOLUMES, deviation, strict=True):
        assert found[f"moved.{name}"] == pytest.approx(expected, rel=0.35), name
        assert found[f"line_slope.{name}"] == pytest.approx(hearts.table[name].std(), rel=1e-4)
        assert found[f"line_moved.{name}"] == pytest.approx(expected, rel=1e-4)
        assert found[f"line_offset.{name}"] == pytest.approx(hearts.table[name].mean(), rel=1e-4)
    assert found["moved_own"] == pytest.approx(1, abs=0.25)
    assert found["moved_others"] < 0.2
    assert found["remeasured"] > 0.95
    assert right["moved"].shape == (8, 6, 6)
    assert right["dimension"].tolist() == [0, 1, 2, 3, 4, 5]


def test_chance_and_another_basis_are_rows_of_the_table(hearts, right):
    found = numbers(right, hearts)
    assert found["scc_volumes.shuffled"] < 0.6
    assert found["interpretability_volumes.shuffled"] < 0.25
    assert found["scc_volumes.rotated"] < found["scc_volumes"]
    assert found["interpretability_volumes.sampled"] == pytest.approx(found["interpretability_volumes"], abs=1e-3)


def test_the_diagnosis_is_told_from_what_has_it(hearts, right):
    found = numbers(right, hearts)
    # The first six dimensions of a right model are the volumes.
    assert found["diagnosis.dimensions"] == pytest.approx(found["diagnosis.volumes"], abs=1e-6)
    assert found["diagnosis.volumes"] > 0.5 > found["diagnosis.shuffled"]
    two = np.repeat([0, 1], 20)
    columns = np.random.default_rng(0).standard_normal((40, 3))
    columns[:, 1] += 10 * two
    assert diagnosis_accuracy(columns, two) == 1


def test_numbers_survive_being_kept_in_16_bits(hearts, right, tmp_path):
    """The dimensions of the volumes, 0 to 5, come back as 2.99997: they are rounded, not cut off."""
    entry, content = save_observed({"set": {"attributes": right}}, "kept")
    (tmp_path / entry["file"]).write_bytes(content)
    kept = read_observed(tmp_path / entry["file"])["set"]["attributes"]
    assert (kept["dimension"] != right["dimension"]).any(), "16 bits do not hold these exactly"
    before, after = numbers(right, hearts), numbers(kept, hearts)
    for name in VOLUMES:
        for what in ("moved", "line_moved", "line_offset"):
            assert after[f"{what}.{name}"] == pytest.approx(before[f"{what}.{name}"], rel=0.01, abs=0.1)
    assert after["diagnosis.dimensions"] == pytest.approx(before["diagnosis.dimensions"], abs=0.02)


def test_a_swapped_pair_of_dimensions_moves_the_wrong_volume(hearts):
    wrong = attributes.observe(oracle(hearts, mixed=True), hearts)
    moved = wrong["moved"].mean(0)
    assert moved[0, 1] > 5 * abs(moved[0, 0])  # the dimension of LVEDV moves RVEDV
    assert moved[1, 0] > 5 * abs(moved[1, 1])
    # What is asked of the codes alone does not see it.
    assert numbers(wrong, hearts)["scc_volumes"] == pytest.approx(1)


def test_a_model_without_attributes_has_the_best_dimension(hearts):
    torch.manual_seed(0)
    model = AttriVAE(attributes=(), latent_dim=5, channels=2, size=64, width=4)
    found = attributes.observe(model, hearts)
    correlation = pd.DataFrame(found["mean"]).corrwith
    for name, k in zip(VOLUMES, found["dimension"], strict=True):
        rank = correlation(hearts.table[name], method="spearman").abs()
        assert rank.argmax() == k
    assert set(numbers_of({"attributes": found}, hearts, ["attributes"])) == NUMBERS


def test_one_phase_has_its_three_volumes(hearts):
    images = open_images("phantoms.heart.64.ES", 40, 4)
    torch.manual_seed(0)
    found = observe(AttriVAE(latent_dim=6, channels=1, size=64, width=4), images, ["attributes"])["attributes"]
    assert found["moved"].shape == (8, 3, 3)
    assert found["dimension"].tolist() == [3, 4, 5]
    values = numbers(found, images)
    assert {"ssim7.ES", "moved.RVESV", "interpretability_volumes.EDV"} <= set(values)
    assert "ssim7.ED" not in values


def test_slices_of_a_patient_are_one(hearts):
    values = np.random.default_rng(0).random((4, 2))
    table = pd.DataFrame({"patient": ["b", "a", "b", "c"]})
    images = ImageSet(np.zeros((4, 1, 8, 8), np.uint8), table, {}, Card("s", "", "", "", ""), "patient")
    np.testing.assert_allclose(means_of_groups(values, images), [values[1], values[[0, 2]].mean(0), values[3]])
    images.group = None
    np.testing.assert_array_equal(means_of_groups(values, images), values)


def test_other_images_and_few_patients_have_no_such_numbers(hearts):
    torch.manual_seed(0)
    lesions = open_images("phantoms.lesion", 12, 0)
    assert attributes.observe(VAE(), lesions) == {}
    assert numbers({}, lesions) == {}
    model = AttriVAE(latent_dim=6, channels=2, size=64, width=4)
    few = hearts.subset(range(9))
    assert numbers(attributes.observe(model, few), few) == {}


def test_scores_are_the_metrics_of_ar_vae():
    random = np.random.default_rng(0)
    volumes = random.standard_normal((60, 6))
    codes = np.concatenate([volumes + 0.3 * random.standard_normal((60, 6)), random.standard_normal((60, 3))], 1)
    by_volume = disentanglement.interpretability(codes, volumes).per_attribute
    assert scores(codes, volumes) == pytest.approx(
        {
            "scc_volumes": disentanglement.scc(codes, volumes).score,
            "modularity_volumes": disentanglement.modularity(codes, volumes, "knn").score,
            "sap_volumes": disentanglement.sap(codes, volumes, "continuous").score,
            "interpretability_volumes": by_volume.mean(),
            "interpretability_volumes.EDV": by_volume[:3].mean(),
            "interpretability_volumes.ESV": by_volume[3:].mean(),
        }
    )
