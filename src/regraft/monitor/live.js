// The live page: takes the messages of the server, and shows runs and curves. Every text from outside is textContent.
"use strict";
const byId = id => document.getElementById(id);
let runs = new Map(), incoming = null, allowStop = false, skew = 0, source = null;
const chosen = new Map();  // name of a run → whether its curves are shown; runs without an entry are chosen by the page
const reports = new Set();  // names of the runs whose report is open
const MAX_POINTS = 2000, MAX_SHOWN = 8, MAX_CHARTS = 12;

function connect() {
  source = new EventSource("events");
  source.onopen = () => say("Live", false);
  source.onerror = () => {
    say("Connection lost; trying again …", true);
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
  };
  source.onmessage = event => take(JSON.parse(event.data));
}
function say(text, lost) {
  byId("connection").textContent = text;
  byId("connection").classList.toggle("lost", lost);
}
function take(message) {
  const all = incoming ?? runs;
  if (message.reset) {
    incoming = new Map();
    allowStop = message.allow_stop;
  } else if (message.complete) {
    if (incoming !== null) runs = incoming;
    incoming = null;
    skew = message.clock - Date.now() / 1000;
  } else if (message.gone) {
    all.delete(message.gone);
  } else if (message.curves) {
    const series = byName(message.curves.series);
    all.set(message.run, {...message.curves, series, status: message.status, count: message.status.count});
  } else if (message.points) {
    addPoints(all.get(message.run), message);
  } else if (message.status && all.has(message.run)) {
    const run = all.get(message.run), before = run.status.state;
    run.status = message.status;
    if (before === "running" && message.status.state === "finished") run.ended = true;
  }
  if (incoming === null) showSoon();
}
// Values by names from outside, which may be those of JavaScript itself, such as "constructor".
const byName = values => Object.assign(Object.create(null), values);
// Adds each point once: a message that comes twice is left out, and after a gap the page gets everything again.
function addPoints(run, {from, points, stages}) {
  if (run === undefined || from !== run.count) {
    if (run !== undefined && from + points.length <= run.count) return;
    source.close();
    connect();
    return;
  }
  run.count += points.length;
  run.stages = stages;
  for (const [x, named] of points) {
    const figures = byName(named);
    while (run.x.length && run.x.at(-1) >= x) {
      run.x.pop();
      for (const values of Object.values(run.series)) values.pop();
    }
    for (const name of Object.keys(figures)) run.series[name] ??= run.x.map(() => null);
    run.x.push(x);
    for (const [name, values] of Object.entries(run.series)) values.push(figures[name] ?? null);
  }
  if (run.x.length > MAX_POINTS) {
    const keep = (value, k, all) => k % 2 === 0 || k === all.length - 1;
    run.x = run.x.filter(keep);
    for (const name of Object.keys(run.series)) run.series[name] = run.series[name].filter(keep);
  }
}

let waiting = false;
function showSoon() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; show(); });
}
const clean = text => String(text).replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
  c => "\\x" + c.codePointAt(0).toString(16).padStart(2, "0"));
function element(name, attributes = {}, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}
// The words of run folders, such as states and labels, in the language of the page.
const WORDS = Object.assign(Object.create(null), JSON.parse(document.body.dataset.words ?? "{}"));
const told = word => {
  const number = /\d+(\.\d+)?/.exec(word)?.[0];
  return WORDS[word] ?? (number && WORDS[word.replace(number, "N")]?.replace("N", number)) ?? clean(word);
};
const noted = note => String(note).split(" · ").map(told).join(" · ");
const named = status => element("bdi", {}, clean(status.name));
const clock = seconds => {
  const whole = Math.max(0, Math.round(seconds)), h = Math.floor(whole / 3600), m = Math.floor(whole / 60) % 60;
  return (h ? h + ":" + String(m).padStart(2, "0") : m) + ":" + String(whole % 60).padStart(2, "0");
};
const percent = share => (100 * share).toFixed(1) + " %";
const now = () => Date.now() / 1000 + skew;
const ago = seconds => seconds < 90 ? `${Math.round(seconds)} s ago` : seconds < 5400 ? `${Math.round(seconds / 60)} min ago`
  : seconds < 129600 ? `${Math.round(seconds / 3600)} h ago` : `${Math.round(seconds / 86400)} days ago`;

const RANK = {running: 0, silent: 1, interrupted: 1, stopped: 1, finished: 2};
function ordered() {
  return [...runs.values()].sort((a, b) => RANK[a.status.state] - RANK[b.status.state]
    || (b.status.last ?? 0) - (a.status.last ?? 0) || (a.status.name < b.status.name ? -1 : 1));
}
function shownRuns(all) {
  const automatic = all.filter(run => run.status.state === "running" && run.x.length).slice(0, 4);
  const first = automatic.length ? automatic : all.filter(run => run.x.length).slice(0, 1);
  return all.filter(run => run.x.length && (chosen.get(run.status.name) ?? first.includes(run))).slice(0, MAX_SHOWN);
}
function show() {
  const all = ordered(), shown = shownRuns(all);
  shown.forEach((run, k) => { run.color = "c" + (k % 8 + 1); });
  showLead(all);
  showCharts(shown);
  byId("none").hidden = all.length > 0;
  showRuns(all, shown);
}
function showLead(all) {
  const running = all.filter(run => run.status.state === "running"), lead = byId("lead");
  if (!all.length) { lead.textContent = "Waiting for a run."; showFacts(null); return; }
  if (running.length === 1) lead.replaceChildren(named(running[0].status), `: ${doing(running[0])}`);
  else if (running.length) lead.textContent = `${running.length} runs in progress.`;
  else lead.replaceChildren("No run in progress. The last one: ", named(all[0].status), `, ${doing(all[0])}`);
  showFacts(running.length === 1 ? running[0].status : null);
}
// The figures that a person waits for, of the only run in progress: [name, value, note].
function showFacts(status) {
  const tiles = [], wait = status?.wait, budget = status?.budget_end ?? null, best = status?.now;
  if (wait) {
    tiles.push([told(wait.label), `${Math.floor(100 * wait.done / Math.max(1, wait.total))} %`, noted(wait.note)]);
    tiles.push(["time left", wait.seconds_left === null ? "–" : clock(wait.seconds_left),
      budget === null ? "of this stage" : `of this stage; ${clock(budget - now())} of the budget`]);
    tiles.push(["speed", wait.per_second ? brief(wait.per_second) : "–", `${told(wait.unit)} per second`]);
  }
  if (best) {
    const [name, value] = mainFigure(best.figures);
    tiles.push([status.kind !== "training" ? "best so far" : "if it stopped now", brief(value), `${name}, epoch ${brief(best.epoch)}`]);
  }
  if (status && status.probe !== null) tiles.push(["linear probe", percent(status.probe), "cross-validated"]);
  if (status?.memory) tiles.push(["memory", `${Math.round(status.memory / 1e6).toLocaleString("en")} MB`, ""]);
  byId("facts").replaceChildren(...tiles.map(([name, value, note]) => element("div", {}, element("dt", {}, name),
    element("dd", {}, value, element("small", {}, note)))));
}
function mainFigure(figures) {
  const names = Object.keys(figures).filter(name => figures[name] !== null);
  const name = ["val_accuracy", "val_loss", "accuracy", "loss"].find(n => names.includes(n)) ?? names[0];
  return [told(name), figures[name]];
}
function doing(run) {
  const {status} = run, wait = status.wait;
  if (wait) {
    const left = wait.seconds_left === null ? "" : `, ${clock(wait.seconds_left)} left`;
    return `${told(wait.label)} ${Math.floor(100 * wait.done / Math.max(1, wait.total))} %${left}.`;
  }
  if (status.headline) return `accuracy ${percent(status.headline.value)} on ${status.headline.n} photos.`;
  if (status.state === "running" && status.kind !== "training") return `${run.count.toLocaleString("en")} points so far.`;
  return status.state === "running" ? "in progress." : `${told(status.state)}.`;
}

const charts = new Map();
const SIDES = [["", true, "training"], ["val_", false, "validation"]];
function chartNames(shown) {
  const names = new Set(shown.flatMap(run => Object.keys(run.series)).map(name => name.replace(/^val_/, "")));
  const rank = name => ["accuracy", "loss"].includes(name) ? 0 : name === "learning_rate" ? 2 : 1;
  return [...names].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1)).slice(0, MAX_CHARTS);
}
function showCharts(shown) {
  byId("compare").hidden = !shown.length;
  byId("compare-title").textContent = shown.length > 1 ? "Side by side" : "Curves";
  const names = chartNames(shown);
  for (const [name, chart] of charts) if (!names.includes(name)) { chart.figure.remove(); charts.delete(name); }
  names.forEach((name, k) => {
    const chart = charts.get(name) ?? newChart(name);
    if (byId("charts").children[k] !== chart.figure) byId("charts").insertBefore(chart.figure, byId("charts").children[k] ?? null);
    chart.data = chartData(name, shown);
    drawChart(chart.svg, chart.data);
    showKey(chart, null);
  });
}
function newChart(name) {
  const svg = document.createElementNS(SVG, "svg"), key = element("ul", {class: "key"});
  svg.setAttribute("class", "chart");
  svg.setAttribute("role", "img");
  const figure = element("figure", {}, element("h3", {}, told(name)), svg, key), chart = {figure, svg, key};
  svg.addEventListener("pointermove", event => showKey(chart, svg.positionOf(event.clientX)));
  svg.addEventListener("pointerleave", () => showKey(chart, null));
  charts.set(name, chart);
  return chart;
}
function chartData(name, shown) {
  const several = shown.length > 1, lines = [], levels = [];
  for (const run of shown) {
    const label = several ? clean(run.status.name) : "";
    for (const [prefix, dashed, side] of SIDES) {
      const y = run.series[prefix + name];
      if (y === undefined) continue;
      const both = run.series["val_" + name] !== undefined && run.series[name] !== undefined;
      lines.push({name: [label, both ? told(side) : ""].filter(Boolean).join(" · ") || told(name), x: run.x, y,
        color: !several && both && dashed ? "c2" : run.color, dashed: dashed && both});
    }
    if (name === "accuracy" && run.status.probe !== null)
      levels.push({name: [label, "linear probe"].filter(Boolean).join(" · "), y: run.status.probe, color: several ? run.color : "c3"});
  }
  const stages = several ? [] : shown[0].stages.filter(([stage]) => stage).map(([stage, x]) => [told(stage), x]);
  return {title: told(name), lines, levels, stages};
}
// The key of a chart: the latest values, or those at the pointer.
function showKey(chart, x) {
  const items = chart.data.lines.map(line => {
    const k = x === null ? line.x.length - 1 : nearest(line.x, x);
    return [line, x === null ? brief(line.y[k]) : `${brief(line.y[k])} at ${brief(line.x[k])}`, line.dashed ? " dashed" : ""];
  });
  items.push(...chart.data.levels.map(level => [level, percent(level.y), " level"]));
  chart.key.replaceChildren(...items.map(([line, value, style]) => {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("class", "chart-key");
    svg.setAttribute("aria-hidden", "true");
    svg.setAttribute("viewBox", "0 0 22 10");
    shape(svg, "path", {class: line.color + style, d: "M1 5H21"});
    return element("li", {}, svg, element("bdi", {}, line.name), " ", element("b", {}, value));
  }));
}
connect();
