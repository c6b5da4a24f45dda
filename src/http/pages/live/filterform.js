// The filter as fields and as text. The text is what counts; the fields show it as far as they can, and write it.

import { byId, el } from "./dom.js";
import { TESTS, build, parse } from "./filters.js";
import { visible } from "./text.js";

/** The longest filter that the gateway takes, in bytes. */
const LONGEST = 4096;

export class FilterForm {
  #rows = [];
  #tests = byId("tests");
  #text = byId("filter");
  #joint = byId("joint");
  #fault = byId("filter-fault");
  #names = el("datalist", { id: "names" });

  constructor() {
    this.#tests.after(this.#names);
    this.#text.addEventListener("input", () => this.#readText());
    this.#joint.addEventListener("change", () => this.#writeText());
    byId("add-test").addEventListener("click", () => this.add({ field: "", test: "=", value: "" }, true));
  }

  /** The filter as text. */
  get text() {
    return this.#text.value.trim();
  }

  set text(text) {
    if (text === this.text) return;
    this.#text.value = text;
    this.#readText();
  }

  /** Offers these names of fields. */
  offer(names) {
    this.#names.replaceChildren(...names.map((name) => el("option", { value: name })));
  }

  /** Adds a test: `{field, test, value}`. What is no list of tests, or one of alternatives, stands in parentheses before it. */
  add(row, takesFocus) {
    if (this.#rows === null || (row.field && this.#joint.value === "or" && this.#rows.length > 1)) {
      this.#text.value = `(${this.text}) and ${build([row], "and")}`;
      return this.#readText();
    }
    this.#rows.push(row);
    this.#drawRows();
    if (takesFocus) this.#tests.lastElementChild?.querySelector("input")?.focus();
    if (row.field) this.#writeText();
  }

  /** Shows a refusal of the filter, with its place in the text if there is one. */
  showFault(detail, at) {
    const filter = this.text;
    const place = at === null ? [] : [el("code", {}, visible(filter.slice(Math.max(0, at - 30), at)), el("mark", {}, visible(filter.slice(at, at + 12)) || "⏎"))];
    this.#fault.replaceChildren(el("span", {}, visible(detail, 400)), ...place);
    this.#fault.hidden = false;
    this.#text.setAttribute("aria-invalid", "true");
    if (at !== null) this.#text.setSelectionRange(at, Math.min(filter.length, at + 1));
  }

  /** Puts the focus to the text. */
  focus() {
    const { selectionStart, selectionEnd } = this.#text;
    this.#text.focus();
    this.#text.setSelectionRange(selectionStart, selectionEnd);
  }

  /** Forgets a refusal. */
  clearFault() {
    this.#fault.hidden = true;
    this.#text.removeAttribute("aria-invalid");
  }

  #readText() {
    this.clearFault();
    const parsed = this.text === "" ? { rows: [], joint: this.#joint.value } : parse(this.text);
    this.#rows = parsed?.rows ?? null;
    if (parsed) this.#joint.value = parsed.joint;
    this.#drawRows();
    if (new TextEncoder().encode(this.text).length > LONGEST) this.showFault(`The filter has more than ${LONGEST} bytes.`, null);
  }

  #writeText() {
    this.clearFault();
    this.#text.value = build(this.#rows ?? [], this.#joint.value);
  }

  #drawRows() {
    const rows = this.#rows ?? [];
    this.#tests.replaceChildren(...rows.map((row, index) => this.#testRow(row, index)));
    if (this.#rows === null) this.#tests.append(el("p", { class: "hint" }, "This filter is more than a list of tests. Edit it as text."));
    byId("joint-label").hidden = rows.length < 2;
    this.#text.rows = Math.min(6, Math.max(2, Math.ceil(this.#text.value.length / 36)));
  }

  #testRow(row, index) {
    const number = index + 1;
    const value = el("input", { "aria-label": `Value of test ${number}`, placeholder: "value" });
    const show = () => (value.hidden = row.test === "exists" || row.test === "missing");
    const field = el("input", { list: "names", "aria-label": `Field of test ${number}`, placeholder: "field" });
    const test = el("select", { "aria-label": `Test ${number}` }, ...Object.entries(TESTS).map(([value, label]) => el("option", { value }, label)));
    const remove = el("button", { type: "button", class: "quiet", "aria-label": `Remove test ${number}` }, "×");
    [field.value, test.value, value.value] = [row.field, row.test, row.value];
    show();
    field.addEventListener("input", () => this.#change(row, { field: field.value }));
    value.addEventListener("input", () => this.#change(row, { value: value.value }));
    test.addEventListener("change", () => {
      this.#change(row, { test: test.value });
      show();
    });
    remove.addEventListener("click", () => {
      this.#rows.splice(index, 1);
      this.#drawRows();
      this.#writeText();
      byId("add-test").focus();
    });
    return el("div", { class: "test", role: "group", "aria-label": `Test ${number}` }, field, test, value, remove);
  }

  #change(row, changed) {
    Object.assign(row, changed);
    this.#writeText();
  }
}
