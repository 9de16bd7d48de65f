"""The page in a browser, from end to end. Skipped where there is no Chromium, or no Playwright to drive it."""

import json
import os
import shutil
import time
import warnings
from urllib.parse import quote

import numpy as np
import pytest
from lab_tables import rows, served, small

import gradline as gl
from gradline.lab.table import LabTable

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright, which drives the browser, is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]
WAIT = 30_000


@pytest.fixture(scope="module")
def server():
    with served(small()) as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield found
        found.close()


@pytest.fixture(scope="module")
def page(browser, server):
    """One page for all tests, which change what it shows by its address; what it said and asked is kept."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    found = context.new_page()
    found.set_default_timeout(WAIT)
    found.said, found.asked = [], []
    found.on("console", lambda message: found.said.append(message.text) if message.type == "error" else None)
    found.on("pageerror", lambda error: found.said.append(str(error)))
    found.on("request", lambda request: found.asked.append(request.url))
    found.goto(server.url)
    until(found, "document.body.dataset.ready === 'yes'")
    yield found
    context.close()


@pytest.fixture
def opened(page, server):
    """Shows a state; at the end nothing was said on the console, and nothing was asked of anybody else."""
    page.said.clear()

    def show(state=None):
        page.click("#reset")
        if state is not None:
            page.evaluate("(hash) => { location.hash = hash }", "#s=" + quote(json.dumps(state)))
        settle(page)
        return page

    yield show
    assert page.said == []
    assert all(url.startswith((server.url, "data:", f"blob:http://127.0.0.1:{server.port}")) for url in page.asked)


def until(page, condition):
    """Until a condition holds; asked from outside, because the page's policy forbids it to evaluate texts."""
    end = time.monotonic() + WAIT / 1_000
    while not page.evaluate(f"Boolean({condition})"):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(25)


def settle(page):
    """Until the settings on the screen have been run to their end."""
    page.wait_for_timeout(120)
    until(
        page,
        "!document.body.hasAttribute('aria-busy') && lab.runs.length === lab.state.runs.length && lab.runs.every((run) => run.end)",
    )


def steps(page, run=0):
    return page.evaluate(f"lab.runs[{run}].steps")


def trained(features=("x",), **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gl.GradlineWarning)
        return gl.train(rows(), "y", features=list(features), **settings)


def test_it_plays_pauses_and_goes_back_by_button_and_key(opened):
    page = opened()
    until(page, "document.getElementById('status').textContent.startsWith('Step 0 of')")
    page.click("#forward")
    until(page, "document.getElementById('status').textContent.startsWith('Step 1 of')")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    until(page, "document.getElementById('status').textContent.startsWith('Step 2 of')")
    page.select_option("#speed", "5")
    page.click("#play")
    until(page, "lab.state.step > 4")
    page.click("#play")
    at = page.evaluate("lab.state.step")
    page.wait_for_timeout(250)
    assert page.evaluate("lab.state.step") == at
    page.keyboard.press("End")
    assert page.evaluate("lab.state.step") == steps(page)[-1]["step"]
    until(page, "document.getElementById('worked').textContent.includes('Step ' + lab.state.step)")


def test_the_values_on_the_page_are_those_of_train(opened):
    page = opened(
        {
            "table": {"features": ["x", "z"], "divide": 1},
            "runs": [{"rate": 1.2}, {"rule": "nesterov", "scaling": "standard", "rate": None}],
            "step": 7,
        }
    )
    for run, settings in enumerate(({"optimizer": "gradient_descent", "scaling": "none"}, {"optimizer": "nesterov"})):
        alpha = page.evaluate(f"lab.runs[{run}].problem.plan.learning_rate")
        model = trained(("x", "z"), learning_rate=alpha if run == 0 else "auto", max_steps=300, **settings)
        found, history = steps(page, run), model.history.to_pydict()
        assert [step["step"] for step in found] == history["step"]
        for name in ("objective", "validation", "gap", "gradient_norm", "update_norm", "parameter_norm"):
            np.testing.assert_allclose([step[name] for step in found], history[name], rtol=1e-9, atol=1e-9 * history[name][0])
        last = page.evaluate(f"lab.runs[{run}].end.coefficients")
        assert last == pytest.approx(model.coefficients, rel=1e-9)
    shown = page.inner_text("#status").split("J ")[1].split(" ")[0].replace(",", "")
    assert float(shown) == pytest.approx(steps(page)[7]["objective"], rel=1e-4)


def test_past_the_limit_it_diverges_and_says_why(opened):
    page = opened()
    assert "Why it diverges" not in page.inner_text("#words")
    page.fill("#alpha", str(np.log10(2.2)))
    settle(page)
    text = page.inner_text("#words")
    assert "Why it diverges" in text
    assert "= −1.2 a step: it changes sign and grows 1.2-fold" in text
    page.click("#last")
    until(page, "document.getElementById('status').textContent.includes('diverged')")
    losses = [step["objective"] for step in steps(page)]
    assert losses[-1] > 1_000 * losses[0]


def test_dragging_the_start_changes_the_path_and_so_do_the_arrow_keys(opened):
    page = opened()
    before = steps(page)[0]["at"]
    box = page.locator("#start-handle").bounding_box()
    page.mouse.move(box["x"] + 15, box["y"] + 15)
    page.mouse.down()
    page.mouse.move(box["x"] + 70, box["y"] - 40, steps=4)
    page.mouse.up()
    settle(page)
    dragged = steps(page)[0]["at"]
    assert dragged[0] > before[0]
    assert dragged[1] > before[1]
    assert dragged == pytest.approx(page.evaluate("lab.state.start"))
    page.focus("#start-handle")
    page.keyboard.press("ArrowLeft")
    settle(page)
    assert steps(page)[0]["at"][0] < dragged[0]
    assert "start" in page.inner_text("#code-python")


def test_a_dragged_point_bends_the_line(opened):
    page = opened({"table": {"rows": 20, "validation": 0, "test": 0}})
    before = page.evaluate("lab.runs[0].problem.coefficients")
    page.focus("#point-handle")
    for _ in range(4):
        page.keyboard.press("Shift+ArrowDown")
        settle(page)
    assert page.evaluate("lab.runs[0].problem.coefficients") != before
    assert page.evaluate("lab.state.table.moved.length") == 1
    _, row, x, y = page.evaluate("lab.state.table.moved[0]")
    there = page.evaluate(f"lab.runs[0].problem.points.place.findIndex((each) => each[1] === {row})")
    divide = page.evaluate("lab.state.table.divide")
    assert page.evaluate(f"lab.runs[0].problem.points.y[{there}]") == pytest.approx(y)
    assert page.evaluate(f"lab.runs[0].problem.points.x[{there}]") == pytest.approx(x / divide)
    assert "moved=" in page.inner_text("#code-python")
    page.click("#table-details summary")
    page.click("#unmove")
    settle(page)
    assert page.evaluate("lab.runs[0].problem.coefficients") == pytest.approx(before)


def test_a_race_has_two_runs_on_the_same_axes(opened):
    page = opened({"curve": "gap"})
    page.click("#add-run")
    settle(page)
    assert page.locator("#run-tabs button").count() == 2
    assert page.evaluate("lab.runs[1].problem.plan.optimizer") == "momentum"
    named = page.evaluate("document.getElementById('curves').data.map((trace) => trace.name).filter(Boolean)")
    assert {"A: J − J*", "B: J − J*"} <= set(named)
    page.uncheck("#scaling") if page.is_checked("#scaling") else page.check("#scaling")
    settle(page)  # run B in other coordinates, in run A's picture
    ends = [page.evaluate(f"lab.runs[{run}].steps.at(-1).at") for run in range(2)]
    assert ends[1] == pytest.approx(page.evaluate("lab.runs[0].problem.surface.minimum"), rel=1e-5)
    page.click("#remove-run")
    settle(page)
    assert page.locator("#run-tabs button").count() == 0


def test_a_question_is_answered_wrong_and_right(opened):
    page = opened()
    page.get_by_role("button", name="2 How large may α be?").click()
    settle(page)
    page.fill("#question-answer input", "3")
    page.click("#question button[type=submit]")
    page.wait_for_selector("#question-result.wrong")
    limit = 2.0 / page.evaluate("lab.runs[0].problem.curvature_max")
    page.fill("#question-answer input", f"{limit:.5g}")
    page.click("#question button[type=submit]")
    page.wait_for_selector("#question-result.right")
    page.click("#lesson-next")
    settle(page)
    assert page.inner_text("#lesson-title") == "A ravine, or a bowl"
    assert page.inner_text("#question-result") == ""


def test_the_address_restores_what_is_on_the_screen(opened):
    page = opened()
    page.select_option("#rule", "nesterov")
    page.check("#scaling")
    page.click("#add-run")
    settle(page)
    page.select_option("#curve", "norms")
    page.keyboard.press("End")
    state, address = page.evaluate("lab.state"), page.evaluate("location.hash")
    seen = steps(page, 1)
    page.reload()
    until(page, "document.body.dataset.ready === 'yes'")
    settle(page)
    assert page.evaluate("location.hash") == address
    assert page.evaluate("lab.state") == state
    assert page.input_value("#rule") == "gradient_descent"  # of run B, which was added to one with Nesterov's
    assert page.input_value("#curve") == "norms"
    assert steps(page, 1) == seen


def test_a_damaged_address_is_the_beginning(opened, server):
    page = opened({"runs": [{"rate": 1.0}, {"rate": 0.2}]})
    page.evaluate("location.hash = '#s=%7Bnothing'")
    settle(page)
    assert page.evaluate("lab.state.runs.length") == 1


def test_settings_that_cannot_be_are_said_and_then_mended(opened, server):
    page = opened()
    page.evaluate("(hash) => { location.hash = hash }", "#s=" + quote(json.dumps({"table": {"degree": 99}})))
    page.wait_for_selector("#problem:not([hidden])")
    assert "degree" in page.inner_text("#problem")
    page.click("#reset")
    settle(page)
    assert page.is_hidden("#problem")
    assert "400" in page.said.pop()  # what the browser itself says of a refusal
    assert set(page.said) <= {page.said[0]} if page.said else True
    page.said.clear()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_pictures_are_saved_as_png_and_svg(opened, tmp_path):
    page = opened()
    for place, kind, begins in (("loss", "png", b"\x89PNG"), ("curves", "svg", b"<svg")):
        with page.expect_download() as waiting:
            page.click(f"[data-export={place}] [aria-label='Save this picture as {kind.upper()}']")
        waiting.value.save_as(tmp_path / f"{place}.{kind}")
        assert (tmp_path / f"{place}.{kind}").read_bytes().startswith(begins)


def test_fifty_starts_and_all_degrees(opened):
    page = opened({"runs": [{"scaling": "standard", "rate": 0.5}]})
    page.click("#starts")
    until(page, "document.getElementById('curves-caption').textContent.includes('1 value of J')")
    page.click("#degrees")
    until(page, "document.getElementById('curves').data[0]?.x.length === 9")


def test_the_surface_turns_and_many_features_have_a_choice_of_directions(opened):
    page = opened({"table": {"features": ["x", "z"], "divide": 1}, "runs": [{"scaling": "standard"}], "picture": "surface"})
    assert page.evaluate("document.getElementById('loss').data[0].type") == "surface"
    page.select_option("#picture", "contours")
    page.select_option("#axis-u", "w:x")
    settle(page)
    assert page.evaluate("lab.runs[0].problem.surface.labels[0]") == "w of x"
    assert page.inner_text("#data-title") == "Predicted against actual"


@pytest.mark.parametrize("width", [400, 1280])
def test_every_control_has_a_name_and_nothing_is_wider_than_the_screen(opened, width):
    page = opened({"lesson": "stability"})
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(150)
    nameless = page.evaluate(
        """[...document.querySelectorAll('button, input, select, [role=img], summary')].filter((e) => !e.closest('[hidden]') &&
        !(e.getAttribute('aria-label') || e.labels?.length || e.textContent.trim())).map((e) => e.outerHTML.slice(0, 90))"""
    )
    assert nameless == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")


def test_names_that_are_markup_stay_text(browser):
    name = "<img src=x onerror=alert(1)><b>x</b>"
    table = rows().rename_columns([name, "<a href='javascript:alert(1)'>z</a>", "word", "</script><i>y"])
    with served(LabTable.open(table, "</script><i>y")) as server:
        page = browser.new_page()
        asked = []
        page.on("dialog", lambda dialog: asked.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/x") else None)
        page.goto(server.url)
        until(page, "document.body.dataset.ready === 'yes'")
        settle(page)
        until(page, "document.querySelector('#data .xtitle')")
        assert page.locator("main img, main b, main i, #data .xtitle a").count() == 0
        assert "<b>x</b>" in page.inner_text("#table-summary")
        assert "<b>x</b>" in page.evaluate("document.querySelector('#data .xtitle').textContent")
        assert asked == []
        page.close()
