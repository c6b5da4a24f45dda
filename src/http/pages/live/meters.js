// What is measured of the read: rate, lag and age, once a second.

import { Chart } from "./charts.js";
import { lag, newest } from "./ids.js";
import { duration, short } from "./text.js";

/** How often the ends of the partitions are asked for, in milliseconds: once for each stream. The gateway keeps them for 2 s. */
const ASK_EVERY = 5_000;
/** Over how many seconds the rate is a mean. */
const MEAN = 5;

export class Meters {
  #rate = new Chart({
    part: "rate",
    label: "Rate",
    unit: "events/s",
    title: "Drawn or not",
    format: (value) => short(value),
  });
  #lag = new Chart({
    part: "lag",
    label: "Lag",
    unit: "records",
    title: "Not passed yet",
    format: (value) => short(value),
  });
  #age = new Chart({
    part: "age",
    label: "Age",
    unit: "",
    title: "How long ago the newest event was written",
    format: (value) => duration(value),
  });
  #received = 0;
  #recent = [];
  #records = null;
  #askedAt = 0;
  #access;

  constructor(container, access) {
    this.#access = access;
    container.append(this.#rate.element, this.#lag.element, this.#age.element);
  }

  /** Begins with another read. */
  reset() {
    this.#received = 0;
    this.#recent = [];
    this.#records = null;
    this.#askedAt = 0;
    for (const chart of [this.#rate, this.#lag, this.#age]) chart.clear();
  }

  /** Counts events. */
  count(events) {
    this.#received += events;
  }

  /** Draws the last second of a read that is at the id of `place()`. Asks for the ends of these streams now and then. */
  tick(place, streams, isOpen) {
    const id = place();
    const rate = this.#received;
    this.#received = 0;
    this.#recent = [...this.#recent, rate].slice(-MEAN);
    const mean = this.#recent.reduce((sum, value) => sum + value, 0) / this.#recent.length;
    this.#rate.push(isOpen || rate ? rate : null, isOpen || rate ? mean : null);
    this.#lag.push(this.#records);
    const time = newest(id);
    this.#age.push(time === null ? null : Math.max(0, Date.now() + this.#access.skew - time));
    if (isOpen && id && Date.now() - this.#askedAt >= ASK_EVERY * Math.max(1, streams.length / 2)) void this.#ask(place, streams);
  }

  async #ask(place, streams) {
    this.#askedAt = Date.now();
    try {
      const documents = await Promise.all(
        streams.map((name) => this.#access.json(`v2/streams/${encodeURIComponent(name)}`, AbortSignal.timeout(4_000))),
      );
      this.#records = lag(place(), documents);
    } catch {
      // A refusal of the stream itself tells more.
      this.#records = null;
    }
  }
}
