// The live page in Chromium. Pictures of what it looks like go to target/screenshots.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { Browser } from "./browser.mjs";
import { Gateway, Restartable, Scripted, event, notice, open, pause, refuse, stream } from "./gateway.mjs";

let browser;
let demo;
let scripted;

before(async () => {
  [browser, demo] = await Promise.all([Browser.start(), Gateway.demo(20, {}, "--auth")]);
  scripted = await Scripted.start(demo.url);
});

after(async () => {
  scripted?.stop();
  await Promise.all([browser?.close(), demo?.stop()]);
});

/** Runs a test on a page, which must neither complain nor ask others. */
async function onPage(url, options, run) {
  const page = await browser.open(url, options);
  try {
    await run(page);
    page.check();
  } finally {
    await page.close();
  }
}

/** Runs a test on a page before a gateway that says what the test tells it to. */
async function onScripted(fragment, answer, run, options = {}) {
  scripted.asked = [];
  scripted.tickets = [];
  scripted.answer = answer;
  await onPage(`${scripted.url}${fragment}`, options, run);
}

const rows = (part) => `document.querySelectorAll('[data-part="${part}"]').length`;
const state = (name) => `document.querySelector('[data-part="state"]').dataset.state === ${JSON.stringify(name)}`;
const received = "Number(document.querySelector('[data-part=\"events\"]').dataset.received)";

/** Chromium itself writes each refusal to the console. */
const REFUSED = [/Failed to load resource: the server responded with a status of (4|5)\d\d/];
const CUT = [...REFUSED, /Failed to load resource: net::ERR_/];

test("a person chooses a stream, filters it, picks fields, stops, looks and shares", async () => {
  await onPage(demo.url, {}, async (page) => {
    // There is one stream for everybody, so it is shown at once.
    await page.until(`${rows("event")} > 20`);
    assert.equal(await page.value("location.hash"), "#streams=recentchange");
    assert.equal(await page.value(rows("stream")), 1);
    await page.until(`document.querySelector('[data-part="rate"]').dataset.value > 10`);
    await page.until(`document.querySelector('[data-part="lag"]').dataset.value !== ""`);
    await page.until(`document.querySelector('[data-part="age"]').dataset.value < 5000`);
    await page.screenshot("page-light");

    // The fields of the filter write its text.
    await page.click("#add-test");
    await page.type(".test input", "wiki");
    await page.type(".test input:nth-of-type(2)", "enwiki");
    assert.equal(await page.value("document.querySelector('[data-part=\"filter\"]').value"), "wiki = enwiki");
    await page.click("#apply");
    await page.until("location.hash.includes('filter=wiki%20%3D%20enwiki')");
    await page.until(`${rows("event")} > 0`);

    await page.type('[data-part="fields"]', "title, user, wiki, @partition");
    await page.press("Enter");
    await page.until("document.querySelectorAll('thead th').length === 6");
    const wikis = "[...document.querySelectorAll('[data-part=\"event\"]')].map((row) => row.cells[4].textContent)";
    await page.until(`${rows("event")} > 3`);
    assert.deepEqual([...new Set(await page.value(wikis))], ["enwiki"]);

    await page.click('[data-part="pause"]');
    const first = "document.querySelector('[data-part=\"event\"]').textContent";
    const shown = await page.value(first);
    await page.until("!document.querySelector('#newer').hidden");
    assert.equal(await page.value(first), shown, "nothing moves while it is stopped");
    await page.screenshot("page-paused");
    await page.click('[data-part="pause"]');
    await page.until(`${first} !== ${JSON.stringify(shown)}`);

    await page.click('[data-part="event"]:nth-child(2)');
    await page.until("!document.querySelector('#inspector').hidden");
    assert.ok((await page.text("#inspector")).includes("enwiki"));

    await page.click('[data-part="share"]');
    await page.until("document.querySelector('[data-part=\"share\"]').textContent === 'Copied'");
    const link = await page.value("navigator.clipboard.readText()");
    assert.equal(link, await page.value("location.href"));
    assert.equal(link.split("#")[1], "streams=recentchange&filter=wiki%20%3D%20enwiki&fields=title,user,wiki,@partition");

    await onPage(link, { dark: true }, async (other) => {
      await other.until(`${rows("event")} > 8`);
      assert.equal(await other.value("document.querySelector('.test input').value"), "wiki");
      await other.until("document.querySelectorAll('.chip').length > 2");
      await other.click('[data-part="event"]:nth-child(2)');
      await other.screenshot("page-dark");
    });
  });
});

test("the address of the page of EventStreams shows the same streams", async () => {
  await onPage(`${demo.url}v2/ui/#/?streams=recentchange`, {}, async (page) => {
    await page.until(`${rows("event")} > 3`);
    assert.equal(await page.value("location.pathname + location.hash"), "/#streams=recentchange");
    assert.equal(await page.value("history.length"), 2, "the way back leads out");
  });
});

test("a phone shows it too, and a keyboard reaches everything", async () => {
  await onPage(`${demo.url}#streams=recentchange&fields=title,user`, { width: 390, height: 844, phone: true }, async (page) => {
    await page.until(`${rows("event")} > 12`);
    assert.equal(await page.value("document.documentElement.scrollWidth"), 390, "nothing is wider than the phone");
    await page.screenshot("page-phone");
    await page.until("document.documentElement.scrollHeight > 1600");
    await page.value("scrollTo(0, 700)");
    await page.until("!document.querySelector('#newer').hidden");
    await page.click("#newer");
    await page.until("document.querySelector('#newer').hidden");
    await page.click("#panel > summary");
    await page.screenshot("page-phone-form");
  });
  await onPage(`${demo.url}#streams=recentchange`, {}, async (page) => {
    await page.until(`${rows("event")} > 12`);
    const focused = "document.activeElement.id || document.activeElement.dataset.part || document.activeElement.tagName";
    await page.press("Tab");
    assert.equal(await page.value(focused), "skip");
    await page.press("Enter");
    assert.equal(await page.value(focused), "event");
    await page.press("ArrowDown");
    await page.press("Enter");
    await page.until("document.activeElement.tagName === 'H2'");
    await page.press("Escape");
    await page.until("document.querySelector('#inspector').hidden");
    assert.equal(await page.value(focused), "event", "the focus comes back");
    await page.press("p");
    assert.equal(await page.value("document.querySelector('[data-part=\"pause\"]').getAttribute('aria-pressed')"), "true");
    await page.press("Tab");
    assert.notEqual(await page.value(focused), "event", "the list lets the focus go");
  });
});

test("a filter that is wrong is marked at its column, and a time that is none at its field", async () => {
  const expects = REFUSED;
  await onPage(`${demo.url}#streams=recentchange&filter=wiki%20%3D%20enwiki%20and%20%F0%9F%98%80`, { expects }, async (page) => {
    await page.until("!document.querySelector('[data-part=\"refusal\"]').hidden");
    assert.ok((await page.text('[data-part="refusal"]')).includes("400 Invalid Filter"));
    assert.equal(await page.text("mark"), "😀");
    await page.screenshot("page-refusal");
    await page.type('[data-part="filter"]', "wiki = enwiki");
    await page.press("Enter");
    await page.until(`${rows("event")} > 0`);
    assert.equal(await page.value("document.querySelector('[data-part=\"refusal\"]').hidden"), true);
  });
  await onPage(`${demo.url}#streams=recentchange&since=yesterday`, { expects }, async (page) => {
    await page.until("!document.querySelector('#begin-fault').hidden");
    await page.click('[data-part="refusal"] button:nth-of-type(2)');
    await page.until(state("open"));
  });
  await onPage(`${demo.url}#streams=recentchnage`, { expects }, async (page) => {
    await page.until("!document.querySelector('[data-part=\"refusal\"]').hidden");
    assert.ok((await page.text('[data-part="refusal"]')).includes("Invalid streams: recentchnage"));
  });
});

test("a stream for some asks for a credential, keeps it in memory and reads with tickets", async () => {
  const key = await demo.line(/^key=(\S+)/);
  await onPage(`${demo.url}#streams=private`, { expects: REFUSED }, async (page) => {
    await page.until("!document.querySelector('[data-part=\"refusal\"]').hidden");
    await page.click('[data-part="refusal"] button');
    await page.type("#token", "rvh_wrong");
    await page.press("Enter");
    await page.until("document.querySelector('[data-part=\"refusal\"]').textContent.includes('401 Invalid Credential')");
    await page.screenshot("page-credential-refused");
    await page.click('[data-part="refusal"] button');
    await page.screenshot("page-credential");
    await page.type("#token", key);
    await page.press("Enter");
    await page.until(`${rows("event")} > 2`);
    await page.until(`${rows("stream")} === 2`);
    assert.ok(page.requests.some((url) => url.includes("/v2/stream/private?ticket=rvt_")));
    assert.ok(!page.requests.some((url) => url.includes(key)), "a credential is in no URL");
    const kept = await page.value("[location.href, document.documentElement.outerHTML, JSON.stringify(localStorage), JSON.stringify(sessionStorage), document.cookie].join()");
    assert.ok(!kept.includes(key), "nor anywhere else");
  });
});

test("what values contain is text, whatever it is", async () => {
  const hostile = [
    { markup: '<img src=x onerror="window.broken=1"><script>window.broken=1</script>', "<b>name</b>": "&amp;" },
    { long: "x".repeat(1_000_000) },
    JSON.parse(`${'{"deep":'.repeat(120)}1${"}".repeat(120)}`),
    { control: "a\u0000b\u001b[31m\u0007", bidi: "abc\u202egnp.exe\u2066", zalgo: "e\u0301\u0302\u0303\u0304".repeat(50) },
    { __proto__: null, constructor: { prototype: 1 }, ["__proto__"]: { polluted: true }, toString: "no function" },
    '{"big":12345678901234567890,"exact":1.10,"huge":1e400}',
    "no JSON at all \u2028 </script>",
    { list: Array.from({ length: 1000 }, (_, number) => ({ number })) },
    "",
  ];
  const answer = (_, response) => {
    open(response);
    hostile.forEach((data, offset) => event(response, offset, data));
    notice(response, "gap", { topic: "<i>topic</i>\u202e", partition: 0, requested: 1, resumed: 2, reason: "<u>reason</u>" });
  };
  await onScripted("#streams=edits", answer, async (page) => {
    await page.until(`${rows("event")} === ${hostile.length}`);
    await page.until(`${rows("gap")} === 1`);
    for (let row = 2; row <= hostile.length + 1; row++) {
      await page.click(`#rows tr:nth-child(${row})`);
      await page.until(`document.querySelectorAll('#rows tr')[${row - 1}].getAttribute('aria-selected') === "true"`);
      for (let level = 0; level < 4; level++) {
        await page.value("document.querySelectorAll('#inspector details:not([open])').forEach((branch) => (branch.open = true))");
        await pause(20);
      }
      assert.ok((await page.value("document.querySelector('#inspector').textContent.length")) < 200_000);
      if (row === hostile.length + 1) await page.screenshot("page-hostile");
    }
    assert.equal(await page.value("window.broken ?? ({}).polluted ?? 'whole'"), "whole");
    assert.equal(await page.value("document.querySelectorAll('main img, main script, main b b').length"), 0);
    assert.ok(await page.value("document.querySelector('#rows').textContent.includes('<img src=x onerror=')"));
    assert.ok(await page.value("!/[\\u0000\\u001b\\u202e\\u2066]/.test(document.body.textContent)"), "escapes are seen");
    await page.click(`#rows tr:nth-child(${hostile.length - 4})`);
    await page.until("document.querySelector('#inspector').textContent.includes('12345678901234567890')");
    assert.ok((await page.text("#inspector")).includes("1e400"), "numbers stay as they are written");
    assert.ok((await page.value("document.querySelectorAll('*').length")) < 6_000);
    assert.equal(await page.value("document.documentElement.scrollWidth"), 1360);
  });
});

test("gaps, an expiring credential and the end are told for what they are", async () => {
  const reasons = ["expired", "truncated", "recreated", "other_cluster", "failover", "unproven", "past_end", "partition_gone", "unreadable", "new"];
  const answer = (_, response) => {
    open(response);
    event(response, 41, { n: 1 });
    for (const reason of reasons) {
      const resumed = reason === "partition_gone" ? null : 1000;
      notice(response, "gap", { topic: "edits", partition: 0, requested: 43, resumed, reason, partitions: 3 });
    }
    event(response, 1000, { n: 2 });
    notice(response, "expiring", { expires: "2031-01-31T00:00:00Z" });
    response.write('event: checkpoint\nid: [{"topic":"edits","partition":0,"offset":1010}]\ndata: {"skipped":9}\n\n');
  };
  await onScripted("#streams=edits", answer, async (page) => {
    await page.until(`${rows("gap")} === ${reasons.length}`);
    const gap = await page.text('[data-part="gap"]:nth-of-type(11)');
    assert.equal(gap, "Gap in edits / 0 and 2 other partitions: 957 offsets from 43 to 999. They were deleted, mostly by retention, before you read them. Read more often, or begin later.");
    assert.ok((await page.text("#notice")).includes("The credential expires at"));
    await page.until("document.querySelector('#tally').textContent === '2 events · 10 gaps · 9 skipped by the filter'");
    await page.screenshot("page-gap-and-expiring");
    assert.equal(await page.value("document.querySelector('#rows tr').cells[1].textContent"), "edits0:1000");
  });
  for (const reason of ["limit", "until", "removed", "access", "other"]) {
    await onScripted("#streams=edits", (_, response) => {
      open(response);
      event(response, 1, { n: 1 });
      response.end(`event: end\nid: [{"topic":"edits","partition":0,"offset":2}]\ndata: {"reason":"${reason}","events":1}\n\n`);
    }, async (page) => {
      await page.until(state("complete"));
      await page.until(`${rows("end")} === 1`);
      await pause(300);
      assert.equal(scripted.asked.length, 1, "a read that has ended is not begun again");
    });
  }
  await onScripted("#streams=edits&id=x", (_, response) => response.writeHead(204).end(), (page) => page.until(state("complete")));
});

test("a read that is cut goes on behind its last event, with another ticket, and when the gateway says", async () => {
  const times = [];
  const answer = (_, response, number) => {
    times.push(Date.now());
    if (number === 3) return refuse(response, 429, "too_many_requests", "Too Many Requests", "too many streams", { "retry-after": "2" });
    if (number === 5) return refuse(response, 401, "invalid_token", "Invalid Credential", "the credential has expired");
    open(response);
    event(response, number, { number });
    if (number < 5) setTimeout(() => (number === 2 ? response.destroy() : response.end()), 100);
  };
  await onScripted("#streams=edits", answer, async (page) => {
    // The first event moves what is below the charts, and a click would miss it.
    await page.until(`${rows("event")} >= 1`);
    await page.click("#credential");
    await page.type("#token", "secret");
    await page.press("Enter");
    await page.until("document.querySelector('[data-part=\"refusal\"]').textContent.includes('429')");
    await page.screenshot("page-limit");
    await page.until(state("refused"));
    await page.until(`${rows("event")} >= 3`);
    const ids = scripted.asked.map(({ headers }) => headers["last-event-id"]);
    const behind = ids.slice(-3).map((id) => JSON.parse(id ?? "[{}]")[0].offset);
    assert.deepEqual(behind, [3, 3, 5]);
    assert.ok(times[3] - times[2] >= 2_000, "Retry-After counts");
    assert.ok(scripted.tickets.length >= 4 && scripted.tickets.every((header) => header === "Bearer secret"));
    const used = scripted.asked.map(({ url }) => new URL(url, scripted.url).searchParams.get("ticket"));
    assert.equal(new Set(used.filter(Boolean)).size, used.filter(Boolean).length, "each connection has a ticket of its own");
    await page.screenshot("page-credential-expired");
  }, { expects: CUT });
});

test("a gateway that is restarted, hot and cold, loses nothing on the page", async () => {
  const restartable = await Restartable.start(demo);
  try {
    await onPage(`${restartable.url}#streams=recentchange&fields=@topic,@partition,@offset`, { expects: CUT }, async (page) => {
      await page.until(`${rows("event")} > 30`);
      await restartable.restartHot();
      const before = await page.value(received);
      // More than one, if a connection to the old process was used once more.
      await page.until(`${rows("reconnect")} > 0 && ${received} > ${before + 40}`);
      const cuts = await page.value(rows("reconnect"));
      await restartable.kill();
      await page.until(state("pausing"));
      await page.screenshot("page-reconnecting");
      await restartable.begin();
      const then = await page.value(received);
      await page.until(`${rows("reconnect")} > ${cuts} && ${received} > ${then + 20}`);
      await page.click('[data-part="pause"]');
      const places = await page.value("[...document.querySelectorAll('[data-part=\"event\"]')].map((row) => [...row.cells].slice(2).map((cell) => cell.textContent))");
      assert.ok(places.length > 60, `${places.length} events`);
      const last = new Map();
      for (const [topic, partition, offset] of places) {
        if (offset === "") continue; // the first of the read
        const key = `${topic}/${partition}`;
        if (last.has(key)) assert.equal(Number(offset), last.get(key) - 1, `${key}: ${JSON.stringify(places)}`);
        last.set(key, Number(offset));
      }
      assert.ok(last.size === 6);
      assert.equal(await page.value(rows("gap")), 0);
      await page.screenshot("page-reconnected");
    });
  } finally {
    await restartable.stop();
  }
});

test("two thousand events a second are counted, of which a sample is drawn", async () => {
  const fast = await Gateway.demo(2000);
  try {
    await onPage(fast.url, {}, async (page) => {
      await page.until(`${rows("event")} > 50`);
      // Processor time: on a busy machine a task also waits.
      await page.send("Performance.enable", { timeDomain: "threadTicks" });
      const measured = async () => {
        const { metrics } = await page.send("Performance.getMetrics");
        return { at: Date.now(), ...Object.fromEntries(metrics.map(({ name, value }) => [name, value])) };
      };
      await pause(2_000);
      const [first, count] = [await measured(), await page.value(received)];
      await pause(6_000);
      const [last, end] = [await measured(), await page.value(received)];
      const seconds = (last.at - first.at) / 1_000;
      const [rate, busy] = [(end - count) / seconds, (last.TaskDuration - first.TaskDuration) / seconds];
      console.log(`2,000 events/s: ${rate.toFixed(0)} came in a second, the page took ${(busy * 100).toFixed(0)} % of a processor, heap ${(last.JSHeapUsedSize / 1e6).toFixed(1)} MB`);
      assert.ok(rate > 1_000, `${rate} events a second`);
      assert.ok(busy < 0.5, `${busy} of a processor`);
      assert.ok((await page.value(rows("event"))) <= 250);
      assert.match(await page.text("#sample"), /drawn, a sample/);
      await page.screenshot("page-2000");
      await page.click('[data-part="pause"]');
      await page.until("!document.querySelector('#newer').hidden");
    });
  } finally {
    await fast.stop();
  }
});

test("the programs that the page offers read the same stream", async () => {
  await onPage(`${demo.url}#streams=recentchange&filter=wiki%20%3D%20"enwiki"&since=0`, {}, async (page) => {
    await page.until(`${rows("event")} > 0`);
    await page.click("#code");
    await page.screenshot("page-code");
    const programs = {};
    for (const number of [1, 2, 3, 4]) {
      await page.click(`.tabs button:nth-child(${number})`);
      programs[await page.text('.tabs [aria-pressed="true"]')] = await page.text(".code");
    }
    const first = async (command, args) => {
      const { spawn } = await import("node:child_process");
      const process = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
      let text = "";
      for await (const piece of process.stdout) if ((text += piece).includes("enwiki") && text.split("\n").length > 20) break;
      process.kill("SIGKILL");
      return text;
    };
    assert.match(await first("sh", ["-c", programs.curl.split("\n")[0].replace("curl", "curl -s")]), /^:ok\n\nevent: message\nid: /);
    assert.match(await first("python3", ["-c", programs.Python]), /'wiki': 'enwiki'/);
    const seen = "new Promise((resolve) => { const log = console.log; console.log = (value) => { console.log = log; resolve(value.wiki); }; CODE })";
    await page.send("Page.setBypassCSP", { enabled: true });
    assert.equal(await page.value(seen.replace("CODE", () => programs.JavaScript)), "enwiki");
    assert.match(programs.Rust, /filter=wiki%20%3D%20%22enwiki%22&since=0"/);
  });
});

test("axe finds nothing serious", async () => {
  const axe = readFileSync(join(process.env.CARGO_TARGET_DIR ?? "target", "pages/node_modules/axe-core/axe.min.js"), "utf8");
  const check = async (page, what) => {
    await page.value(axe);
    const found = await page.value("axe.run({ resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, impact, nodes }) => ({ id, impact, where: nodes.map(({ target, failureSummary }) => `${target}: ${failureSummary}`).slice(0, 3) })))");
    const serious = found.filter(({ impact }) => impact === "serious" || impact === "critical");
    assert.deepEqual(serious, [], `${what}: ${JSON.stringify(serious, null, 1)}`);
  };
  for (const dark of [false, true]) {
    await onPage(`${demo.url}#streams=recentchange&filter=wiki%20%3D%20enwiki&fields=title`, { dark, bypassCSP: true }, async (page) => {
      await page.until(`${rows("event")} > 3`);
      await page.click('[data-part="event"]');
      await check(page, "events");
      await page.click("#code");
      await check(page, "programs");
    });
    await onPage(`${demo.url}#streams=private&filter=a`, { dark, bypassCSP: true, expects: REFUSED }, async (page) => {
      await page.until("!document.querySelector('[data-part=\"refusal\"]').hidden");
      await check(page, "refusal");
      await page.click("#credential");
      await check(page, "credential");
    });
  }
  scripted.answer = (_, response) => {
    open(response);
    event(response, 1, { n: 1 });
    notice(response, "gap", { topic: "edits", partition: 0, requested: 1, resumed: 5, reason: "expired" });
    notice(response, "expiring", { expires: "2031-01-31T00:00:00Z" });
  };
  await onPage(`${scripted.url}#streams=edits`, { width: 390, height: 844, phone: true, bypassCSP: true }, async (page) => {
    await page.until(`${rows("gap")} === 1`);
    await check(page, "gap on a phone");
  });
});

/** Reads 15 events with an `EventSource` of this name, which a script may bring. Returns the URLs of its requests. */
async function readToAnEnd(name, script, expects) {
  let urls;
  await onPage(demo.url, { expects }, async (page) => {
    await page.until(`${rows("event")} > 20`);
    await page.value(`${script}\n; 0`);
    await page.value(`(() => {
      window.seen = { events: 0, ends: [] };
      window.source = new ${name}("/v2/stream/recentchange?since=1&limit=15");
      source.onmessage = () => { seen.events += 1; };
      source.addEventListener("end", ({ data }) => { if (data) seen.ends.push(JSON.parse(data).reason); });
    })()`);
    await page.until("source.readyState === 2");
    // A third request would come now.
    await pause(5_000);
    assert.deepEqual(await page.value("seen"), { events: 15, ends: ["limit"] });
    const own = ({ url }) => url.includes("limit=15");
    assert.deepEqual(page.answers.filter(own).map(({ status }) => status), [200, 204]);
    urls = page.requests.filter((url) => own({ url }));
    assert.equal(urls.length, 2);
  });
  return urls;
}

test("the browser's own EventSource reads to an end, asks once more, and stops", () => readToAnEnd("EventSource", ""));

test("so does the polyfill, which puts its last id into the URL", async () => {
  const file = "pages/node_modules/event-source-polyfill/src/eventsource.min.js";
  const polyfill = readFileSync(join(process.env.CARGO_TARGET_DIR ?? "target", file), "utf8");
  // It is for browsers without streams. With fetch it takes the missing body of a 204 for a broken connection.
  const script = `const kept = window.fetch; window.fetch = undefined; ${polyfill}\n; window.fetch = kept;`;
  const urls = await readToAnEnd("EventSourcePolyfill", script, [/status 204/]);
  assert.deepEqual(urls.map((url) => url.includes("lastEventId=")), [false, true]);
});

test("many streams are found by name", async () => {
  scripted.streams = Array.from({ length: 300 }, (_, number) => stream(`stream-${number}`, { description: number === 7 ? "needle" : "hay" }));
  try {
    await onScripted("", (_, response) => open(response), async (page) => {
      await page.until(`${rows("stream")} === 200`);
      await page.type("#search", "needle");
      await page.until(`${rows("stream")} === 1`);
      await page.click('[data-part="stream"] input');
      await page.until("location.hash === '#streams=stream-7'");
      await page.until("document.querySelector('#state-text').textContent.includes('waits for Kafka')");
      await page.screenshot("page-waiting");
    });
  } finally {
    scripted.streams = [stream("edits"), stream("clicks")];
  }
});
