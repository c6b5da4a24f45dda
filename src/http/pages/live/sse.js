// Server-Sent Events out of a text that comes in pieces. Lines end with LF or CRLF, as riverhead sends them.

/** The longest event, in UTF-16 units: riverhead sends values of up to 8 MiB, as base64 too. */
const MAX_EVENT = 32 * 1024 * 1024;

/** Reads a stream piece by piece. */
export class SseReader {
  #pieces = [];
  #length = 0;
  #event = "";
  #id = null;
  #data = null;

  /** Takes the next piece and returns the messages that it completes: `{event, id, data}`, `id` being `null` if it has none. */
  push(piece) {
    const end = piece.lastIndexOf("\n") + 1;
    if (end === 0) {
      this.#keep(piece);
      return [];
    }
    this.#pieces.push(piece.slice(0, end));
    const text = this.#pieces.length === 1 ? this.#pieces[0] : this.#pieces.join("");
    this.#pieces = [];
    this.#length = this.#data?.length ?? 0;
    this.#keep(piece.slice(end));
    const messages = [];
    for (let start = 0; start < text.length; ) {
      const stop = text.indexOf("\n", start);
      const message = this.#line(text.slice(start, text[stop - 1] === "\r" ? stop - 1 : stop));
      if (message) messages.push(message);
      start = stop + 1;
    }
    return messages;
  }

  #keep(piece) {
    this.#length += piece.length;
    if (this.#length > MAX_EVENT) throw new RangeError("an event is longer than 32 MiB");
    if (piece) this.#pieces.push(piece);
  }

  /** Takes a line, and returns the message that it ends, if it does. */
  #line(line) {
    if (line === "") return this.#end();
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "data") this.#data = this.#data === null ? value : `${this.#data}\n${value}`;
    else if (name === "event") this.#event = value;
    else if (name === "id") this.#id = value;
    return null;
  }

  #end() {
    const message = this.#data === null ? null : { event: this.#event || "message", id: this.#id, data: this.#data };
    this.#event = "";
    this.#id = null;
    this.#data = null;
    return message;
  }
}
