//! The section `http.cors`.

use std::time::Duration;

use ::http::{HeaderName, Uri};

use super::{
    diagnostic::ParseResult,
    node::Node,
    table::{KeySpec, key},
};
use crate::http::settings::{AllowedOrigins, CorsSettings};

/// The keys of the section.
pub(super) const KEYS: &[KeySpec<CorsSettings>] = &[
    key!(origins: origins),
    key!(credentials: Node::flag),
    key!(expose: headers),
    key!(max_age: max_age),
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
        // What no browser sends would never match: it is compared byte by byte.
        let default_port = [("http", 80), ("https", 443)];
        let wanted = default_port.iter().find(|(own, _)| *own == scheme);
        wanted.is_some_and(|(_, port)| uri.port_u16() != Some(*port))
            && uri.host().is_some_and(|host| !host.is_empty())
            && !authority.contains(['@', '*'])
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

fn headers(node: &Node) -> ParseResult<Vec<HeaderName>> {
    node.list("an array of names of headers", |item| {
        item.parsed("the name of a header such as \"retry-after\"")
    })
}

fn max_age(node: &Node) -> ParseResult<Duration> {
    let max_age = node.duration_or_zero()?;
    match max_age.subsec_millis() {
        0 => Ok(max_age),
        _ => Err(node.refused("whole seconds", "found a fraction of a second")),
    }
}

const AN_ORIGIN: &str = "an origin in lower case such as \"https://page.example\", without a path";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn origins(list: &str) -> Result<AllowedOrigins, String> {
        let text = format!(
            "http.cors.origins = [{list}]\n[[clusters]]\nname = 'main'\nbootstrap = ['b1:9092', 'b2:9092']\n\
             [[streams]]\nname = 'edits'\ntopics = ['edits']\n"
        );
        let loaded = Config::load(&text, "riverhead.toml", []);
        loaded
            .map(|(config, _)| config.http.cors.origins)
            .map_err(|faults| faults.to_string())
    }

    #[test]
    fn an_origin_that_no_browser_sends_is_a_fault() {
        let listed = origins("'https://page.example', 'http://localhost:3000', 'https://[::1]:8443'");
        assert!(
            matches!(&listed, Ok(AllowedOrigins::Listed(origins)) if origins.len() == 3),
            "{listed:?}"
        );
        assert_eq!(origins("'*'"), Ok(AllowedOrigins::All));
        for bad in [
            "null",
            "https://page.example/",
            "https://Page.example",
            "https://a@page.example",
            "https://page.example:443",
            "http://page.example:80",
            "https://*.page.example",
            "https://:8443",
            "page.example",
            "ftp://page.example",
            "",
        ] {
            assert!(origins(&format!("'{bad}'")).is_err(), "{bad}");
        }
        assert!(origins("'*', 'https://page.example'").is_err());
    }
}
