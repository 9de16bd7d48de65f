// The settings: what each control shows, and what it changes in the state.

import { MOST_RUNS, NAMES, firstRun, number } from "./state.js";
import { colour } from "./charts.js";

const by = (id) => document.getElementById(id);
const LEAST = 0.01, MOST = 4; // of α on its scale, in units of 1/L
const BATCHES = [...Array(13).keys()].map((i) => 2 ** i); // then all rows
const STEPS = [50, 100, 300, 1000, 3000, 10000, 20000];
const ROWS = [0, 2000, 500, 100, 30, 20, 10];
const DIVIDES = [1, 10, 100, 1000, 10000, 100000];

function options(select, pairs) {
  select.replaceChildren(...pairs.map(([value, text]) => new Option(text, value)));
}

function choose(select, value, text) {
  if (![...select.options].some((each) => each.value === String(value))) select.add(new Option(text ?? String(value), value));
  select.value = String(value);
}

export class Controls {
  // changed: is told after each change, with whether the table is another.
  constructor(state, table, changed) {
    Object.assign(this, { state, table, changed });
    options(by("rule"), table.rules.map((rule) => [rule, rule.replaceAll("_", " ")]));
    options(by("steps"), STEPS.map((n) => [n, n.toLocaleString("en")]));
    options(by("rows"), ROWS.filter((n) => n < table.rows).map((n) => [n, n ? n.toLocaleString("en") : `all ${table.rows.toLocaleString("en")}`]));
    options(by("divide"), DIVIDES.map((n) => [n, n === 1 ? "as in the table" : `÷ ${n.toLocaleString("en")}`]));
    by("features").replaceChildren(...table.columns.map((name) => {
      const label = document.createElement("label"), box = document.createElement("input");
      box.type = "checkbox";
      box.value = name;
      label.append(box, name);
      box.addEventListener("change", () => this.features(box));
      return label;
    }));
    this.listen();
  }

  get run() {
    return this.state.runs[this.state.active];
  }

  onRun(id, event, change) {
    by(id).addEventListener(event, () => {
      change(this.run, by(id));
      this.changed();
    });
  }

  onTable(id, event, change) {
    by(id).addEventListener(event, () => {
      change(this.state.table, by(id));
      this.changed(true);
    });
  }

  listen() {
    this.onRun("alpha", "input", (run, input) => (run.rate = Number((10 ** input.value).toPrecision(3))));
    this.onRun("alpha-auto", "click", (run) => (run.rate = run.rate === null ? 0.5 : null));
    by("alpha-number").addEventListener("change", () => this.typed());
    this.onRun("rule", "change", (run, input) => {
      run.rule = input.value;
      run.rate = run.rule === "gradient_descent" ? (run.rate ?? null) : null;
      if (run.rule === "averaged_sgd" && !run.batch) run.batch = 64;
    });
    this.onRun("batch", "input", (run, input) => {
      run.batch = BATCHES[input.value] ?? 0;
      if (!run.batch && run.rule === "averaged_sgd") run.rule = "gradient_descent";
    });
    this.onRun("scaling", "change", (run, input) => (run.scaling = input.checked ? "standard" : "none"));
    this.onRun("l2", "input", (run, input) => (run.l2 = Number(input.value) < -4 ? 0 : Number((10 ** input.value).toPrecision(2))));
    this.onRun("steps", "change", (run, input) => (run.steps = Number(input.value)));
    this.onTable("rows", "change", (table, input) => {
      table.rows = Number(input.value);
      table.moved = [];
    });
    this.onTable("divide", "change", (table, input) => (table.divide = Number(input.value)));
    this.onTable("degree", "input", (table, input) => (table.degree = Number(input.value)));
    this.onTable("noise", "input", (table, input) => (table.noise = Number(input.value)));
    this.onTable("validation", "input", (table, input) => (table.validation = Number(input.value)));
    this.onTable("unmove", "click", (table) => (table.moved = []));
    by("add-run").addEventListener("click", () => {
      const { state } = this;
      if (state.runs.length >= MOST_RUNS) return;
      const before = this.run;
      state.runs.push({ ...firstRun(), ...before, rate: null, rule: before.rule === "gradient_descent" ? "momentum" : "gradient_descent" });
      state.active = state.runs.length - 1;
      this.changed();
    });
    by("remove-run").addEventListener("click", () => {
      this.state.runs.splice(this.state.active, 1);
      this.state.active = Math.max(0, this.state.active - 1);
      this.changed(true);
    });
  }

  features(box) {
    const { table } = this.state;
    const chosen = this.table.columns.filter((name) => (name === box.value ? box.checked : table.features.includes(name)));
    if (!chosen.length) {
      box.checked = true;
      return;
    }
    table.features = chosen;
    if (chosen.length > 1) Object.assign(table, { degree: 1, moved: [], divide: 1, shift: 0 });
    this.changed(true);
  }

  typed() {
    const alpha = Number(by("alpha-number").value.trim().replace("−", "-").replaceAll(",", ""));
    const known = this.now;
    if (!known || !(alpha > 0) || !Number.isFinite(alpha) || !known.plan.learning_rate || !known.rate) return this.changed();
    this.run.rate = (alpha * known.rate) / known.plan.learning_rate;
    this.changed();
  }

  // What the state and the server's answer say.
  show(runs) {
    const { state, run } = this, problem = runs[state.active]?.problem;
    this.now = problem;
    by("run-tabs").replaceChildren(...(state.runs.length > 1 ? state.runs : []).map((each, i) => {
      const button = document.createElement("button"), swatch = document.createElement("span");
      button.type = "button";
      button.setAttribute("aria-current", String(i === state.active));
      swatch.className = "swatch";
      swatch.style.background = colour(i);
      button.append(swatch, `${NAMES[i]}: ${each.rule.replaceAll("_", " ")}`);
      button.addEventListener("click", () => {
        state.active = i;
        this.changed();
      });
      return button;
    }));
    by("add-run").hidden = state.runs.length >= MOST_RUNS;
    by("remove-run").hidden = state.runs.length < 2;
    this.rate(run, problem);
    choose(by("rule"), run.rule);
    by("batch").value = run.batch ? Math.round(Math.log2(run.batch)) : 13;
    by("batch-value").value = run.batch ? `${run.batch.toLocaleString("en")} rows a step` : "all rows, exact";
    by("batch").setAttribute("aria-valuetext", by("batch-value").value);
    by("scaling").checked = run.scaling === "standard";
    by("l2").value = run.l2 ? Math.log10(run.l2) : -4.1;
    by("l2-value").value = run.l2 ? number(run.l2, 2) : "none";
    by("l2").setAttribute("aria-valuetext", by("l2-value").value);
    choose(by("steps"), run.steps);
    if (problem) {
      by("kappa").value = `κ = ${number(problem.condition, 3)}`;
      const scale = problem.marks.noise_scale;
      this.marks("batch-marks", scale ? [{ at: Math.min(Math.max(Math.log2(scale), 0), 12.5) / 13, text: `noise scale ${number(scale, 2)}`, kind: "" }] : []);
    }
    this.tableShown();
  }

  rate(run, problem) {
    if (!problem) return;
    const { marks, plan } = problem, paced = marks.self_paced;
    const rate = problem.rate ?? run.rate ?? 1;
    by("alpha").value = Math.log10(Math.min(Math.max(rate, LEAST), MOST));
    for (const id of ["alpha", "alpha-number", "alpha-auto"]) by(id).disabled = paced;
    by("alpha-value").value = paced ? "its own" : `${number(plan.learning_rate)}${run.rule === "adam" ? "" : ` = ${number(problem.rate, 3)}/L`}`;
    by("alpha").setAttribute("aria-valuetext", by("alpha-value").value + (plan.learning_rate_limit !== null && plan.learning_rate >= plan.learning_rate_limit ? ", past the limit" : ""));
    if (document.activeElement !== by("alpha-number")) by("alpha-number").value = plan.learning_rate === null ? "" : String(Number(plan.learning_rate.toPrecision(6)));
    by("alpha-auto").setAttribute("aria-pressed", String(run.rate === null));
    by("alpha-note").textContent = paced ? "this rule chooses its step sizes" : "";
    const place = (value) => (Math.log10(value) - Math.log10(LEAST)) / (Math.log10(MOST) - Math.log10(LEAST));
    const found = [];
    if (!paced && marks.one) {
      found.push({ at: place(1), text: "1/L", kind: "left" });
      if (run.rule === "gradient_descent") found.push({ at: place(marks.best), text: "2/(μ+L)", kind: "low left" });
      const own = marks.limit !== null && Math.abs(marks.limit - 2) > 1e-9;
      found.push({ at: place(2), text: "2/L", kind: own ? "right" : "right limit" });
      if (own && marks.limit >= LEAST && marks.limit <= MOST) found.push({ at: place(marks.limit), text: "its limit", kind: `low limit ${place(marks.limit) > 0.75 ? "left" : "right"}` });
    }
    this.marks("alpha-marks", found);
  }

  marks(id, found) {
    by(id).replaceChildren(...found.map(({ at, text, kind }) => {
      const mark = document.createElement("span");
      mark.className = "mark " + kind + (id === "batch-marks" ? (at > 0.7 ? " left" : at < 0.3 ? " right" : "") : "");
      mark.style.left = 100 * at + "%";
      mark.textContent = text;
      return mark;
    }));
  }

  tableShown() {
    const { table } = this.state;
    for (const box of by("features").querySelectorAll("input")) box.checked = table.features.includes(box.value);
    choose(by("rows"), table.rows);
    choose(by("divide"), table.divide, `÷ ${number(table.divide)}`);
    const one = table.features.length === 1;
    by("degree").disabled = !one;
    by("degree").value = table.degree;
    by("degree-value").value = table.degree;
    by("noise").value = table.noise;
    by("noise-value").value = table.noise ? `${number(table.noise, 2)} deviations` : "none";
    by("validation").value = table.validation;
    by("validation-value").value = `${Math.round(100 * table.validation)} % of the rows`;
    by("unmove").disabled = !table.moved.length;
    by("moved").textContent = table.moved.length ? ` ${table.moved.length} away` : " none";
    const parts = [table.features.length > 3 ? `${table.features.length} features` : table.features.join(", "), table.rows ? `${table.rows.toLocaleString("en")} rows` : "all rows"];
    if (table.degree > 1) parts.push(`degree ${table.degree}`);
    if (table.divide !== 1) parts.push(`÷ ${table.divide.toLocaleString("en")}`);
    if (table.noise) parts.push("noise added");
    if (table.moved.length) parts.push("points dragged");
    by("table-summary").textContent = parts.join(" · ");
  }
}
