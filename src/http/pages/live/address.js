// What the address of the page says to show: all of it but credentials.

/** The parts of the address, in their order. */
const PARTS = ["streams", "filter", "since", "id", "fields"];

/** Returns what a fragment says: `#streams=a,b&filter=...`, or `#/?streams=a,b` as the page of EventStreams writes it. */
export function readFragment(fragment) {
  const parameters = new URLSearchParams(fragment.replace(/^#/, "").replace(/^\/?\?/, ""));
  const text = (name) => parameters.get(name)?.trim() ?? "";
  return {
    streams: list(text("streams")),
    filter: text("filter"),
    since: text("since"),
    id: text("id"),
    fields: list(text("fields")),
  };
}

/** Returns the fragment that says this, without `#`. */
export function writeFragment(view) {
  const parts = PARTS.map((name) => [name, Array.isArray(view[name]) ? view[name].join(",") : view[name]]);
  return parts
    .filter(([, value]) => value)
    .map(([name, value]) => `${name}=${encodePart(value)}`)
    .join("&");
}

/** Returns the elements of a list with commas, each once. Commas in quotes separate nothing. */
export function list(text) {
  const elements = text.match(/(?:"(?:[^"\\]|\\.)*"?|[^",])+/g) ?? [];
  return [...new Set(elements.map((element) => element.trim()).filter(Boolean))];
}

/** Encodes what would end a part, and what programs that make links of texts take for the end of a link. */
function encodePart(value) {
  return encodeURIComponent(value.toWellFormed?.() ?? value).replace(/%(2C|3A|2F|40)/g, decodeURIComponent).replace(/['()]/g, escapeByte);
}

const escapeByte = (char) => "%" + char.charCodeAt(0).toString(16).toUpperCase();

/** Returns the URL of a read: path and query, below the folder of the page. */
export function streamUrl(view, { since = view.since, fields = [], parameters = {} } = {}) {
  const query = new Map(Object.entries({ filter: view.filter, since, fields: fields.join(","), ...parameters }));
  const parts = [...query].filter(([, value]) => value).map(([name, value]) => `${name}=${encodePart(value)}`);
  const names = view.streams.map(encodeURIComponent).join(",");
  return `v2/stream/${names}${parts.length ? "?" : ""}${parts.join("&")}`;
}
