// What a browser has and Node does not, or not in all versions: an EventSource (HTML standard, 9.2), as far as a page needs it.

class EventSource {
  static CLOSED = 2;

  constructor(url) {
    this.url = url;
    this.readyState = 0;
    this.lastEventId = "";
    this.listeners = { message: (event) => this.onmessage(event) };
    setTimeout(() => this.connect());
  }

  addEventListener(type, listener) {
    this.listeners[type] = listener;
  }

  async connect() {
    try {
      const headers = { accept: "text/event-stream" };
      if (this.lastEventId) headers["last-event-id"] = this.lastEventId;
      const answer = await fetch(this.url, { headers });
      // Only the network is tried again.
      if (answer.status !== 200) {
        this.readyState = EventSource.CLOSED;
        return this.onerror?.({});
      }
      this.readyState = 1;
      await this.read(answer.body.pipeThrough(new TextDecoderStream()));
    } catch {}
    this.readyState = 0;
    this.onerror?.({});
    setTimeout(() => this.connect(), 100);
  }

  async read(stream) {
    let rest = "";
    for await (const text of stream) {
      const blocks = (rest + text).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) this.dispatch(block.split("\n"));
    }
  }

  dispatch(lines) {
    const field = (name) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
    this.lastEventId = field("id") ?? this.lastEventId;
    this.listeners[field("event")]?.({ data: field("data"), lastEventId: this.lastEventId });
  }
}

const token = async () => process.env.TOKEN;
const show = (data) => console.log(data);

