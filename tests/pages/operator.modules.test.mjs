// The modules of the page for operators that need no browser: what is a fault, what the text of metrics says, and how numbers read.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const page = join(root, "src/http/pages/operator");
const { faultsOf } = await import(join(page, "faults.js"));
const { parse, Readings } = await import(join(page, "metrics.js"));
const { sectionsOf, draw } = await import(join(page, "runbook.js"));
const format = await import(join(page, "format.js"));

const NOW = Date.UTC(2026, 10, 30, 12);

/** Returns readings of these texts, two seconds apart. */
function readings(...texts) {
  const all = new Readings();
  texts.forEach((text, index) => all.add(parse(text), index * 2_000));
  return all;
}

const partition = (more) => ({ topic: "edits", partition: 0, state: "ok", reason: "read", error: null, stalled: false, ...more });
const broker = (more) => ({ id: 1, address: "b1:9092", state: "ok", reason: "it answers", ...more });

const cluster = (more) => ({
  name: "main", state: "ok", reason: "3 brokers reachable", active: true, brokers_reachable: 3,
  brokers: [broker({ id: 1 }), broker({ id: 2 }), broker({ id: 3 })], topics: [], partitions: [partition()], ...more,
});

/** Returns the state of a page whose gateway says this. */
function state({ health = {}, own = {}, limits = {}, texts = ["", ""], ...more } = {}) {
  const overview = {
    time: NOW,
    health: {
      state: "ok", reason: "healthy", ready: true, draining: false, held: 0, clusters: [cluster()],
      streams: [{ name: "edits", state: "ok", reason: "1 partition read" }], ...health,
    },
    streams: [{ name: "edits", topics: ["edits"] }],
    limits: { streams: 1, streams_total: 100, ...limits },
    memory: { pools: [] },
    ...own,
  };
  return { overview, readings: readings(...texts), ...more };
}

const shown = (found) => found.map(({ severity, subject, runbook }) => [severity, subject, runbook]);

test("a gateway that is well has no faults", () => {
  assert.deepEqual(faultsOf(state()), []);
});

test("each reason of health has its section of the runbook", () => {
  for (const [more, runbook] of [
    [{ reason: "stalled: broker 1 has reported for 20 s that the log ends at 7", stalled: true }, "RiverheadPartitionStalled"],
    [{ reason: "cannot be read, for 10 s: TOPIC_AUTHORIZATION_FAILED", error: "TOPIC_AUTHORIZATION_FAILED" }, "RiverheadPartitionFault"],
    [{ reason: "the broker has offsets 3 to 9 and they cannot be read" }, "RiverheadUnreadable"],
    [{ reason: "a transaction has been open for 16 min" }, "RiverheadTransactionHangs"],
    [{ reason: "it has had no leader for 12 s: its replicas are down" }, "RiverheadPartitionFailing"],
    [{ reason: "quiet for 20 min while other partitions of its topic are not" }, "RiverheadStreamQuiet"],
  ]) {
    const partitions = [partition({ state: "failing", ...more })];
    const reason = `edits-0: ${more.reason}`;
    const found = faultsOf(state({ health: { clusters: [cluster({ state: "failing", reason, partitions })], streams: [{ name: "edits", state: "failing", reason }] } }));
    assert.deepEqual(shown(found), [["failing", "Partition edits-0 of main", runbook]], "the cluster and the stream only repeat it");
    assert.deepEqual(found[0].affects, ["edits"]);
  }
  for (const [more, runbook] of [
    [{ state: "failing", reason: "none of the bootstrap brokers answers: b1:9092: connection refused" }, "RiverheadClusterFailing"],
    [{ state: "degraded", reason: "1 of 3 in the bootstrap list accept connections" }, "RiverheadBootstrapRotten"],
    [{ state: "degraded", reason: "the thread tail panicked 20 s ago and was restarted" }, "RiverheadThreadPanicked"],
  ]) {
    assert.deepEqual(shown(faultsOf(state({ health: { clusters: [cluster(more)] } }))), [[more.state, "Cluster main", runbook]]);
  }
  const quiet = [{ name: "edits", state: "failing", reason: "no event for 20 min; one is expected within 10 min" }];
  assert.deepEqual(shown(faultsOf(state({ health: { streams: quiet } }))), [["failing", "Stream edits", "RiverheadStreamQuiet"]]);
});

test("the worst is first, the cause before what follows, and many partitions are one fault", () => {
  const dead = { state: "failing", reason: "nothing was fetched for 14 s: broker 2 (b2:9092) does not answer" };
  const partitions = [0, 1, 2].map((number) => partition({ partition: number, ...(number > 0 && { ...dead, reason: dead.reason.replace("14", 14 + number) }) }));
  const brokers = [broker(), broker({ id: 2, state: "failing", reason: "it has not answered for 14 s" })];
  const texts = [0, 1, 2, 3].map(() => "riverhead_streams_held 3\n");
  const found = faultsOf(state({ texts, health: { held: 3, clusters: [cluster({ partitions, brokers, brokers_reachable: 1 })] } }));
  assert.deepEqual(shown(found), [
    ["failing", "Broker 2 (b1:9092) of main", "RiverheadBrokersReachable"],
    ["failing", "2 partitions of main", "RiverheadPartitionFailing"],
    ["degraded", "Streams", "RiverheadStreamsHeld"],
  ]);
  assert.deepEqual(found[1].parts, ["edits-1", "edits-2"]);
});

test("a cluster that has not told its partitions affects the streams that name it", () => {
  const reason = "none of the bootstrap brokers answers";
  const streams = [{ name: "edits", state: "failing", reason: `cluster main: ${reason}` }, { name: "other", state: "ok", reason: "read" }];
  const [fault] = faultsOf(state({ health: { clusters: [cluster({ state: "failing", reason, partitions: [] })], streams } }));
  assert.deepEqual([fault.subject, fault.affects], ["Cluster main", ["edits"]]);
});

test("a broker that misses its answers is noted before it counts as unreachable, and a healthy one is not", () => {
  const found = (more) => faultsOf(state({ health: { clusters: [cluster({ brokers: [broker(more), broker({ id: 2 })] })] } }));
  assert.deepEqual(found({ connection: "UP", answered_age_seconds: 5 }), [], "each is asked every few seconds");
  assert.deepEqual(found({ connection: "CONNECT", answered_age_seconds: 1 }), [], "a restart");
  for (const silent of [{ connection: "UP", answered_age_seconds: 8 }, { connection: "CONNECT", answered_age_seconds: 4 }]) {
    const [fault, ...others] = found(silent);
    assert.deepEqual(shown([fault, ...others]), [["note", "Broker 1 (b1:9092) of main", "RiverheadBrokerUnreachable"]]);
    assert.match(fault.reason, /^it has not answered for [48].*, and counts as unreachable after 10 s$/);
  }
  const failing = found({ state: "failing", reason: "it has not answered for 12 s", connection: "CONNECT", answered_age_seconds: 12 });
  assert.deepEqual(shown(failing), [["failing", "Broker 1 (b1:9092) of main", "RiverheadBrokerUnreachable"]], "once");
});

test("streams that wait for a moment are no fault", () => {
  const texts = [3, 0, 3, 3].map((held) => `riverhead_streams_held ${held}\n`);
  assert.deepEqual(faultsOf(state({ texts, health: { held: 3 } })), []);
});

test("what only metrics tell is a fault while it is new, and a note afterwards", () => {
  const text = (panics) => `riverhead_kafka_thread_panics_total{thread="tail"} ${panics}\n`;
  assert.deepEqual(shown(faultsOf(state({ texts: [text(1), text(1)] }))), [["note", "Threads", "RiverheadThreadPanicked"]]);
  assert.deepEqual(shown(faultsOf(state({ texts: [text(1), text(2)] }))), [["degraded", "Threads", "RiverheadThreadPanicked"]]);
  assert.deepEqual(faultsOf(state({ texts: [text(0), text(0)] })), []);
  const soon = `riverhead_tls_certificate_expiry_timestamp_seconds{listener="http",certificate="c.pem"} ${NOW / 1000 + 86_400}\n`;
  assert.deepEqual(shown(faultsOf(state({ texts: [soon] }))), [["degraded", "Certificate c.pem of listener http", "RiverheadCertificateExpires"]]);
  const refused = (count) => `riverhead_refusals_total{reason="request_rate"} ${count}\n`;
  assert.deepEqual(shown(faultsOf(state({ texts: [refused(0), refused(10)] }))), [["degraded", "Refusals", "RiverheadRefusals"]]);
  assert.deepEqual(faultsOf(state({ texts: [refused(0), refused(1)] })), []);
  assert.deepEqual(shown(faultsOf(state({ limits: { streams: 81 } }))), [["degraded", "Streams", "RiverheadPoolNearFull"]]);
});

test("a reload that was refused is told with its reason, until another one is applied", () => {
  const reload = (result) => ({ time: NOW, result, detail: "unknown key", changes: [] });
  const config = (...results) => ({ reloads: results.map(reload), waiting: [] });
  const [fault] = faultsOf(state({ config: config("refused", "applied") }));
  assert.deepEqual([fault.runbook, fault.detail], ["RiverheadReloadFailed", "unknown key"]);
  assert.deepEqual(faultsOf(state({ config: config("applied", "refused") })), []);
});

test("a document of streams that cannot be read is told with its reason", () => {
  const told = (own, reason) => faultsOf(state({ health: { stream_config: { state: own, reason } } }));
  const [fault] = told("degraded", "it cannot be read");
  assert.deepEqual([fault.runbook, fault.reason], ["RiverheadStreamConfigFailing", "it cannot be read"]);
  assert.deepEqual(told("ok", "2 streams"), []);
});

test("an admin listener that does not answer is the first of all faults, also without any answer before", () => {
  const failure = { since: Date.now() - 5_000, why: "no connection" };
  assert.deepEqual(shown(faultsOf({ readings: readings(""), failure })), [["failing", "Admin listener", "RiverheadDown"]]);
});

test("metrics are read with their labels, and rates are those of the last seconds", () => {
  const text = (sent) => `# TYPE riverhead_events_sent counter\n# HELP riverhead_events_sent Events written to clients\n`
    + `riverhead_events_sent_total{stream="a\\"b\\\\c\\nd",x="1"} ${sent}\nriverhead_events_sent_total{stream="e"} 5\n# EOF\n`;
  const own = readings(text(100), text(300));
  assert.deepEqual(own.samples("riverhead_events_sent_total", { x: "1" })[0].labels, { stream: 'a"b\\c\nd', x: "1" });
  assert.equal(own.value("riverhead_events_sent_total"), 305);
  assert.equal(own.rate("riverhead_events_sent_total"), 100);
  assert.equal(own.latest.families.get("riverhead_events_sent").help, "Events written to clients");
  assert.equal(readings(text(1)).rate("riverhead_events_sent_total"), undefined, "one reading has no rate");
});

test("readings of a day take no more memory than those of a quarter of an hour", () => {
  const all = new Readings();
  const one = parse("riverhead_events_sent_total 7\n");
  for (let second = 0; second < 86_400; second += 2) all.add(one, second * 1_000);
  assert.ok(all.length <= 50, `${all.length} readings`);
});

test("the runbook has every section, and its marks are elements", () => {
  const sections = sectionsOf(readFileSync(join(root, "docs/runbook.md"), "utf8"));
  assert.ok(sections.size > 30, `${sections.size} sections`);
  for (const [name, blocks] of sections) {
    assert.ok(blocks.some(({ text }) => text.startsWith("**Means**")), name);
    const text = JSON.stringify(draw(blocks, () => {}));
    assert.doesNotMatch(text, /\*\*|\]\(/, name);
  }
});

test("numbers, sizes and times read as people write them", () => {
  const { number, whole, bytes, duration, short } = format;
  assert.deepEqual([0, 0.042, 0.42, 3.14, 42, 999.7, 1234, 2e6, null].map(number), ["0", "0.04", "0.42", "3.1", "42", "1.0k", "1.2k", "2M", "–"]);
  assert.equal(whole(1234567), "1\u202f234\u202f567");
  assert.deepEqual([0, 1023, 1536, 268435456, null].map(bytes), ["0 B", "1023 B", "1.5 KiB", "256 MiB", "–"]);
  assert.deepEqual([0, 0.0004, 0.25, 1.5, 42, 90, 3_600, 90_000, 86_400 * 30, null].map(duration),
    ["0 ms", "0.4 ms", "250 ms", "1.5 s", "42 s", "1 min 30 s", "1 h", "1 d 1 h", "30 d", "–"]);
  assert.equal(short("a\u202eb\u0000c"), "a\ufffdb\ufffdc", "nothing turns the text around it");
  assert.equal(short("x".repeat(500), 10), `${"x".repeat(10)}…`);
});
