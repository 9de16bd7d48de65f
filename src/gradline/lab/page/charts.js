// The three pictures. What is drawn comes from the server; here are colours, axes and words alone.

import { drawOver } from "./overlay.js";
import { NAMES, number } from "./state.js";

const CONFIG = { displayModeBar: false, responsive: true, doubleClick: false, showTips: false };
const DASHES = ["solid", "dash", "dot"];
const SYMBOLS = ["circle", "diamond", "square"];

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
export const colour = (index) => css("--series-" + (index + 1));

function faded(hex, share) {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  return `rgba(${r},${g},${b},${share})`;
}

// Plotly reads texts as a small HTML (links, bold): a column's name must not be taken for it.
const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function mixed(a, b, share) {
  const parts = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  const [from, to] = [parts(a), parts(b)];
  return `rgb(${from.map((v, i) => Math.round(v * share + to[i] * (1 - share))).join(",")})`;
}

function layout(x, y, more = {}) {
  const axis = (text) => ({ title: { text: plain(text), standoff: 6 }, gridcolor: css("--grid"), zerolinecolor: css("--grid"), linecolor: css("--line"), automargin: true, fixedrange: true });
  return {
    paper_bgcolor: css("--paper"),
    plot_bgcolor: css("--paper"),
    font: { color: css("--ink"), size: 12, family: "system-ui, sans-serif" },
    margin: { l: 52, r: 10, t: 8, b: 42 },
    dragmode: false,
    hovermode: "closest",
    showlegend: false,
    legend: { orientation: "h", y: 1, yanchor: "bottom", x: 0, font: { size: 11 } },
    xaxis: axis(x),
    yaxis: axis(y),
    ...more,
  };
}

function logarithmic(axis, values) {
  const positive = values.filter((v) => v > 0);
  const low = positive.reduce((a, b) => Math.min(a, b), Infinity), high = positive.reduce((a, b) => Math.max(a, b), 0);
  if (!positive.length || high / low < 3) return;
  axis.type = "log";
  axis.exponentformat = "power";
  const decades = Math.log10(high / low);
  axis.dtick = Math.max(1, Math.ceil(decades / 8));
  if (decades < 2) {
    delete axis.dtick;
    axis.nticks = 6;
  }
}

// What moves in each picture, and whether the rest of it has to be drawn again.
const moving = {};

function show(id, data, shape, label, over, still) {
  const place = document.getElementById(id);
  place.setAttribute("aria-label", label);
  moving[id] = over;
  if (still) return drawOver(place, over);
  return Plotly.react(place, data, shape, CONFIG).then(() => drawOver(place, moving[id]));
}

const key = (name, line) => ({ type: "scatter", mode: "lines", name, x: [null], y: [null], line }); // of the legend, for what moves

// ---- the data, and what is predicted

export function data(runs, table, extra, still) {
  const lead = runs[0].problem, points = lead.points, several = runs.length > 1;
  const of = (role) => points.role.map((each, i) => (each === role ? i : -1)).filter((i) => i >= 0);
  const traces = [], over = [];
  if (lead.line) {
    for (const [role, symbol] of [["train", "circle"], ["validation", "circle-open"]]) {
      const at = of(role);
      traces.push({ type: "scatter", mode: "markers", name: role === "train" ? "training rows" : "validation rows", x: at.map((i) => points.x[i]), y: at.map((i) => points.y[i]), customdata: at, marker: { color: css("--muted"), symbol, size: 6, opacity: 0.75 }, hovertemplate: "%{x}, %{y}<extra></extra>" });
    }
    if (extra.curves) for (const curve of extra.curves.curves) traces.push({ type: "scatter", mode: "lines", x: extra.curves.x, y: curve, line: { color: faded(colour(1), 0.35), width: 1 }, hoverinfo: "skip", showlegend: false });
    traces.push({ type: "scatter", mode: "lines", name: "the best there is", x: lead.x, y: lead.best, line: { color: css("--ink"), width: 1.5, dash: "dash" }, hoverinfo: "skip" });
    runs.forEach((run, i) => {
      const line = { color: colour(i), width: 3, dash: DASHES[i] };
      traces.push(key(several ? "run " + NAMES[i] : "now", line));
      if (run.now) over.push({ type: "scatter", mode: "lines", x: run.problem.x, y: run.now.picture, line, showlegend: false });
    });
    const now = runs[0].now?.picture;
    if (now && lead.x.length === 2 && points.x.length <= 60 && now[0] !== null) {
      const [a, b] = lead.x;
      const segments = { x: [], y: [] };
      for (const i of of("train")) {
        segments.x.push(points.x[i], points.x[i], null);
        segments.y.push(points.y[i], now[0] + ((now[1] - now[0]) * (points.x[i] - a)) / (b - a), null);
      }
      const line = { color: faded(colour(0), 0.45), width: 1 };
      traces.push(key("residuals", line));
      over.unshift({ type: "scatter", mode: "lines", ...segments, line, showlegend: false });
    }
  } else {
    runs.forEach((run, i) => {
      const marker = { color: colour(i), size: 6, opacity: 0.7, symbol: SYMBOLS[i] };
      traces.push({ type: "scatter", mode: "markers", name: several ? "run " + NAMES[i] : "now", x: [null], y: [null], marker });
      if (run.now) over.push({ type: "scatter", mode: "markers", x: run.problem.points.y, y: run.now.picture, marker, showlegend: false });
    });
    const low = Math.min(...points.y), high = Math.max(...points.y);
    traces.push({ type: "scatter", mode: "lines", name: "predicted = actual", x: [low, high], y: [low, high], line: { color: css("--ink"), width: 1.5, dash: "dash" }, hoverinfo: "skip" });
  }
  const shape = layout(lead.line ? unit(table) : `${lead.target}, actual`, lead.line ? lead.target : `${lead.target}, predicted`, { showlegend: true });
  const spread = (values) => {
    const low = Math.min(...values), high = Math.max(...values), margin = 0.08 * (high - low || 1);
    return [low - margin, high + margin];
  };
  shape.yaxis.range = spread(points.y);
  shape.xaxis.range = spread(lead.line ? points.x : points.y);
  const now = runs[0].now;
  const label = now ? `${lead.line ? "The rows as points, and the line" : "Predicted against actual"} at step ${now.step}: ${lead.features.slice(0, 4).map((name, j) => `${number(now.coefficients[j])} for ${name}`).join(", ")}, intercept ${number(now.intercept)}.` : "The rows as points.";
  return show("data", traces, shape, label, over, still);
}

function unit(table) {
  const name = table.features[0];
  if (table.divide === 1 && !table.shift) return name;
  return table.shift ? `(${name} − ${number(table.shift)}) / ${number(table.divide)}` : `${name} / ${number(table.divide)}`;
}

// ---- J

export function loss(runs, state, extra, still) {
  const { surface, minimum } = runs[0].problem;
  return state.picture === "surface" ? turned(runs, surface, minimum) : contours(runs, surface, extra, still);
}

const path = (run, upTo) => run.steps.filter((step) => step.step <= upTo && step.at[0] !== null);

const rooted = new WeakMap(); // the contours are of √(J − J*): evenly spaced ellipses
function roots(surface) {
  if (!rooted.has(surface)) rooted.set(surface, surface.gap.map((row) => row.map(Math.sqrt)));
  return rooted.get(surface);
}

function levels(surface) {
  const most = Math.max(...roots(surface).map((row) => Math.max(...row)));
  return { coloring: "fill", start: most / 16, end: most, size: most / 16 };
}

function contours(runs, surface, extra, still) {
  const over = [];
  const traces = [
    { type: "contour", x: surface.x, y: surface.y, z: roots(surface), autocontour: false, contours: levels(surface), showscale: false, line: { color: css("--line"), width: 0.8 }, colorscale: [[0, mixed(css("--line"), css("--paper"), 0.34)], [1, css("--paper")]], hoverinfo: "skip" },
    { type: "scatter", mode: "markers", name: "minimum", x: [surface.minimum[0]], y: [surface.minimum[1]], marker: { symbol: "x-thin", size: 13, line: { color: css("--ink"), width: 2.5 } }, hovertemplate: "the minimum<extra></extra>" },
  ];
  if (extra.paths) {
    for (const each of extra.paths) traces.push({ type: "scatter", mode: "lines", x: each.map((p) => p[0]), y: each.map((p) => p[1]), line: { color: faded(colour(0), 0.55), width: 1 }, hoverinfo: "skip" });
    traces.push({ type: "scatter", mode: "markers", x: extra.paths.map((p) => p.at(-1)[0]), y: extra.paths.map((p) => p.at(-1)[1]), marker: { color: colour(1), size: 7 }, hovertemplate: "an end<extra></extra>" });
  } else {
    runs.forEach((run, i) => {
      const all = path(run, Infinity), done = run.now ? path(run, run.now.step) : [];
      traces.push({ type: "scatter", mode: "lines", x: all.map((s) => s.at[0]), y: all.map((s) => s.at[1]), text: all.map((s) => `step ${s.step}: J = ${number(s.objective)}`), line: { color: faded(colour(i), 0.35), width: 1.2 }, hovertemplate: "%{text}<extra></extra>" });
      over.push({ type: "scatter", mode: done.length > 150 ? "lines" : "lines+markers", x: done.map((s) => s.at[0]), y: done.map((s) => s.at[1]), line: { color: colour(i), width: 2.2, dash: DASHES[i] }, marker: { size: 5, symbol: SYMBOLS[i], color: colour(i) } });
      if (done.length) over.push({ type: "scatter", mode: "markers", x: [done.at(-1).at[0]], y: [done.at(-1).at[1]], marker: { size: 11, symbol: SYMBOLS[i], color: colour(i), line: { color: css("--paper"), width: 2 } } });
    });
  }
  const shape = layout(surface.labels[0], surface.labels[1]);
  shape.xaxis.range = [surface.x[0], surface.x.at(-1)];
  shape.yaxis.range = [surface.y[0], surface.y.at(-1)];
  if (surface.equal) {
    Object.assign(shape.yaxis, { scaleanchor: "x", constrain: "domain" });
    shape.xaxis.constrain = "domain";
  }
  return show("loss", traces, shape, spoken(runs, surface), over, still);
}

function turned(runs, surface, minimum) {
  const inside = (s) => s.at[0] !== null && s.at[0] >= surface.x[0] && s.at[0] <= surface.x.at(-1) && s.at[1] >= surface.y[0] && s.at[1] <= surface.y.at(-1);
  const traces = [
    { type: "surface", x: surface.x, y: surface.y, z: surface.gap.map((row) => row.map((v) => v + minimum)), showscale: false, opacity: 0.85, colorscale: [[0, colour(0)], [1, css("--grid")]], contours: { z: { show: true, usecolormap: false, color: css("--paper"), width: 1 } }, hovertemplate: "J = %{z:.4g}<extra></extra>" },
  ];
  runs.forEach((run, i) => {
    const done = run.now ? path(run, run.now.step).filter(inside) : [];
    traces.push({ type: "scatter3d", mode: "lines+markers", x: done.map((s) => s.at[0]), y: done.map((s) => s.at[1]), z: done.map((s) => s.objective), line: { color: colour(i === 0 ? 1 : i), width: 5 }, marker: { size: 3, color: colour(i === 0 ? 1 : i) }, hoverinfo: "skip" });
  });
  const axis = (text) => ({ title: { text: plain(text), font: { size: 11 } }, color: css("--ink"), gridcolor: css("--line"), backgroundcolor: css("--paper"), showbackground: false });
  const short = (text) => text.replace(/ direction.*/, "");
  const shape = layout("", "", { uirevision: "turned", margin: { l: 0, r: 0, t: 0, b: 0 }, dragmode: "turntable", scene: { xaxis: axis(short(surface.labels[0])), yaxis: axis(short(surface.labels[1])), zaxis: axis("J"), camera: { eye: { x: 1.5, y: -1.5, z: 0.9 } } } });
  return show("loss", traces, shape, spoken(runs, surface));
}

function spoken(runs, surface) {
  const now = runs[0].now;
  const where = now ? `at step ${now.step} the path is at ${number(now.at[0])}, ${number(now.at[1])}` : "no step yet";
  return `J over ${surface.labels[0]} and ${surface.labels[1]}; the minimum is at ${number(surface.minimum[0])}, ${number(surface.minimum[1])}; ${where}.`;
}

// ---- the curves

export const CURVES = { loss: "J", gap: "gap J − J*", norms: "norms", degrees: "degrees", starts: "50 starts" };
const PARTS = {
  loss: [["objective", "J", "solid"], ["validation", "J on validation rows", "dot"]],
  gap: [["gap", "J − J*", "solid"]],
  norms: [["gradient_norm", "‖∇J‖", "solid"], ["update_norm", "‖Δθ‖", "dash"], ["parameter_norm", "‖θ‖", "dot"]],
};

export function curves(runs, state, extra, still) {
  if (state.curve === "degrees") return degrees(extra.degrees);
  if (state.curve === "starts") return strip(extra.starts);
  const traces = [], over = [], seen = [];
  const several = runs.length > 1;
  runs.forEach((run, i) => {
    for (const [field, name, dash] of PARTS[state.curve]) {
      const all = run.steps.filter((s) => s[field] !== null && (field !== "update_norm" || s.step > 0));
      if (!all.length) continue;
      seen.push(...all.map((s) => s[field]));
      const done = all.filter((s) => run.now && s.step <= run.now.step);
      const label = several ? `${NAMES[i]}: ${name}` : name;
      const line = { color: colour(i), width: 2.4, dash };
      traces.push({ type: "scatter", mode: "lines", x: all.map((s) => s.step), y: all.map((s) => s[field]), line: { color: faded(colour(i), 0.35), width: 1.2, dash }, hovertemplate: `${label} at step %{x}: %{y:.5g}<extra></extra>`, showlegend: false }, key(label, line));
      over.push({ type: "scatter", mode: done.length < 3 ? "lines+markers" : "lines", x: done.map((s) => s.step), y: done.map((s) => s[field]), line, marker: { size: 6, symbol: SYMBOLS[i], color: colour(i) } });
    }
    const foretold = run.problem.plan.predicted_steps;
    if (state.curve === "gap" && foretold && foretold <= (run.steps.at(-1)?.step ?? 0) + 1) {
      const low = Math.min(...run.steps.map((s) => s.gap).filter((v) => v > 0));
      traces.push({ type: "scatter", mode: "markers", name: "foretold end", x: [foretold], y: [low], marker: { symbol: "triangle-up", size: 11, color: colour(i) }, hovertemplate: `foretold: step ${foretold}<extra></extra>` });
    }
  });
  const shape = layout("step", CURVES[state.curve], { showlegend: true });
  logarithmic(shape.yaxis, seen);
  const now = runs[0].now;
  const label = now ? `At step ${now.step}: J ${number(now.objective)}, gap ${number(now.gap)}, gradient ${number(now.gradient_norm)}.` : "No step yet.";
  return show("curves", traces, shape, label, over, still);
}

function degrees(found) {
  if (!found) return show("curves", [], layout("degree", "J at the minimum"), "Not computed yet.");
  const traces = [["train", "training rows", 0, "circle"], ["validation", "validation rows", 1, "diamond"]].map(([key, name, i, symbol]) => ({ type: "scatter", mode: "lines+markers", name, x: found.degree, y: found[key], line: { color: colour(i), dash: DASHES[i], width: 2.2 }, marker: { symbol, size: 8 }, hovertemplate: `degree %{x}, ${name}: %{y:.5g}<extra></extra>` }));
  const shape = layout("degree", "J at the minimum", { showlegend: true });
  shape.xaxis.dtick = 1;
  logarithmic(shape.yaxis, [...found.train, ...found.validation].filter((v) => v !== null));
  return show("curves", traces, shape, found.degree.map((d, i) => `degree ${d}: training ${number(found.train[i])}, validation ${number(found.validation[i])}`).join("; "));
}

function strip(found) {
  if (!found) return show("curves", [], layout("", "J at the end"), "Not computed yet.");
  const spread = (values) => values.map((_, i) => 0.3 * Math.sin(12.9898 * (i + 1)));
  const of = (values, at, i, name) => ({ type: "scatter", mode: "markers", name, x: spread(values).map((v) => at + v), y: values, marker: { color: colour(i), symbol: SYMBOLS[i], size: 7, opacity: 0.7 }, hovertemplate: `${name}: %{y:.6g}<extra></extra>` });
  const traces = [of(found.losses, 0, 0, "the line"), of(found.network.losses, 1, 1, "two-layer network")];
  const shape = layout("", "J at the end");
  shape.xaxis = { ...shape.xaxis, tickvals: [0, 1], ticktext: ["the line (convex)", "network"], range: [-0.6, 1.6], showgrid: false };
  logarithmic(shape.yaxis, [...found.losses, ...found.network.losses].filter((v) => v !== null));
  const different = (values) => new Set(values.map((v) => Number(v).toPrecision(6))).size;
  return show("curves", traces, shape, `The line ends in ${different(found.losses)} different losses, the network in ${different(found.network.losses)}.`);
}

export async function exported(id, format) {
  const place = document.getElementById(id);
  const figure = { data: [...place.data, ...(moving[id] ?? []).map((trace) => ({ ...trace, showlegend: false }))], layout: place.layout };
  return Plotly.toImage(figure, { format, width: Math.max(place.clientWidth, 600), height: Math.max(place.clientHeight, 420), scale: format === "png" ? 2 : 1 });
}
