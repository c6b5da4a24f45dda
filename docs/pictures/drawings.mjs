// The drawings of the documentation, as SVG: what an id says, what a gap says, and what happens when a stream moves to another cluster.
//
// Each has a background of its own, so that it can be read wherever it is shown, and follows the colours that a reader prefers.

const STYLE = `
text{font:14px system-ui,"Segoe UI","Liberation Sans",sans-serif;fill:#1f2328}
.code{font:12.5px ui-monospace,"Liberation Mono","DejaVu Sans Mono",monospace}
.head{font-weight:600;font-size:15px}
.quiet{fill:#59636e}
.middle{text-anchor:middle}
.paper{fill:#ffffff;stroke:#d0d7de}
.had{fill:#d7eedd;stroke:#2f7d4a}
.skipped{fill:#e9e3f7;stroke:#7254a8}
.new{fill:#f3f5f7;stroke:#8b949e}
.lost{fill:#fbe3e1;stroke:#b3372f;stroke-dasharray:4 3}
.note{fill:#fff8dd;stroke:#9a6700}
.cursor{stroke:#0b57d0;stroke-width:3;fill:none}
.link{stroke:#0b57d0;stroke-width:1.5;fill:none}
.tip{fill:#0b57d0}
.axis{stroke:#8b949e;stroke-width:1.5;fill:none}
@media (prefers-color-scheme:dark){
text{fill:#e6edf3}.quiet{fill:#9198a1}
.paper{fill:#161b22;stroke:#3d444d}
.had{fill:#163a22;stroke:#57ab6e}
.skipped{fill:#2d2440;stroke:#a78bda}
.new{fill:#22272e;stroke:#768390}
.lost{fill:#47201d;stroke:#e5716a}
.note{fill:#3a2f10;stroke:#d4a72c}
.cursor,.link{stroke:#6cb0ff}.tip{fill:#6cb0ff}
.axis{stroke:#768390}
}`;

const escaped = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** Returns a drawing of this size. The description is read to people who do not see it. */
function drawing(width, height, title, description, ...parts) {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>${escaped(title)}</title>
<desc>${escaped(description)}</desc>
<style>${STYLE}
</style>
<rect class="paper" x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="8"/>
${parts.flat(Infinity).join("\n")}
</svg>
`;
}

const text = (x, y, words, classes = "") => `<text x="${x}" y="${y}"${classes && ` class="${classes}"`} xml:space="preserve">${escaped(words)}</text>`;
const box = (x, y, width, height, classes, round = 3) => `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="${round}" class="${classes}"/>`;
const path = (way, classes) => `<path d="${way}" class="${classes}"/>`;

/** Returns a line with a tip at its end: down, or to the right. */
function arrow(way, x, y, isDown = true) {
  const tip = isDown ? `M${x - 5},${y - 8}L${x + 5},${y - 8}L${x},${y}Z` : `M${x - 8},${y - 5}L${x - 8},${y + 5}L${x},${y}Z`;
  return [path(way, "link"), path(tip, "tip")];
}

const CELL = 46;

/** Returns records side by side, given as `[text, class]`. */
function records(x, y, all) {
  return all.map(([label, kind], index) => [
    box(x + index * CELL, y, CELL - 4, 30, kind),
    text(x + index * CELL + (CELL - 4) / 2, y + 20, label, "code middle"),
  ]);
}

/** Returns the mark between two records: what stands left of it was consumed. */
const cursor = (x, y, before) => path(`M${x + before * CELL - 2},${y - 8}V${y + 38}`, "cursor");

const legend = (x, y, entries) => entries.map(([kind, words], index) => [
  box(x + index * 190, y, 16, 16, kind),
  text(x + index * 190 + 24, y + 13, words, "quiet"),
]);

/** What an id says. */
function ids() {
  const rows = [
    { name: "partition 0", before: 3, all: [["40", "had"], ["41", "skipped"], ["42", "had"], ["43", "new"], ["44", "new"], ["45", "new"]], id: '"offset":43, "timestamp":…415, "log":"q7Zk.1wPx9A.4"' },
    { name: "partition 1", before: 2, all: [["17", "had"], ["18", "had"], ["19", "new"], ["20", "new"]], id: '"offset":19, "timestamp":…398, "log":"q7Zk.1wPx9A.4"' },
    { name: "partition 2", before: 4, all: [["7", "had"], ["8", "had"], ["9", "skipped"], ["10", "skipped"], ["11", "new"]], id: '"offset":11, "timestamp":…402, "log":"q7Zk.1wPx9A.3"' },
  ];
  const left = 120;
  return drawing(880, 338, "An id is a position in every partition",
    "Three partitions with their records. In each a mark separates the records that were sent or filtered out from those to come. The id of the event has the offset behind each mark, and log, epoch and timestamp of the record before it.",
    text(24, 34, "An id is a position in every partition of the request", "head"),
    rows.map(({ name, before, all, id }, index) => {
      const y = 62 + index * 62;
      const at = left + before * CELL - 2;
      return [
        text(24, y + 20, name),
        records(left, y, all),
        cursor(left, y, before),
        // The record that proves the place.
        arrow(`M${at},${y + 38}V${y + 46}H422`, 430, y + 46, false),
        text(438, y + 50, id, "code"),
      ];
    }),
    text(438, 52, "the id that the client has received", "quiet"),
    legend(left, 258, [["had", "sent"], ["skipped", "filtered out or skipped"], ["new", "to come"]]),
    path("M727,251V271", "cursor"),
    text(740, 271, "the next offset", "quiet"),
    text(24, 302, "When the client comes back, the record before each mark is compared with log, epoch and timestamp.", "quiet"),
    text(24, 320, "If it is the same, the client gets exactly the next event.", "quiet"),
  );
}

/** What a gap says. */
function gaps() {
  const left = 230;
  const gap = (y, requested, resumed, reason) => [
    box(24, y, 832, 30, "note"),
    text(36, y + 20, `event: gap   data: {"topic":"edits","partition":0,"requested":${requested},"resumed":${resumed},"reason":"${reason}"}`, "code"),
  ];
  return drawing(880, 420, "What a gap says",
    "Two logs. Of the first the oldest records were deleted: the client asked for offset 43 and goes on at 1000. Of the second the end was truncated: the client asked for offset 600 and goes on at 100, with other records.",
    text(24, 34, "Records were lost before the client read them: a gap says which", "head"),
    text(24, 76, "expired:"),
    text(24, 96, "retention has deleted them", "quiet"),
    records(left, 66, [["41", "had"], ["42", "had"], ["43", "lost"], ["44", "lost"], ["…", "lost"], ["999", "lost"], ["1000", "new"], ["1001", "new"], ["1002", "new"]]),
    cursor(left, 66, 2),
    text(left + 2 * CELL - 6, 122, "requested: 43", "code"),
    text(left + 6 * CELL, 122, "resumed: 1000, the start of the log", "code"),
    gap(138, 43, 1000, "expired"),
    text(24, 218, "truncated:"),
    text(24, 238, "an unclean election has", "quiet"),
    text(24, 256, "cut them off", "quiet"),
    records(left, 208, [["98", "had"], ["99", "had"], ["100", "lost"], ["101", "lost"], ["…", "lost"], ["599", "lost"]]),
    text(left + 6 * CELL + 12, 228, "epoch 4, which the client had", "quiet"),
    cursor(left, 208, 6),
    records(left, 256, [["98", "had"], ["99", "had"], ["100", "new"], ["101", "new"], ["102", "new"]]),
    text(left + 6 * CELL + 12, 276, "epoch 5, which the log has now", "quiet"),
    path(`M${left + 6 * CELL - 2},246V304H${left + 2 * CELL + 20}V296`, "link"),
    path(`M${left + 2 * CELL + 15},297h10l-5,-8z`, "tip"),
    text(left + 2 * CELL + 34, 322, "requested: 600, resumed: 100", "code"),
    gap(334, 600, 100, "truncated"),
    legend(left, 384, [["had", "the client has them"], ["lost", "lost"], ["new", "sent behind the gap"]]),
  );
}

/** What happens when a stream moves to another cluster. */
function failover() {
  const left = 200;
  const x = (time) => left + time * 11;
  const marks = (y, all) => all.map(([time, offset, kind]) => [
    box(x(time) - 20, y - 15, 40, 30, kind),
    text(x(time), y + 5, offset, "code middle"),
  ]);
  return drawing(880, 372, "A stream moves to another cluster by time",
    "Two clusters have the same events with other offsets. The client has read the first cluster up to the record of 12:00:20. When that cluster fails, it goes on in the second one with the first record at or after this time, behind a gap with the reason failover.",
    text(24, 34, "Two clusters have the same events, with other offsets: the time leads from one to the other", "head"),
    text(24, 84, "cluster one"),
    text(24, 102, "fails at 12:00:30", "quiet"),
    path(`M${x(0) - 30},86H${x(30)}`, "axis"),
    marks(86, [[2, "808", "had"], [8, "809", "had"], [14, "810", "had"], [20, "811", "had"]]),
    path(`M${x(30) - 8},78l16,16m0,-16l-16,16`, "cursor"),
    text(x(30) + 20, 91, "no broker answers for failover_after", "quiet"),
    arrow(`M${x(20)},102V164`, x(20), 172),
    text(x(20) + 14, 142, "the first record at or after 12:00:20", "quiet"),
    text(24, 190, "cluster two"),
    text(24, 208, "has what was mirrored", "quiet"),
    path(`M${x(0) - 30},192H${x(56)}`, "axis"),
    marks(192, [[2, "500", "new"], [8, "501", "new"], [14, "502", "new"], [20, "503", "had"], [27, "504", "new"], [34, "505", "new"], [41, "506", "new"], [48, "507", "new"]]),
    text(x(20) - 20, 230, "maybe sent again", "quiet"),
    text(x(2), 252, "12:00:02", "code quiet middle"),
    text(x(20), 252, "12:00:20", "code quiet middle"),
    text(x(34), 252, "12:00:34", "code quiet middle"),
    text(x(48), 252, "12:00:48", "code quiet middle"),
    box(24, 274, 832, 30, "note"),
    text(36, 294, 'event: gap   data: {"topic":"edits","partition":0,"requested":812,"resumed":503,"reason":"failover"}', "code"),
    text(24, 332, "The client stays connected. Ids of one cluster resume in the other in the same way. What the second cluster does not have yet", "quiet"),
    text(24, 352, "comes when it is mirrored. The way back is a command of the operator.", "quiet"),
  );
}

/** The name of each file, and what is in it. */
export const DRAWINGS = { "ids.svg": ids, "gaps.svg": gaps, "failover.svg": failover };
