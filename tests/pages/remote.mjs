// One page in Chromium for a program that is not a module of Node: the tests against real brokers. It takes commands from stdin, one
// JSON document a line, and answers each with a line: `{"value": ...}` or `{"error": "..."}`. It ends when stdin does.
//
//   {"open": URL, "options": {...}}      opens the page
//   {"until": EXPRESSION, "within": MS}  waits until it is true, and answers with its value
//   {"value": EXPRESSION}                answers with its value
//   {"screenshot": NAME}                 keeps a picture in target/screenshots
//   {"check": true}                      fails if the page has complained, or has asked others than its gateway

import { createInterface } from "node:readline";

import { Browser } from "./browser.mjs";

const browser = await Browser.start();
let page;

async function run(command) {
  if (command.open) {
    await page?.close();
    const { expects = [], ...options } = command.options ?? {};
    page = await browser.open(command.open, { ...options, expects: expects.map((text) => new RegExp(text)) });
    return null;
  }
  if (command.until) return page.until(command.until, command.within);
  if (command.value) return page.value(command.value);
  if (command.screenshot) return page.screenshot(command.screenshot);
  if (command.check) return page.check();
  throw new Error(`no such command: ${JSON.stringify(command)}`);
}

try {
  for await (const line of createInterface({ input: process.stdin })) {
    const answer = await run(JSON.parse(line)).then(
      (value) => ({ value: value ?? null }),
      (error) => ({ error: error.message }),
    );
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
} finally {
  await browser.close();
}
