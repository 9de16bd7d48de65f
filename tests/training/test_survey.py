from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from gradline.errors import DataError, UsageError
from gradline.inputs.memory import StreamSource, TableSource
from gradline.maths.summaries import CategorySummary
from gradline.representation.decode import Decoder
from gradline.splits.roles import RowRoles
from gradline.training import survey as surveys
from gradline.training.reading.sample import SAMPLE_ROWS
from gradline.training.rows import RowReader
from gradline.training.survey import most_at_once, survey
from gradline.types import Kind, Part, RawColumn, Role
from reference import SerialEngine, ShuffledEngine
from tables import ChunkedSource

KINDS = {"x": Kind.NUMBER, "c": Kind.TEXT}


def a_table(m=500, seed=0):
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "x": [None if v < 0.1 else float(v) for v in rng.random(m)],
            "c": [None if v == 0 else str(v) for v in rng.integers(0, 6, m)],
            "y": [None if v < -1.5 else float(v) for v in rng.normal(size=m)],
        }
    )


def reader(validation=0.2, test=0.1, **settings):
    return RowReader(Decoder(KINDS), RowRoles(0, validation, test), "y", Kind.NUMBER, **settings)


def run(table, cuts=(), engine=None, **settings):
    found, _ = survey(ChunkedSource(table, cuts), reader(**settings), engine or SerialEngine(), 0)
    return found


CUTS = [[], [1], [250], list(range(0, 500, 13)), list(range(1, 500))]


@pytest.mark.parametrize("cuts", CUTS, ids=len)
def test_what_is_found_does_not_depend_on_chunks(cuts):
    table = a_table()
    whole, cut = run(table), run(table, cuts)
    assert (cut.read, cut.dropped, cut.target) == (whole.read, whole.dropped, whole.target)
    assert cut.summaries.keys() == whole.summaries.keys()
    for name, summary in whole.summaries.items():
        other = cut.summaries[name]
        assert (other.rows, other.missing) == (summary.rows, summary.missing)
        if isinstance(summary, CategorySummary):
            assert dict(other.counts) == dict(summary.counts)
        else:
            assert (other.minimum, other.maximum) == (summary.minimum, summary.maximum)
    for role in Role:
        a, b = whole.moments[role], cut.moments[role]
        assert (a.rows, a.weight, set(a.columns)) == (b.rows, b.weight, set(b.columns))
        b = b.expanded(a.columns)
        scale = np.sqrt(np.diag(a.comoment))
        assert np.all(np.abs(a.comoment - b.comoment) <= 1e-12 * np.outer(scale, scale))
    assert np.array_equal(cut.sample.row, whole.sample.row)
    assert cut.sample.table.equals(whole.sample.table)


def test_counts_ranges_and_missing_values_are_those_of_the_training_rows():
    table = a_table()
    found = run(table, [100, 300])
    roles = RowRoles(0, 0.2, 0.1).assign(0, 0, 500, None)
    rows = table.to_pylist()
    assert found.read == 500
    assert found.dropped == sum(r["y"] is None for r in rows)
    for role in Role:
        assert found.rows(role) == sum(r["y"] is not None and k == role for r, k in zip(rows, roles, strict=True))
    training = [r for r, k in zip(rows, roles, strict=True) if k == Role.TRAINING and r["y"] is not None]
    xs, cs = [r["x"] for r in training if r["x"] is not None], [r["c"] for r in training]
    x, c = found.summaries["x"], found.summaries["c"]
    assert (x.rows, x.missing, x.minimum, x.maximum) == (len(training), len(training) - len(xs), min(xs), max(xs))
    assert (c.rows, c.missing) == (len(training), cs.count(None))
    assert dict(c.counts) == {level: cs.count(level) for level in set(cs) - {None}}
    moments = found.moments[Role.TRAINING]
    assert moments.mean[moments.index()[RawColumn("x", Part.VALUE)]] == pytest.approx(np.mean(xs))
    present = [r["y"] for r in rows if r["y"] is not None]
    assert (found.target.minimum, found.target.maximum) == (min(present), max(present))


@pytest.mark.parametrize("cuts", CUTS, ids=len)
def test_another_target_is_in_the_moments_of_the_rows_that_have_both(cuts):
    table = a_table()
    z = np.where(np.arange(500) % 9 == 4, np.nan, np.maximum(np.arange(500), 300.0))  # the same in the first rows
    found = run(table.append_column("a", pa.array(z)), cuts, others={"a": Kind.NUMBER})
    y = table["y"].to_numpy()
    both = ~np.isnan(y) & ~np.isnan(z)
    assert (found.read, found.dropped) == (500, np.count_nonzero(~both))
    for name, values in {"y": y, "a": z}.items():
        of = found.of(name)
        assert (of.target.minimum, of.target.maximum) == (values[both].min(), values[both].max())
        mine = both & (RowRoles(0, 0.2, 0.1).assign(0, 0, 500, None) == Role.TRAINING)
        moments = of.moments[Role.TRAINING]
        at = moments.index()[RawColumn(name, Part.TARGET)]
        assert moments.mean[at] == pytest.approx(values[mine].mean(), rel=1e-12)
        assert moments.comoment[at, at] == pytest.approx(values[mine].var() * mine.sum(), rel=1e-12)
    assert "a" not in found.summaries


def test_the_sample_is_of_rows_with_a_target_and_their_roles():
    table = a_table(5000)
    found = run(table, range(0, 5000, 700))
    assert len(found.sample.row) == SAMPLE_ROWS
    assert np.all(np.diff(found.sample.row) > 0)
    assert found.sample.table.equals(table.take(found.sample.row).select(found.sample.table.column_names))
    assert found.sample.table["y"].null_count == 0
    assert np.array_equal(found.sample.roles, RowRoles(0, 0.2, 0.1).assign(0, 0, 5000, None)[found.sample.row])
    assert 0.35 < np.mean(found.sample.row < 2500) < 0.65
    shares = np.bincount(found.sample.roles, minlength=3) / SAMPLE_ROWS
    assert shares == pytest.approx([0.7, 0.2, 0.1], abs=0.05)  # a sample of every role alike


def test_the_order_in_which_blocks_finish_changes_nothing():
    table = a_table()
    a, b = run(table, range(0, 500, 7)), run(table, range(0, 500, 7), ShuffledEngine(3))
    for role in Role:
        assert np.array_equal(a.moments[role].comoment, b.moments[role].comoment)
    assert a.sample.table.equals(b.sample.table)


def crowded(m=9_000, levels=3_000):
    rng = np.random.default_rng(1)
    codes = np.minimum(rng.geometric(0.002, m), levels) if levels < 100 else rng.integers(0, levels, m)
    return pa.table({"x": rng.normal(size=m), "c": [f"k{v}" for v in codes], "y": rng.normal(size=m)})


@pytest.mark.parametrize("cuts", [[], [4000], list(range(0, 9000, 500))], ids=len)
def test_a_crowded_category_is_read_twice_and_its_rare_levels_are_the_rest(cuts, monkeypatch):
    monkeypatch.setattr(surveys, "MOST_RAW_LEVELS", 50)
    table = crowded(levels=400)
    source = ChunkedSource(table, cuts)
    found, later = survey(source, reader(0.0, 0.0), SerialEngine(), 0)
    assert found.reads == 2
    counts = dict(found.summaries["c"].counts)
    texts = table["c"].to_pylist()
    assert counts == {text: texts.count(text) for text in set(texts)}
    listed = later.decoder.listed["c"]
    assert listed == tuple(sorted(counts, key=lambda v: (-counts[v], v))[:50])
    moments = found.moments[Role.TRAINING]
    rest = moments.mean[moments.index()[RawColumn("c", Part.OTHER)]]
    assert rest == pytest.approx(1 - sum(counts[v] for v in listed) / table.num_rows)
    assert sum(c.column == "c" for c in moments.columns) == 51


def test_a_crowded_category_of_a_stream_is_refused(monkeypatch):
    monkeypatch.setattr(surveys, "MOST_RAW_LEVELS", 50)
    stream = StreamSource(crowded(levels=400).to_reader())
    with pytest.raises(DataError, match="'c' has more than 50 levels"):
        survey(stream, reader(), SerialEngine(), 0)


def test_an_identifier_is_counted_and_kept_out_of_the_moments():
    m = 3000
    table = pa.table({"x": np.arange(m) % 7.0, "c": [f"row {i}" for i in range(m)], "y": np.arange(float(m))})
    found, _ = survey(ChunkedSource(table, [1500, 2000]), reader(0.0, 0.0), SerialEngine(), 0)
    assert found.reads == 1
    assert found.summaries["c"].distinct == m
    assert not any(c.column == "c" for c in found.moments[Role.TRAINING].columns)


def test_infinities_are_refused_with_their_number_and_first_row():
    table = pa.table({"x": [1.0, 2.0, np.inf, 3.0, -np.inf], "c": list("abcab"), "y": [1.0, None, 2.0, 3.0, 5.0]})
    for cuts in ([], [2], [3], [1, 2, 3, 4]):
        with pytest.raises(DataError, match=r"'x' of table: 2 values are infinite \(first at row 2, "):
            run(table, cuts, validation=0.0, test=0.0)


def test_an_infinity_in_a_row_without_target_is_not_counted():
    table = pa.table({"x": [1.0, 2.0, np.inf, 3.0], "c": list("abab"), "y": [1.0, 2.0, None, 3.0]})
    assert run(table, validation=0.0, test=0.0).dropped == 1


def test_a_column_without_any_value_is_refused():
    table = pa.table({"x": pa.array([None] * 4, pa.float64()), "c": list("abab"), "y": [1.0, 2.0, 4.0, 3.0]})
    with pytest.raises(DataError, match="'x' is null in every training row"):
        run(table, validation=0.0, test=0.0)


def test_tables_without_rows_or_targets_are_refused():
    empty = a_table().slice(0, 0)
    with pytest.raises(DataError, match="no rows"):
        survey(TableSource(empty), reader(), SerialEngine(), 0)
    without = pa.table({"x": [1.0, 2.0], "c": ["a", "b"], "y": pa.array([None, None], pa.float64())})
    with pytest.raises(DataError, match="all 2 rows were dropped"):
        run(without)


def test_rows_that_are_incomplete_are_dropped_where_that_is_asked_for():
    table = a_table()
    found = run(table, [100], missing="drop")
    complete = [r for r in table.to_pylist() if all(v is not None for v in r.values())]
    assert found.read - found.dropped == len(complete)
    assert not any(c.part is Part.MISSING for c in found.moments[Role.TRAINING].columns)
    with pytest.raises(DataError, match="null, and --missing is error"):
        run(table, missing="error")


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf"), None])
def test_weights_that_are_none_are_refused_with_their_row(bad):
    table = a_table(20).append_column("w", pa.array([1.0] * 13 + [bad] + [2.0] * 6))
    with pytest.raises(DataError, match=r"'w': 1 row is negative, null or infinite.*row 13"):
        survey(ChunkedSource(table, [5]), reader(weight="w"), SerialEngine(), 0)


def test_a_log_of_what_is_not_positive_is_refused_with_its_row():
    table = pa.table({"x": [1.0, 2.0, 3.0], "c": list("aba"), "y": [1.0, 0.0, -2.0]})
    with pytest.raises(DataError, match=r"'y': 2 rows are zero or negative.*row 1,"):
        run(table, log_target=True)


def test_progress_rises_to_all_rows_even_of_one_block():
    seen = []
    survey(ChunkedSource(a_table(), [100, 200, 450]), reader(), SerialEngine(), 0, seen.append)
    assert seen == [200, 450, 500, 500]  # after each merge, and at the end
    seen.clear()
    survey(ChunkedSource(a_table()), reader(), SerialEngine(), 0, seen.append)
    assert seen == [500]


def test_a_stream_is_read_once():
    stream = StreamSource(a_table().to_reader(max_chunksize=90))
    found, _ = survey(stream, reader(), SerialEngine(), 0)
    assert found.moments[Role.TRAINING].rows == run(a_table()).moments[Role.TRAINING].rows
    with pytest.raises(UsageError, match="read already"):
        survey(stream, reader(), SerialEngine(), 0)


def test_the_sample_does_not_depend_on_what_later_blocks_are_spared(monkeypatch):
    table = a_table(9_000)
    bounded = run(table, range(1_000, 9_000, 1_000)).sample
    monkeypatch.setattr(surveys._Limits, "lower", lambda self, found: None)
    free = run(table, range(1_000, 9_000, 1_000)).sample
    assert len(free.hashes) == SAMPLE_ROWS
    np.testing.assert_array_equal(bounded.hashes, free.hashes)
    assert bounded.table.equals(free.table)


def test_half_of_the_memory_is_shared_out():
    assert most_at_once(1) > 1 << 20
    assert most_at_once(1 << 60) == 1
    assert most_at_once(0) == most_at_once(1)
