//! The page at `/` of the public listener, which shows streams as they come.
//!
//! What it asks the gateway is what everybody may ask: `/v2/streams`, streams, tickets. Its documentation is `docs/pages.md`.

use std::sync::LazyLock;

use super::{
    assets::{AssetFile, Assets, MediaType, OWN_FILES_ONLY},
    strip::strip,
};

/// The files of the page, by the names at which it asks for them below `/ui/`.
pub(in crate::http) static LIVE_PAGE: LazyLock<Assets> = LazyLock::new(|| {
    let files: Vec<_> = FILES.iter().map(stripped).collect();
    Assets::new(&files, OWN_FILES_ONLY)
});

/// Returns a file as it is sent. It is kept for as long as the process lives.
fn stripped(&(name, media_type, text): &(&'static str, MediaType, &str)) -> AssetFile {
    AssetFile {
        name,
        media_type,
        bytes: strip(media_type, text).leak().as_bytes(),
    }
}

/// The name of the page itself.
pub(in crate::http) const INDEX: &str = "index.html";

const FILES: &[(&str, MediaType, &str)] = &[
    (INDEX, MediaType::Html, include_str!("index.html")),
    ("style.css", MediaType::Css, include_str!("style.css")),
    ("icon.svg", MediaType::Svg, include_str!("icon.svg")),
    ("access.js", MediaType::JavaScript, include_str!("access.js")),
    ("address.js", MediaType::JavaScript, include_str!("address.js")),
    ("charts.js", MediaType::JavaScript, include_str!("charts.js")),
    ("code.js", MediaType::JavaScript, include_str!("code.js")),
    ("controls.js", MediaType::JavaScript, include_str!("controls.js")),
    ("dialogs.js", MediaType::JavaScript, include_str!("dialogs.js")),
    ("dom.js", MediaType::JavaScript, include_str!("dom.js")),
    (
        "filterform.js",
        MediaType::JavaScript,
        include_str!("filterform.js"),
    ),
    ("filters.js", MediaType::JavaScript, include_str!("filters.js")),
    ("ids.js", MediaType::JavaScript, include_str!("ids.js")),
    (
        "inspector.js",
        MediaType::JavaScript,
        include_str!("inspector.js"),
    ),
    ("json.js", MediaType::JavaScript, include_str!("json.js")),
    ("list.js", MediaType::JavaScript, include_str!("list.js")),
    ("main.js", MediaType::JavaScript, include_str!("main.js")),
    ("meters.js", MediaType::JavaScript, include_str!("meters.js")),
    ("notices.js", MediaType::JavaScript, include_str!("notices.js")),
    ("reader.js", MediaType::JavaScript, include_str!("reader.js")),
    ("rows.js", MediaType::JavaScript, include_str!("rows.js")),
    ("sse.js", MediaType::JavaScript, include_str!("sse.js")),
    ("text.js", MediaType::JavaScript, include_str!("text.js")),
    ("tree.js", MediaType::JavaScript, include_str!("tree.js")),
];
