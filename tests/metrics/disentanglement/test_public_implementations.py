"""Disentanglement against the values of public implementations, see tests/reference."""

import numpy as np
import pytest

from medlatent.metrics.disentanglement import (
    dci,
    interpretability,
    mig,
    mig_from_posterior,
    mig_knn,
    modularity,
    sap,
    scc,
    total_correlation,
)


def test_equals_disentanglement_lib(reference):
    arrays, expected = reference("aligned")
    codes, factors, expected = arrays["codes"], arrays["factors"], expected["disentanglement_lib"]
    result = mig(codes, factors)
    np.testing.assert_allclose(result.mutual_information, expected["mutual_info_matrix_20bins"], rtol=1e-9)
    np.testing.assert_allclose(result.factor_entropy, expected["factor_entropy"], rtol=1e-9)
    assert result.score == pytest.approx(expected["mig_discrete_20bins"], rel=1e-9)
    assert sap(codes, factors).score == pytest.approx(expected["sap_discrete"], rel=1e-9)
    assert sap(codes, factors, "continuous").score == pytest.approx(expected["sap_continuous"], rel=1e-9)
    assert modularity(codes, factors).score == pytest.approx(expected["modularity_discrete_20bins"], rel=1e-9)


def test_dci_equals_disentanglement_lib(reference):
    arrays, expected = reference("aligned")
    expected = expected["disentanglement_lib"]
    result = dci(arrays["codes"], arrays["factors"])
    assert result.score == pytest.approx(expected["dci_disentanglement_gbt"], abs=0.02)
    assert result.completeness == pytest.approx(expected["dci_completeness_gbt"], abs=0.02)
    assert result.informativeness == pytest.approx(expected["dci_informativeness_test"], abs=0.02)


def test_equals_ar_vae(reference):
    arrays, expected = reference("aligned")
    codes, factors, expected = arrays["codes"], arrays["factors"], expected["ar_vae"]
    result = mig_knn(codes, factors)
    np.testing.assert_allclose(result.mutual_information, expected["continuous_mi_matrix"], atol=1e-3)
    assert result.score == pytest.approx(expected["mig_continuous_mi"], abs=1e-3)
    assert modularity(codes, factors, "knn").score == pytest.approx(expected["modularity_continuous_mi"], abs=1e-3)
    assert sap(codes, factors, "continuous").score == pytest.approx(expected["sap"], rel=1e-9)
    assert scc(codes, factors).score == pytest.approx(expected["scc"], rel=1e-9)
    result = interpretability(codes, factors)
    assert result.score == pytest.approx(expected["interpretability"]["mean"][1], rel=1e-9)
    values = [expected["interpretability"][f"a{k}"] for k in range(3)]
    np.testing.assert_allclose(np.c_[result.dimension, result.per_attribute], values, rtol=1e-9)


def test_equals_beta_tcvae(reference):
    arrays, expected = reference("aligned")
    mean, logvar, factors = (arrays[k] for k in ("mean", "logvar", "factors"))
    expected = expected["beta_tcvae"]
    # Both are of 2 400 samples. A rare one, that falls among its neighbours' class, moves a mean by up to 0.004.
    result = mig_from_posterior(mean, logvar, factors, samples=2400)
    np.testing.assert_allclose(result.mutual_information, expected["mutual_info_matrix"], atol=0.006)
    assert result.score == pytest.approx(expected["mig_from_posterior"], abs=1e-3)
    result = total_correlation(mean, logvar, samples=2400)
    assert abs(result.score - expected["total_correlation"]) < 4 * np.sqrt(2) * result.standard_error
    np.testing.assert_allclose(result.marginal_entropy, expected["marginal_entropies"], atol=0.08)
    assert result.joint_entropy == pytest.approx(expected["joint_entropy"], abs=0.25)
