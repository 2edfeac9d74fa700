// What the page knows: a snapshot, then news on top of it. Nothing here touches the document.

const MOST_ROUNDS = 400;
const MOST_LINES = 60;

export function emptyState() {
  return {
    session: { rank: null, csrf: "", signed_in: false },
    tasks: new Map(), rounds: new Map(), devices: new Map(),
    totals: { here: 0, known: 0, up: 0, down: 0 },
    pasts: new Map(), dreams: new Map(), selected: null, filter: "", skew: 0,
  };
}

/** Begin anew with a snapshot. */
export function restart(state, snapshot) {
  state.tasks = new Map(snapshot.tasks.map((task) => [task.id, task]));
  state.rounds = new Map(snapshot.rounds.map((round) => [round.task, round]));
  state.devices = new Map(snapshot.devices.map((device) => [device.id, device]));
  state.totals = snapshot.totals;
  state.skew = snapshot.now - Date.now() / 1000;
  state.pasts.clear();
  if (!state.tasks.has(state.selected)) state.selected = preferred(state);
}

/** Take one piece of news in. */
export function take(state, kind, news) {
  if (kind === "round") {
    const known = state.rounds.get(news.task);
    if (!known || known.key <= news.key) state.rounds.set(news.task, news);
  } else if (kind === "devices") {
    for (const device of news.changed) state.devices.set(device.id, device);
    state.totals = news.totals;
  } else if (kind === "report") {
    const { task, line, past, point } = news;
    state.tasks.set(task.id, task);
    if (!state.tasks.has(state.selected)) state.selected = preferred(state);
    const known = state.pasts.get(task.id);
    if (known && line.number > known.last) {
      known.last = line.number;
      push(known.lines, line, MOST_LINES);
      if (past) {
        push(known.rounds, past, MOST_ROUNDS);
        if (!past.closed) known.reasons[past.reason] = (known.reasons[past.reason] ?? 0) + 1;
      }
      if (point) known.points.push(point);
    }
  }
}

/** The task to show first: the newest that is under way, else the newest. */
export function preferred(state) {
  const all = [...state.tasks.values()];
  const open = all.filter((task) => !over(task));
  return (open[0] ?? all[all.length - 1])?.id ?? null;
}

export const over = (task) => ["done", "failed", "cancelled"].includes(task.phase);

/** Epsilon of a task as far as its past is known, null without. */
export function epsilonOf(past) {
  const found = past?.points.findLast((point) => point.epsilon !== null);
  return found ? found.epsilon : null;
}

function push(list, item, most) {
  list.push(item);
  if (list.length > most) list.splice(0, list.length - most);
}
