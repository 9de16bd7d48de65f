"""The pictures are J, from the moments."""

import numpy as np
import pytest
from lab_tables import rows, small

from gradline.errors import UsageError
from gradline.lab.play import play_on, set_up
from gradline.lab.records import problem_document, shown
from gradline.lab.settings import RunSettings, TableSettings
from gradline.lab.view import picture_of, plane_of
from gradline.types import Role

ONE, TWO = TableSettings(("x",)), TableSettings(("x", "z"))


@pytest.mark.parametrize(
    ("table", "axes", "run"),
    [(ONE, None, RunSettings(scaling="none")), (TWO, None, RunSettings()), (TWO, ["w:x", "w:z"], RunSettings(l2=0.4)), (TWO, ["q1", "b"], RunSettings(scaling="none"))],
    ids=["w,b", "eigen", "two weights", "skew"],
)  # fmt: skip
def test_the_surface_is_the_loss(table, axes, run):
    play = set_up(small(), table, run)
    plane = plane_of(play, axes)
    drawn = plane.surface(play.start)
    np.testing.assert_allclose(plane.directions.T @ plane.directions, np.eye(2), atol=1e-12)
    minimum = play.problem.loss.value(play.solution.minimiser)
    for i, j in [(0, 0), (10, 40), (24, 24), (48, 3)]:
        point = np.array([drawn["x"][j], drawn["y"][i]])
        theta = play.solution.minimiser + plane.directions @ (point - plane.at(play.solution.minimiser))
        assert drawn["gap"][i][j] == pytest.approx(play.problem.loss.value(theta) - minimum, rel=1e-5, abs=1e-9)


def test_a_point_of_the_plane_comes_back():
    plane = plane_of(set_up(small(), TWO, RunSettings()))
    for point in ([0.3, -2.0], [5.0, 1.0]):
        np.testing.assert_allclose(plane.at(plane.theta(point)), point, rtol=1e-12)


def test_a_start_is_as_zero_outside_the_plane():
    plane = plane_of(set_up(small(), TWO, RunSettings()), ["w:x", "b"])
    assert plane.theta([3.0, 4.0]).tolist() == pytest.approx([3.0, 0.0, 4.0])


def test_a_stable_path_stays_in_the_frame():
    for rate in (0.3, 1.0, 1.97):
        play = set_up(small(), ONE, RunSettings(scaling="none", rate=rate))
        plane = plane_of(play)
        middle, half = plane.frame(play.start)
        play_on(
            small(),
            play,
            lambda iterate, step, p=plane, m=middle, h=half: np.testing.assert_array_less(np.abs(p.at(iterate.theta) - m), h),
        )


def test_unknown_directions_are_refused():
    play = set_up(small(), TWO, RunSettings())
    for axes in (["q1", "q1"], ["q1", "nothing"], ["q1"]):
        with pytest.raises(UsageError):
            plane_of(play, axes)


def test_predictions_in_the_picture_are_those_of_the_formula():
    play = set_up(small(), ONE, RunSettings(scaling="none"))
    picture = picture_of(play)
    w, b = 2.0, 1.0
    np.testing.assert_allclose(picture.predicted(np.array([w]), b), w * picture.x + b)
    two = picture_of(set_up(small(), TWO, RunSettings(scaling="none")))
    assert not two.line
    table = rows()
    known = {y: (x, z) for x, z, y in zip(*(table[c].to_pylist() for c in ("x", "z", "y")), strict=True)}
    expected = [2.0 * known[y][0] - known[y][1] + 0.5 for y in two.points["y"]]
    np.testing.assert_allclose(two.predicted(np.array([2.0, -1.0]), 0.5), expected)


def test_no_test_row_is_in_the_picture():
    play = set_up(small(), ONE, RunSettings())
    points = play.opened.points
    shown_rows = {row for _, row in picture_of(play).points["place"]}
    assert shown_rows.isdisjoint(points.row[points.roles == Role.TEST].tolist())


def test_a_document_holds_no_number_that_json_does_not_know():
    import json

    for run in (RunSettings(), RunSettings(rate=3.0), RunSettings("adam"), RunSettings(batch=4)):
        json.dumps(problem_document(set_up(small(), TWO, run)), allow_nan=False)


def test_long_runs_are_thinned_evenly():
    kept = [step for step in range(20_001) if shown(step)]
    assert len(kept) < 3_000
    assert kept[:1_000] == list(range(1_000))
    assert max(np.diff(kept)) <= 0.011 * 20_000
