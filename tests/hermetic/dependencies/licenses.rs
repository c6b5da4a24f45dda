//! Every dependency has a license that is allowed.

use std::{iter::Peekable, str::SplitWhitespace};

use serde_json::Value;

use super::cargo;

/// The allowed licenses, by their SPDX identifiers. They are permissive and compatible with riverhead's own license,
/// Apache-2.0: they require that notices are kept, and put no condition on the code that uses theirs.
///
/// The `license` field of a crate may not cover C sources that it contains. Those were checked by hand: librdkafka 2.12
/// is under BSD-2-Clause, and its parts are under BSD, MIT, Zlib or Apache-2.0 or in the public domain (its
/// `LICENSES.txt`); OpenSSL 3 is under Apache-2.0, zstd under BSD-3-Clause, zlib under Zlib. Check again if a new crate
/// contains C. Nor does it cover Swagger UI in `utoipa-swagger-ui-vendored`, which is under Apache-2.0; `/?doc` passes its
/// license and its notice on.
const ALLOWED: [&str; 6] = ["Apache-2.0", "BSD-3-Clause", "ISC", "MIT", "Unicode-3.0", "Zlib"];

/// What to do if a license is not allowed.
const WHAT_TO_DO: &str = "\
`cargo tree --workspace --all-features --invert NAME` shows what depends on it. Use another crate, or, if the license
requires no more than those in ALLOWED, add it there and say so in the commit message";

/// Checks the dependencies of this platform. riverhead runs on Linux only, and crates for other platforms are not
/// downloaded.
#[test]
fn every_dependency_has_an_allowed_license() {
    let metadata = "metadata --locked --all-features --format-version 1 --filter-platform host-tuple";
    let metadata: Value = serde_json::from_str(&cargo(metadata)).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "{} packages", packages.len());
    let faults: Vec<_> = packages.iter().filter_map(fault).collect();
    assert!(faults.is_empty(), "\n{}\n{WHAT_TO_DO}", faults.join("\n"));
}

/// Returns the fault in the license of a package from `cargo metadata`, if there is one.
fn fault(package: &Value) -> Option<String> {
    let text = |key: &str| package[key].as_str();
    let name = format!(
        "{} {}",
        text("name").unwrap_or_default(),
        text("version").unwrap_or_default()
    );
    let Some(license) = text("license") else {
        return Some(format!("{name} has no license"));
    };
    match is_allowed(license) {
        Ok(true) => None,
        Ok(false) => Some(format!("{name} has the license {license}, which is not allowed")),
        Err(error) => Some(format!(
            "{name} has the license {license:?}, which is not an SPDX expression: {error}"
        )),
    }
}

/// Returns whether an SPDX expression is allowed: one side of an `OR` and both sides of an `AND` must be.
///
/// Older manifests write `/` for `OR`. A license `WITH` an exception must be in the list with its exception.
fn is_allowed(expression: &str) -> Result<bool, String> {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut tokens = spaced.split_whitespace().peekable();
    let allowed = any_of(&mut tokens)?;
    match tokens.next() {
        None => Ok(allowed),
        Some(token) => Err(format!("unexpected {token}")),
    }
}

type Tokens<'a> = Peekable<SplitWhitespace<'a>>;

/// Reads `A OR B`. `OR` binds weaker than `AND`.
fn any_of(tokens: &mut Tokens<'_>) -> Result<bool, String> {
    let mut allowed = all_of(tokens)?;
    while tokens.next_if_eq(&"OR").is_some() {
        allowed |= all_of(tokens)?;
    }
    Ok(allowed)
}

/// Reads `A AND B`.
fn all_of(tokens: &mut Tokens<'_>) -> Result<bool, String> {
    let mut allowed = one(tokens)?;
    while tokens.next_if_eq(&"AND").is_some() {
        allowed &= one(tokens)?;
    }
    Ok(allowed)
}

/// Reads `(A)`, `A` or `A WITH B`.
fn one(tokens: &mut Tokens<'_>) -> Result<bool, String> {
    let license = tokens.next().ok_or("a license is missing at the end")?;
    match license {
        "(" => {
            let allowed = any_of(tokens)?;
            tokens.next_if_eq(&")").ok_or("a parenthesis is not closed")?;
            Ok(allowed)
        }
        ")" | "OR" | "AND" | "WITH" => Err(format!("{license} instead of a license")),
        _ if tokens.next_if_eq(&"WITH").is_some() => {
            let exception = tokens.next().ok_or("an exception is missing at the end")?;
            Ok(is_listed(&format!("{license} WITH {exception}")))
        }
        _ => Ok(is_listed(license)),
    }
}

fn is_listed(license: &str) -> bool {
    ALLOWED.contains(&license)
}

#[test]
fn an_or_needs_one_side_and_an_and_needs_both() {
    for good in [
        "MIT",
        "MIT OR GPL-3.0-only",
        "GPL-3.0-only OR MIT",
        "GPL-3.0-only/MIT",
        "Apache-2.0 / MIT",
        "(MIT OR GPL-3.0-only) AND Unicode-3.0",
        "GPL-3.0-only AND ISC OR MIT",
        "MIT OR GPL-3.0-only AND LGPL-2.1-only",
        "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
        "((MIT))",
    ] {
        assert_eq!(is_allowed(good), Ok(true), "{good}");
    }
    for bad in [
        "GPL-3.0-only",
        "mit",
        "MIT AND GPL-3.0-only",
        "GPL-3.0-only AND MIT",
        "(MIT OR Apache-2.0) AND GPL-3.0-only",
        "(MIT OR GPL-3.0-only) AND (GPL-3.0-only OR LGPL-2.1-only)",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert_eq!(is_allowed(bad), Ok(false), "{bad}");
    }
}

#[test]
fn a_malformed_expression_is_an_error() {
    for broken in [
        "", "MIT OR", "OR MIT", "MIT Zlib", "(MIT", "MIT)", "MIT WITH", "()",
    ] {
        assert!(is_allowed(broken).is_err(), "{broken}");
    }
}

#[test]
fn a_missing_or_refused_license_is_reported() {
    let fault = |license: Value| {
        fault(&serde_json::json!({"name": "a", "version": "1.0.0", "license": license})).unwrap_or_default()
    };
    assert_eq!(fault("MIT OR Apache-2.0".into()), "");
    assert_eq!(fault(Value::Null), "a 1.0.0 has no license");
    assert_eq!(
        fault("AGPL-3.0-only".into()),
        "a 1.0.0 has the license AGPL-3.0-only, which is not allowed"
    );
    assert!(fault("see LICENSE".into()).contains("is not an SPDX expression"));
}
