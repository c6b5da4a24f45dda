#!/usr/bin/env node
// Makes the pictures of the documentation, in this folder:
//
//   node docs/pictures/make.mjs            all; needs `cargo build` and Chromium, and takes a minute
//   node docs/pictures/make.mjs drawings   the drawings, which need neither

import http from "node:http";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { Browser } from "../../tests/pages/browser.mjs";
import { Gateway, Restartable, pause } from "../../tests/pages/gateway.mjs";
import { animated } from "./animation.mjs";
import { DRAWINGS } from "./drawings.mjs";

const FOLDER = dirname(fileURLToPath(import.meta.url));

/** The most bytes of a picture: pages with pictures are loaded over slow lines too. `tests/hermetic/docs` checks it. */
const MOST_BYTES = 150_000;

function keep(name, bytes) {
  writeFileSync(join(FOLDER, name), bytes);
  console.log(`${name}: ${bytes.length} bytes`);
}

function drawings() {
  for (const [name, draw] of Object.entries(DRAWINGS)) keep(name, Buffer.from(draw()));
}

/** Makes pictures in worse quality until they are small enough together. */
async function smallEnough(make) {
  for (let quality = 90; quality >= 40; quality -= 10) {
    const bytes = await make(quality);
    if (bytes.length < MOST_BYTES) return bytes;
  }
  throw new Error(`more than ${MOST_BYTES} bytes in any quality`);
}

/** Keeps a picture of a page as it is. It stands still meanwhile. */
async function still(page, name) {
  keep(name, await smallEnough((quality) => page.picture({ format: "webp", quality })));
}

/** The page and the operator's page while 2,000 events a second go to some clients. */
async function underLoad(browser) {
  const gateway = await Gateway.demo(2_000, { RIVERHEAD_LIMITS__STREAMS_PER_CLIENT: "100" });
  const clients = Array.from({ length: 40 }, (_, number) => client(gateway, number));
  try {
    const page = await browser.open(`${gateway.url}#streams=recentchange&fields=wiki,user,title,type`, { width: 1440, height: 760 });
    const operator = await browser.open(`${gateway.admin}/`, { width: 1280, height: 900 });
    // The charts show what came over a while.
    await pause(45_000);
    await operator.until("document.querySelector('.verdict')?.dataset.state === 'ok'");
    await operator.click("[data-part=pause]");
    await still(operator, "operator.webp");
    await page.click('[data-part="event"]:nth-child(4)');
    await page.until("!document.querySelector('#inspector').hidden");
    await still(page, "page.webp");
    for (const one of [page, operator]) {
      one.check();
      await one.close();
    }
  } finally {
    clients.forEach((request) => request.destroy());
    await gateway.stop();
  }
}

/** Reads a stream from one of some addresses of the loopback. */
function client(gateway, number) {
  const wikis = ["enwiki", "dewiki", "frwiki", "commonswiki"];
  const query = number % 3 === 0 ? "" : `?wiki=${wikis[number % wikis.length]}`;
  const options = { localAddress: `127.0.0.${2 + (number % 7) ** 2}`, agent: false };
  const request = http.get(`${gateway.url}v2/stream/recentchange${query}`, options, (response) => response.resume());
  return request.on("error", () => {});
}

/** A stream whose events say where they come from, so that the page knows the offsets behind a filter too. */
const ANNOTATED = `[[streams]]
name = "recentchange"
topics = ["eqiad.mediawiki.recentchange"]
annotate = true
`;

/** The page while the gateway is killed and started again: it goes on behind the last offset. */
async function cut(browser) {
  const demo = await Gateway.demo(12);
  const gateway = await Restartable.start(demo, { streams: ANNOTATED });
  const size = { width: 760, height: 470 };
  const frames = [];
  try {
    const fragment = `streams=recentchange&filter=${encodeURIComponent("@partition = 1")}&fields=meta.offset,wiki,title`;
    const page = await browser.open(`${gateway.url}#${fragment}`, { ...size, expects: [/Failed to load resource/] });
    await page.value("document.querySelector('#panel').open = false");
    // Each is kept in all qualities, because it does not come again.
    const take = async (milliseconds) => {
      const qualities = [60, 50, 40, 30, 20];
      const pictures = await Promise.all(qualities.map((quality) => page.picture({ format: "webp", quality })));
      frames.push({ milliseconds, pictures });
    };
    const rows = "document.querySelectorAll('[data-part=event]').length";
    await page.until(`${rows} > 8`);
    await take(1_200);
    await page.until(`${rows} > 10`);
    await take(1_200);
    await gateway.kill();
    await page.until("document.querySelector('[data-part=state]').dataset.state === 'pausing'");
    await take(2_500);
    await gateway.begin();
    await page.click("#retry");
    await page.until("document.querySelectorAll('[data-part=reconnect]').length > 0");
    const before = await page.value(rows);
    await page.until(`${rows} > ${before + 1}`);
    await take(5_000);
    await exact(page);
    await page.close();
    const sizes = frames[0].pictures.map((_, index) => animated(frames.map(({ milliseconds, pictures }) => ({ milliseconds, webp: pictures[index] })), size.width, size.height));
    const animation = sizes.find(({ length }) => length < MOST_BYTES);
    if (!animation) throw new Error(`the animation has ${sizes.at(-1).length} bytes`);
    await decoded(browser, demo.url, animation, frames.length);
    keep("cut.webp", animation);
  } finally {
    await gateway.stop();
    await demo.stop();
  }
}

/** Fails if the offsets of the list do not follow one another. */
async function exact(page) {
  const offsets = await page.value("[...document.querySelectorAll('[data-part=event]')].map((row) => Number(row.cells[2].textContent))");
  const follows = offsets.length > 10 && offsets.slice(1).every((offset, index) => offset === offsets[index] - 1);
  if (!follows) throw new Error(`the offsets do not follow one another: ${offsets}`);
}

/** Fails if Chromium cannot decode every frame of an animation. */
async function decoded(browser, url, animation, frames) {
  const page = await browser.open(url);
  const found = await page.value(`(async () => {
    const data = Uint8Array.from(atob(${JSON.stringify(animation.toString("base64"))}), (c) => c.charCodeAt(0));
    const decoder = new ImageDecoder({ data, type: "image/webp" });
    await decoder.tracks.ready;
    const { frameCount } = decoder.tracks.selectedTrack;
    for (let frameIndex = 0; frameIndex < frameCount; frameIndex++) await decoder.decode({ frameIndex });
    return frameCount;
  })()`);
  await page.close();
  if (found !== frames) throw new Error(`${found} frames instead of ${frames}`);
}

drawings();
if (process.argv[2] !== "drawings") {
  const browser = await Browser.start();
  try {
    await cut(browser);
    await underLoad(browser);
  } finally {
    await browser.close();
  }
}
