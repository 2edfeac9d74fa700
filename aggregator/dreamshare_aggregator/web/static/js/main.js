// The page: sign in, fetch a snapshot, follow the news, draw what changed.
import { Acting, toast } from "./acting.js";
import { Curves } from "./curves.js";
import { byId, mark, say } from "./dom.js";
import { GalleryView } from "./gallery.js";
import { showDevices, showFigures, showHead, showTasks } from "./lists.js";
import { follow, get, signIn, signOut } from "./net.js";
import { showPast, watchStrip } from "./past.js";
import { showClock, showRound } from "./round.js";
import { emptyState, restart, take } from "./store.js";

const LINK = { on: "live", lost: "connection lost, trying again", off: "connecting" };
const state = emptyState();
const curves = new Curves();
const gallery = new GalleryView();
let source = null;
let drawing = 0;
let loading = false;
const fetching = new Set();

new Acting(state, choose);
watchStrip();
setInterval(() => showClock(state), 500);
byId("filter").addEventListener("input", (event) => { state.filter = event.target.value; draw(); });
byId("theme").addEventListener("click", changeTheme);
byId("sign-in-form").addEventListener("submit", submitToken);
byId("sign-out").addEventListener("click", leave);
addEventListener("hashchange", () => { if (!tokenInHash()) choose(taskInHash(), false); });

async function start() {
  const token = tokenInHash();
  if (token !== null) {
    history.replaceState(null, "", "/"); // the token leaves the address bar, and the history
    if (!(await enter(token))) return;
  } else state.session = await get("/api/session").catch(() => state.session);
  state.selected = taskInHash();
  await load();
}

async function load() {
  if (loading) return;
  loading = true;
  const inside = state.session.rank !== null;
  byId("sign-in").hidden = inside;
  byId("page").hidden = !inside;
  byId("sign-out").hidden = !state.session.signed_in;
  byId("new-task").hidden = state.session.rank !== "operator";
  source?.close();
  try {
    if (inside) {
      const snapshot = await get("/api/state");
      restart(state, snapshot);
      source = follow(snapshot.at, { link, reset: load, closed: again, news });
      draw();
    } else byId("token").focus();
  } catch (error) {
    if (error.status === 401) state.session = { rank: null, csrf: "", signed_in: false };
    again();
  } finally {
    loading = false;
  }
}

function news(kind, data) {
  take(state, kind, data);
  draw();
}

function link(now) {
  mark(byId("pulse"), "data-state", now);
  say(byId("pulse"), LINK[now]);
}

/** The stream is closed for good: the session may be over, or the aggregator is starting again. */
function again() {
  link("lost");
  setTimeout(async () => {
    state.session = await get("/api/session").catch(() => state.session);
    await load();
  }, 2000);
}

function draw() {
  if (drawing) return;
  drawing = requestAnimationFrame(() => {
    drawing = 0;
    showFigures(state);
    showTasks(state, choose);
    showHead(state);
    showRound(state);
    showPast(state);
    curves.show(state);
    gallery.show(state);
    showDevices(state);
    fetchPast();
  });
}

async function fetchPast() {
  const id = state.selected;
  if (!id || state.pasts.has(id) || fetching.has(id)) return;
  fetching.add(id);
  try {
    state.pasts.set(id, await get(`/api/tasks/${id}`));
    draw();
  } catch (error) {
    toast(error.message);
  } finally {
    fetching.delete(id);
  }
}

function choose(id, note = true) {
  if (id === null) return;
  state.selected = id;
  if (note) history.replaceState(null, "", `#task=${id}`);
  draw();
}

function inHash(name) {
  return new URLSearchParams(location.hash.slice(1)).get(name);
}

function tokenInHash() {
  return inHash("token");
}

function taskInHash() {
  const id = inHash("task");
  return id && /^[0-9a-f]{32}$/.test(id) ? id : null;
}

async function submitToken(event) {
  event.preventDefault();
  const token = byId("token").value;
  if (await enter(token)) await load();
}

async function enter(token) {
  const fault = byId("sign-in-error");
  fault.hidden = true;
  try {
    state.session = await signIn(token);
    byId("token").value = "";
    return true;
  } catch (error) {
    byId("sign-in").hidden = false;
    fault.textContent = error.message;
    fault.hidden = false;
    return false;
  }
}

async function leave() {
  state.session = await signOut();
  source?.close();
  mark(byId("pulse"), "data-state", "off");
  say(byId("pulse"), "signed out");
  await load();
}

function changeTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try {
    localStorage.setItem("theme", root.dataset.theme);
  } catch { /* it holds until the page is closed */ }
  curves.repaint();
  draw();
}

start();
