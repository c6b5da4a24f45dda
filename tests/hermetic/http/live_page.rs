//! The page at `/`, as bytes and headers. `tests/pages` looks at it with a browser.

use std::{collections::BTreeSet, fs, path::Path};

use crate::support::gateway::{TestGateway, TestResponse, get};

/// What Chromium sends when a person opens a page.
const BROWSER: &str = "accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,\
                       image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7\r\n";

/// The most that the page and all its files may have before compression, in bytes.
const MOST: usize = 80 * 1024;

/// Returns the names that the page and its modules refer to, each in quotes.
fn referred(text: &str) -> BTreeSet<String> {
    let parts = text.split(['"', '\'', '`']);
    let names = parts.filter_map(|name| name.strip_prefix("ui/").or_else(|| name.strip_prefix("./")));
    names.map(str::to_owned).collect()
}

/// Fetches a file of the page, and all that it refers to.
async fn fetch_all(gateway: &TestGateway) -> Vec<(String, TestResponse)> {
    let mut found = vec![("".to_owned(), get(gateway.public, "/", BROWSER).await)];
    let mut at = 0;
    while at < found.len() {
        for name in referred(&found[at].1.body) {
            if !found.iter().any(|(known, _)| *known == name) {
                let answer = get(gateway.public, &format!("/ui/{name}"), "").await;
                assert_eq!(answer.status, 200, "{name}");
                found.push((name, answer));
            }
        }
        at += 1;
    }
    found
}

#[tokio::test]
async fn browsers_get_the_page_and_everybody_else_the_listing_as_before() {
    let gateway = TestGateway::start(|_| {});
    let page = get(gateway.public, "/", BROWSER).await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.body.starts_with("<!doctype html>"), "{page:?}");
    for accept in [
        "",
        "accept: */*\r\n",
        "accept: application/json\r\n",
        "accept: application/json, text/html\r\n",
    ] {
        let listing = get(gateway.public, "/", accept).await;
        assert_eq!(
            listing.header("content-type"),
            Some("application/json; charset=utf-8")
        );
        assert_eq!(listing.json()["streams"][0]["name"], "recentchange", "{accept}");
        assert_eq!(listing.header("vary"), Some("accept"));
        assert_eq!(listing.header("content-security-policy"), None);
    }
    let varies: Vec<_> = page
        .head
        .lines()
        .filter(|line| line.starts_with("vary: "))
        .collect();
    assert_eq!(varies, ["vary: accept-encoding", "vary: accept"]);
    let spec = get(gateway.public, "/?spec", BROWSER).await;
    assert_eq!(
        spec.json()["openapi"],
        "3.0.3",
        "a person who asks for it gets it"
    );
    assert_eq!(spec.header("vary"), None);
}

#[tokio::test]
async fn every_file_of_the_page_keeps_other_origins_out_and_is_sent_once() {
    let gateway = TestGateway::start(|_| {});
    let files = fetch_all(&gateway).await;
    for (name, answer) in &files {
        let policy = answer.header("content-security-policy").expect("a policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(
                policy.split("; ").any(|own| own == part),
                "{name}: {part} in {policy}"
            );
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        for (header, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "no-cache"),
        ] {
            assert_eq!(answer.header(header), Some(value), "{name}");
        }
        let kind = answer.header("content-type").unwrap();
        let expected = match Path::new(name).extension().and_then(|end| end.to_str()) {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(kind, expected, "{name}");
        let path = if name.is_empty() {
            "/".to_owned()
        } else {
            format!("/ui/{name}")
        };
        let known = format!("{BROWSER}if-none-match: {}\r\n", answer.header("etag").unwrap());
        let again = get(gateway.public, &path, &known).await;
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{name}");
        assert_eq!(again.header("etag"), answer.header("etag"));
    }
}

#[tokio::test]
async fn the_page_is_small_whole_and_asks_nobody_else() {
    let gateway = TestGateway::start(|_| {});
    let files = fetch_all(&gateway).await;
    let size: usize = files.iter().map(|(_, answer)| answer.body.len()).sum();
    assert!(size < MOST, "{size} bytes");

    // Nothing lies in the folder that no page asks for, and nothing is asked for that does not lie there.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/pages/live");
    let there = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let there: BTreeSet<_> = there.map(|name| name.into_string().unwrap()).collect();
    let script = &files
        .iter()
        .find(|(name, _)| name == "main.js")
        .expect("the script")
        .1
        .body;
    let is_sent = |name: &String| match name.strip_suffix(".js") {
        // All modules are one script.
        Some("main") => true,
        Some(module) => script.contains(&format!("const module_{module}=")),
        None => {
            files.iter().any(|(sent, _)| sent == name) || ["index.html", "mod.rs"].contains(&name.as_str())
        }
    };
    assert_eq!(there.iter().find(|name| !is_sent(name)), None);
    assert!(files.len() <= 4, "more requests than a page may take");

    for (name, answer) in &files {
        let text = answer.body.replace("http://www.w3.org/2000/svg", "");
        let page_only = !name.ends_with(".js");
        assert!(!page_only || !text.contains("://"), "{name} names another origin");
        for markup in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ] {
            assert!(!text.contains(markup), "{name} has {markup}");
        }
        let inline = [" style=\"", "<style", " onclick", " onload", "javascript:"];
        assert!(
            !page_only || inline.iter().all(|part| !text.contains(part)),
            "{name}"
        );
    }
}

#[tokio::test]
async fn the_address_of_the_page_of_eventstreams_leads_to_this_one() {
    let gateway = TestGateway::start(|_| {});
    for path in ["/v2/ui", "/v2/ui/", "/V2/UI/"] {
        let answer = get(gateway.public, path, BROWSER).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (301, Some("/")),
            "{path}"
        );
    }
    for missing in [
        "/ui",
        "/ui/",
        "/ui/other.js",
        "/ui/mod.rs",
        "/ui/%2e%2e/mod.rs",
        "/ui/%ff",
        "/v2/ui/x",
    ] {
        let answer = get(gateway.public, missing, BROWSER).await;
        assert_eq!(answer.status, 404, "{missing}");
        assert_eq!(answer.json()["type"], "not_found");
    }
}
