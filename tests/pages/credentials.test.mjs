// Pages of others that read streams with EventSource: over TLS, with tickets and with cookies, through restarts.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Browser, PATIENCE } from "./browser.mjs";
import { Gateway, Restartable, apiKey, certificate, pause, tlsSection } from "./gateway.mjs";

let browser;
let demo;

before(async () => {
  // Whether a browser trusts a certificate, and lets a page of the Internet ask this host, is not what is tested here.
  const options = ["--ignore-certificate-errors", "--disable-features=LocalNetworkAccessChecks"];
  [browser, demo] = await Promise.all([Browser.start(...options), Gateway.demo(50)]);
});

after(() => Promise.all([browser?.close(), demo?.stop()]));

/** What each page runs. A stream is exact if each event is one offset behind the one before it in its partition. */
const READER = `
  window.sources = [];
  // Returns how far an id is behind the one before it: one event. NaN while it is not known where each partition begins.
  window.moved = (offsets, id) => {
    let moved = 0;
    for (const { topic, partition, offset } of JSON.parse(id)) {
      if (offset === undefined) continue;
      const key = topic + "/" + partition;
      moved += offset - (offsets.get(key) ?? NaN);
      offsets.set(key, offset);
    }
    return moved;
  };
  window.read = (url, init) => {
    const source = new EventSource(url, init);
    const [read, offsets] = [{ source, events: 0, faults: [], gaps: 0 }, new Map()];
    source.onmessage = ({ lastEventId }) => {
      const by = moved(offsets, lastEventId);
      if (Number.isNaN(by)) return;
      if (by !== 1) read.faults.push(lastEventId);
      read.events += 1;
    };
    source.addEventListener("gap", () => { read.gaps += 1; });
    window.sources.push(read);
  };
  window.ticket = async (key, streams) => {
    const answer = await fetch("/v2/tickets", {
      method: "POST",
      headers: { authorization: "Bearer " + key, "content-type": "application/json" },
      body: JSON.stringify({ streams }),
    });
    if (answer.status !== 201) throw new Error(answer.status + await answer.text());
    return (await answer.json()).url;
  };
  0`;

/** The streams of a page: how many events each has had, and what is wrong with it. */
const READ = "window.sources.map(({ source, events, faults, gaps }) => ({ events, faults, gaps, closed: source.readyState === 2, open: source.readyState === 1 }))";

/** Opens an empty page of a gateway's own origin, which can read its streams. */
async function openReader(base, from = browser) {
  const page = await from.open(`${base}livez`);
  await page.value(READER);
  return page;
}

/** Waits until every stream of these pages is open and has had so many events, and fails if one was closed or is not exact. */
async function untilRead(pages, events) {
  for (const start = Date.now(); ; await pause(100)) {
    const reads = (await Promise.all(pages.map((page) => page.value(READ)))).flat();
    for (const read of reads) {
      assert.ok(!read.closed, "a stream was closed");
      assert.deepEqual([read.faults, read.gaps], [[], 0]);
    }
    if (reads.every((read, index) => read.open && read.events >= (events[index] ?? events))) return reads.map((read) => read.events);
    if (Date.now() - start > PATIENCE) throw new Error(`never read: ${JSON.stringify(reads)}`);
  }
}

const withKeys = (more = "") => `[auth]
keys_file = "keys.toml"
${more}`;

test("twenty streams with tickets are read at once, on one connection of HTTP/2", async () => {
  const secured = await Restartable.start(demo, {
    keys: 'access = ["read"]',
    sections: `${withKeys()}${tlsSection()}[limits]\nstreams_per_client = 30\n`,
    prepare: (directory) => {
      certificate(directory);
      return apiKey(directory);
    },
  });
  try {
    const page = await openReader(secured.https);
    await page.value(`(async () => {
      for (let index = 0; index < 20; index++) read(await ticket(${JSON.stringify(secured.prepared)}, ["recentchange"]));
      return 0;
    })()`);
    assert.equal((await untilRead([page], 20)).length, 20);
    const streams = page.answers.filter(({ url }) => url.includes("/v2/stream/recentchange?ticket=rvt_"));
    assert.deepEqual(streams.map(({ status, protocol }) => [status, protocol]), Array(20).fill([200, "h2"]));
    assert.equal(new Set(streams.map(({ connectionId }) => connectionId)).size, 1, "they share a connection");
    await page.close();
  } finally {
    await secured.stop();
  }
});

test("twenty pages with tickets go on over a hot and a cold restart, and none is closed", async () => {
  const keys = "ticket_keys = [\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"]\n";
  const gateway = await Restartable.start(demo, {
    keys: 'access = ["read"]',
    sections: `${withKeys(keys)}[limits]\nstreams_per_client = 50\n`,
    prepare: apiKey,
  });
  const pages = [];
  try {
    for (let index = 0; index < 20; index++) {
      const page = await openReader(gateway.url);
      pages.push(page);
      await page.value(`ticket(${JSON.stringify(gateway.prepared)}, ["recentchange"]).then((url) => (read(url), 0))`);
    }
    let events = await untilRead(pages, 20);
    await gateway.restartHot();
    // The old process ends all streams within its drain of a second, and only then can all have begun again.
    await untilAgain(pages, 1);
    events = await untilRead(pages, events.map((count) => count + 40));
    await gateway.kill();
    await gateway.begin();
    await untilAgain(pages, 2);
    await untilRead(pages, events.map((count) => count + 40));
  } finally {
    await Promise.all(pages.map((page) => page.close()));
    await gateway.stop();
  }
});

/** Waits until each page has asked for its stream again so many times at least, with the ticket that it has had from the beginning. */
async function untilAgain(pages, times) {
  const streams = (page) => page.requests.filter((url) => url.includes("/v2/stream/recentchange?ticket=rvt_"));
  for (const start = Date.now(); !pages.every((page) => streams(page).length > times); await pause(50)) {
    if (Date.now() - start > PATIENCE) throw new Error(`never again: ${pages.map((page) => streams(page).length)}`);
  }
  for (const page of pages) assert.equal(new Set(streams(page)).size, 1, "a page has one ticket");
}

test("a cookie counts from a listed origin and its own, and from no other", async () => {
  const [listed, other] = ["https://localhost:4443", "https://localhost:4444"];
  const secured = await Restartable.start(demo, {
    keys: 'access = ["read"]',
    sections: `${withKeys()}${tlsSection()}[http.cors]\norigins = ["${listed}"]\ncredentials = true\n`,
    prepare: (directory) => {
      certificate(directory);
      return apiKey(directory);
    },
  });
  const own = secured.https.replace("127.0.0.1", "localhost");
  const url = JSON.stringify(`${own}v2/stream/recentchange`);
  try {
    const page = await browser.open(`${own}livez`);
    const cookie = { name: "__Secure-riverhead", value: secured.prepared, url: own, secure: true, httpOnly: true, sameSite: "None" };
    assert.ok((await page.send("Network.setCookie", cookie)).success);
    for (const [origin, is_read] of [[own.replace(/\/$/, ""), true], [listed, true], [other, false]]) {
      await page.goEmpty(origin);
      assert.equal(await page.value("origin"), origin);
      await page.value(READER);
      page.statuses.clear();
      await page.value(`(read(${url}, { withCredentials: true }), 0)`);
      if (is_read) await untilRead([page], 5);
      else await page.until("window.sources[0].source.readyState === 2");
      assert.equal(page.statuses.get(JSON.parse(url)), is_read ? 200 : 403, origin);
      // Nobody else's page can read it with the cookie by other means.
      const fetched = `fetch(${url}, { credentials: "include" }).then(({ status }) => status, () => "blocked")`;
      assert.equal(await page.value(fetched), is_read ? 200 : "blocked", origin);
      await page.value("window.sources.forEach(({ source }) => source.close())");
    }
    // Without the cookie nobody reads it.
    await page.send("Network.clearBrowserCookies");
    await page.goEmpty(listed);
    assert.equal(await page.value(`fetch(${url}, { credentials: "include" }).then(({ status }) => status)`), 401);
    await page.close();
  } finally {
    await secured.stop();
  }
});

test("a browser without HTTP/2 reads on while the keys of the connection change", async () => {
  // So many that at least three updates were followed: what the page reads at once is at least one record.
  const [keyUpdateAfter, reads] = [1_000, 3_200];
  const quick = await Gateway.demo(400);
  const secured = await Restartable.start(quick, { sections: tlsSection(`key_update_after = ${keyUpdateAfter}\n`), prepare: certificate });
  const old = await Browser.start("--ignore-certificate-errors", "--disable-http2");
  try {
    const page = await openReader(secured.https, old);
    await page.value(`(async () => {
      window.got = { reads: 0, events: 0, faults: [], ended: false };
      const offsets = new Map();
      const answer = await fetch("/v2/stream/recentchange");
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      (async () => {
        for (let rest = "", piece; !(piece = await reader.read()).done; got.reads += 1) {
          const blocks = (rest + piece.value).split("\\n\\n");
          rest = blocks.pop();
          for (const block of blocks) {
            if (block.startsWith("event: gap")) got.faults.push(block);
            if (!block.startsWith("event: message")) continue;
            const id = block.split("\\n").find((line) => line.startsWith("id: "));
            const by = moved(offsets, id.slice(4));
            if (Number.isNaN(by)) continue;
            if (by !== 1) got.faults.push(id);
            got.events += 1;
          }
        }
        got.ended = true;
      })();
      return 0;
    })()`);
    await page.until(`window.got.reads >= ${reads} || window.got.ended || window.got.faults.length > 0`, 4 * PATIENCE);
    const got = await page.value("window.got");
    assert.ok(got.reads >= reads && got.events >= reads && !got.ended, JSON.stringify(got));
    assert.deepEqual(got.faults, []);
    const stream = page.answers.find(({ url }) => url.includes("/v2/stream/recentchange"));
    assert.equal(stream.protocol, "http/1.1");
    assert.equal(stream.securityDetails.protocol, "TLS 1.3");
    const metrics = await (await fetch(`${secured.gateway.admin}/metrics`)).text();
    assert.match(metrics, /^riverhead_http_connections_taken_over_total 1$/m, "it was written to the bare socket");
    await page.close();
  } finally {
    await old.close();
    await Promise.all([secured.stop(), quick.stop()]);
  }
});
