"""The report against the single functions."""

import dataclasses

import numpy as np
import pytest
from disentanglement_cases import CODES, CONTINUOUS, FACTORS, SPREAD

from medlatent.metrics.disentanglement import (
    dci,
    interpretability,
    mig,
    mig_from_posterior,
    mig_knn,
    modularity,
    report,
    sap,
    scc,
    total_correlation,
)

MIXED = np.c_[FACTORS, CONTINUOUS]
NOMINAL = np.array([False, True, False, False, False])
OPTIONS = {"bins": 10, "neighbours": 4, "samples": 150, "trees": 6, "seed": 2}


@pytest.fixture(scope="module")
def whole():
    return report(CODES, SPREAD, MIXED, NOMINAL, shuffle=True, **OPTIONS)


def test_the_report_holds_what_the_single_functions_give(whole):
    ordered, split = MIXED[:, ~NOMINAL], {"shuffle": True, "seed": 2}
    expected = {
        "mig": mig(CODES, MIXED, 10),
        "mig_knn": mig_knn(CODES, ordered, 4, seed=2),
        "mig_from_posterior": mig_from_posterior(CODES, SPREAD, MIXED, 150, 10, seed=2),
        "sap": sap(CODES, FACTORS, **split),
        "sap_continuous": sap(CODES, ordered, "continuous"),
        "modularity": modularity(CODES, MIXED, bins=10),
        "modularity_knn": modularity(CODES, ordered, "knn", neighbours=4, seed=2),
        "dci": dci(CODES, MIXED, "random_forest", trees=6, **split),
        "interpretability": interpretability(CODES, ordered, 4, seed=2),
        "scc": scc(CODES, ordered),
        "total_correlation": total_correlation(CODES, SPREAD, 150, seed=2),
    }
    assert [field.name for field in dataclasses.fields(whole)] == list(expected)
    for name, single in expected.items():
        for field, value in dataclasses.asdict(single).items():
            found = getattr(getattr(whole, name), field)
            np.testing.assert_allclose(found, value, rtol=1e-12, atol=1e-14, err_msg=f"{name}.{field}")


def test_the_values_of_a_report(whole):
    values = whole.values()
    assert [values.pop(f"dci_{kind}ness") for kind in ("complete", "informative")] == [
        whole.dci.completeness,
        whole.dci.informativeness,
    ]
    assert values.pop("dci_disentanglement") == whole.dci.score
    assert values == {name: getattr(whole, name).score for name in values}
    assert len(values) == 10


@pytest.mark.parametrize(
    ("factors", "nominal", "missing"),
    [
        (FACTORS[:, :1], [True], {"mig_knn", "sap_continuous", "modularity_knn", "interpretability", "scc"}),
        (FACTORS[:, :1], None, set()),
        (CONTINUOUS[:, :1], None, {"sap"}),
        (FACTORS[:, :2], [True, False], {"modularity_knn"}),
    ],
)
def test_what_a_report_leaves_out(factors, nominal, missing):
    found = report(CODES, SPREAD, factors, nominal, **OPTIONS)
    if factors.shape[1] == 1:
        missing = missing | {"modularity", "modularity_knn", "dci"}
    assert {field.name for field in dataclasses.fields(found) if getattr(found, field.name) is None} == missing
    assert not {name for name in found.values() if name.removesuffix("_completeness") in missing}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: report(CODES, SPREAD, FACTORS, [True]), "nominal: expected true or false for each of 3 factors"),
        (lambda: report(CODES, SPREAD, FACTORS, [0, 1, 0]), "nominal: expected true or false"),
        (lambda: report(CODES, SPREAD, FACTORS * [1, 0, 1]), r"factors\[:, 1\] is constant"),
        (lambda: report(CODES, SPREAD[:, 1:], FACTORS), "one shape"),
        (lambda: report(CODES[:, :1], SPREAD[:, :1], FACTORS), "mean: dimensions are compared"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
