// What moves from step to step is drawn over a picture, so that the picture itself is drawn once for its settings: a step costs a few
// milliseconds in place of a hundred. It is written as Plotly's traces, and goes into a saved picture as such.

const SVG = "http://www.w3.org/2000/svg";
const DASHES = { solid: "", dash: "9 5", dot: "2 4" };

const element = (name, attributes) => {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
};

function symbol(kind, x, y, size) {
  const r = size / 2;
  if (kind === "diamond") return `M${x},${y - 1.3 * r}L${x + 1.3 * r},${y}L${x},${y + 1.3 * r}L${x - 1.3 * r},${y}Z`;
  if (kind === "square") return `M${x - r},${y - r}h${size}v${size}h${-size}Z`;
  return `M${x - r},${y}a${r},${r} 0 1,0 ${size},0a${r},${r} 0 1,0 ${-size},0Z`;
}

export function drawOver(plot, traces) {
  const frame = plot.parentElement, axes = plot._fullLayout;
  let sheet = frame.querySelector("svg.over");
  if (!sheet) {
    sheet = element("svg", { class: "over", "aria-hidden": "true" });
    plot.after(sheet);
  }
  const flat = axes?.xaxis && axes?.yaxis && axes._has?.("cartesian");
  if (!flat || !traces) return sheet.replaceChildren();
  const { xaxis: X, yaxis: Y } = axes, id = `clip-${plot.id}`;
  const clip = element("clipPath", { id });
  clip.append(element("rect", { x: X._offset, y: Y._offset, width: X._length, height: Y._length }));
  const inside = element("g", { "clip-path": `url(#${id})` });
  for (const trace of traces) {
    const at = trace.x.map((x, i) => (x === null || trace.y[i] === null ? null : [X._offset + X.d2p(x), Y._offset + Y.d2p(trace.y[i])]));
    const points = at.map((each) => (each && each.every(Number.isFinite) ? each.map((v) => Math.min(Math.max(v, -1e4), 1e4).toFixed(1)) : null));
    if (trace.mode.includes("lines")) {
      let path = "", pen = "M";
      for (const point of points) {
        if (point) path += pen + point;
        pen = point ? "L" : "M";
      }
      inside.append(element("path", { d: path, fill: "none", stroke: trace.line.color, "stroke-width": trace.line.width, "stroke-dasharray": DASHES[trace.line.dash ?? "solid"], "stroke-linejoin": "round" }));
    }
    if (trace.mode.includes("markers")) {
      const { color, size, symbol: kind, line, opacity = 1 } = trace.marker;
      const path = points.filter(Boolean).map(([x, y]) => symbol(kind, Number(x), Number(y), size)).join("");
      inside.append(element("path", { d: path, fill: color, "fill-opacity": opacity, stroke: line?.color ?? "none", "stroke-width": line?.width ?? 0 }));
    }
  }
  sheet.replaceChildren(clip, inside);
}
