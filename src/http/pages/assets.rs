//! The answers with an embedded file: compressed once, with a tag by which browsers ask again, and with the headers that keep a page
//! to itself.
//!
//! A page and its modules keep their names from version to version, so browsers ask for each file again with the tag of the one that
//! they have (`no-cache`), and mostly get a 304. A name that changes with its content would let them not ask, but then replicas of two
//! versions behind one address would answer 404 to half of the requests for modules.

use std::{collections::BTreeMap, io::Write};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

use crate::http::routes::negotiation::accepts_gzip;

/// One file as it is embedded.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct AssetFile {
    /// The name by which it is asked for, in lower case: targets are matched without regard to case.
    pub(in crate::http) name: &'static str,
    /// What the `Content-Type` says of it.
    pub(in crate::http) media_type: MediaType,
    /// Its content, from `include_bytes!`.
    pub(in crate::http) bytes: &'static [u8],
}

impl AssetFile {
    /// Returns the file with these values of its fields.
    pub(super) const fn new(name: &'static str, media_type: MediaType, bytes: &'static [u8]) -> Self {
        Self {
            name,
            media_type,
            bytes,
        }
    }
}

/// The kinds of files that pages consist of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum MediaType {
    /// A page.
    Html,
    /// A module (RFC 9239).
    JavaScript,
    /// A style sheet.
    Css,
    /// A picture of lines.
    Svg,
    /// A text without marks, or with marks that the page itself reads.
    Text,
}

impl MediaType {
    /// Returns the value of the header `Content-Type`.
    fn name(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::JavaScript => "text/javascript; charset=utf-8",
            Self::Css => "text/css; charset=utf-8",
            Self::Svg => "image/svg+xml",
            Self::Text => "text/plain; charset=utf-8",
        }
    }
}

/// The files of one page, ready to be sent.
#[derive(Debug)]
pub(in crate::http) struct Assets {
    files: BTreeMap<&'static str, Asset>,
}

impl Assets {
    /// Compresses these files. The pages among them may load what `policy` allows (a `Content-Security-Policy`): mostly
    /// [`OWN_FILES_ONLY`].
    ///
    /// Takes milliseconds, so it belongs to the start of the process, and into a `LazyLock` if it would be called more than once.
    pub(in crate::http) fn new(files: &[AssetFile], policy: &'static str) -> Self {
        let files = files.iter().map(|file| {
            let packed = gzip(file.bytes).filter(|packed| packed.len() < file.bytes.len());
            let bytes = Bytes::from_static(file.bytes);
            (file.name, Asset::new(file.media_type, bytes, packed, policy))
        });
        Self {
            files: files.collect(),
        }
    }

    /// Adds a file that is there in all its forms already: as it is, and perhaps as a gzip member.
    pub(super) fn add_packed(
        &mut self,
        name: &'static str,
        media_type: MediaType,
        bytes: Vec<u8>,
        packed: Option<Vec<u8>>,
        policy: &'static str,
    ) {
        let asset = Asset::new(media_type, bytes.into(), packed, policy);
        self.files.insert(name, asset);
    }

    /// Returns the file of this name, or `None` if there is none.
    pub(in crate::http) fn get(&self, name: &str) -> Option<&Asset> {
        self.files.get(name)
    }

    /// Returns the page itself.
    pub(in crate::http) fn page(&self) -> Option<&Asset> {
        self.get(PAGE)
    }

    /// Returns the file of this name that the page loads, or `None` if there is none.
    pub(in crate::http) fn file(&self, name: &str) -> Option<&Asset> {
        self.get(name).filter(|_| name != PAGE)
    }
}

/// The name of the page among its files.
pub(super) const PAGE: &str = "index.html";

/// A file in all forms in which it is sent.
#[derive(Debug)]
pub(in crate::http) struct Asset {
    identity: Representation,
    /// `None` if the file does not become shorter.
    gzip: Option<Representation>,
    media_type: MediaType,
    policy: HeaderValue,
}

impl Asset {
    fn new(media_type: MediaType, bytes: Bytes, packed: Option<Vec<u8>>, policy: &'static str) -> Self {
        Self {
            identity: Representation::new(bytes),
            gzip: packed.map(|packed| Representation::new(packed.into())),
            media_type,
            policy: HeaderValue::from_static(policy),
        }
    }

    /// Answers a GET or HEAD with these headers: 304 if the client has the file already, as `If-None-Match` says.
    ///
    /// A route that also negotiates by `Accept` adds that to `Vary` itself: with `append`, since the header has a value already.
    pub(in crate::http) fn answer(&self, request: &HeaderMap) -> Response {
        let gzip = self.gzip.as_ref().filter(|_| accepts_gzip(request));
        let chosen = gzip.unwrap_or(&self.identity);
        let mut response = match chosen.is_known_to(request) {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => Body::from(chosen.bytes.clone()).into_response(),
        };
        let is_sent = response.status() == StatusCode::OK;
        let headers = response.headers_mut();
        if is_sent {
            let media_type = HeaderValue::from_static(self.media_type.name());
            headers.insert(header::CONTENT_TYPE, media_type);
            if gzip.is_some() {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
        }
        headers.insert(header::ETAG, chosen.tag.clone());
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        headers.insert(header::CONTENT_SECURITY_POLICY, self.policy.clone());
        for (name, value) in ISOLATION {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// The bytes of a file in one encoding. Each encoding has a tag of its own, as strong tags demand (RFC 9110, section 8.8.3.3).
#[derive(Debug)]
struct Representation {
    bytes: Bytes,
    /// A strong entity tag: the SHA-256 of the bytes.
    tag: HeaderValue,
}

impl Representation {
    fn new(bytes: Bytes) -> Self {
        let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(Sha256::digest(&bytes)));
        // Base64 is ASCII, so this never falls back. A tag that is always the same would only cost a 200 too many or too few.
        let tag = HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\""));
        Self { bytes, tag }
    }

    /// Whether `If-None-Match` has the tag. The comparison is weak, as RFC 9110 demands of this header (section 13.1.2): proxies mark
    /// tags as weak when they compress.
    fn is_known_to(&self, request: &HeaderMap) -> bool {
        let lines = request.get_all(header::IF_NONE_MATCH).iter();
        let mut tags = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
        tags.any(|tag| {
            let tag = tag.trim_ascii();
            tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == self.tag.as_bytes()
        })
    }
}

/// Returns the bytes as a gzip member. Returns `None` if that fails, which no input does.
fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

/// The `Content-Security-Policy` of a page that consists of files of its own origin and talks to nobody else. No markup that is made
/// from a text becomes elements: there is no policy for Trusted Types, so assigning to `innerHTML` fails.
pub(in crate::http) const OWN_FILES_ONLY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// The headers that keep other pages out of these, besides the policy. `nosniff` comes with every response.
const ISOLATION: [(HeaderName, &str); 4] = [
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const PAGE: &[u8] =
        b"<!doctype html><title>lines of lines of lines of lines of lines of lines of lines</title>";

    fn assets() -> Assets {
        let file = |name, media_type, bytes| AssetFile {
            name,
            media_type,
            bytes,
        };
        let files = [
            file("index.html", MediaType::Html, PAGE),
            file("short.css", MediaType::Css, b"a{}"),
        ];
        Assets::new(&files, OWN_FILES_ONLY)
    }

    fn answer(name: &str, request: &[(HeaderName, &str)]) -> Response {
        let request = request
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()));
        assets().get(name).unwrap().answer(&request.collect())
    }

    async fn body(response: Response) -> Vec<u8> {
        axum::body::to_bytes(response.into_body(), 1 << 20)
            .await
            .unwrap()
            .into()
    }

    fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
        response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[tokio::test]
    async fn a_file_is_sent_compressed_to_those_who_can_read_it() {
        let plain = answer("index.html", &[]);
        assert_eq!(header(&plain, "content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(header(&plain, "content-encoding"), None);
        assert_eq!(header(&plain, "vary"), Some("accept-encoding"));
        assert_eq!(body(plain).await, PAGE);

        let packed = answer("index.html", &[(header::ACCEPT_ENCODING, "gzip, br")]);
        assert_eq!(header(&packed, "content-encoding"), Some("gzip"));
        let mut text = Vec::new();
        let packed = body(packed).await;
        flate2::read::GzDecoder::new(&*packed)
            .read_to_end(&mut text)
            .unwrap();
        assert_eq!(text, PAGE);

        let short = answer("short.css", &[(header::ACCEPT_ENCODING, "gzip")]);
        assert_eq!(
            header(&short, "content-encoding"),
            None,
            "gzip would make it longer"
        );
    }

    #[tokio::test]
    async fn a_client_that_has_the_file_gets_it_no_second_time() {
        let gzip = (header::ACCEPT_ENCODING, "gzip");
        let tag = |response: &Response| header(response, "etag").unwrap().to_owned();
        let plain = tag(&answer("index.html", &[]));
        let packed = tag(&answer("index.html", std::slice::from_ref(&gzip)));
        assert_ne!(plain, packed, "strong tags of two encodings");
        let known = |known: &str| answer("index.html", &[(header::IF_NONE_MATCH, known), gzip.clone()]);
        for having in [
            packed.clone(),
            format!("W/{packed}"),
            format!("\"other\", {packed}"),
            "*".into(),
        ] {
            let response = known(&having);
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{having}");
            assert_eq!(tag(&response), packed);
            assert_eq!(header(&response, "vary"), Some("accept-encoding"));
            assert_eq!(header(&response, "content-type"), None);
            assert!(body(response).await.is_empty());
        }
        for other in [&*plain, "\"\"", "", "W/", "other"] {
            assert_eq!(known(other).status(), StatusCode::OK, "{other}");
        }
    }

    #[test]
    fn every_answer_keeps_other_pages_out() {
        let tag = answer("index.html", &[]).headers()[header::ETAG].clone();
        for response in [
            answer("index.html", &[]),
            answer("index.html", &[(header::IF_NONE_MATCH, tag.to_str().unwrap())]),
            answer("short.css", &[]),
        ] {
            let policy = header(&response, "content-security-policy").unwrap();
            assert!(policy.starts_with("default-src 'none'; "), "{policy}");
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(header(&response, "referrer-policy"), Some("no-referrer"));
            assert_eq!(
                header(&response, "cross-origin-opener-policy"),
                Some("same-origin")
            );
            assert_eq!(
                header(&response, "cross-origin-resource-policy"),
                Some("same-origin")
            );
            assert_eq!(header(&response, "cache-control"), Some("no-cache"));
        }
    }

    #[test]
    fn there_are_no_other_names() {
        assert!(assets().get("INDEX.HTML").is_none());
        assert!(assets().get("").is_none());
    }
}
