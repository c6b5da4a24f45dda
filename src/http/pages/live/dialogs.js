// What asks or shows something and then goes away.

import { LANGUAGES, program } from "./code.js";
import { copyFrom, el } from "./dom.js";

/** Shows a dialog with this heading until it is closed, and removes it then. */
function open(heading, ...content) {
  const close = el("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Close");
  const title = el("h2", { id: "dialog-title" }, heading);
  const dialog = el("dialog", { "aria-labelledby": "dialog-title" }, el("div", { class: "head" }, title, close), ...content);
  dialog.addEventListener("close", () => dialog.remove());
  // A click beside it closes it too.
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Asks for a credential. Calls `onGiven(credential)`, with `null` to forget the one that there is. */
export function askForCredential({ isSet, onGiven }) {
  const input = el("input", { type: "password", id: "token", autocomplete: "off", spellcheck: "false", required: true });
  const forget = el("button", { type: "button" }, "Forget the credential");
  const form = el(
    "form",
    { class: "credential", method: "dialog" },
    el("label", { for: "token" }, "Token or API key"),
    input,
    el("p", { class: "hint" }, "It stays in the memory of this page, and is part of no link."),
    el("p", { class: "line" }, el("button", { class: "primary" }, "Use it"), isSet ? forget : null),
  );
  const dialog = open("Use a credential", form);
  const give = (credential) => {
    dialog.close();
    onGiven(credential);
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (input.value.trim()) give(input.value);
  });
  forget.addEventListener("click", () => give(null));
  input.focus();
}

/** Shows programs that read this URL. */
export function showCode({ url, hasCredential }) {
  const text = el("pre", { class: "code", tabindex: "0", "aria-label": "Program" });
  const copy = el("button", { type: "button", class: "primary", onclick: () => copyFrom(copy, text.textContent) }, "Copy");
  const choose = (language) => {
    text.textContent = program(language, url, hasCredential);
    for (const tab of tabs) tab.setAttribute("aria-pressed", String(tab.textContent === language));
  };
  const tabs = LANGUAGES.map((language) => el("button", { type: "button", onclick: () => choose(language) }, language));
  const hint = "Each goes on behind the last event after a cut.";
  open("Read this from a program", el("div", { class: "tabs", role: "group", "aria-label": "Language" }, ...tabs), text, el("p", { class: "line" }, copy, el("span", { class: "hint" }, hint)));
  choose(LANGUAGES[0]);
}
