// One event, taken apart.

import { copyFrom, el } from "./dom.js";
import { parseJson } from "./json.js";
import { bytes, dateTime, duration, visible } from "./text.js";
import { tree } from "./tree.js";

/** How much of a value that is no JSON is shown, in UTF-16 units. */
const RAW = 20_000;

/** The panel beside the list. */
export class Inspector {
  #panel;
  #actions;
  #onClose;

  /** `actions` are `onTest`, `onField` and `onBegin(id)`. */
  constructor(panel, { onClose, ...actions }) {
    this.#panel = panel;
    this.#actions = actions;
    this.#onClose = onClose;
    panel.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
  }

  /** Whether it shows an event. */
  get isOpen() {
    return !this.#panel.hidden;
  }

  /** Shows an event of the list, and moves the focus to it if `takesFocus`. */
  show(item, takesFocus) {
    const heading = el("h2", { tabindex: "-1" }, item.event === "delete" ? "A deleted record" : "Event");
    const close = el("button", { type: "button", class: "quiet", onclick: () => this.close() }, "Close");
    this.#panel.replaceChildren(el("div", { class: "head" }, heading, close), this.#facts(item), this.#buttons(item), this.#value(item));
    this.#panel.hidden = false;
    this.#panel.scrollTop = 0;
    if (takesFocus) heading.focus();
  }

  /** Hides the panel. */
  close() {
    if (!this.isOpen) return;
    this.#panel.hidden = true;
    this.#panel.replaceChildren();
    this.#onClose();
  }

  #facts({ place, at, data, length }) {
    const rows = place
      ? [
          ["Topic", visible(place.topic, 300)],
          ["Partition", String(place.partition)],
          ["Offset", String(place.offset)],
          ["Written", place.timestamp === null ? "not told" : dateTime(place.timestamp)],
          ["Age", place.timestamp === null ? "not told" : `${duration(at - place.timestamp)} when it came`],
        ]
      : [["Place", "Its id does not tell: records of several partitions were passed at once."]];
    rows.push(["Came", dateTime(at)], ["Size", bytes(length ?? data.length)]);
    return el("dl", { class: "facts" }, ...rows.map(([name, text]) => el("div", {}, el("dt", {}, name), el("dd", {}, text))));
  }

  #buttons({ data, id }) {
    const value = el("button", { type: "button", onclick: () => copyFrom(value, data) }, "Copy value");
    const line = el("p", { class: "line" }, value);
    if (id) {
      const copy = el("button", { type: "button", onclick: () => copyFrom(copy, id) }, "Copy id");
      const begin = () => this.#actions.onBegin(id);
      line.append(copy, el("button", { type: "button", onclick: begin }, "Begin here"));
    }
    return line;
  }

  #value({ data, length }) {
    if (length > data.length) {
      const note = `Only the first ${bytes(data.length)} of ${bytes(length)} are kept.`;
      return el("div", {}, el("p", { class: "hint" }, note), raw(data));
    }
    const value = parseJson(data);
    return value === undefined ? raw(data) : tree(value, this.#actions);
  }
}

const raw = (data) => el("pre", { class: "raw", tabindex: "0", dir: "auto" }, visible(data, RAW), data.length > RAW ? "\n…" : "");
