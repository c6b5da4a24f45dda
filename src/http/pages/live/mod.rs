//! The page at `/` of the public listener, which shows streams as they come.
//!
//! What it asks the gateway is what everybody may ask: `/v2/streams`, streams, tickets. Its documentation is `docs/pages.md`.

use std::sync::LazyLock;

use super::{
    assets::{AssetFile, Assets, MediaType, OWN_FILES_ONLY, PAGE},
    bundle::bundle,
    strip::strip,
};

/// The files of the page, by the names at which it asks for them below `/ui/`. Its modules are one script.
pub(in crate::http) static LIVE_PAGE: LazyLock<Assets> = LazyLock::new(|| {
    let script = bundle(MAIN, &module);
    let files = [
        (PAGE, MediaType::Html, include_str!("index.html")),
        ("style.css", MediaType::Css, include_str!("style.css")),
        ("icon.svg", MediaType::Svg, include_str!("icon.svg")),
        (MAIN, MediaType::JavaScript, &script),
    ];
    Assets::new(&files.map(stripped), OWN_FILES_ONLY)
});

/// Returns a file as it is sent. It is kept for as long as the process lives.
fn stripped((name, media_type, text): (&'static str, MediaType, &str)) -> AssetFile {
    AssetFile::new(name, media_type, strip(media_type, text).leak().as_bytes())
}

/// The name of the module that the page starts with.
const MAIN: &str = "main.js";

/// Returns the text of a module.
fn module(name: &str) -> &'static str {
    let found = MODULES.iter().find(|(own, _)| *own == name);
    found.map_or_else(|| panic!("the page has no module {name}"), |(_, text)| text)
}

const MODULES: &[(&str, &str)] = &[
    ("access.js", include_str!("access.js")),
    ("address.js", include_str!("address.js")),
    ("charts.js", include_str!("charts.js")),
    ("code.js", include_str!("code.js")),
    ("controls.js", include_str!("controls.js")),
    ("dialogs.js", include_str!("dialogs.js")),
    ("dom.js", include_str!("dom.js")),
    ("filterform.js", include_str!("filterform.js")),
    ("filters.js", include_str!("filters.js")),
    ("ids.js", include_str!("ids.js")),
    ("inspector.js", include_str!("inspector.js")),
    ("json.js", include_str!("json.js")),
    ("list.js", include_str!("list.js")),
    ("main.js", include_str!("main.js")),
    ("meters.js", include_str!("meters.js")),
    ("notices.js", include_str!("notices.js")),
    ("reader.js", include_str!("reader.js")),
    ("rows.js", include_str!("rows.js")),
    ("sse.js", include_str!("sse.js")),
    ("text.js", include_str!("text.js")),
    ("tree.js", include_str!("tree.js")),
];
