// The round that is under way: four stages on a rail, and every device's way through them.
import { byId, el, keyed, mark, say, setParts } from "./dom.js";
import { count, seconds, short } from "./format.js";

const MOST_LANES = 24;
const STAGE = { setup: 1, collect: 1, agree: 2, reveal: 3, done: 4, abandoned: 4 };
const WORDS = ["was asked", "sent", "agreed", "opened", "is in the sum", "is not in the sum"];

export function showRound(state) {
  const live = state.rounds.get(state.selected);
  const rail = byId("rail");
  say(byId("round-title"), live ? title(live) : "No round yet");
  mark(rail, "data-stage", live ? live.stage : null);
  byId("round").hidden = !live;
  const steps = live ? stepsOf(live) : [];
  keyed(rail, steps, (step) => step.name, makeStep, updateStep);
  showLanes(state, live);
  showClock(state);
}

export function showClock(state) {
  const live = state.rounds.get(state.selected);
  const now = Date.now() / 1000 + state.skew;
  let text = "";
  if (live && live.ended) text = `took ${seconds(live.ended - live.began)}`;
  else if (live) text = `${seconds(Math.max(0, now - live.began))}`;
  say(byId("round-clock"), text);
}

function title(live) {
  if (live.number === null) return live.ended ? `Set-up of an epoch: ${ending(live)}` : "Setting up an epoch";
  const what = `Round ${live.number + 1} of this epoch: ${live.step}, cycle ${live.cycle + 1}`;
  return live.ended ? `${what} (${ending(live)})` : what;
}

function ending(live) {
  if (live.stage === "done") return live.number === null ? "ready" : "opened";
  return `abandoned: ${live.reason}`;
}

function stepsOf(live) {
  const setup = live.number === null;
  const names = setup ? ["Asked", "Ready", "", ""] : ["Asked", "Sent", "Agreed", "Opened"];
  const numbers = [live.asked, live.sent, live.agreed, live.opened];
  return names
    .map((name, i) => ({ name, of: live.asked, value: numbers[i], now: STAGE[live.stage] === i, spans: live.spans, i }))
    .filter((step) => step.name);
}

function makeStep() {
  return el("li", {}, el("div", { class: "track" }, el("i")), el("b", { class: "num" }), el("span"));
}

function updateStep(item, step) {
  const [track, value, name] = item.children;
  setParts(track.firstElementChild, { part: step.of ? Math.min(1, step.value / step.of) : 0 });
  say(value, step.i === 0 ? count(step.value) : `${count(step.value)} of ${count(step.of)}`);
  const took = [null, step.spans.setup ?? step.spans.collect, step.spans.agree, step.spans.reveal][step.i];
  say(name, took ? `${step.name}, ${seconds(took)}` : step.name);
  mark(item, "aria-current", step.now ? "step" : null);
}

function showLanes(state, live) {
  const lanes = byId("lanes");
  const members = live ? live.members : [];
  const cells = members.length > MOST_LANES;
  if (lanes.classList.contains("cells") !== cells) {
    lanes.replaceChildren();
    lanes.classList.toggle("cells", cells);
  }
  const items = members.map((id, i) => ({ id, label: state.devices.get(id)?.label || short(id), at: live.states[i] }));
  const make = cells ? () => el("li") : makeLane;
  keyed(lanes, items, (item) => item.id, make, cells ? updateCell : updateLane);
}

function makeLane() {
  const steps = el("div", { class: "steps", role: "img" }, el("i"), el("i"), el("i"));
  return el("li", {}, el("span"), steps);
}

function updateLane(lane, item) {
  const [name, steps] = lane.children;
  say(name, item.label);
  mark(name, "title", item.label);
  mark(steps, "data-s", item.at);
  mark(steps, "aria-label", WORDS[Number(item.at)]);
}

function updateCell(cell, item) {
  mark(cell, "data-s", item.at);
  mark(cell, "title", `${item.label} ${WORDS[Number(item.at)]}`);
}
