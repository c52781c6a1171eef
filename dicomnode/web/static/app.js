// What the pages do in the browser; without it they still work, by loading again.
//
//   <time datetime="...">                 shown in the browser's zone
//   <text data-clock="...">               the same at the axis of a plot, hours and minutes
//   <span data-zone>UTC</span>            names that zone; an input of this kind sends its name
//   <section data-live="/today/live">     server-sent events; each is {"id": ..., "html": ...}
//   <form data-into="part">               sent without loading; the answer goes into #part
//   <form ... data-typing>                the same, while one types
//   <p data-at="id">                      in such an answer: goes into #id until the next one
//   <textarea data-lines="id">            its lines are numbered in #id; those of [data-line] marked
//   <button data-ask="Cancel: {ticked}?"> asks before it sends; {ticked} is how many are ticked, and
//                                         where that is none the answer says so instead
//   <input type="range" data-fades="id">  how much of #id is seen, 0 to 100
//   <input type="checkbox" data-shows="id"> is #id seen? In full, or not at all; moves its slider
//   <input type="checkbox" data-all="job"> ticks every checkbox of that name

const csrf = () => document.querySelector("meta[name=csrf]")?.content ?? "";

function say(words) {
  document.getElementById("said").textContent = words;
}

function localTimes(within) {
  const day = { dateStyle: "medium", timeStyle: "medium" };
  for (const time of within.querySelectorAll("time[datetime]:not([data-local])")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const today = at.toDateString() === new Date().toDateString();
    time.textContent = today ? at.toLocaleTimeString() : at.toLocaleString(undefined, day);
    time.title = time.dateTime;
    time.dataset.local = "";
  }
  for (const mark of within.querySelectorAll("[data-clock]")) {
    const at = new Date(mark.dataset.clock);
    mark.textContent = at.toLocaleTimeString(undefined, { hour: "numeric", minute: "2-digit" });
  }
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (const place of within.querySelectorAll("[data-zone]")) {
    if (place instanceof HTMLInputElement) place.value = zone;
    else place.textContent = zone;
  }
}

// A table that is wider than its place can be scrolled with keys too.
const widths = new ResizeObserver((seen) => {
  for (const { target } of seen) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});

function reachable(within) {
  for (const place of within.querySelectorAll(".table")) widths.observe(place);
}

function put(id, html) {
  const place = document.getElementById(id);
  if (!place) return;
  const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
  place.innerHTML = html; // of our own templates, which escape all that they show
  deal(place);
  numberAll();
  localTimes(place);
  live(place);
  reachable(place);
  if (focused) document.getElementById(focused)?.focus();
}

function deal(place) {
  for (const old of document.querySelectorAll(`[data-of="${place.id}"]`)) old.remove();
  for (const piece of place.querySelectorAll("[data-at]")) {
    piece.dataset.of = place.id;
    document.getElementById(piece.dataset.at)?.append(piece);
  }
  for (const input of document.querySelectorAll("[aria-errormessage]")) {
    const wrong = document.getElementById(input.getAttribute("aria-errormessage"));
    input.setAttribute("aria-invalid", Boolean(wrong?.childElementCount));
  }
}

function number(area) {
  const said = [...document.querySelectorAll("[data-line]")].map((each) => each.dataset.line);
  const lines = area.value.split("\n").map((_, index) => {
    const line = document.createElement(said.includes(String(index + 1)) ? "mark" : "span");
    line.textContent = index + 1;
    return line;
  });
  const place = document.getElementById(area.dataset.lines);
  place.replaceChildren(...lines);
  place.scrollTop = area.scrollTop;
}

function numberAll() {
  for (const area of document.querySelectorAll("textarea[data-lines]")) number(area);
}

document.addEventListener(
  "scroll",
  ({ target }) => {
    const lines = document.getElementById(target.dataset?.lines);
    if (lines) lines.scrollTop = target.scrollTop;
  },
  true,
);

const sources = new Set();

function live(within) {
  if (document.hidden) return; // a browser opens few connections to one place: who looks has them
  for (const place of within.querySelectorAll("[data-live]")) {
    const source = new EventSource(place.dataset.live);
    sources.add(source);
    source.onmessage = (event) => {
      if (!place.isConnected) return sources.delete(source) && source.close();
      const { id, html } = JSON.parse(event.data);
      put(id, html);
      document.body.classList.remove("silent");
    };
    source.onerror = () => document.body.classList.add("silent");
  }
}

document.addEventListener("visibilitychange", () => {
  for (const source of sources) source.close();
  sources.clear();
  live(document);
});

async function send(form, button) {
  const into = form.dataset.into;
  const turn = (form.dataset.turn = String(Number(form.dataset.turn ?? 0) + 1));
  const body = new FormData(form, button);
  const query = form.method === "get" ? `?${new URLSearchParams(body)}` : "";
  form.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(form.action + query, {
      method: form.method,
      headers: { "x-csrf-token": csrf(), accept: "text/html" },
      body: query || form.method === "get" ? undefined : body,
    });
    const out = answer.redirected && new URL(answer.url).pathname === "/login";
    if (out || answer.status === 401) return location.reload(); // to log in again
    const html = await answer.text();
    if (form.dataset.turn !== turn) return; // somebody typed on: a later answer is under way
    put(into, html);
    if (query) history.replaceState(null, "", form.action + query); // to come back to
    if (button) document.getElementById(into)?.scrollIntoView({ block: "nearest" });
  } catch {
    say("The node does not answer; nothing was done.");
  } finally {
    if (form.dataset.turn === turn) form.removeAttribute("aria-busy");
  }
}

document.addEventListener("submit", (event) => {
  const { target: form, submitter } = event;
  const ticked = form.querySelectorAll("input[type=checkbox][name]:checked").length;
  const ask = submitter?.dataset.ask ?? form.dataset.ask;
  const about = ask && (ticked > 0 || !ask.includes("{ticked}"));
  if (about && !confirm(ask.replace("{ticked}", ticked))) return event.preventDefault();
  if (!form.dataset.into) return;
  event.preventDefault();
  clearTimeout(soon);
  send(form, submitter);
});

let soon;
document.addEventListener("input", ({ target }) => {
  if (target.dataset.fades) {
    document.getElementById(target.dataset.fades).style.opacity = target.value / 100;
    const tick = document.querySelector(`[data-shows="${target.dataset.fades}"]`);
    if (tick) tick.checked = target.value > 0;
  }
  if (target.dataset.shows) {
    document.getElementById(target.dataset.shows).style.opacity = Number(target.checked);
    const slider = document.querySelector(`[data-fades="${target.dataset.shows}"]`);
    if (slider) slider.value = target.checked ? 100 : 0;
  }
  if (target.dataset.all) {
    for (const box of document.getElementsByName(target.dataset.all)) box.checked = target.checked;
  }
  if (target.dataset.lines) number(target);
  const form = target.closest("form[data-typing]");
  if (form) {
    clearTimeout(soon);
    soon = setTimeout(() => send(form), 250);
  }
});

localTimes(document);
numberAll();
live(document);
reachable(document);
