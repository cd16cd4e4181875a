"""What measures is read from a file in the middle of somebody's experiment, at the first measurement of a process."""

import pytest
import torch

from medlatent.evaluation import classifiers, factor_meters, hearts
from medlatent.files import project_files

READING = [
    *((classifiers.load_classifier, path) for path in project_files(classifiers.FILES)),
    *((factor_meters.load_meter, path) for path in project_files(factor_meters.FILES)),
    *((lambda path: hearts.heart_meter.__wrapped__("acdc", path), path) for path in project_files(hearts.FILE)),
]


def test_there_is_one_of_each_kind():
    assert {path.parent.name for _, path in READING} >= {"classifiers", "style_content", "attribute_vae"}


@pytest.mark.parametrize(("read", "path"), READING, ids=lambda value: getattr(value, "stem", ""))
def test_reading_it_leaves_luck_as_it_was(read, path):
    state = torch.get_rng_state()
    read(path)
    assert torch.equal(torch.get_rng_state(), state)
