// The settings on the screen, which are also the address: #s={"table":…,"runs":[…]}, without what is as at the beginning.

export const MOST_RUNS = 3;
export const NAMES = ["A", "B", "C"];

export const firstRun = () => ({ rule: "gradient_descent", rate: 0.5, batch: 0, scaling: "none", l2: 0, steps: 300 });

export function beginning(first) {
  return {
    table: { features: first.features, rows: 0, divide: first.divide, shift: 0, degree: 1, noise: 0, moved: [], validation: 0.1, test: 0.1, seed: 0 },
    runs: [firstRun()],
    active: 0,
    start: null,
    axes: null,
    step: 0,
    curve: "loss",
    picture: "contours",
    lesson: null,
  };
}

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

export function address(state, begin) {
  const kept = {};
  for (const [name, value] of Object.entries(state)) {
    if (same(value, begin[name])) continue;
    kept[name] = name === "table" ? differing(value, begin.table) : name === "runs" ? value.map((run) => differing(run, firstRun())) : value;
  }
  return Object.keys(kept).length ? "#s=" + encodeURIComponent(JSON.stringify(kept)) : "#";
}

function differing(value, begin) {
  return Object.fromEntries(Object.entries(value).filter(([name, each]) => !same(each, begin[name])));
}

// A damaged address, or one of another table, is no reason to fail: what is not understood is as at the beginning.
export function fromAddress(hash, begin) {
  let kept = {};
  try {
    kept = JSON.parse(decodeURIComponent(hash.replace(/^#s=/, "")));
  } catch {
    return structuredClone(begin);
  }
  const state = structuredClone(begin);
  if (typeof kept !== "object" || kept === null) return state;
  for (const name of ["start", "axes", "step", "curve", "picture", "lesson"]) if (name in kept) state[name] = kept[name];
  if (typeof kept.table === "object" && kept.table) Object.assign(state.table, known(kept.table, begin.table));
  if (Array.isArray(kept.runs) && kept.runs.length) {
    state.runs = kept.runs.slice(0, MOST_RUNS).map((run) => ({ ...firstRun(), ...known(run ?? {}, firstRun()) }));
  }
  if (Number.isInteger(kept.active) && kept.active >= 0 && kept.active < state.runs.length) state.active = kept.active;
  if (!Number.isInteger(state.step) || state.step < 0) state.step = 0;
  return state;
}

function known(values, begin) {
  return Object.fromEntries(Object.entries(values).filter(([name]) => name in begin));
}

// What is asked of the server for one run. The plane of the picture is that of the first run.
export function question(state, index) {
  return {
    table: state.table,
    run: state.runs[index],
    view: index === 0 ? null : state.runs[0],
    axes: state.axes,
    start: state.start,
  };
}

export function number(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-4 && size < 1e9) return value.toLocaleString("en", { maximumSignificantDigits: digits }).replace("-", "−");
  const [mantissa, power] = value.toExponential(digits - 1).split("e");
  const raised = String(Number(power)).replace("-", "⁻").replace(/\d/g, (d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]);
  return `${Number(mantissa)} × 10${raised}`.replace("-", "−");
}
