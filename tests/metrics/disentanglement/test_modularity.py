"""Modularity by hand."""

import numpy as np
import pytest
from disentanglement_cases import CODES, FACTORS, GRID, plug_in

from medlatent.metrics.disentanglement import modularity


def test_modularity_by_hand():
    # One factor; both alike; nothing; and all of a, half of what there is to know about b.
    a, b = GRID.T
    half = np.where(a == 1, 2, 0) + np.where(a == 1, b, 0)
    result = modularity(np.c_[a, a + 2 * b, np.full(40, 0.1), half], GRID, bins=4)
    np.testing.assert_allclose(result.mutual_information[:3], np.log(2) * np.array([[1, 0], [1, 1], [0, 0]]))
    ratio = plug_in(half, b) / np.log(2)
    assert result.per_dimension.tolist() == pytest.approx([1, 0, 0, 1 - ratio**2])
    assert result.score == pytest.approx((2 - ratio**2) / 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: modularity(CODES, FACTORS[:, :1]), "factors are compared, at least 2"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
