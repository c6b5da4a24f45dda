//! The HTTP contract, byte by byte, over real sockets.

mod commands;
mod cors;
mod disconnects;
mod doc;
mod drains;
mod framing;
mod ids;
mod live_page;
mod operator;
mod pages;
mod rates;
mod refusals;
mod streams;
mod unreadable;

use std::num::NonZeroU32;

use riverhead::{http::settings::HttpSettings, limits::settings::LimitSettings};

use crate::support::gateway::{TestGateway, catalog, nothing};

const OPEN: &str = "riverhead_streams_open{stream=\"recentchange\"}";

/// Removes the date, which hyper adds and which is the only part that changes.
fn undated(head: &str) -> String {
    let lines = head.split_inclusive("\r\n");
    lines.filter(|line| !line.starts_with("date: ")).collect()
}

fn ended(reason: &str) -> String {
    format!("riverhead_streams_ended_total{{stream=\"recentchange\",reason=\"{reason}\"}}")
}

/// Starts a gateway of which each client may request so much at once, and then once a minute.
fn with_burst(requests: u32, change: impl FnOnce(&mut HttpSettings)) -> TestGateway {
    let limits = LimitSettings {
        requests_per_minute: NonZeroU32::MIN,
        request_burst: NonZeroU32::new(requests).unwrap(),
        ..LimitSettings::default()
    };
    TestGateway::limited(catalog(), nothing(), limits, change)
}
