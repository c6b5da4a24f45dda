// Texts and numbers as people read them.

/** Characters that are not seen, or that change how those around them are seen. */
const UNSEEN =
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

/** Returns the text with unseen characters as escapes, and cut to `limit` UTF-16 units. */
export function visible(text, limit = Infinity) {
  return cut(text, limit).replace(UNSEEN, (char) => "\\u" + char.charCodeAt(0).toString(16).padStart(4, "0"));
}

/** Returns the same in one line. */
export function oneLine(text, limit) {
  return visible(text, limit).replace(/\r\n?|\n/g, "↵").replace(/\t/g, " ");
}

/** Returns the first `limit` units of the text, and no half of a character. */
export function cut(text, limit) {
  if (text.length <= limit) return text;
  const last = text.charCodeAt(limit - 1);
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? limit - 1 : limit);
}

const numbers = new Intl.NumberFormat("en-US");

/** Returns a whole number with its thousands apart. */
export const count = (number) => numbers.format(Math.round(number));

/** Returns a number in at most four characters and a unit: `12.3k`. */
export function short(number) {
  if (number >= 1e6) return `${trim(number / 1e6)}M`;
  if (number >= 1e4) return `${trim(number / 1e3)}k`;
  return number < 100 && !Number.isInteger(number) ? trim(number) : count(number);
}

const trim = (number) => (number < 10 ? number.toFixed(1).replace(/\.0$/, "") : String(Math.round(number)));

/** Returns a duration in milliseconds in its largest unit: `350 ms`, `2.1 s`, `3 min`. */
export function duration(ms) {
  if (ms < 1e3) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 6e4) return `${trim(ms / 1e3)} s`;
  if (ms < 36e5) return `${Math.round(ms / 6e4)} min`;
  return ms < 1728e5 ? `${Math.round(ms / 36e5)} h` : `${Math.round(ms / 864e5)} d`;
}

/** Returns a number of bytes in its largest unit. */
export function bytes(number) {
  if (number < 1024) return `${number} bytes`;
  if (number < 1024 * 1024) return `${trim(number / 1024)} KB`;
  return `${trim(number / 1024 / 1024)} MB`;
}

/** Returns a time in milliseconds since 1970 as date and time of the reader's time zone. */
export function dateTime(ms) {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return String(ms);
  const part = (number, length = 2) => String(number).padStart(length, "0");
  return (
    `${date.getFullYear()}-${part(date.getMonth() + 1)}-${part(date.getDate())} ` +
    `${part(date.getHours())}:${part(date.getMinutes())}:${part(date.getSeconds())}.${part(date.getMilliseconds(), 3)}`
  );
}

/** Returns the time of day of such a time. */
export const timeOfDay = (ms) => dateTime(ms).slice(11);

/** Returns `1 event`, `2 events`. */
export const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
