// The drawings of the documentation are those of the script that makes them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";

const folder = join(dirname(fileURLToPath(import.meta.url)), "../../docs/pictures");
const { DRAWINGS } = await import(join(folder, "drawings.mjs"));
const { animated } = await import(join(folder, "animation.mjs"));

for (const [name, draw] of Object.entries(DRAWINGS)) {
  test(`${name} is as it is drawn now`, () => {
    assert.equal(readFileSync(join(folder, name), "utf8"), draw(), "run: node docs/pictures/make.mjs drawings");
  });
}

test("an animation has the bitmaps of its frames, whatever else is in their files", () => {
  const chunk = (name, bytes) => Buffer.concat([Buffer.from(name), Buffer.from([bytes.length, 0, 0, 0]), Buffer.from(bytes), Buffer.alloc(bytes.length % 2)]);
  const webp = (...chunks) => chunk("RIFF", Buffer.concat([Buffer.from("WEBP"), ...chunks]));
  const one = webp(chunk("VP8 ", [1, 2, 3]));
  const other = webp(chunk("VP8X", new Array(10).fill(0)), chunk("ICCP", [9]), chunk("VP8 ", [4, 5]));
  const all = animated([{ webp: one, milliseconds: 500 }, { webp: other, milliseconds: 258 }], 300, 20);
  assert.equal(all.readUInt32LE(4), all.length - 8, "the length of all");
  assert.deepEqual([...all.subarray(12, 30)], [...Buffer.from("VP8X"), 10, 0, 0, 0, 2, 0, 0, 0, 43, 1, 0, 19, 0, 0]);
  const frames = all.toString("latin1").split("ANMF").slice(1);
  assert.deepEqual(frames.map((text) => [...Buffer.from(text, "latin1")].slice(4)), [
    [0, 0, 0, 0, 0, 0, 43, 1, 0, 19, 0, 0, 244, 1, 0, 2, ...Buffer.from("VP8 "), 3, 0, 0, 0, 1, 2, 3, 0],
    [0, 0, 0, 0, 0, 0, 43, 1, 0, 19, 0, 0, 2, 1, 0, 2, ...Buffer.from("VP8 "), 2, 0, 0, 0, 4, 5],
  ]);
  assert.throws(() => animated([{ webp: webp(chunk("ICCP", [9])), milliseconds: 1 }], 1, 1), /without a picture/);
});
