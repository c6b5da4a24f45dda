//! The section `http.cors`.

use std::time::Duration;

use ::http::Uri;

use super::{
    diagnostic::ParseResult,
    node::Node,
    table::{KeySpec, optional},
};
use crate::http::settings::{AllowedOrigins, CorsSettings};

/// The keys of the section.
pub(super) const KEYS: &[KeySpec<CorsSettings>] = &[
    optional("origins", |cors, node| origins(node).map(|v| cors.origins = v)),
    optional("credentials", |cors, node| {
        node.flag().map(|v| cors.credentials = v)
    }),
    optional("expose", |cors, node| {
        node.list("an array of names of headers", |item| {
            item.parsed("the name of a header such as \"retry-after\"")
        })
        .map(|v| cors.expose = v)
    }),
    optional("max_age", |cors, node| max_age(node).map(|v| cors.max_age = v)),
];

/// Parses `["*"]`, or a list of origins as browsers send them.
fn origins(node: &Node) -> ParseResult<AllowedOrigins> {
    let texts = node.list("an array of origins", Node::string)?;
    if texts == ["*"] {
        return Ok(AllowedOrigins::All);
    }
    node.list("an array of origins", origin)
        .map(AllowedOrigins::Listed)
}

fn origin(node: &Node) -> ParseResult<String> {
    let text = node.string()?;
    let is_origin = text.parse::<Uri>().is_ok_and(|uri| {
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let scheme = uri.scheme_str().unwrap_or_default();
        // Without a path, and in lower case: it is compared byte by byte.
        ["http", "https"].contains(&scheme)
            && !authority.contains('@')
            && format!("{scheme}://{authority}") == text
            && !text.bytes().any(|byte| byte.is_ascii_uppercase())
    });
    match text {
        "*" => Err(node.refused("`*` alone", "found it beside other origins")),
        "null" => Err(node.refused(AN_ORIGIN, "found \"null\", which every sandboxed page has")),
        _ if is_origin => Ok(text.to_owned()),
        _ => Err(node.refused(AN_ORIGIN, "found another string")),
    }
}

fn max_age(node: &Node) -> ParseResult<Duration> {
    let max_age = node.duration_or_zero()?;
    match max_age.subsec_millis() {
        0 => Ok(max_age),
        _ => Err(node.refused("whole seconds", "found a fraction of a second")),
    }
}

const AN_ORIGIN: &str = "an origin in lower case such as \"https://page.example\", without a path";
