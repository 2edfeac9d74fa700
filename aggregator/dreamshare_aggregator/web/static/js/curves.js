// Accuracy, loss and epsilon over the sums of a task, drawn by uPlot (vendored beside this page).
import { byId, mark, say, setParts } from "./dom.js";
import { epsilonOf } from "./store.js";
import { percent } from "./format.js";

/* global uPlot */

export class Curves {
  constructor() {
    this.plots = new Map();
    this.drawn = new Map();
    new ResizeObserver(() => this.resize()).observe(document.body);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.repaint());
  }

  show(state) {
    const past = state.pasts.get(state.selected);
    const task = state.tasks.get(state.selected);
    const points = past ? past.points : [];
    const accuracy = points.filter((point) => point.accuracy !== null);
    const loss = points.filter((point) => point.loss !== null);
    byId("curves").hidden = accuracy.length + loss.length === 0;
    say(byId("accuracy-now"), accuracy.length ? percent(accuracy.at(-1).accuracy) : "");
    say(byId("loss-now"), loss.length ? loss.at(-1).loss.toFixed(3) : "");
    this.draw("accuracy", state.selected, accuracy.map((p) => [p.sums, p.accuracy * 100]), "accuracy, %");
    this.draw("loss", state.selected, loss.map((p) => [p.sums, p.loss]), "loss, nats");
    this.privacy(state, task, past, points);
  }

  privacy(state, task, past, points) {
    const spent = epsilonOf(past);
    byId("privacy").hidden = !task || !task.noisy;
    if (byId("privacy").hidden) return;
    const of = task.budget ? ` of ${task.budget}` : "";
    say(byId("epsilon-now"), spent === null ? `ε 0${of}` : `ε ${spent.toFixed(3)}${of}`);
    const meter = byId("epsilon-meter");
    meter.hidden = !task.budget;
    if (task.budget) {
      setParts(meter.firstElementChild, { part: Math.min(1, (spent ?? 0) / task.budget) });
      mark(meter, "aria-label", `Epsilon ${(spent ?? 0).toFixed(3)} of ${task.budget}`);
    }
    const line = points.filter((p) => p.epsilon !== null).map((p) => [p.sums, p.epsilon]);
    this.draw("epsilon", state.selected, line, "epsilon");
  }

  draw(id, task, line, name) {
    const place = byId(id);
    if (place.offsetParent === null) return;
    const stamp = `${task}:${line.length}:${line.at(-1)}`;
    if (this.drawn.get(id) === stamp) return;
    this.drawn.set(id, stamp);
    const last = line.at(-1);
    mark(place, "aria-label", last ? `${name}: ${line.length} points, now ${last[1].toPrecision(4)} after ${last[0]} sums` : `${name}: none yet`);
    const data = [line.map((point) => point[0]), line.map((point) => point[1])];
    const plot = this.plots.get(id);
    if (plot) plot.setData(data);
    else this.plots.set(id, new uPlot(options(place, name), data, place));
  }

  resize() {
    for (const [id, plot] of this.plots) {
      const place = byId(id);
      if (place.clientWidth && place.clientWidth !== plot.width) plot.setSize({ width: place.clientWidth, height: place.clientHeight });
    }
  }

  /** The theme changed: canvases do not follow custom properties by themselves. */
  repaint() {
    for (const plot of this.plots.values()) plot.destroy();
    this.plots.clear();
    this.drawn.clear();
  }
}

function options(place, name) {
  const colours = getComputedStyle(document.documentElement);
  const colour = (of) => colours.getPropertyValue(`--${of}`).trim();
  const font = "11px system-ui, sans-serif";
  const axis = { stroke: colour("muted"), font, grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, gap: 6 };
  const accent = colour("accent");
  return {
    width: place.clientWidth, height: place.clientHeight, padding: [8, 8, 0, 0],
    legend: { show: false }, scales: { x: { time: false, range: wide }, y: { range: roomy } },
    cursor: { drag: { x: false, y: false }, points: { size: 8 } },
    axes: [{ ...axis, size: 26, grid: { show: false }, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000] }, { ...axis, size: 44 }],
    series: [{ label: "sums" }, { label: name, stroke: accent, width: 2, spanGaps: true, fill: `${accent}1c`, points: { show: true, size: 6, fill: colour("card"), stroke: accent } }],
  };
}

function wide(_plot, low, high) {
  return low === high || low === null ? [(low ?? 0) - 1, (high ?? 0) + 1] : [low, high];
}

function roomy(_plot, low, high) {
  if (low === null) return [0, 1];
  const room = Math.max((high - low) * 0.12, Math.abs(high) * 0.05, 1e-3);
  return [Math.max(0, low - room), high + room];
}
