// Small charts of the last minutes: one value a second.

import { el, setText, svg } from "./dom.js";

/** How many seconds a chart shows. */
const SECONDS = 180;
const WIDTH = SECONDS;
const HEIGHT = 36;

/** A number with its name, and how it was lately. */
export class Chart {
  #values = [];
  #format;
  #number = el("strong", {}, "–");
  #most = el("span", { class: "most" });
  #area = svg("path", { class: "area" });
  #line = svg("path", { class: "curve" });
  #picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  #label;

  /** `format` makes a text of a value, `title` says what it is. */
  constructor({ part, label, unit, title, format }) {
    this.#format = format;
    this.#label = label;
    this.#picture.setAttribute("aria-label", label);
    this.#picture.append(this.#area, this.#line);
    this.element = el(
      "figure",
      { "data-part": part, title },
      el("figcaption", {}, el("span", { class: "name" }, label), this.#number, el("span", { class: "unit" }, unit)),
      this.#picture,
      this.#most,
    );
  }

  /** Adds the value of the last second, `null` if there is none, and draws. `shown` is the number to show, if it is another. */
  push(value, shown = value) {
    this.#values.push(value);
    if (this.#values.length > SECONDS) this.#values.shift();
    setText(this.#number, shown === null ? "–" : this.#format(shown));
    this.element.dataset.value = shown ?? "";
    this.#draw();
  }

  /** Forgets all values. */
  clear() {
    this.#values = [];
    setText(this.#number, "–");
  }

  #draw() {
    const known = this.#values.filter((value) => value !== null);
    const most = Math.max(...known, 0);
    const top = most || 1;
    const left = WIDTH - this.#values.length;
    const runs = [[]];
    this.#values.forEach((value, index) => {
      if (value === null) runs.push([]);
      else runs.at(-1).push(`${left + index + 0.5} ${(HEIGHT - 1.5 - (value / top) * (HEIGHT - 4)).toFixed(1)}`);
    });
    const lines = runs.filter((run) => run.length);
    const foot = (point) => `${point.split(" ")[0]} ${HEIGHT}`;
    this.#line.setAttribute("d", lines.map((run) => `M${run.join("L")}`).join(""));
    this.#area.setAttribute("d", lines.map((run) => `M${foot(run[0])}L${run.join("L")}L${foot(run.at(-1))}Z`).join(""));
    setText(this.#most, known.length ? `max ${this.#format(most)}` : "");
    const now = known.length ? this.#format(known.at(-1)) : "unknown";
    this.#picture.setAttribute("aria-label", `${this.#label} over 3 minutes: now ${now}, at most ${this.#format(most)}`);
  }
}
