//! The documents, checked against the code: links, commands, configurations, metrics, HTTP; alerts and their runbook; pictures.
//!
//! What a check looks for is written once in `markdown`. Each check has a test that shows that it can fail.
#![cfg_attr(
    not(feature = "kafka"),
    allow(dead_code, reason = "without a demo nothing is asked of it")
)]

mod alerts;
mod commands;
mod configuration;
#[cfg(feature = "kafka")]
mod demo;
#[cfg(feature = "kafka")]
mod http;
mod layout;
mod links;
mod loadtest;
mod markdown;
mod pictures;
mod shell;
