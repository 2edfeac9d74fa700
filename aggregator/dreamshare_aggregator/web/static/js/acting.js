// What an operator changes: submit a task, pause, resume or cancel one. What cannot be undone asks first.
import { byId, el, mark } from "./dom.js";
import { change, get } from "./net.js";

export class Acting {
  constructor(state, chosen) {
    this.state = state;
    this.chosen = chosen;
    this.templates = null;
    this.acting = false;
    byId("new-task").addEventListener("click", () => this.open());
    byId("form-close").addEventListener("click", () => byId("form").close());
    byId("task-form").addEventListener("submit", (event) => this.submit(event));
    byId("task-form").elements.algorithm.addEventListener("change", () => this.fill());
    byId("rest").addEventListener("click", () => this.rest());
    byId("cancel").addEventListener("click", () => this.ask());
    byId("confirm").addEventListener("close", () => this.confirmed());
  }

  async open() {
    if (this.templates === null) {
      this.templates = await get("/api/algorithms");
      const options = Object.keys(this.templates).map((name) => el("option", { value: name, text: name }));
      byId("task-form").elements.algorithm.replaceChildren(...options);
      this.fill();
    }
    this.fault("");
    byId("form").showModal();
  }

  fill() {
    const { algorithm, config } = byId("task-form").elements;
    config.value = this.templates[algorithm.value];
  }

  async submit(event) {
    event.preventDefault();
    const { algorithm, name, least, most, seed, epsilon, config } = byId("task-form").elements;
    let values;
    try {
      values = JSON.parse(config.value || "{}");
    } catch (error) {
      this.fault(`The config is not JSON: ${error.message}`);
      return;
    }
    const order = {
      algorithm: algorithm.value, name: name.value.trim(), config: values, least: least.valueAsNumber,
      most: most.valueAsNumber, seed: seed.valueAsNumber, epsilon: epsilon.valueAsNumber,
    };
    try {
      const { id } = await change("/api/tasks", this.state.session.csrf, order);
      byId("form").close();
      this.chosen(id);
    } catch (error) {
      this.fault(error.message);
    }
  }

  fault(text) {
    byId("form-error").textContent = text;
    byId("form-error").hidden = text === "";
  }

  /** Pause the task, or resume it: one button, so that whoever presses it by keyboard stays on it. */
  async rest() {
    const task = this.state.tasks.get(this.state.selected);
    await this.act("rest", task.id, task.phase === "paused" ? "resume" : "pause");
  }

  ask() {
    const task = this.state.tasks.get(this.state.selected);
    this.asked = task.id;
    byId("confirm-text").textContent = `${task.name || task.algorithm}: ${task.detail}`;
    byId("confirm").returnValue = "no";
    byId("confirm").showModal();
  }

  async confirmed() {
    if (byId("confirm").returnValue !== "yes") return;
    await this.act("cancel", this.asked, "cancel");
  }

  /** Ask for a change of a task; its button takes no second press meanwhile. */
  async act(button, task, verb) {
    if (this.acting) return;
    this.acting = true;
    mark(byId(button), "aria-busy", "true");
    try {
      await change(`/api/tasks/${task}/${verb}`, this.state.session.csrf);
    } catch (error) {
      toast(error.message);
    } finally {
      this.acting = false;
      mark(byId(button), "aria-busy", null);
    }
  }
}

export function toast(text) {
  const shown = byId("toast");
  shown.textContent = text;
  shown.hidden = false;
  setTimeout(() => { shown.hidden = true; }, 6000);
}
