// The list of runs on the live page: a card for each, made once and changed where something is new.
"use strict";
const cards = new Map();
function showRuns(all, shown) {
  const numbers = new Map([...runs].map(([number, run]) => [run, number])), used = new Set();
  all.forEach((run, k) => {
    const number = numbers.get(run);
    let card = cards.get(run.status.name);
    if (card === undefined) cards.set(run.status.name, card = newCard(run.status.name));
    card.number = number;
    used.add(run.status.name);
    const list = byId("runs");
    if (list.children[k] !== card.box) list.insertBefore(card.box, list.children[k] ?? null);
    showCard(card, run, shown.includes(run));
  });
  for (const [name, card] of cards) if (!used.has(name)) { card.box.remove(); cards.delete(name); }
}
function newCard(name) {
  const show = element("input", {type: "checkbox", "aria-label": `Show the curves of ${clean(name)}`});
  const title = element("h3"), progress = element("progress", {max: 1, "aria-label": `Progress of ${clean(name)}`});
  const lines = element("div"), buttons = element("div", {class: "row"}), spark = document.createElementNS(SVG, "svg");
  spark.setAttribute("class", "spark");
  spark.setAttribute("aria-hidden", "true");
  const report = element("button", {type: "button"}, "Report"), stop = element("button", {type: "button"}, "Stop");
  const open = element("a", {target: "_blank", rel: "noopener"}, "open in a new tab");
  buttons.append(report, open, stop);
  const middle = element("div", {}, title, progress, lines, buttons);
  const box = element("article", {class: "run"}, show, middle, spark), card = {box, show, title, progress, lines, spark};
  show.addEventListener("change", () => { chosen.set(name, show.checked); showSoon(); });
  report.addEventListener("click", () => { reports.has(name) ? reports.delete(name) : reports.add(name); showSoon(); });
  stop.addEventListener("click", () => stopRun(card, stop));
  return Object.assign(card, {report, open, stop, shown: ""});
}
function showCard(card, run, isShown) {
  const {status} = run;
  card.show.checked = isShown;
  card.show.disabled = !run.x.length;
  const lines = facts(run), key = JSON.stringify([status.state, lines, run.count, isShown, run.color, card.number, allowStop]);
  if (run.ended && status.report) { reports.add(status.name); run.ended = false; }
  showReport(card, status);
  if (key === card.shown) return;
  card.shown = key;
  card.box.dataset.count = run.count;
  card.box.dataset.state = status.state;
  card.title.replaceChildren(named(status), element("span", {class: "chip " + status.state}, told(status.state)));
  card.progress.hidden = !status.wait;
  if (status.wait) card.progress.value = status.wait.done / Math.max(1, status.wait.total);
  card.lines.replaceChildren(...lines.map(([text, kind]) => element("p", kind ? {class: kind} : {}, text)));
  card.stop.hidden = !(allowStop && status.state === "running" && status.kind === "training");
  showSpark(card.spark, run, isShown);
}
function showReport(card, status) {
  const url = `runs/${card.number}/report`, isOpen = status.report && reports.has(status.name);
  card.report.hidden = card.open.hidden = !status.report;
  card.report.setAttribute("aria-expanded", String(Boolean(isOpen)));
  card.open.href = url;
  const frame = card.box.querySelector("iframe");
  if (isOpen && frame === null) card.box.append(element("iframe", {src: url, title: `Report of ${clean(status.name)}`}));
  if (!isOpen && frame !== null) frame.remove();
}
// The lines of a card: [text, class].
function facts(run) {
  const {status} = run, {wait} = status, lines = [];
  if (status.problem) lines.push([status.problem, "problem"]);
  if (wait) lines.push([[`${told(wait.label)} ${wait.done.toLocaleString("en")} of ${wait.total.toLocaleString("en")} ${told(wait.unit)}`,
    wait.per_second ? `${brief(wait.per_second)} ${told(wait.unit)}/s` : "",
    wait.seconds_left === null ? "" : `${clock(wait.seconds_left)} left`, noted(wait.note)].filter(Boolean).join(" · "), "figure"]);
  if (status.headline) {
    const {value, interval, n, photos, optimistic} = status.headline;
    const range = interval && interval[0] !== null ? ` (${(100 * interval[0]).toFixed(1)} – ${percent(interval[1])})` : "";
    lines.push([`accuracy ${percent(value)}${range} on ${n} ${told(photos)} photos${optimistic ? ", optimistic" : ""}`, "figure"]);
  } else if (status.now && status.state !== "finished") {
    const figures = Object.entries(status.now.figures).filter(([name, value]) => value !== null && name !== "learning_rate");
    const first = figures.sort(([a], [b]) => b.startsWith("val_") - a.startsWith("val_")).slice(0, 3);
    const texts = first.map(([name, value]) => `${told(name)} ${brief(value)}`);
    const label = status.kind === "training" && status.state === "running" ? "if it stopped now" : "best so far";
    lines.push([`${label}: epoch ${brief(status.now.epoch)}, ${texts.join(" · ")}`, ""]);
  }
  if (status.probe !== null) lines.push([`linear probe ${percent(status.probe)}, cross-validated`, ""]);
  const budget = status.budget_end === null ? "" : `${clock(status.budget_end - now())} of the budget left`;
  const memory = status.memory ? `${Math.round(status.memory / 1e6).toLocaleString("en")} MB memory` : "";
  const points = run.count ? (run.count === 1 ? "1 point" : `${run.count.toLocaleString("en")} points`) : "";
  const last = status.last && status.state !== "running" ? ago(now() - status.last) : "";
  lines.push([[clean(status.recipe), budget, memory, points, last].filter(Boolean).join(" · "), ""]);
  return lines;
}
async function stopRun(card, button) {
  button.disabled = true;
  button.textContent = "Stopping …";
  const answer = await fetch(`runs/${card.number}/stop`, {method: "POST"}).catch(() => null);
  if (answer === null || !answer.ok) { button.textContent = "Stop"; button.disabled = false; }
}
// A small curve beside each run: validation accuracy if there is one, else the first figure.
function showSpark(svg, run, isShown) {
  svg.replaceChildren();
  const names = Object.keys(run.series), name = ["val_accuracy", "accuracy", "val_loss", "loss"].find(n => names.includes(n)) ?? names[0];
  if (name === undefined) return;
  const step = Math.max(1, Math.floor(run.x.length / 120)), every = (value, k) => k % step === 0;
  const xs = run.x.filter(every), ys = run.series[name].filter(every), [low, high] = limits(ys);
  svg.setAttribute("viewBox", "0 0 132 40");
  svg.setAttribute("preserveAspectRatio", "none");
  const from = xs[0], to = xs.length > 1 ? xs.at(-1) : from + 1;
  shape(svg, "path", {class: isShown ? run.color : "c8", "vector-effect": "non-scaling-stroke",
    d: pathOf(xs, ys, x => 2 + 128 * (x - from) / (to - from), y => 38 - 36 * (y - low) / (high - low))});
}
setInterval(() => { if (runs.size) showSoon(); }, 1000);
addEventListener("resize", showSoon);
