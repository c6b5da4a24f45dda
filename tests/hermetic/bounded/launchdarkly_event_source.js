// Reads the URL with the `EventSource` of LaunchDarkly, and prints one line of JSON for each event.
const { EventSource } = require(process.env.EVENTSOURCE);

const show = (what) => console.log(JSON.stringify(what));

const source = new EventSource(process.env.URL);
source.addEventListener("message", (event) => show({ n: JSON.parse(event.data).n }));
source.addEventListener("end", (event) => show({ end: event.data ? JSON.parse(event.data) : null }));
source.addEventListener("error", () => {});

// It does not tell that it has given up.
const watch = setInterval(() => {
  if (source.readyState !== 2) return;
  clearInterval(watch);
  // A request after that would be counted.
  setTimeout(() => {
    show({ closed: true });
    process.exit();
  }, 5_000);
}, 50);
