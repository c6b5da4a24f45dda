// The credential that a person gave, and what it is exchanged for. It is in the memory of this page and nowhere else.

/** What the gateway or the network said instead of an answer. */
export class Refusal extends Error {
  /** `status` is 0 if there was no answer at all. */
  constructor({ status, type = "", title = "", detail = "", gap = null, retryAfter = null }) {
    super(detail || title);
    Object.assign(this, { status, type, title, detail, gap, retryAfter });
  }

  /** Reads the JSON of a refusal. Proxies in front answer in their own words, of which only the status counts. */
  static async of(response) {
    const problem = await response.json().catch(() => ({}));
    const text = (name) => (typeof problem?.[name] === "string" ? problem[name].slice(0, 2000) : "");
    const seconds = Number.parseInt(response.headers.get("retry-after") ?? "", 10);
    return new Refusal({
      status: response.status,
      type: text("type"),
      title: text("title") || response.statusText || `Status ${response.status}`,
      detail: text("detail"),
      gap: problem?.gap ?? null,
      retryAfter: Number.isFinite(seconds) ? seconds : null,
    });
  }

  /** Whether asking again, later, can help without anybody doing something else. */
  get isTemporary() {
    return this.status === 0 || this.status === 408 || this.status === 425 || this.status === 429 || this.status >= 500;
  }
}

/** Who asks. */
export class Access {
  #credential = null;
  /** How far the clock of the gateway is ahead of that of this machine, in milliseconds. A second or two do not count. */
  skew = 0;

  /** Whether there is a credential. */
  get isSet() {
    return this.#credential !== null;
  }

  /** Takes a credential, or with `null` forgets it. */
  set credential(credential) {
    this.#credential = credential?.trim() || null;
  }

  /** Returns the headers of a request for a document. */
  get headers() {
    return this.#credential ? { authorization: `Bearer ${this.#credential}` } : {};
  }

  /** Returns the JSON of a document. Throws a `Refusal`. */
  async json(path, signal) {
    const response = await ask(path, { headers: this.headers, signal });
    if (!response.ok) throw await Refusal.of(response);
    const ahead = Date.parse(response.headers.get("date") ?? "") - Date.now();
    this.skew = Math.abs(ahead) > 2_000 ? ahead : 0;
    return response.json();
  }

  /**
   * Returns how to ask for a stream: `{parameters, headers}`. With a credential that is a new ticket for these streams, which is asked
   * for at each connection, so that none is too old. Throws a `Refusal`.
   */
  async toRead(streams, signal) {
    if (!this.#credential) return { parameters: {}, headers: {} };
    const response = await ask("v2/tickets", {
      method: "POST",
      headers: { ...this.headers, "content-type": "application/json" },
      body: JSON.stringify({ streams }),
      signal,
    });
    if (response.ok) return { parameters: { ticket: (await response.json()).ticket }, headers: {} };
    const refusal = await Refusal.of(response);
    // No tickets are made without `[auth]`, and none that would be too long for a URL. Then the credential goes along itself.
    if (refusal.status === 404 || refusal.title === "Ticket Too Long") return { parameters: {}, headers: this.headers };
    throw refusal;
  }
}

/** Sends a request to this gateway. Throws a `Refusal` with status 0 if no answer comes. */
export async function ask(path, options) {
  try {
    return await fetch(path, { cache: "no-store", referrerPolicy: "no-referrer", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal({ status: 0, title: "No answer", detail: "The gateway does not answer, or the network is down." });
  }
}
