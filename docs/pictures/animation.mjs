// Puts pictures one behind the other into an animated WebP. The frames are those that Chromium makes; only their container is new
// (https://developers.google.com/speed/webp/docs/riff_container).

/** Returns the animation of these frames, `{webp, milliseconds}`, all of one size. It repeats without an end. */
export function animated(frames, width, height) {
  const header = Buffer.alloc(10);
  header[0] = HAS_ANIMATION;
  header.writeUIntLE(width - 1, 4, 3);
  header.writeUIntLE(height - 1, 7, 3);
  // No colour behind the frames, which have none that one sees through, and no end.
  const parts = [chunk("VP8X", header), chunk("ANIM", Buffer.alloc(6)), ...frames.map((one) => frame(one, width, height))];
  return chunk("RIFF", Buffer.concat([Buffer.from("WEBP"), ...parts]));
}

function frame({ webp, milliseconds }, width, height) {
  const header = Buffer.alloc(16);
  header.writeUIntLE(width - 1, 6, 3);
  header.writeUIntLE(height - 1, 9, 3);
  header.writeUIntLE(milliseconds, 12, 3);
  header[15] = WITHOUT_BLENDING;
  return chunk("ANMF", Buffer.concat([header, bitmap(webp)]));
}

/** Returns the chunk with the picture itself. */
function bitmap(webp) {
  if (webp.toString("latin1", 0, 4) !== "RIFF" || webp.toString("latin1", 8, 12) !== "WEBP") throw new Error("no WebP");
  for (let at = 12; at + 8 <= webp.length; ) {
    const end = at + 8 + webp.readUInt32LE(at + 4);
    if (["VP8 ", "VP8L"].includes(webp.toString("latin1", at, at + 4))) return webp.subarray(at, end + (end % 2));
    at = end + (end % 2);
  }
  throw new Error("a WebP without a picture");
}

function chunk(name, bytes) {
  const header = Buffer.alloc(8);
  header.write(name, "latin1");
  header.writeUInt32LE(bytes.length, 4);
  return Buffer.concat([header, bytes, Buffer.alloc(bytes.length % 2)]);
}

const HAS_ANIMATION = 0x02;
const WITHOUT_BLENDING = 0x02;
