// The page for operators in a browser: what is wrong is on top with its cause, what needs the token waits for it, and nothing is
// changed, complained of, or asked of others.

import assert from "node:assert/strict";
import http from "node:http";
import { after, before, test } from "node:test";

import { assertAccessible } from "./accessible.mjs";
import { Browser, PATIENCE } from "./browser.mjs";
import { Gateway, pause } from "./gateway.mjs";
import { Configured } from "./operator.gateway.mjs";

const TOKEN = "the-token-of-the-operator";
/** Seconds until a person must be able to read the cause of an outage. Other work may run beside the short form. */
const READABLE = process.env.RIVERHEAD_TEST_FULL === undefined ? 100 : 10;

const SECRET = "a-password-that-is-not-shown";

const config = (more = "") => `
[admin]
token = "${TOKEN}"
${more}
[[clusters]]
name = "main"
bootstrap = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]
[clusters.librdkafka]
security.protocol = "sasl_plaintext"
sasl.mechanism = "PLAIN"
sasl.username = "riverhead"
sasl.password = "${SECRET}"
[[streams]]
name = "edits"
topics = ["edits"]
`;

let browser;

before(async () => {
  browser = await Browser.start();
});

after(() => browser?.close());

/** Takes pictures of a page as it is: light, dark, and on a phone. */
async function picture(page, name) {
  const look = (dark) => page.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }] });
  const size = (width, height, phone) => page.send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: phone ? 2 : 1, mobile: phone });
  await page.screenshot(`${name}-light`);
  await look(true);
  await page.screenshot(`${name}-dark`);
  await assertAccessible(page, `${name}, dark`);
  await look(false);
  await size(390, 844, true);
  assert.ok((await page.value("document.documentElement.scrollWidth")) <= 390, `${name}: wider than a phone`);
  await page.screenshot(`${name}-phone`);
  await size(1360, 850, false);
  await assertAccessible(page, name);
}

/** Returns the text of all parts of this name. */
const part = (name) => `(document.querySelector('[data-part="${name}"]')?.textContent ?? "")`;
const parts = (name, text) => `${part(name)}.includes(${JSON.stringify(text)})`;

test("brokers that do not answer are on top with their cause, and the page goes on through whatever follows", async () => {
  const gateway = await Configured.start(config());
  const started = Date.now();
  const page = await browser.open(`${gateway.admin}/`, { expects: [/status of 401/, /net::ERR_/] });
  await page.until(`${parts("reason", "connection refused")}`);
  const seconds = (Date.now() - started) / 1000;
  console.log(`the cause of brokers that do not answer was readable after ${seconds.toFixed(1)} s`);
  assert.ok(seconds <= READABLE, "EventStreams, 2019: nobody could read it for 18 hours");
  // It is degraded until all three have been asked.
  await page.until("document.querySelector('.verdict').dataset.state === 'failing'");
  const first = "document.querySelector('[data-part=fault]')";
  assert.equal(await page.value(`${first}.dataset.subject`), "Cluster main");
  assert.ok(await page.value(`${first}.open`), "the worst fault is open");
  await page.until(`${first}.querySelector('[data-part=help] h3')?.textContent === 'RiverheadClusterFailing'`);
  assert.match(await page.value(`${first}.querySelector('[data-part=help]').textContent`), /Clients see.*heartbeats/s);
  assert.match(await page.value("document.title"), /^failing/);
  await picture(page, "operator-failing");
  await byKeyboard(page);
  await theToken(page);
  await reloads(page, gateway);
  await pauses(page);
  await goneAndBack(page, gateway);
  page.check();
  await page.close();
  await gateway.stop();
});

async function byKeyboard(page) {
  const open = "document.querySelector('[data-part=fault]').open";
  await page.value("document.querySelector('[data-part=fault] summary').focus()");
  await page.press("Enter");
  await page.until(`!${open}`);
  // It stays so when the page is drawn anew.
  const drawn = await page.value(part("updated"));
  assert.ok(drawn);
  await pause(2_500);
  assert.equal(await page.value(open), false);
  assert.equal(await page.value("document.activeElement.localName"), "summary", "the focus stays");
  await page.press("Enter");
  await page.until(open);
}

async function theToken(page) {
  assert.equal(await page.value("document.body.innerText.includes('riverhead.toml')"), false);
  await page.type("[data-part=config] input[type=password]", "not-the-token-of-the-operator");
  await page.press("Enter");
  await page.until(parts("config", "This is not the token."));
  await page.type("[data-part=config] input[type=password]", TOKEN);
  await page.press("Enter");
  await page.until(parts("config", "clusters[main].bootstrap"));
  assert.ok(await page.value(parts("config", "hidden")));
  const html = await page.value("document.documentElement.outerHTML");
  assert.ok(!html.includes(SECRET) && !html.includes(TOKEN), "no secret is in the page");
  assert.deepEqual(await page.value("[document.cookie, localStorage.length, sessionStorage.length]"), ["", 0, 0]);
}

async function reloads(page, gateway) {
  gateway.write(config('[http]\nheartbeet = "15s"\n'));
  gateway.reload();
  const fault = `[...document.querySelectorAll('[data-part=fault]')].find((it) => it.dataset.subject === 'Configuration')`;
  await page.until(`${fault}?.textContent.includes('did you mean')`);
  assert.equal(await page.value(`${fault}.querySelector('h3').textContent`), "RiverheadReloadFailed");
  gateway.write(config('[limits]\nstreams_per_client = 7\n[memory]\ntail = "64MiB"\n'));
  gateway.reload();
  await page.until(`${part("reloads")}.includes('limits.streams_per_client')`);
  const rows = `[...document.querySelectorAll('[data-part=reloads] li')][0].innerText`;
  assert.match(await page.value(rows), /limits\.streams_per_client\s+10\s+7\s+at once/);
  assert.match(await page.value(rows), /memory\.tail\s+256MiB\s+64MiB\s+after a restart/);
  assert.ok(await page.value(parts("config", "Waits for a restart")));
}

/** Nothing is asked while nobody looks, and never two things at a time. */
async function pauses(page) {
  const overlaps = await page.value(`(() => {
    const asked = performance.getEntriesByType("resource").filter(({ initiatorType }) => initiatorType === "fetch");
    asked.sort((one, other) => one.startTime - other.startTime);
    return asked.filter((entry, index) => index > 0 && entry.startTime < asked[index - 1].responseEnd).map(({ name }) => name);
  })()`);
  assert.deepEqual(overlaps, []);
  await page.value("document.querySelector('[data-part=pause]').click()");
  await page.until(parts("updated", "paused"));
  await pause(500);
  const asked = page.requests.length;
  await pause(5_000);
  assert.equal(page.requests.length, asked, "a paused page asks nobody");
  await page.value("document.querySelector('[data-part=pause]').click()");
  await page.until(parts("updated", "live"));
  const hide = (hidden) => page.value(`Object.defineProperty(document, "hidden", { value: ${hidden}, configurable: true }), document.dispatchEvent(new Event("visibilitychange")), 0`);
  await hide(true);
  await pause(1_000);
  const before = page.requests.length;
  await pause(5_000);
  assert.equal(page.requests.length, before, "a hidden page asks nobody");
  await hide(false);
  await page.until(`performance.getEntriesByType("resource").length > 0 && ${parts("updated", "live")}`);
}

async function goneAndBack(page, gateway) {
  await gateway.kill();
  await page.until("document.querySelector('[data-part=fault]').dataset.subject === 'Admin listener'");
  assert.ok(await page.value("document.body.classList.contains('stale')"));
  assert.equal(await page.value("document.querySelector('[data-part=fault] h3').textContent"), "RiverheadDown");
  await page.screenshot("operator-gone");
  await gateway.again();
  await page.until("document.querySelector('[data-part=fault]').dataset.subject !== 'Admin listener'");
  assert.equal(await page.value("document.body.classList.contains('stale')"), false);
}

test("an address that asks for all streams is named, and what it is refused for", async () => {
  const limits = { RIVERHEAD_LIMITS__STREAMS_PER_CLIENT: "10", RIVERHEAD_LIMITS__REQUEST_BURST: "1000" };
  const gateway = await Gateway.demo(20, limits);
  const page = await browser.open(`${gateway.admin}/`);
  // On a busy machine streams may wait a moment, which is a fault of its own.
  await page.until("document.querySelector('.verdict')?.dataset.state === 'ok'", 4 * PATIENCE);
  const crowd = new Crowd(`${gateway.url}v2/stream/recentchange`);
  const started = Date.now();
  crowd.start(20);
  const fault = `[...document.querySelectorAll('[data-part=fault]')].find((it) => it.dataset.subject === 'Refusals')`;
  await page.until(`${fault}?.querySelector('summary').textContent.includes('client_streams')`);
  await page.until(`/127\\.0\\.0\\.1.*client_streams/s.test(document.querySelector('[data-part=refusals]').textContent)`);
  const seconds = (Date.now() - started) / 1000;
  console.log(`the address that asks for all streams was readable after ${seconds.toFixed(1)} s`);
  assert.equal(await page.value(`${fault}.querySelector('h3').textContent`), "RiverheadRefusals");
  assert.equal(crowd.admitted, 10, "it got its limit");
  await page.screenshot("outage-one-address");
  await page.value("document.querySelector('#clients').scrollIntoView()");
  await page.screenshot("outage-one-address-clients");
  assert.ok(seconds <= READABLE, "EventStreams, 2019: one address filled the pool");
  page.check();
  crowd.stop();
  await page.close();
  await gateway.stop();
});

/** Clients of one address that ask for a stream again and again. */
class Crowd {
  admitted = 0;
  #requests = new Set();

  constructor(url) {
    this.url = url;
  }

  /** Begins so many requests a second. */
  start(rate) {
    this.timer = setInterval(() => this.#ask(), 1_000 / rate);
  }

  #ask() {
    const request = http.get(this.url, { agent: false }, (response) => {
      if (response.statusCode === 200) this.admitted += 1;
      response.resume();
    });
    request.on("error", () => {});
    request.on("close", () => this.#requests.delete(request));
    this.#requests.add(request);
  }

  stop() {
    clearInterval(this.timer);
    for (const request of this.#requests) request.destroy();
  }
}

test("a gateway that is well shows all that it knows", async () => {
  const gateway = await Gateway.demo(500, {}, "--auth");
  const clients = Array.from({ length: 5 }, () => fetch(`${gateway.url}v2/stream/recentchange`));
  const page = await browser.open(`${gateway.admin}/`);
  await page.until(parts("streams", "recentchange"));
  // On a busy machine streams may wait a moment, which is a fault of its own.
  await page.until("document.querySelector('.verdict')?.dataset.state === 'ok'", 4 * PATIENCE);
  await page.until(`${part("clients")}.includes('127.0.0.1')`);
  // Rates need two readings.
  await page.until("/[1-9]/.test(document.querySelector('[data-number=read] .value').textContent)");
  for (const [name, text] of [
    ["streams", "private"], ["brokers", "up"], ["partitions", "eqiad.mediawiki.recentchange-0"], ["memory", "tail"],
    ["principals", "API keys"], ["config", "streams[recentchange].topics"], ["tls", "No listener has TLS"],
  ]) {
    await page.until(parts(name, text));
  }
  await page.value("document.querySelector('#metrics details').open = true");
  await page.until(parts("metrics", "uptime_seconds"));
  await page.value("document.querySelector('#metrics details').open = false");
  await page.value("scrollTo(0, 0)");
  await picture(page, "operator-healthy");
  page.check();
  await page.close();
  await Promise.all(clients.map(async (client) => (await client).body.cancel()));
  await gateway.stop();
});
