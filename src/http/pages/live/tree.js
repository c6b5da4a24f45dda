// A value of JSON as a tree. Branches are made when they are opened, so depth and size cost nothing before.

import { copyFrom, el } from "./dom.js";
import { pathName } from "./filters.js";
import { ExactNumber, isNested } from "./json.js";
import { count, plural, visible } from "./text.js";

/** How many members of a branch are made at once, and how many characters of a text are shown at first. */
const MEMBERS = 100;
const TEXT = 1_000;
const MORE_TEXT = 50_000;
/** How many levels are open at first, if the value is small. */
const OPEN_LEVELS = 2;
const OPEN_MEMBERS = 30;

/** Returns a tree of the value. `onTest(path, value)` and `onField(path)` are called for what a person picks. */
export function tree(value, { onTest, onField }) {
  const actions = { onTest, onField };
  if (!isNested(value)) return el("div", { class: "tree" }, leaf(null, value, null, actions));
  const root = el("ul", { class: "tree" });
  fill(root, value, [], 1, actions);
  return root;
}

function fill(list, value, path, level, actions, from = 0) {
  const isArray = Array.isArray(value);
  const names = Object.keys(value);
  for (const name of names.slice(from, from + MEMBERS)) {
    // The filter cannot look into arrays.
    const inner = path === null || isArray ? null : [...path, name];
    list.append(el("li", {}, member(name, value[name], inner, level, isArray, actions)));
  }
  const left = names.length - from - MEMBERS;
  if (left > 0) {
    const more = el("button", { type: "button", class: "quiet" }, `${plural(left, "more")}`.replace(/s$/, ""));
    const item = el("li", {}, more);
    more.addEventListener("click", () => {
      item.remove();
      fill(list, value, path, level, actions, from + MEMBERS);
      list.children[from + MEMBERS]?.querySelector("summary, button")?.focus();
    });
    list.append(item);
  }
  if (names.length === 0) list.append(el("li", { class: "hint" }, isArray ? "no items" : "no members"));
}

function member(name, value, path, level, inArray, actions) {
  if (!isNested(value)) return leaf(inArray ? Number(name) : name, value, path, actions);
  const size = Object.keys(value).length;
  const kind = Array.isArray(value) ? `[${count(size)}]` : `{${count(size)}}`;
  const list = el("ul");
  const branch = el("details", {}, el("summary", {}, key(inArray ? Number(name) : name), el("span", { class: "kind" }, kind)), list);
  let isFilled = false;
  const open = () => {
    if (!isFilled) fill(list, value, path, level + 1, actions);
    isFilled = true;
  };
  branch.addEventListener("toggle", open);
  if (level < OPEN_LEVELS && size <= OPEN_MEMBERS) {
    open();
    branch.open = true;
  }
  return branch;
}

function leaf(name, value, path, { onTest, onField }) {
  const line = el("div", { class: "leaf" }, name === null ? null : key(name), scalar(value));
  if (path && path.length <= 16) {
    const text = path.map(pathName).join(".");
    const label = visible(text, 80);
    const isShort = typeof value !== "string" || value.length <= 500;
    const test = isShort && button("filter", `Filter: ${label} is this`, () => onTest(text, value));
    line.append(el("span", { class: "picks" }, test, button("show", `Show the field ${label}`, () => onField(text))));
  }
  return line;
}

const button = (text, label, onclick) => el("button", { type: "button", class: "pick", "aria-label": label, title: label, onclick }, text);

const key = (name) => el("span", { class: "key" }, typeof name === "number" ? String(name) : visible(name, 200));

function scalar(value) {
  if (typeof value !== "string") {
    const kind = value instanceof ExactNumber ? "number" : value === null ? "null" : typeof value;
    return el("span", { class: `value ${kind}` }, visible(String(value), 400));
  }
  const shown = el("span", { class: "value string", dir: "auto" }, visible(value, TEXT));
  if (value.length <= TEXT) return shown;
  const rest = el("span", { class: "cut" }, `${count(value.length)} characters, ${count(TEXT)} of them shown `);
  const more = el("button", { type: "button", class: "quiet", onclick: () => show() }, "more");
  const copy = el("button", { type: "button", class: "quiet", onclick: () => copyFrom(copy, value) }, "copy all");
  const show = () => {
    shown.textContent = visible(value, MORE_TEXT);
    rest.firstChild.textContent = `${count(value.length)} characters, ${count(Math.min(value.length, MORE_TEXT))} of them shown `;
    more.remove();
  };
  rest.append(more, copy);
  return el("span", { class: "long" }, shown, rest);
}
