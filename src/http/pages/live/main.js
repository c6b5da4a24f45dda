// The page: what the address says is read, and what comes is shown.

import { Access, Refusal } from "./access.js";
import { readFragment, streamUrl, writeFragment } from "./address.js";
import { Controls } from "./controls.js";
import { askForCredential, showCode } from "./dialogs.js";
import { byId, copyFrom, el, setText } from "./dom.js";
import { faultAt, typedValue } from "./filters.js";
import { Inspector } from "./inspector.js";
import { EventList, showTally } from "./list.js";
import { Meters } from "./meters.js";
import { advice, endText, expiryText, gapText, pauseText } from "./notices.js";
import { StreamReader, readJson } from "./reader.js";
import { duration, visible } from "./text.js";

/** How often new events are drawn, in milliseconds. */
const DRAW_EVERY = 250;
/** After which time without a position the gateway is waiting for Kafka: a position comes after 10 s on a quiet stream. */
const HELD_AFTER = 13_000;

const access = new Access();
const meters = new Meters(byId("charts"), access);
const inspector = new Inspector(byId("inspector"), {
  onClose: () => {
    list.focusChosen();
    list.unchoose();
  },
  onTest: (field, value) => {
    controls.filter.add({ field, test: "=", value: typedValue(value) }, false);
    apply();
  },
  onField: (field) => controls.toggleField(field, applyFields),
  onBegin: (id) => show({ ...view, since: "", id }),
});
const list = new EventList({
  table: byId("events"),
  rows: byId("rows"),
  head: byId("heads"),
  scroll: byId("scroll"),
  clock: () => Date.now() + access.skew,
  onSelect: (item, byKey) => inspector.show(item, byKey),
});
const controls = new Controls({ onApply: apply, onFields: applyFields });

/** What is shown. */
let view = readFragment(location.hash);
/** The reader, and what it said last. */
let reader = null;
let state = { name: "idle" };
/** What happened during this read. */
let story = { gaps: 0, reconnects: 0, skipped: 0 };
/** Whether the gateway takes `fields`, as its OpenAPI document says. Until then they are only picked here. */
let sendsFields = false;

/** Shows this from its beginning. It takes the place of what was shown before in the history of the browser unless it `isNew`. */
function show(next, isNew = true) {
  view = next;
  controls.view = view;
  const fragment = writeFragment(view);
  const address = fragment ? `#${fragment}` : location.pathname + location.search;
  if (fragment !== location.hash.slice(1)) history[isNew ? "pushState" : "replaceState"](null, "", address);
  document.title = view.streams.length ? `${visible(view.streams.join(", "), 60)} – riverhead` : "riverhead";
  list.clear();
  list.showFields(view.fields);
  meters.reset();
  story = { gaps: 0, reconnects: 0, skipped: 0 };
  restart(view.id);
}

/** Begins to read what is shown, behind this id if there is one. */
function restart(id) {
  reader?.stop();
  reader = null;
  controls.clearFaults();
  hideRefusal();
  tell("");
  if (view.streams.length === 0) return onState({ name: "idle" });
  const fields = sendsFields ? view.fields.filter((field) => !field.startsWith("@")) : [];
  // Metadata has no place in a projection, and an event of it alone would be empty.
  const own = new StreamReader({ view: { ...view, id }, access, fields, onMessages, onState });
  reader = own;
  void own.run();
}

function apply() {
  show(controls.view);
}

/** Shows other fields. What is there already stays. */
function applyFields() {
  view = { ...view, fields: controls.view.fields };
  controls.view = { ...controls.view, fields: view.fields };
  history.replaceState(null, "", `#${writeFragment(view)}`);
  list.showFields(view.fields);
  if (sendsFields && reader) restart(reader.lastId);
}

function onMessages(messages) {
  let events = 0;
  for (const message of messages) {
    if (message.event === "message" || message.event === "delete") {
      events += 1;
      list.offer(message);
    } else {
      onOther(message, readJson(message.data) ?? {});
    }
  }
  meters.count(events);
  if (state.name === "open" && !state.hasPlace) onState({ ...state, hasPlace: true });
}

/** Takes what is not an event of the stream. */
function onOther({ event }, data) {
  if (event === "gap") {
    story.gaps += 1;
    list.tell({ part: "gap", kind: "warn", ...gapText(data) });
  } else if (event === "checkpoint") {
    story.skipped += data.skipped ?? 0;
  } else if (event === "expiring") {
    tell(expiryText(data.expires), ["credential"]);
  }
}

function onState(next) {
  const before = state;
  state = next;
  byId("state").dataset.state = next.name;
  if (next.name === "open") {
    state.since = next.since ?? Date.now();
    if (story.wasCut) {
      story.reconnects += 1;
      story.wasCut = false;
      const text = next.from ? "The read goes on where it was. Nothing is lost." : "There was no position yet: what came in between is not here.";
      list.tell({ part: "reconnect", kind: next.from ? "calm" : "warn", title: "Connected again.", text });
    }
    hideRefusal();
  }
  if (next.name === "pausing") {
    story.wasCut = true;
    if (next.why instanceof Refusal && next.why.status > 0) showRefusal(next.why, true);
  }
  if (next.name === "refused") showRefusal(next.refusal, false);
  if (next.name === "complete") list.tell({ part: "end", kind: "calm", title: "End.", text: endText(next.end) });
  if (before.name === "pausing" && next.name === "connecting") hideRefusal();
  showState();
}

/** Says in words how the read is. */
function showState() {
  const isOpen = state.name === "open";
  const isHeld = isOpen && !state.hasPlace && Date.now() - state.since > HELD_AFTER;
  const texts = {
    idle: "Choose a stream",
    connecting: state.attempt ? "Connecting again…" : "Connecting…",
    pausing: () => pauseText(state),
    refused: () => `Refused: ${visible(state.refusal.title, 100)}`,
    complete: () => "Complete",
    open: () =>
      list.isPaused
        ? "Paused. The read goes on, and is counted."
        : isHeld
          ? "Connected. The gateway waits for Kafka; nothing is lost meanwhile."
          : state.hasPlace
            ? "Live"
            : "Connected, waiting for the next event",
  };
  const text = texts[state.name];
  byId("state").classList.toggle("held", isHeld);
  setText(byId("state-text"), typeof text === "function" ? text() : text);
  byId("retry").hidden = state.name !== "pausing";
  // The text is read aloud when it changes, so the time is not in it.
  if (state.name === "pausing") setText(byId("retry"), `Retry now (${duration(state.at - Date.now())})`);
  const nothing = { idle: "Choose a stream to see its events.", refused: "", complete: "There was nothing to show." };
  setText(byId("empty"), byId("rows").rows.length ? "" : (nothing[state.name] ?? "No event yet."));
}

/** What a person can do about a refusal. */
const REMEDIES = {
  credential: ["Use a credential", () => giveCredential()],
  forget: ["Forget the credential", () => useCredential(null)],
  streams: ["Choose streams", () => byId("streams").querySelector("input")?.focus()],
  filter: ["Go to the filter", () => controls.filter.focus()],
  begin: ["Change the beginning", () => byId("begin").focus()],
  now: ["Begin with the next event", () => show({ ...view, since: "", id: "" })],
  retry: ["Try again now", () => (state.name === "pausing" ? reader.retry() : restart(reader?.lastId ?? view.id))],
};

const remedyButtons = (names) =>
  names.filter((name) => name !== "forget" || access.isSet).map((name) => el("button", { type: "button", onclick: REMEDIES[name][1] }, REMEDIES[name][0]));

function showRefusal(refusal, isTried) {
  const [sentence, remedies] = advice(refusal);
  const status = refusal.status > 0 ? `${refusal.status} ` : "";
  const again = isTried ? ` The page tries again by itself${refusal.retryAfter ? `, in ${duration(refusal.retryAfter * 1000)} as the gateway asks` : ""}.` : "";
  const detail = visible(refusal.detail, 1000);
  const gap = refusal.gap ? gapText(refusal.gap) : null;
  byId("refusal").replaceChildren(
    el("h2", {}, `${status}${visible(refusal.title, 200)}`),
    detail && detail !== refusal.title ? el("p", { class: "detail" }, detail) : "",
    gap ? el("p", {}, `${gap.title} ${gap.text}`) : "",
    el("p", {}, sentence + again),
    el("p", { class: "line" }, ...remedyButtons(remedies)),
  );
  byId("refusal").hidden = false;
  if (refusal.type === "invalid_filter") controls.filter.showFault(refusal.detail, faultAt(refusal.detail, view.filter));
  if (["invalid_timestamp", "invalid_last_event_id"].includes(refusal.type)) controls.showBeginFault(refusal.detail);
}

function hideRefusal() {
  byId("refusal").hidden = true;
}

/** Says something beside the list, with ways to act on it. An empty text takes it away. */
function tell(text, remedies = []) {
  const close = el("button", { type: "button", class: "quiet", onclick: () => tell("") }, "Dismiss");
  byId("notice").replaceChildren(el("p", {}, text), el("p", { class: "line" }, ...remedyButtons(remedies), close));
  byId("notice").hidden = text === "";
}

function giveCredential() {
  askForCredential({ isSet: access.isSet, onGiven: useCredential });
}

function useCredential(credential) {
  access.credential = credential;
  setText(byId("credential-state"), access.isSet ? "A credential is in use" : "No credential");
  setText(byId("credential"), access.isSet ? "Change" : "Use a credential");
  void loadStreams();
  if (view.streams.length) restart(reader?.lastId ?? view.id);
}

/** Asks which streams there are. Returns them. */
async function loadStreams() {
  try {
    const { streams } = await access.json("v2/streams");
    controls.streams = streams;
    return streams;
  } catch (refusal) {
    if (refusal instanceof Refusal && refusal.status > 0) showRefusal(refusal, false);
    else setText(byId("streams-hint"), "The list of streams could not be read.");
    return [];
  }
}

/** Asks whether the gateway picks fields itself. */
async function learnFields() {
  try {
    const spec = await access.json("?spec");
    const parameters = spec.paths["/v2/stream/{streams}"].get.parameters;
    sendsFields = parameters.some(({ name }) => name === "fields");
  } catch {
    sendsFields = false;
  }
}

function onPause() {
  list.isPaused = !list.isPaused;
  byId("pause").setAttribute("aria-pressed", String(list.isPaused));
  setText(byId("pause"), list.isPaused ? "Go on" : "Pause");
  if (!list.isPaused) list.draw();
  showState();
}

byId("pause").addEventListener("click", onPause);
byId("newer").addEventListener("click", () => {
  list.toNewest();
  if (list.isPaused) onPause();
});
byId("share").addEventListener("click", () => copyFrom(byId("share"), location.href));
byId("code").addEventListener("click", () => {
  const fields = sendsFields ? view.fields.filter((field) => !field.startsWith("@")) : [];
  const parameters = view.id ? { lastEventId: view.id } : {};
  showCode({ url: new URL(streamUrl(view, { fields, parameters }), document.baseURI).href, hasCredential: access.isSet });
});
byId("credential").addEventListener("click", giveCredential);
byId("retry").addEventListener("click", () => reader?.retry());
byId("skip").addEventListener("click", () => list.focus());
byId("events").addEventListener("keydown", (event) => {
  if (event.key === "p" && !event.ctrlKey && !event.metaKey && !event.altKey) onPause();
});
window.addEventListener("popstate", () => show(readFragment(location.hash), false));
window.addEventListener("online", () => reader?.retry());

setInterval(() => {
  if (document.hidden) return;
  if (list.draw()) {
    byId("empty").textContent = "";
    if (list.drawn < 200 || list.drawn % 10 === 0) controls.offer(list.members());
  }
  showTally(list, { tally: byId("tally"), sample: byId("sample"), newer: byId("newer"), ...story });
}, DRAW_EVERY);
setInterval(() => {
  meters.tick(() => reader?.lastId ?? "", view.streams, state.name === "open");
  byId("events").dataset.received = list.received;
  showState();
}, 1_000);

const phone = matchMedia("(max-width: 56rem)");
const fold = () => (byId("panel").open = !phone.matches || view.streams.length === 0);
phone.addEventListener("change", fold);
fold();

await Promise.all([
  learnFields(),
  loadStreams().then((streams) => {
    // Whoever comes without a wish sees something at once, if there is no choice to make.
    if (!location.hash && streams.length === 1) view = { ...view, streams: [streams[0].name] };
  }),
]);
show(view, false);
fold();
