"""The rows that assess a model are the rows of their role, whole or an even sample that depends on the rows alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

import gradline as gl
from gradline.assessing.assessment import assess
from gradline.engines.threads import ThreadEngine
from gradline.errors import UsageError
from gradline.evaluation import kept_rows
from gradline.inputs.opening import open_source
from gradline.splits.roles import RowRoles
from gradline.training.config import TrainConfig
from gradline.training.trainer import train
from gradline.types import Role
from reference import fit

M = 3_000


def table(seed=0):
    rng = np.random.default_rng(seed)
    a, c = rng.normal(1e3, 5, M), rng.choice(["u", "v", "w"], M)
    y = np.exp(0.01 * a + (c == "v") * 0.3 + rng.normal(0, 0.2, M) - 9)
    y[rng.integers(0, M, 40)] = np.nan
    weight, who = rng.uniform(0.5, 2.0, M), rng.integers(0, 300, M)
    return pa.table({"a": a, "c": pa.array(c.tolist()), "y": pa.array(y, from_pandas=True), "w": weight, "who": who})


def assessed(data, threads=1, **settings):
    config = TrainConfig.from_mapping({"target": "y", "assess": "yes", **settings})
    source, engine = open_source(data), ThreadEngine(threads)
    return assess(train(source, config, engine), source, config, engine, None).by_role


def test_each_role_has_its_rows_with_the_models_word_on_them():
    data = table()
    found = assessed(data, seed=3, weight="w", drop=("who",))
    y, roles = data["y"].to_numpy(), RowRoles(3, 0.1, 0.1).assign(0, 0, M, None)
    predicted = gl.train(data, "y", seed=3, weight="w", drop=["who"], assess="no").predict(data)
    for role in Role:
        at = np.flatnonzero((roles == role) & ~np.isnan(y))
        rows, errors, worst = found[role]
        assert rows.row.tolist() == at.tolist()
        assert rows.whole
        assert rows.actual.tolist() == y[at].tolist()
        assert rows.predicted == pytest.approx(predicted[at], rel=1e-12)
        assert rows.weight.tolist() == data["w"].to_numpy()[at].tolist()
        assert rows.table["c"].to_pylist() == data["c"].take(at).to_pylist()
        assert rows.decoded.numbers[0].values.tolist() == data["a"].to_numpy()[at].tolist()
        e, w = rows.error, rows.weight
        assert errors.metrics().mae == pytest.approx(np.abs(e) @ w / w.sum(), rel=1e-12)
        assert errors.metrics().rmse == pytest.approx(np.sqrt(e**2 @ w / w.sum()), rel=1e-12)
        assert worst.row.tolist() == at[np.argsort(-np.abs(e), kind="stable")[:10]].tolist()
        assert worst.table["a"].to_pylist() == data["a"].take(worst.row).to_pylist()


def test_a_sample_is_even_and_depends_on_the_rows_alone(monkeypatch, tmp_path):
    whole = assessed(table(), drop=("who", "w"))
    monkeypatch.setattr(kept_rows, "MOST_KEPT", 200)
    one, other = assessed(table(), drop=("who", "w")), assessed(table(), threads=3, drop=("who", "w"))
    for role in (Role.TRAINING, Role.VALIDATION, Role.TEST):
        rows = one[role].rows
        assert rows.row.tolist() == other[role].rows.row.tolist()
        assert set(rows.row) <= set(whole[role].rows.row)
        assert rows.of == whole[role].rows.of
        share = min(1.0, 200 / rows.of)
        assert abs(len(rows.row) - share * rows.of) <= 5.0 * np.sqrt(share * (1 - share) * rows.of)
        assert one[role].errors.metrics() == whole[role].errors.metrics()  # sums are over all rows
        assert one[role].worst.row.tolist() == whole[role].worst.row.tolist()
    rank = np.searchsorted(whole[Role.TRAINING].rows.row, one[Role.TRAINING].rows.row) / whole[Role.TRAINING].rows.of
    assert abs(rank.mean() - 0.5) < 5.0 / np.sqrt(12 * len(rank))


def test_of_a_log_target_errors_are_in_its_own_unit_and_scores_in_the_logarithms():
    rows = assessed(table(), log_target=True, drop=("who", "w"))[Role.TEST].rows
    assert np.exp(rows.y) == pytest.approx(rows.actual, rel=1e-15)
    assert np.abs(rows.score - rows.y).mean() < 0.3
    assert len(rows.actual) == len(rows.score)


def test_rows_that_stay_together_have_one_group():
    found = assessed(table(), group="who", weight="w")
    for role in Role:
        rows = found[role].rows
        who = rows.table["who"].to_numpy()
        assert len(np.unique(who)) == len(np.unique(rows.group)) == len(set(zip(who, rows.group.tolist(), strict=True)))
    assert assessed(table(), drop=("who", "w"))[Role.TEST].rows.group is None


def test_small_tables_are_assessed_without_being_asked_and_large_ones_when_asked(monkeypatch):
    data = table().drop(["who", "w"])
    assert gl.train(data, "y").result["assessment"]["rows"]["train"]["kept"] > 0
    assert gl.train(data, "y", assess="no").result["assessment"] is None
    monkeypatch.setattr("gradline.assessing.assessment.SMALL", M)
    assert gl.train(data, "y").result["assessment"] is None
    assert gl.train(data, "y", assess="yes").result["assessment"] is not None


def test_what_can_be_read_only_once_is_assessed_only_where_nobody_asks():
    data = table().drop(["who", "w"])
    once = pa.RecordBatchReader.from_batches(data.schema, data.to_batches())
    assert gl.train(once, "y").result["assessment"] is None
    again = pa.RecordBatchReader.from_batches(data.schema, data.to_batches())
    with pytest.raises(UsageError, match="can be read only once"):
        gl.train(again, "y", assess="yes")


def test_the_whole_evaluation_is_one_more_read(monkeypatch):
    from gradline.inputs.memory import TableSource

    reads = []
    blocks = TableSource.blocks

    def counted(self, columns):
        reads.append(tuple(columns))
        return blocks(self, columns)

    monkeypatch.setattr(TableSource, "blocks", counted)
    settings = {"drop": ["who", "w"], "cost": "under=3,over=1", "event": ">1.5", "miss_cost": 3.0}
    found = fit(table(), "y", **settings).result["assessment"]
    assert all(
        found[part] is not None
        for part in ("assumptions", "intervals", "decision", "metrics", "cost", "calibration", "segments", "worst")
    )
    assert len(reads) == 2
