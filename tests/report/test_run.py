"""A run directory holds the model whatever becomes of its report."""

import numpy as np
import pytest

import gradline as gl
from gradline.errors import GradlineWarning
from gradline.report import page
from gradline.report.run import REPORT, write_run


def test_a_report_that_cannot_be_made_costs_no_model(tmp_path, monkeypatch):
    def broken(model, told=None):
        raise ZeroDivisionError("a bug")

    x = np.arange(50.0)
    model = gl.train(x[:, None], x + 9.0 * np.sin(x))
    monkeypatch.setattr(page, "render", broken)
    with pytest.warns(GradlineWarning, match=r"ZeroDivisionError: a bug.*are written"):
        write_run(model, tmp_path / "run")
    assert gl.load(tmp_path / "run").coefficients == model.coefficients
    assert not (tmp_path / "run" / REPORT).exists()
    assert (tmp_path / "run" / "result.json").exists()
