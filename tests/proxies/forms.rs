//! Thirty forms of the headers with which proxies name the client, as any client may send them.

/// The description, and the header lines. `203.0.113.9` is an address that the client pretends to have, and
/// `127.0.0.1` is the proxy's.
pub(crate) const FORMS: [(&str, &[&str]); 30] = [
    ("nothing", &[]),
    (
        "`X-Forwarded-For: 203.0.113.9`",
        &["X-Forwarded-For: 203.0.113.9"],
    ),
    ("`X-Forwarded-For: 127.0.0.1`", &["X-Forwarded-For: 127.0.0.1"]),
    (
        "`X-Forwarded-For: 203.0.113.9, 127.0.0.1`",
        &["X-Forwarded-For: 203.0.113.9, 127.0.0.1"],
    ),
    (
        "`X-Forwarded-For`, twice",
        &["X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 127.0.0.1"],
    ),
    ("`X-Forwarded-For: unknown`", &["X-Forwarded-For: unknown"]),
    ("`X-Forwarded-For:`, empty", &["X-Forwarded-For:"]),
    ("`X-Forwarded-For: ,,`", &["X-Forwarded-For: ,,"]),
    (
        "`X-Forwarded-For: ::ffff:127.0.0.1`",
        &["X-Forwarded-For: ::ffff:127.0.0.1"],
    ),
    ("`X-Forwarded-For: [::1]:80`", &["X-Forwarded-For: [::1]:80"]),
    ("`X-Forwarded-For: \"`", &["X-Forwarded-For: \""]),
    ("`X-Forwarded-For`, not ASCII", &["X-Forwarded-For: \u{e9}"]),
    (
        "`X-Forwarded-For` with 40 proxies",
        &[
            "X-Forwarded-For: 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1",
        ],
    ),
    (
        "`X_Forwarded_For: 203.0.113.9`",
        &["X_Forwarded_For: 203.0.113.9"],
    ),
    ("`Forwarded: for=203.0.113.9`", &["Forwarded: for=203.0.113.9"]),
    ("`Forwarded: for=127.0.0.1`", &["Forwarded: for=127.0.0.1"]),
    (
        "`Forwarded: for=127.0.0.2`, its own",
        &["Forwarded: for=127.0.0.2"],
    ),
    ("`Forwarded: for=unknown`", &["Forwarded: for=unknown"]),
    ("`Forwarded: for=_hidden`", &["Forwarded: for=_hidden"]),
    ("`Forwarded: proto=https`", &["Forwarded: proto=https"]),
    (
        "`Forwarded: for=203.0.113.9, proto=https`",
        &["Forwarded: for=203.0.113.9, proto=https"],
    ),
    ("`Forwarded: for=\"[::1]:80\"`", &["Forwarded: for=\"[::1]:80\""]),
    ("`Forwarded: for=\"`, never closed", &["Forwarded: for=\""]),
    (
        "`Forwarded: for=a;for=b`",
        &["Forwarded: for=127.0.0.1;for=127.0.0.1"],
    ),
    ("`Forwarded: rubbish`", &["Forwarded: rubbish"]),
    ("`Forwarded:`, empty", &["Forwarded:"]),
    (
        "`Forwarded`, twice",
        &["Forwarded: for=203.0.113.9", "Forwarded: for=127.0.0.1"],
    ),
    (
        "both, of another",
        &["X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9"],
    ),
    (
        "both, of the proxy",
        &["X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1"],
    ),
    (
        "`Connection: X-Forwarded-For, Forwarded`",
        &[
            "X-Forwarded-For: 127.0.0.1",
            "Connection: X-Forwarded-For, Forwarded",
        ],
    ),
];

/// Returns the lines as they are sent.
pub(crate) fn wire(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\r\n")).collect()
}
