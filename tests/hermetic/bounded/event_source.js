// Reads the URL with the `EventSource` of npm, and prints one line of JSON for each thing that happens.
const { EventSource } = require(process.env.EVENTSOURCE);

const show = (what) => console.log(JSON.stringify(what));
const fetched = async (input, init) => {
  const response = await fetch(input, init);
  show({ status: response.status, id: init.headers["Last-Event-ID"] ?? null });
  return response;
};

const source = new EventSource(process.env.URL, { fetch: fetched });
source.addEventListener("message", (event) => show({ n: JSON.parse(event.data).n }));
source.addEventListener("end", (event) => show({ end: JSON.parse(event.data) }));
source.addEventListener("error", () => {
  if (source.readyState === EventSource.CLOSED) {
    // A request after that would be shown.
    setTimeout(() => show({ closed: true }), 5_000);
  }
});
