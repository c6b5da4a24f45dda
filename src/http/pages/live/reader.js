// Reads a stream and takes it up again where it was cut.
//
// By `fetch` and not by `EventSource`, which hides the body of a refusal, and with it the reason; which stays closed after some refusals
// and comes back at once after others, whatever `Retry-After` says; and which sends its URL again, with a ticket that has expired.

import { Refusal, ask } from "./access.js";
import { streamUrl } from "./address.js";
import { SseReader } from "./sse.js";

/** For how long a connection may be silent, in milliseconds: several heartbeats. */
const SILENCE = 120_000;
/** The pause before another try, in milliseconds, and the longest one. */
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 30_000;

/**
 * One read. Calls
 * - `onMessages(messages)` with what came, in order,
 * - `onState(state)` with `{name, ...}`: `connecting`, `open`, `pausing` (`at`, `why`), `refused` (`refusal`), `complete` (`end`).
 */
export class StreamReader {
  #view;
  #access;
  #fields;
  #onMessages;
  #onState;
  #abort = new AbortController();
  #wake = () => {};
  #attempts = 0;
  #end = null;
  /** The id to go on behind, or `""`. */
  lastId;

  constructor({ view, access, fields, onMessages, onState }) {
    this.#view = view;
    this.#access = access;
    this.#fields = fields;
    this.#onMessages = onMessages;
    this.#onState = onState;
    this.lastId = view.id;
  }

  /** Reads until the read is complete, refused for good, or stopped. */
  async run() {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      this.#onState({ name: "connecting", attempt: this.#attempts });
      const why = await this.#once().catch((error) => error);
      if (signal.aborted) return;
      if (why instanceof RangeError) return this.#onState({ name: "refused", refusal: tooLong(why) });
      if (this.#end) return this.#onState({ name: "complete", end: this.#end });
      if (why instanceof Refusal && !why.isTemporary) return this.#onState({ name: "refused", refusal: why });
      await this.#pause(why instanceof Error ? why : null);
    }
  }

  /** Ends the read. Nothing is called any more. */
  stop() {
    this.#onMessages = this.#onState = () => {};
    this.#abort.abort();
    this.#wake();
  }

  /** Ends a pause at once. */
  retry() {
    this.#wake();
  }

  /** Reads one answer to its end. */
  async #once() {
    const connection = new AbortController();
    const stop = () => connection.abort();
    this.#abort.signal.addEventListener("abort", stop);
    let watchdog = setTimeout(stop, SILENCE);
    try {
      const response = await this.#connect(connection.signal);
      if (response.status === 204) return void (this.#end = { reason: "complete" });
      if (!response.ok) throw await Refusal.of(response);
      this.#onState({ name: "open", from: this.lastId });
      const decoder = new TextDecoder();
      const parser = new SseReader();
      const body = response.body.getReader();
      for (;;) {
        const { done, value } = await body.read();
        clearTimeout(watchdog);
        if (done) return;
        watchdog = setTimeout(stop, SILENCE);
        this.#take(parser.push(decoder.decode(value, { stream: true })));
      }
    } finally {
      clearTimeout(watchdog);
      this.#abort.signal.removeEventListener("abort", stop);
      stop();
    }
  }

  async #connect(signal) {
    const { parameters, headers } = await this.#access.toRead(this.#view.streams, signal);
    const since = this.lastId ? "" : this.#view.since;
    // A header can be longer than a parameter, but holds no other characters than Latin ones.
    const isPlain = /^[\x20-\x7e]*$/.test(this.lastId);
    if (this.lastId && isPlain) headers["last-event-id"] = this.lastId;
    if (this.lastId && !isPlain) parameters.lastEventId = this.lastId;
    const url = streamUrl(this.#view, { since, fields: this.#fields, parameters });
    return ask(url, { headers: { accept: "text/event-stream", ...headers }, signal });
  }

  #take(messages) {
    if (messages.length === 0) return;
    this.#attempts = 0;
    for (const message of messages) {
      message.before = this.lastId;
      if (message.id !== null) this.lastId = message.id;
      if (message.event === "end") this.#end = readJson(message.data) ?? {};
    }
    this.#onMessages(messages);
  }

  /** Waits before another try: as long as the gateway said, or longer from time to time, and never all readers together. */
  async #pause(why) {
    this.#attempts += 1;
    const longest = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (this.#attempts - 1));
    const asked = why instanceof Refusal ? (why.retryAfter ?? 0) * 1000 : 0;
    const pause = Math.max(asked, longest * (0.5 + Math.random() / 2));
    const at = Date.now() + pause;
    this.#onState({ name: "pausing", at, why, attempt: this.#attempts, hasId: this.lastId !== "" });
    await new Promise((resolve) => {
      this.#wake = resolve;
      setTimeout(resolve, pause);
    });
  }
}

const tooLong = ({ message }) => new Refusal({ status: -1, title: "Event Too Long", detail: message });

/** Returns the JSON of a text, or `null` if it is none. */
export function readJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
