//! The pages for people, as files: HTML, style sheets and modules that the binary embeds and browsers take as they are, but for comments
//! and indentation. Nothing has to be built before `cargo build`.
//!
//! Each page has a folder. Not here: which path answers with which file (`routes`).

pub(in crate::http) mod assets;
pub(in crate::http) mod live;
mod strip;
