// The page with the API's documentation in a browser: the viewer shows every operation under a strict policy, and asks nobody else.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { assertAccessible } from "./accessible.mjs";
import { Browser } from "./browser.mjs";
import { Gateway, pause } from "./gateway.mjs";

let browser;
let gateway;

before(async () => {
  [browser, gateway] = await Promise.all([Browser.start(), Gateway.demo(20)]);
});

after(() => Promise.all([browser?.close(), gateway?.stop()]));

const METHODS = ["get", "post", "put", "delete", "patch", "head", "options"];

/** Returns how many operations the document has. */
async function countOperations() {
  const { paths } = await (await fetch(`${gateway.url}?spec=3.2`)).json();
  return Object.values(paths).flatMap((path) => METHODS.filter((method) => path[method])).length;
}

for (const look of [{ name: "light" }, { name: "dark", dark: true }, { name: "phone", phone: true, width: 390, height: 844 }]) {
  test(`the viewer shows every operation, sends nothing and asks nobody else: ${look.name}`, async () => {
    const page = await browser.open(`${gateway.url}?doc`, look);
    await page.until("!!document.querySelector('.opblock')");
    await page.value(`document.addEventListener("securitypolicyviolation", ({ violatedDirective }) => console.error(violatedDirective)), 0`);
    assert.equal(await page.value("document.querySelectorAll('.opblock').length"), await countOperations(), "every operation is shown");
    assert.match(await page.text(".info"), /riverhead.*OAS 3\.2/s);
    await page.click(".opblock-summary-control");
    await page.until("!!document.querySelector('.opblock.is-open .parameters')");
    // What is opened becomes visible over a moment.
    await pause(500);
    assert.equal(await page.value("document.querySelectorAll('.try-out, .execute, .validator-wrapper, form').length"), 0, "it sends nothing");
    assert.ok(await page.value("document.documentElement.scrollWidth <= innerWidth"), `${look.name}: wider than the window`);
    await page.screenshot(`doc-${look.name}`);
    await assertAccessible(page, look.name);
    page.check();
    await page.close();
  });
}
