// Dreams as they form: one picture from the aggregator, cut into tiles here.
import { byId, el, keyed, mark, say } from "./dom.js";
import { get } from "./net.js";

const PAUSE_MS = 900;

export class GalleryView {
  constructor() {
    this.shown = null;
    this.busy = false;
    this.last = 0;
    this.timer = 0;
  }

  /** Fetch and show the chosen task's dreams, now and then while they change. */
  show(state) {
    const task = state.tasks.get(state.selected);
    if (!task || !task.drawable) {
      byId("gallery").hidden = true;
      return;
    }
    const wanted = `${task.id}:${task.sums}:${task.phase}`;
    if (this.shown === wanted || this.busy) return;
    const wait = this.last + PAUSE_MS - Date.now();
    clearTimeout(this.timer);
    if (wait > 0) this.timer = setTimeout(() => this.show(state), wait);
    else this.fetch(state, task, wanted);
  }

  async fetch(state, task, wanted) {
    this.busy = true;
    this.last = Date.now();
    try {
      const layout = await get(`/api/tasks/${task.id}/dreams`);
      if (layout.labels.length) {
        const picture = await load(`/api/tasks/${task.id}/dreams.png?v=${layout.version}`);
        if (state.selected === task.id) draw(task, layout, picture);
      } else if (state.selected === task.id) byId("gallery").hidden = true;
      this.shown = wanted;
    } catch {
      this.shown = null; // the next news tries again
    } finally {
      this.busy = false;
    }
    if (state.tasks.get(state.selected)) this.show(state);
  }
}

async function load(path) {
  const picture = new Image();
  picture.src = path;
  await picture.decode();
  return picture;
}

function draw(task, layout, picture) {
  byId("gallery").hidden = false;
  const newest = layout.cycles.at(-1);
  const over = ["done", "failed", "cancelled"].includes(task.phase);
  const cycles = [...new Set(layout.cycles)].reverse();
  say(byId("gallery-note"), over ? `${cycles.length} cycles` : `cycle ${newest}, forming`);
  keyed(byId("dreams"), cycles, (cycle) => cycle, makeCycle, (row, cycle) => {
    const forming = cycle === newest;
    row.classList.toggle("forming", forming);
    say(row.firstElementChild, forming && !over ? `Cycle ${cycle}, as it forms` : `Cycle ${cycle}`);
    const places = layout.cycles.flatMap((of, place) => (of === cycle ? [place] : []));
    keyed(row.lastElementChild, places.map((place, i) => ({ i, place, label: layout.labels[place] })), (tile) => tile.i, makeTile, (item, tile) => paint(item, tile, layout, picture, cycle));
  });
}

function makeCycle() {
  return el("div", { class: "cycle" }, el("h4"), el("ul"));
}

function makeTile() {
  return el("li", {}, el("canvas", { role: "img" }), el("span", { "aria-hidden": "true" }));
}

function paint(item, tile, layout, picture, cycle) {
  const [canvas, label] = item.children;
  const { width, height, columns } = layout;
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const x = (tile.place % columns) * width;
  const y = Math.floor(tile.place / columns) * height;
  canvas.getContext("2d").drawImage(picture, x, y, width, height, 0, 0, width, height);
  mark(canvas, "aria-label", `Dream of class ${tile.label}, cycle ${cycle}`);
  say(label, String(tile.label));
}
