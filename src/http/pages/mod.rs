//! The pages for people, as files: HTML, style sheets and modules that the binary embeds and browsers take as they are, but for comments
//! and indentation. Nothing has to be built before `cargo build`.
//!
//! Each page has a folder. Not here: which path answers with which file (`routes`).

mod archive;
pub(in crate::http) mod assets;
mod bundle;
pub(in crate::http) mod doc;
pub(in crate::http) mod live;
pub(in crate::http) mod operator;
mod strip;
