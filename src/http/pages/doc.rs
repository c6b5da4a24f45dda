//! The page with the API's documentation, `/?doc`: Swagger UI over the OpenAPI document.
//!
//! The viewer comes in a crate, as the archive of its release. It is unpacked once, in the background, when the listeners are opened.

use std::sync::LazyLock;

use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;

use super::{
    archive::Archive,
    assets::{Asset, AssetFile, Assets, MediaType},
};

/// Unpacks the viewer, which takes milliseconds, so that no request waits for it.
pub(in crate::http) fn prepare() {
    LazyLock::force(&FILES);
}

/// Returns the page.
pub(in crate::http) fn page() -> Option<&'static Asset> {
    FILES.get(PAGE)
}

/// Returns the file of this name that the page loads, or `None` if there is none.
pub(in crate::http) fn file(name: &str) -> Option<&'static Asset> {
    FILES.get(name).filter(|_| name != PAGE)
}

static FILES: LazyLock<Assets> = LazyLock::new(|| {
    let mut files = Assets::new(&OWN, POLICY);
    let archive = Archive::new(SWAGGER_UI_VENDORED);
    for (path, name, media_type) in VIEWER {
        // A test finds all of them.
        if let Some(file) = archive.file(path) {
            files.add_packed(name, media_type, file.bytes, file.packed, POLICY);
        }
    }
    files
});

const PAGE: &str = "index.html";

/// Our own files.
const OWN: [AssetFile; 3] = [
    AssetFile {
        name: PAGE,
        media_type: MediaType::Html,
        bytes: include_bytes!("doc/index.html"),
    },
    AssetFile {
        name: "page.css",
        media_type: MediaType::Css,
        bytes: include_bytes!("doc/page.css"),
    },
    AssetFile {
        name: "start.js",
        media_type: MediaType::JavaScript,
        bytes: include_bytes!("doc/start.js"),
    },
];

/// The files of the viewer, by the ends of their paths in the archive. Its license wants to be passed on.
const VIEWER: [(&str, &str, MediaType); 4] = [
    ("/dist/swagger-ui.css", "swagger-ui.css", MediaType::Css),
    (
        "/dist/swagger-ui-bundle.js",
        "swagger-ui-bundle.js",
        MediaType::JavaScript,
    ),
    ("/LICENSE", "license.txt", MediaType::Text),
    ("/NOTICE", "notice.txt", MediaType::Text),
];

/// The policy of the page. It is that of the other pages, except that the viewer makes elements of checked markup (descriptions in
/// Markdown), which Trusted Types would forbid. There are no forms, since the viewer sends nothing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_of_the_crate_has_every_file_of_the_viewer() {
        for (_, name, _) in VIEWER {
            assert!(file(name).is_some(), "{name}");
        }
        assert!(page().is_some());
        assert!(file(PAGE).is_none(), "the page has an address of its own");
        assert!(file("swagger-initializer.js").is_none());
    }
}
