"""Tables as they come: missing values, columns that say nothing, several askers at once."""

import threading

import numpy as np
import pyarrow as pa
import pytest
from lab_tables import answer, asked, served, streamed
from test_play import compare, trained

from gradline.errors import InputError
from gradline.lab.play import sampled_features, set_up
from gradline.lab.settings import RunSettings, TableSettings
from gradline.lab.table import Kept, LabTable


def holed(m=300):
    rng = np.random.default_rng(8)
    x, z = rng.normal(2.0, 1.0, m), rng.normal(size=m)
    y = 3 * x - z + rng.normal(size=m)
    x[rng.random(m) < 0.3] = np.nan
    return pa.table({"x": x, "z": z, "same": np.ones(m), "flag": pa.array(z > 0), "y": y})


@pytest.mark.parametrize("features", [("x",), ("x", "z", "flag"), ("same", "z")])
def test_missing_and_constant_columns_are_those_of_train(features):
    question = {"table": {"features": list(features)}, "run": {"rate": 0.7, "steps": 40}}
    with served(LabTable.open(holed(), "y")) as server:
        problem = answer(server, "problem", question)
        *steps, end = streamed(server, question)
        assert asked(server, f"{server.token}/api/worked", question | {"theta": steps[3]["theta"], "step": 3})[0] == 200
        assert asked(server, f"{server.token}/api/starts", question)[0] == 200
    model = trained(holed(), "y", features, problem["plan"], question["run"])
    assert problem["features"] == list(model.coefficients)
    compare(steps, end, model, problem["features"])
    assert len(steps[0]["picture"]) == len(problem["x"])
    assert all(len(problem["points"][key]) == len(problem["points"]["y"]) for key in problem["points"])


def test_the_pictures_rows_are_the_trainings():
    table = LabTable.open(holed(), "y")
    play = set_up(table, TableSettings(("x", "z")), RunSettings())
    X, points = sampled_features(play), play.opened.points
    training = X[(points.roles == 0)]
    np.testing.assert_allclose(training.mean(axis=0), play.problem.coordinates.mean, rtol=1e-12)
    assert "x missing" in " ".join(play.problem.names) or len(play.problem.names) == 3


def test_a_feature_without_any_value_gets_a_sentence():
    table = pa.table({"x": [1.0, 2.0, 4.0, 3.0] * 9, "empty": np.full(36, np.nan), "y": [3.0, 5.0, 8.0, 8.0] * 9})
    with pytest.raises(InputError, match="--drop empty"):
        LabTable.open(table, "y")
    assert LabTable.open(table, "y", drop=["empty"]).columns == ("x",)


@pytest.mark.parametrize("value", [np.inf, 1e300])
def test_values_that_cannot_be_trained_on_are_refused_at_the_beginning(value):
    x = np.arange(40.0)
    x[3] = value
    with pytest.raises(InputError):
        LabTable.open(pa.table({"x": x, "y": np.arange(40.0) % 7}), "y")


def test_what_is_asked_for_twice_is_made_once_and_others_do_not_wait():
    kept, going, made = Kept(3), threading.Event(), []

    def slow():
        made.append(1)
        going.wait(5)
        return "slow"

    found = []
    threads = [threading.Thread(target=lambda: found.append(kept.get("a", slow))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert kept.get("b", lambda: "quick") == "quick"
    assert not found
    going.set()
    for thread in threads:
        thread.join(5)
    assert found == ["slow"] * 3
    assert made == [1]


def test_what_was_made_long_ago_is_forgotten_and_a_failure_is_tried_again():
    kept, made = Kept(2), []
    for key in "abca":
        kept.get(key, lambda key=key: made.append(key))
    assert made == list("abca")
    with pytest.raises(ZeroDivisionError):
        kept.get("z", lambda: 1 / 0)
    assert kept.get("z", lambda: 7) == 7


def test_the_flights_are_in_the_wheel_where_the_lab_looks_for_them():
    import tomllib

    from lab_tables import FLIGHTS

    from gradline.lab.table import SHIPPED

    project = tomllib.loads((FLIGHTS.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included["examples/flights.parquet"] == f"gradline/lab/{SHIPPED}"
