// Reads the URL with an `EventSource` of npm that follows the interface of browsers, and prints one line of JSON for each event.
const { EventSource, EventSourcePolyfill } = require(process.env.EVENTSOURCE);

const show = (what) => console.log(JSON.stringify(what));

const source = new (EventSourcePolyfill ?? EventSource)(process.env.URL);
source.addEventListener("message", (event) => show({ n: JSON.parse(event.data).n }));
source.addEventListener("end", (event) => show({ end: event.data ? JSON.parse(event.data) : null }));
source.addEventListener("error", () => {});

// Not every library tells of its end.
const watch = setInterval(() => {
  if (source.readyState !== 2) return;
  clearInterval(watch);
  // A request after that would be counted.
  setTimeout(() => {
    show({ closed: true });
    process.exit();
  }, 5_000);
}, 50);
