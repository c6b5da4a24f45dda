// The language of filters, as far as the fields of the page write and read it. The gateway checks the rest.

import { list } from "./address.js";

/** The tests of the builder: how the filter writes them, and what is shown. */
export const TESTS = {
  "=": "is",
  "!=": "is not",
  in: "is one of",
  prefix: "begins with",
  ">": "is more than",
  ">=": "is at least",
  "<": "is less than",
  "<=": "is at most",
  exists: "is there",
  missing: "is not there",
};

const WORD = /^[\p{L}\p{N}_\-$@:/]+$/u;
const KEYWORDS = new Set(["and", "or", "not", "in", "prefix", "exists"]);
const LITERAL = /^(?:true|false|null|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)$/;
const BEGINS_LIKE_NUMBER = /^[-\d]/;

/** Returns a text as the filter writes it, quoted. */
export const quoted = (text) => `"${text.replace(/["\\]/g, "\\$&")}"`;

/** Returns one name of a path, quoted if it is no word. */
export const pathName = (name) => (WORD.test(name) && !KEYWORDS.has(name) && !/^[@\-\d]/.test(name) ? name : quoted(name));

/** Returns what a person typed as a value: a literal or a quoted text as it is, anything else as text. */
export function value(typed) {
  const text = typed.trim();
  if (LITERAL.test(text) || /^"(?:[^"\\]|\\.)*"$/.test(text)) return text;
  return WORD.test(text) && !KEYWORDS.has(text) && !BEGINS_LIKE_NUMBER.test(text) ? text : quoted(text);
}

/** Returns a value of JSON as a person would type it, so that `value` writes the same value. */
export function typedValue(json) {
  if (typeof json !== "string") return String(json);
  return LITERAL.test(json) || json.startsWith('"') || json.includes(",") || json !== json.trim() ? quoted(json) : json;
}

/** Returns the filter of these rows (`{field, test, value}`), joined by `and` or `or`. Rows without a field are left out. */
export function build(rows, joint) {
  return rows
    .filter(({ field }) => field.trim())
    .map(one)
    .join(` ${joint} `);
}

function one({ field, test, value: typed }) {
  const path = field.trim();
  if (test === "exists") return `exists ${path}`;
  if (test === "missing") return `not exists ${path}`;
  if (test === "in") return `${path} in (${list(typed).map(value).join(", ")})`;
  if (test === "prefix") return `${path} prefix ${/^"/.test(typed.trim()) ? value(typed) : quoted(typed.trim())}`;
  return `${path} ${test} ${value(typed)}`;
}

const QUOTED = String.raw`"(?:[^"\\]|\\["\\])*"`;
const NAME = String.raw`(?:[\p{L}\p{N}_\-$@:/]+|${QUOTED})`;
const PATH = String.raw`(${NAME}(?:\.${NAME})*)`;
const VALUE = String.raw`(?:-?\d[\d.eE+\-]*(?![\p{L}\p{N}_\-$@:/.+])|${NAME})`;
const EXISTS = new RegExp(`^(not\\s+)?exists\\s+${PATH}$`, "u");
const COMPARES = new RegExp(`^${PATH}\\s*(==?|!=|>=?|<=?|\\bprefix\\b)\\s*(${VALUE})$`, "u");
const LISTS = new RegExp(`^${PATH}\\s+in\\s*\\(\\s*(${VALUE}(?:\\s*,\\s*${VALUE})*)\\s*\\)$`, "u");
/** Between two tests, and in no quotes. */
const JOINT = new RegExp(`\\s+(and|or)\\s+(?=(?:[^"\\\\]|${QUOTED})*$)`, "u");

/**
 * Returns the rows that make this filter, and what joins them: `{rows, joint}`. Returns `null` if it is no chain of simple tests. Such
 * a filter is shown as text.
 */
export function parse(text) {
  const [first, ...others] = text.trim().split(JOINT);
  const joints = new Set(others.filter((_, index) => index % 2 === 0));
  const rows = [first, ...others.filter((_, index) => index % 2 === 1)].map(row);
  if (joints.size > 1 || rows.includes(null)) return null;
  return { rows, joint: [...joints][0] ?? "and" };
}

function row(text) {
  const exists = EXISTS.exec(text);
  if (exists) return { field: exists[2], test: exists[1] ? "missing" : "exists", value: "" };
  const [, field, test, value] = COMPARES.exec(text) ?? [];
  if (field) return { field, test: test === "==" ? "=" : test, value };
  const lists = LISTS.exec(text);
  return lists && { field: lists[1], test: "in", value: lists[2] };
}

/** Returns the index in UTF-16 units at which a refusal says that the filter is wrong, or `null`. */
export function faultAt(detail, filter) {
  const column = /at column (\d+)$/.exec(detail)?.[1];
  if (!column) return null;
  return Array.from(filter).slice(0, Number(column) - 1).join("").length;
}

/** Returns the names of a path of the filter or of `fields`: `a."b.c"` gives `["a", "b.c"]`. */
export function pathNames(path) {
  const found = path.match(/"(?:[^"\\]|\\.)*"|[^".]+/g) ?? [];
  return found.map((name) => (name.startsWith('"') ? name.slice(1, -1).replace(/\\(["\\])/g, "$1") : name.trim()));
}
