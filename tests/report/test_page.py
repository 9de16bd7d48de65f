from __future__ import annotations

import ast
import dataclasses
import json
import subprocess
import sys
import warnings
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gradline as gl
from gradline.model.model import HISTORY_COLUMNS
from gradline.report import charts
from gradline.report.command import command
from gradline.report.page import PLOTLY_CONFIG, embedded, render
from gradline.types import Role

HOSTILE = "x\"q' </script><img src=x onerror=alert(1)>\n\u2028&amp;<b>\u202e"
LEVEL = "</script><script>alert(2)</script>"
ROWS = 300


class Page(HTMLParser):
    """What a browser would make of the page: the tags with their attributes, the scripts, the text that is read."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles = ""
        self.text = ""
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "link", "br"):
            self._open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] == "script":
            attributes, before = self.scripts[-1]
            self.scripts[-1] = (attributes, before + data)
        elif self._open and self._open[-1] == "style":
            self.styles += data
        else:
            self.text += data

    @property
    def figures(self) -> dict:
        [text] = [text for attributes, text in self.scripts if attributes.get("type") == "application/json"]
        return json.loads(text)

    def chart(self, id_: str) -> dict:
        [chart] = [chart for chart in self.figures["charts"] if chart["id"] == id_]
        return chart

    def attributes(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.tags if name in attributes]


def table(seed=0, rows=ROWS, levels=("a", "b", "c")):
    draw = np.random.default_rng(seed)
    x, c = draw.normal(50.0, 20.0, rows), draw.integers(len(levels), size=rows)
    y = 100.0 + 3.0 * x + 5.0 * c + draw.normal(0.0, 4.0, rows)
    return pa.table({"x": x, "c": [levels[i] for i in c], "y": y})


def fitted(data=None, target="y", **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gl.GradlineWarning)
        return gl.train(table() if data is None else data, target=target, **settings)


@pytest.fixture(scope="module")
def model():
    return fitted(features=["x"], units={"y": "minutes", "x": "miles"})


@pytest.fixture(scope="module")
def page(model):
    return Page(render(model))


@pytest.fixture(scope="module")
def hostile():
    data = table(levels=(LEVEL, "'\"`${x}", "--series-1")).rename_columns([HOSTILE, "c<i>", "t</title><script>"])
    return fitted(data, "t</title><script>")


def column(model, name):
    return model.history_array[:, HISTORY_COLUMNS.index(name)]


# ---- safety


def test_hostile_names_and_levels_add_no_tag_and_no_handler(model, hostile):
    harmless, page = Page(render(model)), Page(render(hostile))
    assert {tag for tag, _ in page.tags} - {tag for tag, _ in harmless.tags} <= {"code"}
    assert len(page.scripts) == len(harmless.scripts) == 3
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert LEVEL in page.text
    assert "onerror=alert(1)" in page.text


def test_hostile_names_are_no_markup_in_chart_labels(hostile):
    page = Page(render(hostile))
    effects = page.chart("effects")
    assert len(effects["data"][0]["customdata"]) == len(hostile.coefficients)
    for label in (*effects["data"][0]["customdata"], *effects["layout"]["yaxis"]["ticktext"]):
        assert "<" not in label
        assert "\n" not in label
    assert "<" not in page.chart("predicted")["layout"]["xaxis"]["title"]["text"]


def test_a_name_cannot_turn_the_direction_of_the_text_around_it(hostile):
    assert "\u202e" in HOSTILE
    assert "\u202e" not in Page(render(hostile)).text


def test_embedded_json_parses_back_and_cannot_end_its_script():
    document = {HOSTILE: [LEVEL, "<!--", "]]>", "\u2029", 1.5, None]}
    text = embedded(document)
    assert json.loads(text) == document
    assert text.isascii()
    assert not set("<>&") & set(text)


def test_json_without_a_number_for_infinity_is_refused_not_written():
    with pytest.raises(ValueError, match="not JSON compliant"):
        embedded({"y": [float("inf")]})


def test_nothing_is_loaded_from_outside(page):
    for name in ("src", "href", "srcset", "data", "action", "poster"):
        assert page.attributes(name) == []
    assert not {"link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags}
    assert "url(" not in page.styles
    assert "@import" not in page.styles
    [policy] = [a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy


# ---- the verdict


def verdict(model):
    page = Page(render(model))
    [kind] = page.attributes("data-verdict")
    return kind, page.text


def test_a_converged_model_is_marked_good(model):
    kind, text = verdict(model)
    assert kind == "good"
    assert "Converged to the global minimum" in text
    assert "Diverged" not in text


def test_a_diverged_model_is_marked_and_shows_no_formula():
    kind, text = verdict(fitted(features=["x"], learning_rate=2.5, force=True))
    assert kind == "bad"
    assert "Diverged: do not use this model" in text
    assert "y ≈" not in text


def test_a_spent_budget_is_marked_not_converged():
    kind, text = verdict(fitted(learning_rate=0.01, max_steps=3))
    assert kind == "bad"
    assert "Not converged" in text
    assert "not_converged" in text


def test_a_stop_before_the_minimum_is_no_proof():
    kind, text = verdict(fitted(learning_rate=0.05, stop="improvement", tolerance=1e-3))
    assert kind == "doubt"
    assert "Stopped before the proved minimum" in text


def test_each_warning_is_shown_with_its_code_and_column():
    model = fitted(table(rows=60), validation=0, test=0, min_level_rows=20)
    assert {w["code"] for w in model.warnings} >= {"nothing_held_out", "grouped_levels"}
    text = Page(render(model)).text
    for warning in model.warnings:
        assert warning["code"] in text
        assert warning["message"] in text


# ---- words and tables


def test_the_title_names_one_column_and_counts_several(page):
    assert "y from x" in page.text
    assert "y from 2 columns" in Page(render(fitted())).text


def test_the_formula_holds_intercept_slope_and_units(model, page):
    assert f"y ≈ {model.intercept:.1f} + {model.coefficients['x']:.3f} · x" in page.text
    assert f"Each further unit of x (miles) adds {model.coefficients['x']:.3f} minutes to the predicted y." in page.text


def test_without_an_intercept_the_formula_and_table_have_none():
    model = fitted(features=["x"], intercept=False)
    text = Page(render(model)).text
    assert f"y ≈ {model.coefficients['x']:.3f} · x" in text
    assert "intercept\n" not in text.split("Coefficients of")[1].split("Certificate")[0]


def test_test_rows_judge_where_there_are_any(model, page):
    found = model.metrics["test"]
    assert f"{found['rows']:,} test rows that training never saw" in page.text
    assert f"{found['r2']:.4f}" in page.text


def test_without_held_out_rows_the_training_rows_are_shown_and_named_so():
    model = fitted(validation=0, test=0)
    page = Page(render(model))
    assert "none is held out" in page.text
    assert [curve["name"] for curve in page.chart("loss")["data"]] == ["training"]
    assert len(page.chart("predicted")["data"][0]["x"]) == ROWS
    assert "sampled training rows" in page.text


def test_a_model_of_the_logarithm_says_so():
    page = Page(render(fitted(features=["x"], log_target=True)))
    assert "log(y) ≈" in page.text
    assert "smearing" in page.text
    assert page.chart("effects")["layout"]["xaxis"]["title"]["text"] == "change of log(y)"


def test_errors_known_on_the_log_scale_alone_are_named_so():
    stream = pa.RecordBatchReader.from_batches(table().schema, table().to_batches())
    model = fitted(stream, features=["x"], log_target=True)
    assert model.metrics["scale"] == "log"
    assert "Errors, in log scale" in Page(render(model)).text


def test_what_is_not_known_is_a_dash_and_no_certificate_is_said():
    model = fitted(features=["x"])
    names = [f.name for f in dataclasses.fields(model.certificate) if f.name not in ("kind", "objective")]
    unknown = dataclasses.replace(model.certificate, kind="none", **dict.fromkeys(names))
    kind, text = verdict(dataclasses.replace(model, certificate=unknown))
    assert kind == "doubt"
    assert "there is no certificate" in text
    assert "nan" not in text.lower().split("details")[0]
    assert "None" not in text


def test_more_than_thirty_coefficients_are_folded():
    levels = tuple(f"level{i:02}" for i in range(45))
    page = Page(render(fitted(table(rows=2_000, levels=levels))))
    shown, _, folded = page.text.split("Coefficients of y")[1].partition("The 16 other coefficients")
    assert shown.count("c=level") == 28  # beside the intercept and x
    assert folded.partition("What the intervals rest on")[0].count("c=level") == 16 + 1  # and the reference


# ---- charts


def test_curves_are_the_models_history():
    model = fitted(learning_rate=0.3)
    page = Page(render(model))
    training, validation = page.chart("loss")["data"]
    assert training["x"] == column(model, "step").tolist()
    assert training["y"] == column(model, "objective").tolist()
    assert validation["y"] == column(model, "validation").tolist()
    gap = column(model, "gap")
    assert page.chart("gap")["data"][0]["y"] == [v if v > 0 else None for v in gap.tolist()]


def test_zeros_are_left_out_of_logarithmic_charts(model, page):
    assert column(model, "parameter_norm")[0] == column(model, "update_norm")[0] == 0.0
    curves = {curve["name"]: curve["y"] for curve in page.chart("norms")["data"]}
    assert curves["parameters"][0] is None
    assert curves["update"] == [None, *column(model, "update_norm")[1:].tolist()]


def test_a_run_of_one_step_is_drawn_with_markers(model, page):
    assert len(model.history_array) == 2
    assert all("markers" in curve["mode"] for curve in page.chart("loss")["data"])


def test_a_diverged_history_with_infinities_is_drawn():
    model = fitted(features=["x"])
    history = np.repeat(model.history_array[:1], 3, axis=0)
    history[:, HISTORY_COLUMNS.index("step")] = [0, 1, 2]
    history[:, HISTORY_COLUMNS.index("objective")] = [1.0, 1e200, np.inf]
    page = Page(render(dataclasses.replace(model, history_array=history)))
    assert page.chart("loss")["data"][0]["y"] == [1.0, 1e200, None]


def test_a_long_history_keeps_its_first_and_last_step():
    shown = charts.shown_steps(50_000)
    assert len(shown) <= charts.MOST_POINTS
    assert (shown[0], shown[-1]) == (0, 49_999)
    assert (np.diff(shown) > 0).all()
    assert charts.shown_steps(12).tolist() == list(range(12))


def test_predictions_shown_are_the_held_out_rows_of_the_sample(model, page):
    held_out = model.sampled.roles != Role.TRAINING
    assert 0 < held_out.sum() < ROWS
    points = page.chart("predicted")["data"][0]
    assert points["x"] == model.sampled.actual[held_out].tolist()
    assert points["y"] == model.sampled.predicted[held_out].tolist()
    residuals = (model.sampled.predicted - model.sampled.actual)[held_out]
    assert page.chart("residuals")["data"][0]["y"] == residuals.tolist()
    assert sum(page.chart("histogram")["data"][0]["y"]) <= held_out.sum()


def test_rows_without_a_prediction_are_not_drawn(model):
    predicted = model.sampled.predicted.copy()
    predicted[:] = np.nan
    page = Page(render(dataclasses.replace(model, sampled=dataclasses.replace(model.sampled, predicted=predicted))))
    ids = [chart["id"] for chart in page.figures["charts"]]
    assert ids[:4] == ["loss", "gap", "norms", "effects"]
    assert not {"predicted", "residuals", "histogram"} & set(ids)


@pytest.mark.parametrize("values", [np.zeros(5), np.full(3, 7.0), np.array([2.0]), np.r_[np.zeros(99), 1e9], np.arange(50.0)])
def test_a_histogram_has_bars_of_positive_width_over_most_values(values):
    counts, edges = charts.bins(values)
    assert (np.diff(edges) > 0).all()
    assert counts.sum() >= 0.98 * len(values)


def test_effects_are_coefficient_times_deviation_the_largest_first():
    levels = tuple(f"level{i:02}" for i in range(30))
    model = fitted(table(rows=1_000, levels=levels))
    [bars] = Page(render(model)).chart("effects")["data"]
    expected = {f.name: model.coefficients[f.name] * f.deviation for f in model.representation.features}
    largest = sorted(expected.values(), key=lambda v: -abs(v))[: charts.MOST_BARS]
    assert bars["x"] == pytest.approx(largest, rel=1e-12)
    assert [expected[name] for name in bars["customdata"]] == pytest.approx(bars["x"], rel=1e-12)


def test_each_chart_has_a_place_a_role_and_a_sentence_with_figures(page):
    places = {a["id"]: a for tag, a in page.tags if tag == "div" and a.get("id", "").startswith("chart-")}
    assert list(places) == [f"chart-{chart['id']}" for chart in page.figures["charts"]]
    for attributes in places.values():
        assert attributes["role"] == "img"
        assert any(c.isdigit() for c in attributes["aria-label"])
        assert attributes["aria-label"].endswith(".")
    assert page.figures["config"] == PLOTLY_CONFIG


def test_every_colour_of_the_figures_is_defined_in_the_light_and_the_dark_palette(page):
    light, dark = page.styles.split("@media screen and (prefers-color-scheme: dark)")[:2]
    used = {word for word in json.dumps(page.figures).split('"') if word.startswith("--")}
    assert used >= {"--ink", "--grid", "--series-1", "--series-2", "--series-3"}
    for colour in used:
        assert f"{colour}: #" in light
        assert f"{colour}: #" in dark


# ---- cross-validation


@pytest.fixture(scope="module")
def validated():
    return fitted(features=["x", "c"], units={"y": "minutes"}, l2="auto", l2_path=20, folds=4)


def test_the_errors_of_a_path_are_drawn_with_what_was_chosen(validated):
    found, page = validated.result["cross_validation"], Page(render(validated))
    band, curve, free, *marks = page.chart("path")["data"]
    assert curve["x"] == found["l2"][:-1]
    assert curve["y"] == found["rmse"][:-1]
    width = found["rmse_standard_error"][3]
    assert (band["y"][3] - curve["y"][3], band["y"][-4] - curve["y"][3]) == (pytest.approx(width), pytest.approx(-width))
    assert set(free["y"]) == {found["rmse"][-1]}
    drawn = {value for value in (found["chosen"], found["one_standard_error"]) if value > 0.0}
    assert {mark["x"][0] for mark in marks} == drawn
    assert page.chart("path")["layout"]["xaxis"]["type"] == "log"
    assert "Cross-validation over 4 folds of the training rows" in page.text
    assert "of 21 values tried" in page.text


def test_a_given_penalty_has_a_sentence_and_no_curve(model):
    page = Page(render(fitted(features=["x"], l2=0.1, folds=3)))
    assert "Cross-validation over 3 folds" in page.text
    assert "values tried" not in page.text
    assert not [chart for chart in page.figures["charts"] if chart["id"] == "path"]
    assert "Cross-validation" not in Page(render(model)).text


@pytest.mark.parametrize(
    ("errors", "says"),
    [
        ([2.0, 1.0, 1.05], "no penalty (λ = 0) is as good, within one standard error"),
        ([2.0, 1.0, 1.5], "without a penalty it is more"),
        ([2.0, 1.0, 0.9], "No penalty (λ = 0) has the smallest error of 3 values tried"),
    ],
    ids=["near", "worse", "none"],
)
def test_the_sentence_says_whether_a_penalty_helps(validated, errors, says):
    chosen = [7.0, 0.1, 0.0][int(np.argmin(errors))]
    entry = {"l2": [7.0, 0.1, 0.0], "rmse": errors, "rmse_standard_error": [0.1] * 3, "chosen": chosen, "one_standard_error": 0.1}
    result = validated.result | {"cross_validation": validated.result["cross_validation"] | entry}
    page = Page(render(dataclasses.replace(validated, result=result)))
    assert says in page.text


def test_a_chosen_penalty_counts_in_the_words_about_the_loss(validated):
    result = validated.result["cross_validation"]
    for chosen, counts in ((0.5, True), (0.0, False)):
        found = result | {"l2": [0.5, 0.1, 0.0], "rmse": [1.0, 1.0, 1.0], "rmse_standard_error": [0.1] * 3, "chosen": chosen}
        model = dataclasses.replace(
            validated, result=validated.result | {"cross_validation": found | {"one_standard_error": 0.5}}
        )
        assert ("penalised loss" in Page(render(model)).text) is counts


# ---- how to reproduce


def test_the_command_line_means_the_same_settings(tmp_path):
    from gradline.cli.train import train

    names = ['it\'s, "so"\n', "b c", "$(echo)"]
    data = table().rename_columns(names)
    file = tmp_path / "some data.parquet"
    pq.write_table(data, file)
    settings = {"l2": 0.25, "test": 0.2, "intercept": False, "seed": 7, "types": {"b c": "text"}, "log_target": True}
    model = fitted(str(file), names[2], features=names[:2], **settings)
    shell = "gradline() { printf '%s\\0' \"$@\"; }\n" + command(model.config)
    words = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True).stdout.split("\0")[:-1]
    assert words[0] == "train"
    given = train.make_context("train", words[1:]).params
    assert given["data"] == (str(file),)
    assert given["target"] == names[2]
    assert given["features"] == tuple(names[:2])
    for name, value in settings.items():
        assert given[name] == value


@pytest.mark.parametrize(
    "names", [("a, b",), ('it\'s "c"',), ("d", "a, b"), ("a, b", 'it\'s "c"', "d")], ids=["comma", "quotes", "two", "three"]
)
def test_the_command_line_names_every_target(names, tmp_path):
    from gradline.cli.train import train

    x, y = table()["x"], table()["y"]
    pq.write_table(pa.table({"x": x} | dict.fromkeys(names, y)), tmp_path / "t.parquet")
    model = fitted(str(tmp_path / "t.parquet"), names[0], features=["x"], other_targets=names[1:] or None)
    shell = "gradline() { printf '%s\\0' \"$@\"; }\n" + command(model.config)
    words = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True).stdout.split("\0")[:-1]
    assert train.make_context("train", words[1:]).params["target"] == (names if len(names) > 1 else names[0])


def test_data_in_memory_are_reproduced_in_python(model):
    assert command(model.config) == "gradline.train(data, target='y', features=['x'], units={'y': 'minutes', 'x': 'miles'})"


# ---- cost


def test_the_page_is_the_same_each_time(model):
    assert render(model) == render(model)


def test_rendering_imports_no_figure_classes_and_no_data_frames():
    code = (
        "import sys, numpy as np, gradline as gl; from gradline.report.page import render; x = np.arange(40.0);"
        "model = gl.train(x[:, None], 3 * x + np.sin(x)); before = set(sys.modules); render(model);"
        "print(sorted({m.split('.')[0] for m in set(sys.modules) - before}), 'plotly.graph_objs' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported, classes = done.stdout.strip().rsplit(" ", 1)
    assert classes == "False"
    assert not {"pandas", "polars", "scipy", "matplotlib"} & set(ast.literal_eval(imported))
    assert "plotly" in imported


@pytest.mark.filterwarnings("ignore::gradline.errors.GradlineWarning")
def test_a_quantile_is_judged_by_its_share_and_a_bound_is_called_one():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2))
    model = gl.train(X, X @ [1.0, 2.0] + rng.normal(size=400), loss="pinball", quantile=0.75)
    page = render(model)
    assert "lie at or below it" in page
    assert "lower bound of J*" in page
    assert "this gap is of the loss itself" in page
    assert "Trusted digits" not in page
    assert "share of R² left" not in page


# ---- rolling origins, nested selection, the learning curve


@pytest.fixture(scope="module")
def curved():
    rng = np.random.default_rng(0)
    x, day = rng.normal(size=2_000), rng.integers(0, 100, 2_000)
    table = pa.table({"x": x, "z": rng.normal(size=2_000), "day": day, "y": 2.0 * x + rng.normal(size=2_000)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gl.GradlineWarning)
        return gl.train(table, "y", time="day", gap="5", l2="auto", l2_path=20, folds=4, learning_curve=True, units={"y": "m"})


def test_the_learning_curve_is_drawn_and_said(curved):
    found, page = curved.result["learning_curve"], Page(render(curved))
    train, validation = page.chart("learning")["data"]
    assert train["x"] == validation["x"] == found["rows"]
    assert (train["y"], validation["y"]) == (found["train_rmse"], found["validation_rmse"])
    assert page.chart("learning")["layout"]["xaxis"]["type"] == "log"
    assert "the validation error" in page.text
    assert "the latest of the training rows" in page.text
    assert f"{curved.result['rows']['gap']:,} left out (in the gap)" in page.text


def test_the_path_is_said_to_be_of_origins_and_the_choice_to_be_without_the_rows_it_is_judged_on(curved):
    page = Page(render(curved))
    assert "4 rolling origins in the training rows" in page.text
    assert "λ chosen anew for each origin by those before it alone (of 3 of them)" in page.text


def test_without_a_learning_curve_there_is_no_chart_of_it(model):
    page = Page(render(model))
    assert not [chart for chart in page.figures["charts"] if chart["id"] == "learning"]


@pytest.mark.parametrize(
    ("verdict", "order", "train", "says"),
    [
        ("learning", "hash", 0.9, "it still learns from more rows"),
        ("learning", "latest", 0.9, "the older rows still teach"),
        ("flat", "hash", 0.9, "It is at its bias"),
        ("flat", "hash", 0.2, "The training error is far below it"),
        ("worse", "latest", 0.9, "what the older rows show holds no longer"),
        ("worse", "hash", 0.9, "chance alone seldom does"),
    ],
)
def test_the_last_doubling_is_put_in_words(curved, verdict, order, train, says):
    found = curved.result["learning_curve"]
    changed = {**found, "verdict": verdict, "order": order}
    changed["train_rmse"] = [train * value for value in found["validation_rmse"]]
    other = dataclasses.replace(curved, result={**curved.result, "learning_curve": changed})
    assert says in Page(render(other)).text
