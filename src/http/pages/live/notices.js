// What the page says when something is not as usual: what happened, and what can be done.

import { dateTime, plural, visible } from "./text.js";

const BY_TIME = "The read goes on by time, so events near it may come twice.";

const GAPS = {
  expired: "They were deleted, mostly by retention, before you read them. Read more often, or begin later.",
  truncated: "The log was cut off when its leader changed. What follows was written since.",
  recreated: "The topic was deleted and created again. What follows is the new one from its start.",
  other_cluster: `The id is from another cluster. ${BY_TIME}`,
  failover: `The stream is now read from another cluster. ${BY_TIME}`,
  unproven: `The record there is not the one in the id. ${BY_TIME}`,
  past_end: `The id is past the end of the log. ${BY_TIME}`,
  partition_gone: "The partition is there no more. The others go on.",
  unreadable: "They are damaged on the disk of a broker. Tell the operator.",
};

/** Returns `{title, text}` for the data of a gap. */
export function gapText(gap) {
  const lost = gap.resumed - gap.requested;
  const many = gap.requested !== null && lost > 0 ? `: ${plural(lost, "offset")} from ${gap.requested} to ${gap.resumed - 1}` : "";
  const partitions = gap.partitions > 1 ? ` and ${plural(gap.partitions - 1, "other partition")}` : "";
  return {
    title: `Gap in ${visible(String(gap.topic), 200)} / ${gap.partition}${partitions}${many}.`,
    text: GAPS[gap.reason] ?? `The reason is "${visible(String(gap.reason), 100)}".`,
  };
}

const ENDS = {
  complete: "The read was complete before. Nothing more comes.",
  limit: "The read had as many events as were asked for.",
  until: "The read has reached the end that was asked for.",
  removed: "The stream is not offered any more. Choose another one.",
  access: "You may not read this stream any more.",
};

/** Returns a sentence for the data of an end. */
export const endText = (end) => ENDS[end.reason] ?? `The gateway ended the stream: ${visible(String(end.reason ?? "no reason"), 100)}.`;

/** Returns a sentence for why a connection ended, and what becomes of the read. */
export function pauseText({ why, hasId, attempt }) {
  const so = hasId ? "Reconnecting. Nothing is lost: the read goes on where it was." : "Reconnecting. It had no position yet, so it begins anew.";
  if (!why) return `The gateway closed the stream. ${so}`;
  if (why.status) return `${why.status} ${visible(why.title, 100)}. Reconnecting.`;
  return `${attempt > 1 ? "The gateway cannot be reached." : "The connection broke."} ${so}`;
}

/**
 * What a person can do about a refusal, by its type, or by its status where the type says no more: a sentence, and the names of the
 * buttons that do it.
 */
const ADVICE = {
  not_found: ["Choose from the streams in the list. Some appear only with a credential.", ["streams", "credential"]],
  invalid_filter: ["Mend the filter at the mark.", ["filter"]],
  invalid_timestamp: ["Write it as 2026-11-30T09:00:00Z, or as milliseconds since 1970.", ["begin", "now"]],
  invalid_last_event_id: ["The id was shortened or changed on its way. Copy it again, or begin now.", ["now"]],
  topic_not_available: ["The id is one of other streams. Choose those, or begin now.", ["streams", "now"]],
  unauthorized: ["Give a token or an API key that may read this stream.", ["credential"]],
  invalid_token: ["Give another credential. The detail says what is wrong with this one.", ["credential", "forget"]],
  invalid_request: ["There are two credentials. Forget one of them.", ["forget"]],
  insufficient_scope: ["Give a credential with one of the scopes, or choose other streams.", ["credential", "streams"]],
  gap: ["Begin at a time, or now.", ["now"]],
  409: ["The id is one of a read of other partitions. Begin now, or at a time.", ["now"]],
  403: ["Credentials count over https only, and addresses can be denied. Ask the operator.", ["credential", "forget"]],
  429: ["Close other pages that read from here, or wait.", ["retry"]],
  503: ["The gateway is full or cannot check something now. It may pass.", ["retry"]],
};

/** Returns `[sentence, buttons]` for a refusal. */
export const advice = (refusal) =>
  ADVICE[refusal.type] ?? ADVICE[refusal.status] ?? ["Change what is asked for, or try again.", ["retry"]];

/** Returns what a person reads of the time at which a credential expires. */
export function expiryText(expires) {
  const at = Date.parse(expires);
  const when = Number.isNaN(at) ? "soon" : `at ${dateTime(at).slice(11, 19)}`;
  return `The credential expires ${when}, and the stream ends then. Give another one, and it goes on without a loss.`;
}
