// JSON without what `JSON.parse` loses: numbers stay as they are written.

/** A number that JavaScript cannot hold, as it is written. */
export class ExactNumber {
  constructor(source) {
    this.source = source;
  }

  toString() {
    return this.source;
  }

  toJSON() {
    return JSON.rawJSON ? JSON.rawJSON(this.source) : Number(this.source);
  }
}

/** Returns the value of a text, or `undefined` if it is no JSON. */
export function parseJson(text) {
  try {
    return JSON.parse(text, (_, value, context) =>
      typeof value === "number" && context?.source && String(value) !== context.source ? new ExactNumber(context.source) : value,
    );
  } catch {
    return undefined;
  }
}

/** Whether a value has members or items. */
export const isNested = (value) => typeof value === "object" && value !== null && !(value instanceof ExactNumber);

/** Returns the value behind these names, or `undefined`. Numbers go into arrays. */
export function valueAt(value, names) {
  for (const name of names) {
    if (!isNested(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

/** Returns a value in one line: texts without quotes, anything else as JSON. */
export function inline(value) {
  if (value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}
