// The page with the API's documentation in a browser: the viewer shows every operation under a strict policy, and asks nobody else.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Browser } from "./browser.mjs";
import { Gateway } from "./operator.gateway.mjs";

const axe = process.env.AXE && readFileSync(process.env.AXE, "utf8");

/** Fails if axe-core finds something serious. */
async function assertAccessible(page, where) {
  if (!axe) {
    console.log(`NOT CHECKED with axe-core, whose file AXE does not name: ${where}`);
    return;
  }
  await page.value(`${axe}; 0`);
  const found = await page.value(`axe.run().then(({ violations }) => violations
    .filter(({ impact }) => ["serious", "critical"].includes(impact))
    .map(({ id, nodes }) => id + ": " + nodes.map(({ target }) => target).join(", ")))`);
  assert.deepEqual(found, [], where);
}

const browser = await Browser.start();
const gateway = await Gateway.demo();
const document = await (await fetch(`${gateway.public}/?spec=3.2`)).json();
const methods = ["get", "post", "put", "delete", "patch", "head", "options"];
const operations = Object.values(document.paths).flatMap((path) => methods.filter((method) => path[method]));

for (const look of [{ name: "light" }, { name: "dark", dark: true }, { name: "phone", phone: true, width: 390, height: 844 }]) {
  const page = await browser.open(`${gateway.public}/?doc`, look);
  await page.until("document.querySelector('.opblock')");
  await page.value(`document.addEventListener("securitypolicyviolation", ({ violatedDirective }) => console.error(violatedDirective)), 0`);
  assert.equal(await page.value("document.querySelectorAll('.opblock').length"), operations.length, "every operation is shown");
  assert.match(await page.text(".info"), /riverhead.*OAS 3\.2/s);
  await page.click(".opblock-summary-control");
  await page.until("document.querySelector('.opblock.is-open .parameters')");
  // What is opened becomes visible over a moment.
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(await page.value("document.querySelectorAll('.try-out, .execute, .validator-wrapper, form').length"), 0, "it sends nothing");
  assert.ok(await page.value("document.documentElement.scrollWidth <= innerWidth"), `${look.name}: wider than the window`);
  await page.screenshot(`doc-${look.name}`);
  await assertAccessible(page, look.name);
  page.check();
  await page.close();
}

await gateway.end();
await browser.close();
console.log("doc: ok");
