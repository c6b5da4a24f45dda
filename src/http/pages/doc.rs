//! The page with the API's documentation, `/?doc`: Swagger UI over the OpenAPI document.
//!
//! The viewer comes in a crate, as the archive of its release. It is unpacked once, in the background, when the listeners are opened.

use std::sync::LazyLock;

use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;

use super::{
    archive::Archive,
    assets::{AssetFile, Assets, MediaType, PAGE},
};

/// The files of the page. To unpack the viewer takes milliseconds.
pub(in crate::http) static DOC_PAGE: LazyLock<Assets> = LazyLock::new(|| {
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

/// Our own files.
const OWN: [AssetFile; 3] = [
    AssetFile::new(PAGE, MediaType::Html, include_bytes!("doc/index.html")),
    AssetFile::new("page.css", MediaType::Css, include_bytes!("doc/page.css")),
    AssetFile::new("start.js", MediaType::JavaScript, include_bytes!("doc/start.js")),
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
            assert!(DOC_PAGE.file(name).is_some(), "{name}");
        }
        assert!(DOC_PAGE.page().is_some());
        assert!(
            DOC_PAGE.file(PAGE).is_none(),
            "the page has an address of its own"
        );
        assert!(DOC_PAGE.file("swagger-initializer.js").is_none());
    }
}
