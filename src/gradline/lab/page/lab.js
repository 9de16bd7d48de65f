// The page: a state, runs that are streamed for it, and a place among their steps. No mathematics of training is done here.

import { Controls } from "./controls.js";
import * as charts from "./charts.js";
import { Handle } from "./handles.js";
import { Lessons } from "./lessons.js";
import { ask, stream, table as readTable } from "./server.js";
import { NAMES, address, beginning, fromAddress, number, question } from "./state.js";
import { words, worked } from "./words.js";

const by = (id) => document.getElementById(id);
const SPEEDS = [1, 2, 5, 10, 30, 100, 300]; // steps a second
const WAIT = 60; // milliseconds that settings have to rest before they are run
const FRAME = 70; // between two pictures

let state, begin, table, controls, lessons, handles;
let runs = [], extra = {};
let asking = new AbortController(), waiting = null, drawn = 0, drawing = null, stale = true, clock = null, moment = 0;
let failed = null;

// ---- runs

function changed(tableToo = false) {
  if (tableToo) extra = {};
  if (tableToo && state.table.features.length !== begin.table.features.length) state.axes = null;
  keep();
  controls.show(runs);
  clearTimeout(waiting);
  waiting = setTimeout(refresh, WAIT);
}

async function refresh() {
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  document.body.setAttribute("aria-busy", "true");
  try {
    const questions = state.runs.map((_, i) => structuredClone(question(state, i))); // the settings may change while they are answered
    const made = await Promise.all(questions.map(async (asked) => ({ asked, problem: await ask("problem", asked, signal), steps: [], now: null, end: null })));
    failed = null;
    runs = made;
    controls.show(runs);
    showAxes();
    place();
    const going = made.map((run) => stream(run.asked, signal, (line) => {
      if (line.kind === "step") run.steps.push(line);
      else if (line.kind === "end") run.end = line;
      else throw new Error(line.message + (line.hint ? ` Hint: ${line.hint}` : ""));
      if (line.kind !== "step" || run.steps.length < 3 || performance.now() - drawn > FRAME) place();
    }));
    showWords();
    await Promise.all(going);
  } catch (error) {
    if (signal.aborted) return;
    failed = error.message;
  }
  if (signal.aborted) return;
  document.body.removeAttribute("aria-busy");
  by("problem").hidden = !failed;
  by("problem").textContent = failed ?? "";
  place();
  showWords();
  if (state.curve === "starts" || state.curve === "degrees") compare(state.curve);
}

// The step on the screen: of each run the last one that is not later.
function place(still = false) {
  for (const run of runs) {
    let low = 0, high = run.steps.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (run.steps[middle].step <= state.step) low = middle;
      else high = middle - 1;
    }
    run.now = run.steps[low] ?? null;
  }
  draw(still);
}

const lastStep = () => Math.max(0, ...runs.map((run) => run.steps.at(-1)?.step ?? 0));

function goto(step, speak = true) {
  state.step = Math.min(Math.max(0, Math.round(step)), lastStep());
  keep();
  place(true);
  if (speak) by("spoken").textContent = statusText(runs[state.active]);
}

// ---- playing

function play(on) {
  clearInterval(clock);
  clock = null;
  if (on) {
    if (state.step >= lastStep()) state.step = 0;
    moment = state.step;
    let before = performance.now();
    clock = setInterval(() => {
      const now = performance.now();
      moment += ((now - before) / 1000) * Number(by("speed").value);
      before = now;
      goto(Math.floor(moment), false);
      if (state.step >= lastStep() && runs.every((run) => run.end)) {
        play(false);
        by("spoken").textContent = statusText(runs[state.active]);
      }
    }, FRAME);
  }
  by("play").textContent = on ? "Pause" : "Play";
  by("play").setAttribute("aria-pressed", String(on));
}

// ---- what is shown

// still: only the step has changed, and the pictures beneath it stay.
function draw(still = false) {
  stale ||= !still;
  if (drawing) return;
  drawing = setTimeout(() => requestAnimationFrame(() => {
    drawing = null;
    drawn = performance.now();
    if (runs.length && runs[0].problem) paint();
  }), Math.max(0, FRAME / 2 - (performance.now() - drawn)));
}

async function paint() {
  const starts = state.curve === "starts" ? extra.starts : null;
  const last = lastStep();
  by("scrub").max = Math.max(last, 1);
  by("scrub").value = Math.min(state.step, last);
  by("scrub").setAttribute("aria-valuetext", `step ${state.step} of ${last}`);
  by("status").textContent = statusText(runs[state.active]);
  const shown = runs.filter((run) => run.problem), still = !stale;
  stale = false;
  await Promise.all([
    charts.data(shown, state.table, { curves: starts?.network }, still),
    charts.loss(shown, state, { paths: starts?.paths }, still),
    charts.curves(shown, state, extra, still),
  ]);
  for (const handle of handles) handle.place();
  captions();
  workedSoon();
}

function statusText(run) {
  if (!run?.now) return "…";
  const { step, objective, gap } = run.now;
  const end = run.end && step === run.end.steps ? (run.end.stopped.reason === "diverged" ? ": diverged" : run.end.converged ? ": converged" : ": end") : "";
  return `${state.runs.length > 1 ? NAMES[state.active] + ", step" : "Step"} ${step.toLocaleString("en")} of ${(run.steps.at(-1)?.step ?? 0).toLocaleString("en")}${end} · J ${number(objective, 5)} · gap ${number(gap, 3)}`;
}

function captions() {
  const { problem } = runs[0];
  by("data-title").textContent = problem.line ? "The data" : "Predicted against actual";
  const handle = handles[1].at() ? " The square is a point that can be dragged." : "";
  const rows = `${problem.points.y.length} of ${problem.rows.read.toLocaleString("en")} rows.`;
  by("data-caption").textContent = (state.curve === "starts" ? `Thin: what 50 networks predict. ${rows}` : `${rows} Dashed: ${problem.line ? "the best line there is" : "a perfect prediction"}.`) + handle;
  const race = runs.length > 1 ? " Contours are of run A." : "";
  const cut = (problem.surface.plain ? "" : " A plane through the minimum of all parameters.") + (problem.surface.equal ? "" : " The axes have different units.");
  by("loss-caption").textContent = `${state.picture === "surface" ? "Drag it to turn it." : "The cross is the minimum."} ${handles[0].at() ? "Drag the circle: the start." : ""}${cut}${race}`;
  const { starts } = extra;
  by("curves-caption").textContent =
    state.curve === "starts" && starts
      ? `The line on all training rows: ${different(starts.losses)} ${different(starts.losses) === 1 ? "value" : "values"} of J. Networks with ${starts.network.hidden} hidden units on ${starts.network.rows} of them: ${different(starts.network.losses)}.`
      : state.curve === "degrees"
        ? "J at the minimum of each degree."
        : state.curve === "gap"
          ? "J − J*, the distance to the global minimum; the triangle is the step that was foretold."
          : "Thin: the steps to come.";
}

const different = (values) => new Set(values.map((v) => Number(v).toPrecision(6))).size;

function showWords() {
  const run = runs[state.active];
  if (!run?.problem) return;
  by("words").replaceChildren(...words(run.problem, run.end, runs.length > 1 ? `Of run ${NAMES[state.active]}.` : ""));
  const { code } = run.problem;
  by("code-note").textContent = code.note ?? "These lines give the numbers on the screen.";
  by("code-cli").textContent = code.cli ?? "– (see above)";
  by("code-python").textContent = code.python;
}

let workedFor = null, workedTimer = null;
function workedSoon() {
  const run = runs[state.active];
  if (!run?.now || workedFor === run.now) return;
  clearTimeout(workedTimer);
  workedTimer = setTimeout(async () => {
    const now = (workedFor = run.now);
    if (now.theta.includes(null)) return;
    try {
      const found = await ask("worked", { ...run.asked, theta: now.theta, step: now.step }, asking.signal);
      by("worked").replaceChildren(...worked(found));
    } catch {
      workedFor = null; // the settings have changed meanwhile, or an error is on the screen already
    }
  }, clock ? 250 : 30);
}

async function compare(which) {
  const button = by(which);
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  try {
    extra[which] = await ask(which, question(state, 0), asking.signal);
    state.curve = which;
    by("curve").value = which;
    keep();
    draw();
  } catch (error) {
    if (error.name !== "AbortError") {
      by("problem").hidden = false;
      by("problem").textContent = error.message;
    }
  }
  button.disabled = false;
  button.removeAttribute("aria-busy");
}

function showAxes() {
  const { directions, surface } = runs[0].problem;
  by("axes").hidden = !directions.length;
  for (const [id, i] of [["axis-u", 0], ["axis-v", 1]]) {
    by(id).replaceChildren(...directions.map((each) => new Option(each.label, each.key)));
    by(id).value = surface.keys[i];
  }
  by("degrees").disabled = state.table.features.length !== 1;
}

const keep = () => history.replaceState(null, "", address(state, begin));

// ---- marks that are dragged

function startAt() {
  const problem = runs[0]?.problem;
  if (!problem || state.picture === "surface" || state.curve === "starts") return null;
  return state.start ?? problem.start;
}

let picked = null;
function pointAt() {
  const problem = runs[0]?.problem;
  if (!problem?.line || !state.table.rows || state.table.rows > 200 || state.curve === "starts") return null;
  const { points } = problem;
  if (picked === null || picked >= points.x.length || points.role[picked] !== "train") {
    const training = points.x.map((_, i) => i).filter((i) => points.role[i] === "train");
    picked = training.reduce((a, b) => (points.x[b] > points.x[a] ? b : a), training[0]);
  }
  return picked === undefined ? null : [points.x[picked], points.y[picked]];
}

function movePoint([x, y]) {
  const { table: settings } = state;
  const [file, row] = runs[0].problem.points.place[picked];
  const there = x * settings.divide + settings.shift;
  settings.moved = [...settings.moved.filter((each) => each[0] !== file || each[1] !== row), [file, row, there, y]];
  changed();
}

// ---- the beginning

function listen() {
  by("play").addEventListener("click", () => play(!clock));
  for (const [id, way] of [["first", () => 0], ["back", () => state.step - 1], ["forward", () => state.step + 1], ["last", lastStep]]) {
    by(id).addEventListener("click", () => {
      play(false);
      goto(way());
    });
  }
  by("scrub").addEventListener("input", () => {
    play(false);
    goto(Number(by("scrub").value));
  });
  by("speed").replaceChildren(...SPEEDS.map((each) => new Option(`${each} a second`, each)));
  by("speed").value = "10";
  by("picture").addEventListener("change", () => {
    state.picture = by("picture").value;
    keep();
    Plotly.purge("loss");
    draw();
  });
  by("curve").replaceChildren(...Object.entries(charts.CURVES).map(([key, text]) => new Option(text, key)));
  by("curve").addEventListener("change", () => {
    state.curve = by("curve").value;
    keep();
    if (["starts", "degrees"].includes(state.curve) && !extra[state.curve]) compare(state.curve);
    draw();
  });
  for (const which of ["starts", "degrees"]) by(which).addEventListener("click", () => compare(which));
  for (const [id, i] of [["axis-u", 0], ["axis-v", 1]]) {
    by(id).addEventListener("change", () => {
      const axes = [by("axis-u").value, by("axis-v").value];
      if (axes[0] === axes[1]) axes[1 - i] = runs[0].problem.surface.keys[i];
      state.axes = axes;
      state.start = null;
      changed();
    });
  }
  addEventListener("keydown", (event) => {
    if (event.target.closest("input, select, textarea, summary, .handle, pre") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " " && event.target.closest("button, a")) return;
    const way = { ArrowLeft: state.step - 1, ArrowRight: state.step + 1, Home: 0, End: lastStep() }[event.key];
    if (event.key === " ") play(!clock);
    else if (way !== undefined) {
      play(false);
      goto(way);
    } else return;
    event.preventDefault();
  });
  by("share").addEventListener("click", () => copy(by("share"), location.href));
  for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button, by(button.dataset.copy).textContent));
  by("reset").addEventListener("click", () => restore(structuredClone(begin)));
  addEventListener("hashchange", () => restore(fromAddress(location.hash, begin)));
  for (const tools of document.querySelectorAll("[data-export]")) {
    for (const format of ["png", "svg"]) {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: format.toUpperCase() });
      button.setAttribute("aria-label", `Save this picture as ${format.toUpperCase()}`);
      button.addEventListener("click", async () => {
        const link = document.createElement("a");
        link.href = await charts.exported(tools.dataset.export, format);
        link.download = `gradline-${tools.dataset.export}.${format}`;
        link.click();
      });
      tools.append(button);
    }
  }
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const paintTheme = (name) => {
    document.documentElement.dataset.theme = name;
    by("theme").textContent = name === "dark" ? "Light" : "Dark";
    controls?.show(runs);
    draw();
  };
  by("theme").addEventListener("click", () => paintTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  dark.addEventListener("change", () => paintTheme(dark.matches ? "dark" : "light"));
  paintTheme(dark.matches ? "dark" : "light");
  let resized = null;
  addEventListener("resize", () => {
    clearTimeout(resized);
    resized = setTimeout(draw, 250);
  });
}

async function copy(button, text) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed";
  }
  setTimeout(() => (button.textContent = before), 1500);
}

function restore(found) {
  play(false);
  Object.assign(state, found);
  lessons.show();
  picked = null;
  extra = {};
  by("curve").value = state.curve;
  by("picture").value = state.picture;
  Plotly.purge("loss");
  controls.show(runs);
  keep();
  refresh();
}

function applyLesson({ table: settings, run }, look) {
  play(false);
  Object.assign(state, { table: settings, runs: [run], active: 0, start: null, axes: null, step: 0 });
  picked = null;
  extra = {};
  state.curve = look.curve ?? "loss";
  state.picture = "contours";
  by("curve").value = state.curve;
  by("picture").value = state.picture;
  controls.show(runs);
  keep();
  refresh();
}

async function main() {
  try {
    table = await readTable();
  } catch (error) {
    by("problem").hidden = false;
    by("problem").textContent = `The lab's server does not answer: ${error.message}`;
    return;
  }
  document.title = `gradline lab: ${table.target}`;
  by("about").textContent = `${table.name}: ${table.target}, ${table.rows.toLocaleString("en")} rows read once`;
  begin = beginning(table.first);
  state = fromAddress(location.hash, begin);
  handles = [
    new Handle(by("start-handle"), by("loss"), startAt, (at) => {
      state.start = at;
      changed();
    }),
    new Handle(by("point-handle"), by("data"), pointAt, movePoint),
  ];
  by("start-handle").setAttribute("aria-label", "The start; arrow keys move it");
  by("point-handle").setAttribute("aria-label", "A point of the data; arrow keys move it");
  controls = new Controls(state, table, changed);
  lessons = new Lessons(table.lessons, state, begin, applyLesson, () => question(state, state.active));
  listen();
  by("curve").value = state.curve;
  by("picture").value = state.picture;
  lessons.show();
  await refresh();
  by("data").on?.("plotly_click", ({ points }) => {
    const at = points[0]?.customdata;
    if (typeof at === "number" && runs[0].problem.points.role[at] === "train") {
      picked = at;
      handles[1].place();
    }
  });
  document.body.dataset.ready = "yes";
}

// What a test, or a curious reader of the console, may look at.
globalThis.lab = { get state() { return state; }, get runs() { return runs; } };

main();
