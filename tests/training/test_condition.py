"""The default reaches the certificate on well-posed tables of any condition up to 1e8, without the user choosing anything."""

import numpy as np
import pytest

from reference import fit


@pytest.mark.parametrize("kappa", [1e0, 1e2, 1e4, 1e6, 1e8])
def test_the_default_reaches_the_certificate(kappa):
    rng = np.random.default_rng(0)
    a = rng.normal(size=(2_000, 1))
    X = np.column_stack([a, a + rng.normal(size=(2_000, 1)) * np.sqrt(4.0 / kappa), rng.normal(size=(2_000, 3))])
    model = fit(X, X @ [1.0, 2.0, 3.0, 4.0, 5.0] + rng.normal(size=2_000), validation=0.0, test=0.0)
    assert model.result["stopped"]["reason"] == "certified"
    assert model.certificate.relative_gap <= 1e-12
    assert model.certificate.coefficient_error <= 1e-9
    assert model.certificate.condition == pytest.approx(kappa, rel=0.3) or kappa == 1.0
