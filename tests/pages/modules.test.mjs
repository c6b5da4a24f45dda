// The modules of the page that need no browser.

import assert from "node:assert/strict";
import { test } from "node:test";

const FOLDER = "../../src/http/pages/live";
const { list, readFragment, streamUrl, writeFragment } = await import(`${FOLDER}/address.js`);
const { build, faultAt, parse, pathName, pathNames, typedValue } = await import(`${FOLDER}/filters.js`);
const { lag, newest, placeOf } = await import(`${FOLDER}/ids.js`);
const { SseReader } = await import(`${FOLDER}/sse.js`);
const { bytes, cut, duration, oneLine, short, visible } = await import(`${FOLDER}/text.js`);

const EMPTY = { streams: [], filter: "", since: "", id: "", fields: [] };

test("an address says what is shown, also that of the page of EventStreams", () => {
  assert.deepEqual(readFragment("#/?streams=a,b"), { ...EMPTY, streams: ["a", "b"] });
  assert.deepEqual(readFragment(""), EMPTY);
  const view = {
    streams: ["a", "b"],
    filter: `title prefix "a & b = c + d # %" and x = 'y'`,
    since: "2026-11-30T09:00:00+01:00",
    id: '[{"topic":"é","partition":0}]',
    fields: ["meta.domain", '"a,b".c'],
  };
  const fragment = writeFragment(view);
  assert.match(fragment, /^streams=a,b&filter=[!-~]*&since=2026-11-30T09:00:00%2B01:00&/);
  assert.doesNotMatch(fragment, /['"()\s]/, "programs would end the link there");
  assert.deepEqual(readFragment(`#${fragment}`), view);
  assert.equal(writeFragment(EMPTY), "");
  assert.deepEqual(list('a, "b,c" ,,a'), ["a", '"b,c"']);
});

test("the URL of a stream asks for what the address says", () => {
  const view = { ...EMPTY, streams: ["a/b", "c"], filter: "x = 1", since: "0" };
  assert.equal(streamUrl(view), "v2/stream/a%2Fb,c?filter=x%20%3D%201&since=0");
  assert.equal(streamUrl({ ...view, filter: "" }, { since: "", parameters: { ticket: "t" } }), "v2/stream/a%2Fb,c?ticket=t");
  assert.equal(streamUrl({ ...EMPTY, streams: ["c"] }), "v2/stream/c");
});

test("a filter of simple tests is shown as fields and written back as it was", () => {
  for (const text of [
    "wiki = enwiki",
    "wiki = enwiki and not exists bot",
    'a.b in (1, "x y", z) or c prefix "U"',
    'a = 1.5 and b >= -3e5 and c != true and d < 2 and e <= 3 and f > 4',
    '"log entry"."a and b" = "x \\" and y"',
    "@header.n = \"2\" and @offset > 5",
    "exists a or not exists b.c",
  ]) {
    const parsed = parse(text);
    assert.ok(parsed, text);
    assert.equal(build(parsed.rows, parsed.joint), text);
  }
  for (const text of ["(a = 1)", "a = 1 and b = 2 or c = 3", "a =", "= 1", "not a = 1", "a = b c", "a in ()", 'a = "b', ""]) {
    assert.equal(parse(text), null, text);
  }
});

test("what a person types as a value means what it looks like", () => {
  const written = (value, test = "=") => build([{ field: "f", test, value }], "and");
  for (const [typed, expected] of [
    ["enwiki", "f = enwiki"],
    ["5", "f = 5"],
    ["-1.5e3", "f = -1.5e3"],
    ["true", "f = true"],
    ['"5"', 'f = "5"'],
    ["two words", 'f = "two words"'],
    ['a "quote" \\', 'f = "a \\"quote\\" \\\\"'],
    ["and", 'f = "and"'],
    ["2026-11-30", 'f = "2026-11-30"'],
    ["", 'f = ""'],
  ]) {
    assert.equal(written(typed), expected);
  }
  assert.equal(written("a, \"b,c\", 3", "in"), 'f in (a, "b,c", 3)');
  assert.equal(written("5", "prefix"), 'f prefix "5"');
  assert.equal(typedValue("5"), '"5"', "a text that looks like a number");
  assert.equal(typedValue(5), "5");
  assert.equal(build([{ field: " ", test: "=", value: "x" }], "and"), "");
});

test("a path keeps names that are no words", () => {
  for (const names of [["a"], ["meta", "domain"], ["a.b", 'c"d'], ["and"], ["0", "1"], ["@x"], ["$schema"], ["ключ"]]) {
    assert.deepEqual(pathNames(names.map(pathName).join(".")), names);
  }
});

test("the place of a fault counts characters, not units", () => {
  assert.equal(faultAt("expected a value at column 3", "😀 x"), 3);
  assert.equal(faultAt("expected a value at column 1", ""), 0);
  assert.equal(faultAt("the filter is wrong", "x"), null);
});

const id = (...offsets) => JSON.stringify(offsets.map((offset, partition) => ({ topic: "t", partition, offset, timestamp: 1000 + offset })));

test("an event is in the partition that is farther than before", () => {
  assert.deepEqual(placeOf(id(5, 8), id(5, 7)), { topic: "t", partition: 1, offset: 7, timestamp: 1008 });
  assert.equal(placeOf(id(5, 8), ""), null, "the first of several partitions");
  assert.deepEqual(placeOf(id(5), ""), { topic: "t", partition: 0, offset: 4, timestamp: 1005 });
  assert.equal(placeOf(id(6, 8), id(5, 7)), null, "a filter skipped records of the other one");
  assert.equal(placeOf(id(6, 8), id(5, 7), { topic: "t", partition: 1, offset: 7 }).partition, 1);
  for (const other of ["~compact", "", null, "[", "[null,1]", '[{"topic":"t","partition":0,"offset":-1}]']) assert.equal(placeOf(other, ""), null);
  assert.equal(newest(id(5, 8)), 1008);
  assert.equal(newest("~x"), null);
});

test("the lag is what the ends of the partitions are ahead", () => {
  const partitions = [0, 1].map((partition) => ({ partition, latest: { offset: 10 } }));
  const streams = [{ topics: [{ name: "t", partitions }] }, { topics: [{ name: "t", partitions }] }];
  assert.equal(lag(id(5, 12), streams), 5, "a topic of two streams counts once");
  assert.equal(lag("~x", streams), null);
  assert.equal(lag(id(5), []), null);
});

test("events are read whole wherever the pieces end", () => {
  const text = ':ok\n\nevent: message\nid: 1\ndata: {"a":1}\n\n:\nid: 2\r\ndata: x\r\ndata:  y\r\n\r\nevent: gap\ndata: {}\n\nid: 9\n\ndata\n\n';
  const expected = [
    { event: "message", id: "1", data: '{"a":1}' },
    { event: "message", id: "2", data: "x\n y" },
    { event: "gap", id: null, data: "{}" },
    { event: "message", id: null, data: "" },
  ];
  for (let size = 1; size < text.length; size++) {
    const reader = new SseReader();
    const messages = [];
    for (let at = 0; at < text.length; at += size) messages.push(...reader.push(text.slice(at, at + size)));
    assert.deepEqual(messages, expected, `pieces of ${size}`);
  }
  const reader = new SseReader();
  const piece = "x".repeat(1 << 20);
  reader.push("data: ");
  assert.throws(() => { for (let n = 0; n < 40; n++) reader.push(piece); }, /longer/);
});

test("texts show what is not seen, and are cut between characters", () => {
  assert.equal(visible("a\u202eb\u0000\u001b[0m\u200b"), "a\\u202eb\\u0000\\u001b[0m\\u200b");
  assert.equal(visible("مرحبا 👩‍👩‍👧"), "مرحبا 👩‍👩‍👧", "what people write stays");
  assert.equal(oneLine("a\r\nb\tc"), "a↵b c");
  assert.equal(cut("a😀", 2), "a");
  assert.deepEqual([999, 12345, 1.25, 0, 3e6].map(short), ["999", "12k", "1.3", "0", "3M"]);
  assert.deepEqual([5, 1500, 65000, 7.2e6, 2e8].map(duration), ["5 ms", "1.5 s", "1 min", "2 h", "2 d"]);
  assert.deepEqual([5, 2048, 1 << 20].map(bytes), ["5 bytes", "2 KB", "1 MB"]);
});
