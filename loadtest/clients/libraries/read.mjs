// Reads the stream at argv[3] with the library argv[2], as its manual says, and prints the data of each event on a line.

const [, , library, url] = process.argv;

const print = (data) => process.stdout.write(`${data}\n`);

const readers = {
  async eventsource() {
    const { EventSource } = await import("eventsource");
    new EventSource(url).onmessage = ({ data }) => print(data);
  },
  async "eventsource-client"() {
    const { createEventSource } = await import("eventsource-client");
    for await (const { data } of createEventSource({ url })) print(data);
  },
  async "launchdarkly-eventsource"() {
    const { EventSource } = (await import("launchdarkly-eventsource")).default;
    const source = new EventSource(url, { errorFilter: () => true });
    source.onmessage = ({ data }) => print(data);
    // Without a listener an error ends the process.
    source.onerror = () => {};
  },
  async "wikimedia-streams"() {
    const { WikimediaStream } = await import("wikimedia-streams");
    // The package knows one host only. It requests that through a proxy: this gateway, which accepts a whole URL as target.
    const stream = new WikimediaStream("recentchange", { proxy: new URL(url).origin });
    stream.on("recentchange", (data) => print(JSON.stringify(data)));
    stream.on("error", () => {});
  },
};

await readers[library]();
