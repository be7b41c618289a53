// Line charts as SVG: a chart library is many times this size, and the page loads nothing from anywhere.
"use strict";
const SVG = "http://www.w3.org/2000/svg";
function shape(parent, name, attributes, content) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (content !== undefined) element.textContent = content;
  parent.append(element);
  return element;
}
function ticksBetween(low, high, most) {
  const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(k => k * power).find(size => size >= rough);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) ticks.push(k * step);
  return ticks;
}
const brief = value => {
  if (value === null || value === undefined) return "undefined";
  if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e6)) return value.toExponential(1);
  return String(Number(value.toPrecision(3)));
};
function limits(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) if (value !== null && value !== undefined) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return [0, 1];
  const room = high > low ? (high - low) * .06 : Math.abs(high) * .05 || .5;
  return [low - room, high + room];
}
// A path through the points; it is interrupted where a value is undefined. A lone point is a dot.
function pathOf(xs, ys, toX, toY) {
  let path = "", open = false;
  for (let k = 0; k < xs.length; k++) {
    const y = ys[k];
    if (y === null || y === undefined) { open = false; continue; }
    const at = toX(xs[k]).toFixed(1) + " " + toY(y).toFixed(1);
    path += (open ? "L" : "M") + at + (open ? "" : "h.01");
    open = true;
  }
  return path;
}
// lines: [{name, color, dashed, x, y}], levels: [{name, color, y}], stages: [[name, x]]; colors are classes "c1" to "c8".
function drawChart(svg, {title, lines, levels, stages}) {
  const width = Math.max(240, svg.clientWidth || 400), height = 230, left = 52, right = 10, top = 18, bottom = 26;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren();
  const xs = lines.flatMap(line => line.x.length ? [line.x[0], line.x.at(-1)] : []);
  let low = Math.min(...xs), high = Math.max(...xs);
  if (!(low < high)) { low -= .5; high = low + 1; }
  const [bottomY, topY] = limits((function* () {
    for (const line of lines) yield* line.y;
    for (const level of levels) yield level.y;
  })());
  const toX = x => left + (x - low) / (high - low) * (width - left - right);
  const toY = y => height - bottom - (y - bottomY) / (topY - bottomY) * (height - top - bottom);
  for (const tick of ticksBetween(bottomY, topY, 5.5)) {
    shape(svg, "line", {class: "grid", x1: left, x2: width - right, y1: toY(tick), y2: toY(tick)});
    shape(svg, "text", {x: left - 6, y: toY(tick) + 4, "text-anchor": "end"}, brief(tick));
  }
  for (const tick of ticksBetween(low, high, Math.min(8, width / 70)))
    if (Number.isInteger(tick)) shape(svg, "text", {x: toX(tick), y: height - 8, "text-anchor": "middle"}, brief(tick));
  for (const [name, start] of stages) {
    if (start > low) shape(svg, "line", {class: "stage", x1: toX(start), x2: toX(start), y1: top, y2: height - bottom});
    shape(svg, "text", {x: toX(Math.max(start, low)) + 3, y: 11}, name);
  }
  for (const level of levels)
    shape(svg, "line", {class: "level " + level.color, x1: left, x2: width - right, y1: toY(level.y), y2: toY(level.y)});
  for (const line of lines)
    shape(svg, "path", {class: line.color + (line.dashed ? " dashed" : ""), d: pathOf(line.x, line.y, toX, toY)});
  const latest = lines.map(line => `${line.name} ${brief(line.y.at(-1))}`).join(", ");
  svg.setAttribute("aria-label", `${title} by epoch: ${latest}`);
  svg.positionOf = clientX => {
    const box = svg.getBoundingClientRect();
    return low + ((clientX - box.left) * width / box.width - left) / (width - left - right) * (high - low);
  };
}
function nearest(xs, x) {
  let from = 0, to = xs.length - 1;
  while (to - from > 1) {
    const middle = (from + to) >> 1;
    if (xs[middle] < x) from = middle; else to = middle;
  }
  return Math.abs(xs[from] - x) <= Math.abs(xs[to] - x) ? from : to;
}
