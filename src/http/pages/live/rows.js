// The rows of the list: events, and what happened between them.

import { el } from "./dom.js";
import { pathNames } from "./filters.js";
import { inline, parseJson, valueAt } from "./json.js";
import { cut, dateTime, oneLine, timeOfDay, visible } from "./text.js";

/** How many characters of a value, and of a field, are in a row. */
const PREVIEW = 400;
const CELL = 200;
/** Values up to here are taken apart for their fields, in UTF-16 units. */
const PARSED = 512 * 1024;

/** Names of what is no field of the value, and how to get it from an event. */
const METADATA = {
  "@topic": ({ place }) => place?.topic,
  "@partition": ({ place }) => place?.partition,
  "@offset": ({ place }) => place?.offset,
  "@timestamp": ({ place }) => place?.timestamp,
};

/** Returns the head of the table for these fields. */
export function heads(fields) {
  const head = (text, name) => el("th", { scope: "col", class: name, title: visible(text, CELL) }, visible(text, CELL));
  const values = fields.length ? fields.map((field) => head(field, "field")) : [head("Value", "value")];
  return el("tr", {}, head("Written", "when"), head("Partition", "where"), ...values);
}

/** Returns the row of an event, with these fields or with its value. */
export function eventRow(item, fields) {
  return el(
    "tr",
    { "data-part": "event", tabindex: "-1", "aria-selected": "false", class: item.event === "delete" ? "deleted" : null },
    when(item),
    where(item),
    ...cells(item, fields),
  );
}

/** Replaces the cells behind the first two, after the fields have changed. */
export function showFields(row, item, fields) {
  while (row.cells.length > 2) row.lastChild.remove();
  row.append(...cells(item, fields));
}

/** Returns a row that tells what happened here. */
export function noticeRow({ part, kind, title, text }, columns) {
  const cell = el("td", { colspan: String(columns) }, el("strong", {}, title), text ? ` ${text}` : "");
  return el("tr", { "data-part": part, tabindex: "-1", class: `event-notice ${kind}` }, cell);
}

function when({ place, at }) {
  const time = place?.timestamp ?? null;
  const text = time === null ? `~${timeOfDay(at)}` : timeOfDay(time);
  return el("td", { class: "when", title: time === null ? `came ${dateTime(at)}` : dateTime(time) }, text);
}

function where({ place }) {
  if (!place) return el("td", { class: "where" }, "–");
  const topic = visible(place.topic, CELL);
  const position = `${place.partition}:${place.offset}`;
  return el("td", { class: "where", title: `${topic}, partition ${place.partition}, offset ${place.offset}` }, el("div", {}, el("span", {}, topic), el("b", {}, position)));
}

function cells(item, fields) {
  if (fields.length === 0) return [el("td", { class: "value" }, ...preview(item.data))];
  const isWhole = item.length === item.data.length && item.data.length <= PARSED;
  const value = isWhole ? parseJson(item.data) : undefined;
  return fields.map((field) => {
    const found = METADATA[field] ? METADATA[field](item) : valueAt(value, pathNames(field));
    const text = isWhole || METADATA[field] ? oneLine(inline(found), CELL) : "too large";
    return el("td", { class: "field", dir: "auto", title: text }, text);
  });
}

const KEYS = /"(?:[^"\\]|\\.)*"(?=\s*:)/g;

/** Returns the start of a value, with the names of its members set apart. */
function preview(data) {
  const text = oneLine(data, PREVIEW);
  if (text[0] !== "{" && text[0] !== "[") return [text];
  const parts = [];
  let from = 0;
  for (const match of text.matchAll(KEYS)) {
    parts.push(text.slice(from, match.index), el("i", {}, cut(match[0].slice(1, -1), 80)));
    from = match.index + match[0].length;
  }
  parts.push(text.slice(from));
  return parts;
}
