// The form beside the events: which streams, from where on, and what of them.

import { list } from "./address.js";
import { byId, el, setText } from "./dom.js";
import { FilterForm } from "./filterform.js";
import { dateTime, short, visible } from "./text.js";

/** From how many streams on there is a search, and how many are shown at once. */
const MANY = 9;
const MOST = 200;

export class Controls {
  filter = new FilterForm();
  #known = [];
  #chosen = [];
  #names = [];
  #onApply;
  #streams = byId("streams");
  #begin = byId("begin");
  #since = byId("since");
  #id = byId("id");
  #fields = byId("fields");
  #fault = byId("begin-fault");

  /** `onApply()` is called when the person wants to see what the form says, and `onFields()` when only the fields changed. */
  constructor({ onApply, onFields }) {
    this.#onApply = onApply;
    byId("controls").addEventListener("submit", (event) => {
      event.preventDefault();
      onApply();
    });
    byId("search").addEventListener("input", () => this.#drawStreams());
    byId("add-stream").addEventListener("click", () => this.#addOther());
    byId("other").addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      this.#addOther();
    });
    this.#begin.addEventListener("change", () => this.#showBegin(true));
    this.#fields.addEventListener("change", onFields);
    byId("filter").addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey) return;
      event.preventDefault();
      onApply();
    });
    byId("chips").addEventListener("click", (event) => {
      const name = event.target.dataset?.name;
      if (name) this.toggleField(name, onFields);
    });
  }

  /** Takes the documents of the streams that may be read. */
  set streams(documents) {
    this.#known = documents;
    byId("search").hidden = documents.length < MANY;
    this.#drawStreams();
  }

  /** Returns what the form says. */
  get view() {
    const begin = this.#begin.value;
    return {
      streams: [...this.#chosen],
      filter: this.filter.text,
      since: begin === "id" || begin === "now" ? "" : this.#since.value.trim(),
      id: begin === "id" ? this.#id.value.trim() : "",
      fields: list(this.#fields.value),
    };
  }

  set view(view) {
    this.#chosen = [...view.streams];
    this.filter.text = view.filter;
    this.#since.value = view.since;
    this.#id.value = view.id;
    this.#fields.value = view.fields.join(", ");
    this.#begin.value = view.id ? "id" : view.since === "0" ? "start" : view.since ? "since" : "now";
    this.#showBegin(false);
    this.#drawStreams();
    this.#drawChips();
  }

  /** Offers these names of fields, of events that were seen. */
  offer(names) {
    this.filter.offer([...new Set([...this.#filterFields, ...names])]);
    if (names.join() === this.#names.join()) return;
    this.#names = names;
    this.#drawChips();
  }

  get #filterFields() {
    return this.#known.filter(({ name }) => this.#chosen.includes(name)).flatMap((stream) => stream.filter_fields);
  }

  /** Adds a field, or takes it away. */
  toggleField(name, onFields) {
    const fields = list(this.#fields.value);
    const others = fields.filter((field) => field !== name);
    this.#fields.value = (others.length < fields.length ? others : [...fields, name]).join(", ");
    this.#drawChips();
    onFields();
  }

  /** Shows that the beginning was refused. */
  showBeginFault(detail) {
    setText(this.#fault, visible(detail, 300));
    this.#fault.hidden = false;
  }

  /** Forgets refusals. */
  clearFaults() {
    this.#fault.hidden = true;
    this.filter.clearFault();
  }

  #drawChips() {
    const shown = new Set(list(this.#fields.value));
    const chip = (name) => el("button", { type: "button", class: "chip", "data-name": name, "aria-pressed": String(shown.has(name)) }, visible(name, 40));
    byId("chips").replaceChildren(...this.#names.slice(0, 24).map(chip));
  }

  #showBegin(byHand) {
    const begin = this.#begin.value;
    const ago = Number(begin);
    if (byHand && ago > 0) this.#since.value = new Date(Date.now() - ago * 1000).toISOString().slice(0, 19) + "Z";
    if (byHand && begin === "start") this.#since.value = "0";
    if (byHand && begin === "since" && /^0?$/.test(this.#since.value)) this.#since.value = new Date().toISOString().slice(0, 16) + "Z";
    this.#since.hidden = begin === "now" || begin === "id" || begin === "start";
    this.#id.hidden = begin !== "id";
    this.#fault.hidden = true;
  }

  #addOther() {
    const names = list(byId("other").value);
    byId("other").value = "";
    if (names.length === 0) return;
    this.#chosen = [...new Set([...this.#chosen, ...names])];
    this.#drawStreams();
    this.#onApply();
  }

  #choose(name, isChosen) {
    this.#chosen = this.#chosen.filter((other) => other !== name);
    if (isChosen) this.#chosen.push(name);
    this.#onApply();
  }

  #drawStreams() {
    const wanted = byId("search").value.trim().toLowerCase();
    const matches = ({ name, description, aliases }) => `${name} ${aliases.join(" ")} ${description}`.toLowerCase().includes(wanted);
    // A stream in the address may have its alias there.
    const nameOf = (chosen) => this.#known.find((stream) => stream.name === chosen || stream.aliases.includes(chosen))?.name;
    const chosen = new Set(this.#chosen.map((name) => nameOf(name) ?? name));
    this.#chosen = [...chosen];
    const others = this.#chosen.filter((name) => !nameOf(name));
    const found = this.#known.filter((stream) => chosen.has(stream.name) || matches(stream));
    const hadFocus = document.activeElement?.dataset?.stream;
    this.#streams.replaceChildren(
      ...others.map((name) => this.#streamRow({ name, description: "Not in your list" }, true)),
      ...found.slice(0, MOST).map((stream) => this.#streamRow(stream, chosen.has(stream.name))),
    );
    if (hadFocus) this.#streams.querySelector(`[data-stream="${CSS.escape(hadFocus)}"]`)?.focus();
    const hint = this.#known.length === 0 ? "No stream is public here." : found.length > MOST ? `${found.length - MOST} more: find them by name.` : "";
    setText(byId("streams-hint"), hint);
  }

  #streamRow(stream, isChosen) {
    const box = el("input", { type: "checkbox", "data-stream": stream.name });
    box.checked = isChosen;
    box.addEventListener("change", () => this.#choose(stream.name, box.checked));
    const rate = stream.rate?.minute;
    const facts = [
      typeof rate === "number" ? `${short(rate)}/s` : null,
      stream.payload && stream.payload !== "json" ? stream.payload : null,
      Array.isArray(stream.access) ? "with a credential" : null,
      reach(stream),
    ].filter(Boolean);
    return el(
      "li",
      { "data-part": "stream" },
      el(
        "label",
        {},
        box,
        el("span", { class: "name" }, visible(stream.name, 200)),
        stream.description ? el("span", { class: "about" }, visible(stream.description, 300)) : null,
        facts.length ? el("span", { class: "about facts" }, facts.join(" · ")) : null,
      ),
    );
  }
}

/** Says how far back a stream reaches. */
function reach(stream) {
  const times = (stream.topics ?? []).flatMap((topic) => topic.partitions.map(({ earliest }) => earliest.timestamp));
  const known = times.filter((time) => typeof time === "number");
  return known.length ? `since ${dateTime(Math.min(...known)).slice(0, 16)}` : null;
}
