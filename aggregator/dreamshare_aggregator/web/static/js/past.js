// Rounds that are over, newest first: a strip to glance at, a table to read, reasons, and a log.
import { byId, el, keyed, mark, say, setParts } from "./dom.js";
import { count, seconds, total } from "./format.js";

const BAR = 9; // pixels, its gap included
const MOST_ROWS = 40;

export function showPast(state) {
  const past = state.pasts.get(state.selected);
  const fits = Math.max(10, Math.floor(byId("strip").clientWidth / BAR));
  const rounds = past ? past.rounds.slice(-fits).reverse() : [];
  const longest = Math.max(0.001, ...rounds.map((round) => total(round.spans)));
  const strip = byId("strip");
  keyed(strip, rounds, (round) => round.number, makeBar, (bar, round) => updateBar(bar, round, longest));
  const task = state.tasks.get(state.selected);
  const sums = task ? task.sums : 0;
  const lost = task ? task.abandoned : 0;
  const told = `${count(sums)} opened, ${count(lost)} abandoned`;
  say(byId("past-note"), told);
  mark(strip, "aria-label", `The newest ${rounds.length} rounds, newest first: ${told}`);
  byId("strip").parentElement.querySelector("details").hidden = rounds.length === 0;
  const reasons = Object.entries(past ? past.reasons : {});
  keyed(byId("reasons"), reasons, ([why]) => why, () => el("li"), (item, [why, times]) => say(item, `${why || "given up"} × ${times}`));
  showTable(rounds.slice(0, MOST_ROWS));
  showLog(past ? past.lines : []);
}

export function watchStrip() {
  byId("strip").addEventListener("pointerover", (event) => {
    const bar = event.target.closest("i");
    if (bar) say(byId("strip-tell"), bar.dataset.tell);
  });
  byId("strip").addEventListener("pointerleave", () => say(byId("strip-tell"), "\u00a0"));
}

function makeBar() {
  return el("i");
}

function updateBar(bar, round, longest) {
  if (bar.childElementCount === 0) {
    const whole = total(round.spans) || 1;
    for (const [stage, took] of Object.entries(round.spans)) bar.append(el("u", { "data-t": stage, parts: { f: took / whole } }));
    mark(bar, "data-tell", sentence(round));
    mark(bar, "data-lost", round.closed ? null : "");
  }
  // The square root, so that short rounds beside a long one can still be told apart.
  const known = total(round.spans);
  setParts(bar, { h: known ? Math.sqrt(known / longest) : 0.35 });
}

function sentence(round) {
  const known = total(round.spans);
  const took = known ? `, ${seconds(known)}` : "";
  const what = `${round.step}, cycle ${round.cycle + 1}`;
  if (!round.closed) return `${what}: abandoned, ${round.reason}${took}`;
  return `${what}: sum over ${round.survivors} of ${round.roster}${took}`;
}

function showTable(rounds) {
  const table = byId("past-table");
  if (table.childElementCount === 0) {
    const names = ["Round", "Step", "Cycle", "Devices", "Took", "Outcome"];
    table.append(el("thead", {}, el("tr", {}, ...names.map((text) => el("th", { scope: "col", text })))), el("tbody"));
  }
  keyed(table.tBodies[0], rounds, (round) => round.number, makeRow, () => {});
}

function makeRow(round) {
  const known = total(round.spans);
  const cells = [round.number, round.step, round.cycle + 1, round.closed ? `${round.survivors} of ${round.roster}` : "none", known ? seconds(known) : "unknown"];
  const outcome = round.closed ? el("td", { text: "opened" }) : el("td", { class: "lost", text: round.reason || "abandoned" });
  return el("tr", {}, ...cells.map((text) => el("td", { text })), outcome);
}

function showLog(lines) {
  keyed(byId("log"), [...lines].reverse(), (line) => line.number, makeLine, () => {});
}

function makeLine(line) {
  const made = el("li", { "data-event": line.event }, el("span", { class: "num", text: line.number }), el("b", { text: line.event }), el("span", { text: line.detail }));
  return made;
}
