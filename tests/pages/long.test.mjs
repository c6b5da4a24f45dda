// The live page for as long as a person leaves it open: ten minutes at 2,000 events a second, whose memory must not grow. Only in the
// full form, because nothing can be said of less time: the charts alone collect for three minutes.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { Browser } from "./browser.mjs";
import { Gateway, pause } from "./gateway.mjs";

const RATE = 2_000;

/** Milliseconds: ten minutes at the scale of the full form. */
const DURATION = 60_000 * Number(process.env.RIVERHEAD_TEST_SCALE ?? 10);

const SAMPLES = 20;

/** From this share on everything that the page keeps is full. */
const FULL_FROM = 0.4;

const received = "Number(document.querySelector('[data-part=\"events\"]').dataset.received)";

/** Returns what the page uses now, behind a collection of garbage. */
async function measure(page) {
  await page.send("HeapProfiler.collectGarbage");
  const { metrics } = await page.send("Performance.getMetrics");
  const { JSHeapUsedSize: heap, Nodes: nodes, JSEventListeners: listeners, TaskDuration: busy } = Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
  const { processInfo } = await page.browser.send("SystemInfo.getProcessInfo");
  const renderers = processInfo.filter(({ type }) => type === "renderer");
  const { id, cpuTime } = renderers.reduce((one, other) => (one.cpuTime > other.cpuTime ? one : other));
  const resident = 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${id}/status`, "utf8"))[1]);
  return { at: performance.now(), events: await page.value(received), heap, nodes, listeners, busy, cpuTime, resident };
}

const mean = (samples, of) => samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
const megabytes = (bytes) => (bytes / 1e6).toFixed(1);

const isFull = process.env.RIVERHEAD_TEST_FULL !== undefined;

test("the memory of the page does not grow", { skip: !isFull && "only in the full form: RIVERHEAD_TEST_FULL=1" }, async () => {
  const [browser, demo] = await Promise.all([Browser.start(), Gateway.demo(RATE)]);
  try {
    const page = await browser.open(demo.url);
    await page.until(`${received} > ${RATE}`);
    // Processor time: on a busy machine a task also waits.
    await page.send("Performance.enable", { timeDomain: "threadTicks" });
    await page.send("HeapProfiler.enable");
    const samples = [await measure(page)];
    const begun = performance.now();
    while (samples.length <= SAMPLES) {
      await pause(Math.max(0, begun + (DURATION * samples.length) / SAMPLES - performance.now()));
      samples.push(await measure(page));
      const { at, events, heap, nodes, resident } = samples.at(-1);
      console.log(`${((at - begun) / 1_000).toFixed(0)} s: ${events} events, heap ${megabytes(heap)} MB, ${nodes} nodes, resident ${megabytes(resident)} MB`);
    }
    const [first, last] = [samples[0], samples.at(-1)];
    const seconds = (last.at - first.at) / 1_000;
    const rate = (last.events - first.events) / seconds;
    const [busy, processor] = [last.busy - first.busy, last.cpuTime - first.cpuTime].map((time) => (100 * time) / seconds);
    const settled = samples.slice(Math.floor(SAMPLES * FULL_FROM));
    const half = Math.floor(settled.length / 2);
    const [before, after] = [settled.slice(0, half), settled.slice(-half)];
    const growth = (of) => mean(after, of) - mean(before, of);
    console.log(
      `${seconds.toFixed(0)} s at ${rate.toFixed(0)} events/s: the main thread took ${busy.toFixed(1)} % of a processor, the process ${processor.toFixed(1)} %; `
      + `from ${(FULL_FROM * seconds).toFixed(0)} s on the heap grew by ${megabytes(growth(({ heap }) => heap))} MB, the resident memory by ${megabytes(growth(({ resident }) => resident))} MB`,
    );
    assert.ok(rate > 0.9 * RATE, `${rate} events a second`);
    assert.ok(growth(({ heap }) => heap) < Math.max(1e6, 0.05 * mean(before, ({ heap }) => heap)), "the heap");
    assert.ok(growth(({ nodes }) => nodes) < 500, "nodes of the document");
    assert.ok(growth(({ listeners }) => listeners) < 50, "listeners");
    assert.ok(growth(({ resident }) => resident) < Math.max(10e6, 0.1 * mean(before, ({ resident }) => resident)), "the process");
    page.check();
    await page.screenshot("page-2000-later");
  } finally {
    await Promise.all([browser.close(), demo.stop()]);
  }
});
