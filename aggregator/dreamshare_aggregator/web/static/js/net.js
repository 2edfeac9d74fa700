// Requests to the aggregator that served this page, and its news.

export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

async function ask(method, path, body, headers = {}) {
  let answer;
  try {
    answer = await fetch(path, { method, body, headers, credentials: "same-origin", cache: "no-store" });
  } catch {
    throw new Refused(0, "the aggregator does not answer");
  }
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, told.error ?? `the aggregator answered ${answer.status}`);
  return told;
}

export const get = (path) => ask("GET", path);
export const signIn = (token) => ask("POST", "/api/sign-in", token, { "content-type": "text/plain" });
export const signOut = () => ask("POST", "/api/sign-out");
export const change = (path, csrf, body = {}) =>
  ask("POST", path, JSON.stringify(body), { "content-type": "application/json", "x-csrf-token": csrf });

/** Follow the news from a place on. The browser itself reconnects and says where it stood. */
export function follow(at, handlers) {
  const source = new EventSource(`/api/events?after=${encodeURIComponent(at)}`);
  source.addEventListener("open", () => handlers.link("on"));
  source.addEventListener("error", () => {
    handlers.link("lost");
    if (source.readyState === EventSource.CLOSED) handlers.closed();
  });
  for (const kind of ["round", "devices", "report"]) {
    source.addEventListener(kind, (event) => handlers.news(kind, JSON.parse(event.data)));
  }
  source.addEventListener("reset", () => handlers.reset());
  return source;
}
