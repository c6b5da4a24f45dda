//! The HTTP contract, byte by byte, over real sockets.

mod commands;
mod cors;
mod disconnects;
mod drains;
mod framing;
mod ids;
mod pages;
mod rates;
mod refusals;
mod streams;
mod unreadable;

const OPEN: &str = "riverhead_streams_open{stream=\"recentchange\"}";

/// Removes the date, which hyper adds and which is the only part that changes.
fn undated(head: &str) -> String {
    let lines = head.split_inclusive("\r\n");
    lines.filter(|line| !line.starts_with("date: ")).collect()
}

fn ended(reason: &str) -> String {
    format!("riverhead_streams_ended_total{{stream=\"recentchange\",reason=\"{reason}\"}}")
}
