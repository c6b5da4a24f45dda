// What axe-core finds on a page.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const FILE = join(process.env.CARGO_TARGET_DIR ?? "target", "pages/node_modules/axe-core/axe.min.js");

/** Fails if axe-core finds something serious on the page as it is. */
export async function assertAccessible(page, what) {
  await page.value(`${readFileSync(FILE, "utf8")}; 0`);
  const found = await page.value(`axe.run({ resultTypes: ["violations"] }).then(({ violations }) => violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => id + ": " + nodes.map(({ target }) => target).join(", ")))`);
  assert.deepEqual(found, [], what);
}
