// What ids tell: where each partition stands, and from which partition an event is.

/** Returns the entries of an id as a map from `topic/partition`, or `null` if it does not tell them, as a compact id. */
export function positions(id) {
  if (!id?.startsWith("[")) return null;
  try {
    const entries = new Map();
    for (const entry of JSON.parse(id)) {
      if (typeof entry?.partition !== "number") continue;
      entries.set(`${entry.topic}/${entry.partition}`, entry);
    }
    return entries;
  } catch {
    return null;
  }
}

/**
 * Returns where the event with this id is: `{topic, partition, offset, timestamp}`, or `null` if its id does not tell.
 *
 * An id is a position in every partition. So the event is in the partition that is farther than in the id before. If several are,
 * because a filter has skipped records of others, a `meta` in the value that names one of them tells which.
 */
export function placeOf(id, before, meta) {
  const own = positions(id);
  if (!own) return null;
  const moved = own.size === 1 ? [...own.values()] : farther(own, positions(before));
  const named = moved.length === 1 ? moved[0] : moved.find((entry) => isNamed(entry, meta));
  if (!named || !(named.offset > 0)) return null;
  const { topic, partition, offset, timestamp } = named;
  return { topic, partition, offset: offset - 1, timestamp: timestamp ?? null };
}

function farther(own, before) {
  if (!before) return [];
  return [...own].filter(([key, entry]) => !(entry.offset <= before.get(key)?.offset)).map(([, entry]) => entry);
}

const isNamed = (entry, meta) =>
  meta?.topic === entry.topic && meta.partition === entry.partition && meta.offset === entry.offset - 1;

/** Returns the newest timestamp in an id, in milliseconds since 1970, or `null`. */
export function newest(id) {
  let time = null;
  for (const { timestamp } of positions(id)?.values() ?? []) {
    if (typeof timestamp === "number" && timestamp > (time ?? 0)) time = timestamp;
  }
  return time;
}

/** Returns how many records are behind the positions of an id, of those in these documents of streams, or `null` if it is not known. */
export function lag(id, streams) {
  const own = positions(id);
  if (!own || streams.length === 0) return null;
  const ends = new Map();
  for (const stream of streams) {
    for (const topic of stream.topics) {
      for (const { partition, latest } of topic.partitions) {
        if (latest.offset !== null) ends.set(`${topic.name}/${partition}`, latest.offset);
      }
    }
  }
  let records = 0;
  for (const [key, end] of ends) {
    const at = own.get(key)?.offset;
    if (at >= 0) records += Math.max(0, end - at);
  }
  return ends.size ? records : null;
}
