// The figures at the top, the list of tasks, the chosen task's head, and the devices.
import { byId, el, keyed, mark, say, setParts } from "./dom.js";
import { ago, bytes, bytesText, count, short } from "./format.js";
import { epsilonOf, over } from "./store.js";

const MOST_DEVICES = 100;

export function showFigures(state) {
  const { totals } = state;
  const tasks = [...state.tasks.values()];
  const add = (name) => tasks.reduce((sum, task) => sum + task[name], 0);
  const [up, upUnit] = bytes(totals.up);
  const [down, downUnit] = bytes(totals.down);
  const spent = Math.max(...[...state.pasts.values()].map((past) => epsilonOf(past) ?? 0), 0);
  const figures = [
    ["Devices here", count(totals.here), `of ${count(totals.known)}`],
    ["Sums opened", count(add("sums")), ""],
    ["Rounds abandoned", count(add("abandoned")), ""],
    ["Epsilon spent", spent ? spent.toFixed(2) : "none", ""],
    ["Data", `${up} ${upUnit}`, `up, ${down} ${downUnit} down`],
  ];
  keyed(byId("figures"), figures, ([name]) => name, ([name]) => el("div", {}, el("dt", { text: name }), el("dd", {}, el("span"), " ", el("small"))), (item, [, value, note]) => {
    const [shown, , small] = item.lastElementChild.childNodes;
    say(shown, value);
    say(small, note);
  });
}

export function showTasks(state, choose) {
  const tasks = [...state.tasks.values()].reverse();
  tasks.sort((one, other) => Number(over(one)) - Number(over(other)));
  byId("no-tasks").hidden = tasks.length > 0;
  keyed(byId("tasks"), tasks, (task) => task.id, (task) => makeTask(task, choose), (item, task) => updateTask(item, task, state));
}

function makeTask(task, choose) {
  const button = el("button", { type: "button" }, el("span", { class: "top" }, el("b"), el("span", { class: "chip" })), el("small"));
  button.addEventListener("click", () => choose(task.id));
  return el("li", {}, button);
}

function updateTask(item, task, state) {
  const button = item.firstElementChild;
  const [name, chip] = button.firstElementChild.children;
  say(name, nameOf(task));
  chipOf(chip, task);
  const now = Date.now() / 1000 + state.skew;
  say(button.lastElementChild, `${task.algorithm}, ${count(task.sums)} ${task.sums === 1 ? "sum" : "sums"}, ${ago(task.submitted, now)}`);
  mark(button, "aria-current", task.id === state.selected ? "true" : null);
}

export function showHead(state) {
  const task = state.tasks.get(state.selected);
  byId("task-body").hidden = !task;
  if (!task) return;
  say(byId("task-title"), nameOf(task));
  say(byId("task-detail"), task.detail);
  chipOf(byId("task-phase"), task);
  const acts = state.session.rank === "operator" && !over(task);
  byId("cancel").hidden = !acts;
  byId("rest").hidden = !acts;
  say(byId("rest"), task.phase === "paused" ? "Resume task" : "Pause task");
  const meter = byId("task-progress");
  meter.hidden = !task.cycles;
  if (task.cycles) {
    const done = task.phase === "done" ? task.cycles : Math.min(task.cycle, task.cycles);
    setParts(meter.firstElementChild, { part: done / task.cycles });
    mark(meter, "aria-label", `Cycle ${done} of ${task.cycles}`);
    mark(meter, "data-over", ["failed", "cancelled"].includes(task.phase) ? "" : null);
  }
}

const nameOf = (task) => task.name || `${task.algorithm} ${short(task.id)}`;

function chipOf(chip, task) {
  say(chip, task.phase);
  mark(chip, "data-phase", task.phase);
}

export function showDevices(state) {
  const wanted = state.filter.trim().toLowerCase();
  const all = [...state.devices.values()];
  const found = all.filter((device) => !wanted || device.label.toLowerCase().includes(wanted) || device.id.includes(wanted));
  found.sort((one, other) => Number(other.here) - Number(one.here) || one.label.localeCompare(other.label) || one.id.localeCompare(other.id));
  const shown = found.slice(0, MOST_DEVICES);
  byId("no-devices").hidden = all.length > 0;
  keyed(byId("devices"), shown, (device) => device.id, makeDevice, updateDevice);
  const rest = Math.max(state.totals.known, all.length) - shown.length;
  say(byId("devices-note"), rest > 0 ? `${count(rest)} more are not listed here; filter to find them.` : "");
}

function makeDevice() {
  return el("li", {}, el("span", { class: "dot", role: "img" }), el("b"), el("code"), el("span", { class: "num" }), el("span", { class: "num" }));
}

function updateDevice(item, device) {
  const [dot, name, id, up, down] = item.children;
  mark(dot, "data-here", device.here);
  mark(dot, "aria-label", device.here ? "here" : "away");
  mark(item, "title", device.here ? `computes ${device.algorithms.join(", ")}` : "away");
  say(name, device.label || short(device.id));
  say(id, short(device.id));
  say(up, `${bytesText(device.up)} ↑`);
  say(down, `${bytesText(device.down)} ↓`);
}
