// The list of events: newest first, bounded, and not faster than a person can see.
//
// All events are counted. Of those that come between two drawings a random sample is drawn, as many as a budget of rows allows: a burst
// is shown whole, a flood in part. What is not an event (gaps, cuts, ends) is always drawn.

import { setText } from "./dom.js";
import { placeOf } from "./ids.js";
import { parseJson } from "./json.js";
import { eventRow, heads, noticeRow, showFields } from "./rows.js";
import { count, plural } from "./text.js";

/** The most rows, and the most characters of values that they keep together. */
const MOST_ROWS = 250;
const MOST_KEPT = 12_000_000;
/** How much of one value is kept. */
const MOST_OF_ONE = 4_000_000;
/** The budget of rows: how many a second, and how many may have been saved for a burst. */
const ROWS_A_SECOND = 32;
const BURST = 100;
/** Values up to here are read for the place that they name themselves, in UTF-16 units. */
const READ_FOR_PLACE = 64 * 1024;

export class EventList {
  #table;
  #rows;
  #heads;
  #scroll;
  #clock;
  #onSelect;
  #items = new Map();
  #kept = 0;
  #fields = [];
  #pending = [];
  #pendingKept = 0;
  #pendingEvents = 0;
  #pendingDrawn = 0;
  #budget = BURST;
  #refilled = performance.now();
  #chosen = null;
  #reachable = null;
  /** Whether drawing is stopped by the person. */
  isPaused = false;
  /** Events of this read, and those of them that were drawn. */
  received = 0;
  drawn = 0;

  /** `clock` returns the time of the gateway. */
  constructor({ table, rows, head, scroll, clock, onSelect }) {
    this.#clock = clock;
    this.#table = table;
    this.#rows = rows;
    this.#heads = head;
    this.#scroll = scroll;
    this.#onSelect = onSelect;
    rows.addEventListener("click", (event) => this.#choose(event.target.closest("tr"), false));
    table.addEventListener("keydown", (event) => this.#onKey(event));
    this.showFields([]);
  }

  /** Forgets all. */
  clear() {
    this.#items.clear();
    this.#rows.replaceChildren();
    this.#pending = [];
    this.#kept = this.#pendingKept = this.#pendingEvents = this.#pendingDrawn = this.received = this.drawn = 0;
    this.#chosen = null;
  }

  /** Shows these fields of all events, or their values if there are none. */
  showFields(fields) {
    this.#fields = fields;
    this.#table.classList.toggle("with-fields", fields.length > 0);
    this.#heads.replaceChildren(heads(fields));
    for (const row of this.#rows.rows) {
      const item = this.#items.get(row);
      if (item) showFields(row, item, fields);
      else row.cells[0].setAttribute("colspan", String(this.#columns));
    }
  }

  /** How many events wait to be drawn, with those of which nothing was kept. */
  get waiting() {
    return this.#pendingEvents;
  }

  /** Whether the person looks at older rows, so that new ones would be in the way. */
  get isHeld() {
    if (this.isPaused) return true;
    // On a phone the page itself is moved.
    const top = Math.max(0, this.#scroll.getBoundingClientRect().top);
    return this.#table.getBoundingClientRect().top < top - 40;
  }

  /** Takes an event: `{event, id, before, data}`. */
  offer(message) {
    this.received += 1;
    this.#pendingEvents += 1;
    const most = Math.max(5, Math.floor(this.#budget));
    if (this.#pendingDrawn >= most) {
      // Each of all that wait is in the sample alike (Vitter's algorithm R).
      const at = Math.floor(Math.random() * this.#pendingEvents);
      if (at >= most) return;
      this.#forget(at);
    }
    const item = { ...message, at: this.#clock(), length: message.data.length };
    if (item.length > MOST_OF_ONE) item.data = item.data.slice(0, MOST_OF_ONE / 4);
    if (this.#pendingKept + item.data.length > MOST_KEPT) return;
    this.#pendingKept += item.data.length;
    this.#pendingDrawn += 1;
    this.#pending.push(item);
  }

  /** Leaves out the event with this number of those that wait. */
  #forget(number) {
    let events = -1;
    const at = this.#pending.findIndex((item) => !item.notice && (events += 1) === number);
    if (at < 0) return;
    this.#pendingKept -= this.#pending[at].data.length;
    this.#pendingDrawn -= 1;
    this.#pending.splice(at, 1);
  }

  /** Takes a notice for the place where the read is: `{part, kind, title, text}`. */
  tell(notice) {
    // Whoever looks away for long does not need them all.
    if (this.#pending.length > 4 * MOST_ROWS) this.#pending.splice(this.#pending.findIndex((item) => item.notice), 1);
    this.#pending.push({ notice });
  }

  /** Draws what waits, unless the person holds the list. Returns whether it drew. */
  draw() {
    const now = performance.now();
    this.#budget = Math.min(BURST, this.#budget + ((now - this.#refilled) / 1000) * ROWS_A_SECOND);
    this.#refilled = now;
    if (this.isHeld || this.#pending.length === 0) return false;
    const rows = this.#pending.map((item) => this.#row(item));
    this.#pending = [];
    this.#pendingKept = this.#pendingEvents = this.#pendingDrawn = 0;
    this.#rows.prepend(...rows.reverse());
    this.#trim();
    if (!this.#reachable?.isConnected) this.#reach(this.#rows.firstElementChild);
    return true;
  }

  #row(item) {
    if (item.notice) return noticeRow(item.notice, this.#columns);
    const meta = item.length <= READ_FOR_PLACE && item.data.includes('"offset"') ? parseJson(item.data)?.meta : null;
    item.place = item.id ? placeOf(item.id, item.before, meta) : null;
    delete item.before;
    const row = eventRow(item, this.#fields);
    this.#items.set(row, item);
    this.#kept += item.data.length;
    this.#budget = Math.max(0, this.#budget - 1);
    this.drawn += 1;
    return row;
  }

  get #columns() {
    return 2 + Math.max(1, this.#fields.length);
  }

  /** Removes the oldest rows, but not the one that has the focus. */
  #trim() {
    while (this.#rows.rows.length > MOST_ROWS || (this.#kept > MOST_KEPT && this.#rows.rows.length > 1)) {
      const last = this.#rows.lastElementChild;
      const row = last.contains(document.activeElement) ? last.previousElementSibling : last;
      this.#kept -= this.#items.get(row)?.data.length ?? 0;
      this.#items.delete(row);
      row.remove();
    }
  }

  #onKey(event) {
    const row = event.target.closest?.("tbody tr");
    const next = { ArrowDown: row?.nextElementSibling, ArrowUp: row?.previousElementSibling, Home: this.#rows.firstElementChild, End: this.#rows.lastElementChild }[event.key];
    if (next) this.#focus(next);
    else if (event.key === "Enter" || event.key === " ") this.#choose(row, true);
    else return;
    event.preventDefault();
  }

  /** Makes this row the one that the tabulator key reaches. From there arrows lead on. */
  #reach(row) {
    if (this.#reachable) this.#reachable.tabIndex = -1;
    row.tabIndex = 0;
    this.#reachable = row;
  }

  #focus(row) {
    this.#reach(row);
    row.focus();
  }

  /** Moves the focus into the list. */
  focus() {
    if (this.#reachable?.isConnected) this.#focus(this.#reachable);
  }

  #choose(row, byKey) {
    const item = this.#items.get(row);
    if (!item) return;
    this.unchoose();
    this.#chosen = row;
    this.#reach(row);
    row.setAttribute("aria-selected", "true");
    this.#onSelect(item, byKey);
  }

  /** Marks no row as the chosen one. */
  unchoose() {
    this.#chosen?.setAttribute("aria-selected", "false");
  }

  /** Puts the focus back to the row that was chosen. */
  focusChosen() {
    if (this.#chosen?.isConnected) this.#focus(this.#chosen);
  }

  /** Shows the newest rows. */
  toNewest() {
    this.#scroll.scrollTop = 0;
    scrollTo(0, 0);
  }

  /** Returns the names of members whose values are simple, of the newest events: what one may want to see or test. */
  members() {
    const names = new Set();
    for (const [, item] of [...this.#items].slice(-5)) {
      const value = item.length <= READ_FOR_PLACE ? parseJson(item.data) : null;
      if (typeof value !== "object" || value === null || Array.isArray(value)) continue;
      for (const name of Object.keys(value).slice(0, 60)) {
        if (name.length <= 60 && (typeof value[name] !== "object" || value[name] === null)) names.add(name);
      }
    }
    return [...names].slice(0, 60);
  }
}

/** Says how much has come: in `tally`, in `sample` how much of it is drawn, and in `newer` what waits for that. */
export function showTally(list, { tally, sample, newer, gaps, reconnects, skipped }) {
  const parts = [plural(list.received, "event")];
  if (gaps) parts.push(plural(gaps, "gap"));
  if (reconnects) parts.push(plural(reconnects, "reconnect"));
  if (skipped) parts.push(`${count(skipped)} skipped by the filter`);
  setText(tally, parts.join(" · "));
  const isSampled = list.drawn < list.received - list.waiting;
  setText(sample, isSampled ? `${count(list.drawn)} drawn, a sample. All are counted.` : "");
  newer.hidden = !list.isHeld || list.waiting === 0;
  if (!newer.hidden) setText(newer, `${count(list.waiting)} newer`);
}
