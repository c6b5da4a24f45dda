//! Rules for `Cargo.lock`, which has the dependencies of all platforms: sources, refused crates, single versions.

use std::{collections::BTreeSet, fs, path::Path};

/// The only allowed source. Its published packages cannot be changed, and `Cargo.lock` has their checksums.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The members of the workspace. They have no source.
const MEMBERS: [&str; 3] = ["riverhead", "riverhead-brokers", "riverhead-loadtest"];

/// Other implementations of TLS and their bindings. `ring` is not here, because it is in `Cargo.lock` as an optional dependency;
/// `features` checks that it is not built.
const REFUSED: [&str; 10] = [
    "aws-lc-fips-sys",
    "boring",
    "boring-sys",
    "mbedtls",
    "mbedtls-sys-auto",
    "native-tls",
    "openssl",
    "s2n-tls",
    "s2n-tls-sys",
    "wolfssl-sys",
];

/// The crates of OpenSSL, each with the only package that may depend on it. librdkafka supports no other TLS library.
const OPENSSL: [(&str, &str); 2] = [("openssl-sys", "rdkafka-sys"), ("openssl-src", "openssl-sys")];

const ONE_TLS: &str = "TLS is rustls with AWS-LC, and OpenSSL for librdkafka only; each further implementation has \
vulnerabilities of its own to update for";

/// Crates of which there must be one version, with the harm that a second one does.
const ONE_VERSION: [(&str, &str); 7] = [
    ("aws-lc-sys", "AWS-LC is built and linked twice"),
    ("h2", "a fix for an attack on HTTP/2 is needed in both"),
    ("http", "requests and headers of the two are different types"),
    (
        "hyper",
        "connections of the second have none of the limits that are set for the first",
    ),
    ("rdkafka-sys", "librdkafka and OpenSSL are built and linked twice"),
    (
        "rustls",
        "certificates and settings of the two are different types",
    ),
    (
        "tokio",
        "sockets and timers of one panic in the runtime of the other",
    ),
];

const WHAT_DEPENDS: &str =
    "`cargo tree --workspace --all-features --target all --invert NAME` shows what depends on it";

/// A package in `Cargo.lock`.
struct Package<'a> {
    name: &'a str,
    version: &'a str,
    source: Option<&'a str>,
    /// The names of its dependencies.
    dependencies: Vec<&'a str>,
}

impl<'a> Package<'a> {
    /// Reads the lines below a `[[package]]`.
    fn read(block: &'a str) -> Self {
        let value = |key: &str| {
            let rest = |line: &'a str| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"');
            block.lines().find_map(rest)
        };
        let dependencies = block.lines().filter_map(|line| {
            // ` "name",`, or ` "name version",` if there are several versions.
            line.strip_prefix(" \"")?.split(['"', ' ']).next()
        });
        Self {
            name: value("name").unwrap(),
            version: value("version").unwrap(),
            source: value("source"),
            dependencies: dependencies.collect(),
        }
    }
}

fn packages(lock: &str) -> Vec<Package<'_>> {
    lock.split("[[package]]\n").skip(1).map(Package::read).collect()
}

/// Asserts that a check finds no fault in the lock file of the workspace.
fn assert_no_faults(check: impl Fn(&[Package<'_>]) -> Vec<String>) {
    let lock = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).unwrap();
    let packages = packages(&lock);
    assert!(packages.len() > 100, "{} packages", packages.len());
    let faults = check(&packages);
    assert!(faults.is_empty(), "\n{}\n{WHAT_DEPENDS}", faults.join("\n"));
}

#[test]
fn every_dependency_comes_from_crates_io() {
    assert_no_faults(from_elsewhere);
}

#[test]
fn tls_is_rustls_and_only_librdkafka_uses_openssl() {
    assert_no_faults(refused);
}

#[test]
fn crates_that_must_not_be_duplicated_have_one_version() {
    assert_no_faults(repeated);
}

fn from_elsewhere(packages: &[Package<'_>]) -> Vec<String> {
    let fault = |package: &Package<'_>| {
        let what = match package.source {
            Some(CRATES_IO) => return None,
            Some(source) => format!("comes from {source}"),
            None if MEMBERS.contains(&package.name) => return None,
            None => "is a path dependency outside of the workspace".to_owned(),
        };
        Some(format!(
            "{} {} {what}: dependencies must come from crates.io",
            package.name, package.version
        ))
    };
    packages.iter().filter_map(fault).collect()
}

fn refused(packages: &[Package<'_>]) -> Vec<String> {
    let mut faults = Vec::new();
    for package in packages {
        if REFUSED.contains(&package.name) {
            faults.push(format!(
                "{} {} is refused: {ONE_TLS}",
                package.name, package.version
            ));
        }
        for (part, user) in OPENSSL {
            if package.dependencies.contains(&part) && package.name != user {
                faults.push(format!("{} depends on {part}: {ONE_TLS}", package.name));
            }
        }
    }
    faults
}

fn repeated(packages: &[Package<'_>]) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, harm) in ONE_VERSION {
        let same = packages.iter().filter(|package| package.name == name);
        let versions: BTreeSet<_> = same.map(|package| package.version).collect();
        match versions.len() {
            0 => faults.push(format!(
                "{name} is no longer a dependency: remove it from ONE_VERSION"
            )),
            1 => {}
            _ => faults.push(format!("{name} has the versions {versions:?}: {harm}")),
        }
    }
    faults
}

#[test]
fn each_fault_is_reported() {
    let lock = r#"
[[package]]
name = "forked"
version = "1.0.0"
source = "git+https://example.org/forked#0123"
dependencies = [
 "openssl-sys",
 "tokio 1.0.0",
]

[[package]]
name = "native-tls"
version = "0.2.0"
source = "registry+https://github.com/rust-lang/crates.io-index"

[[package]]
name = "rdkafka-sys"
version = "4.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
dependencies = [
 "openssl-sys",
]

[[package]]
name = "riverhead"
version = "0.1.0"

[[package]]
name = "tokio"
version = "1.0.0"
source = "registry+https://example.org/mirror"

[[package]]
name = "tokio"
version = "2.0.0"
"#;
    let packages = packages(lock);
    let names = |faults: Vec<String>| -> Vec<String> {
        let words = faults.iter().map(|fault| fault.split(": ").next().unwrap());
        words.map(str::to_owned).collect()
    };
    assert_eq!(
        names(from_elsewhere(&packages)),
        [
            "forked 1.0.0 comes from git+https://example.org/forked#0123",
            "tokio 1.0.0 comes from registry+https://example.org/mirror",
            "tokio 2.0.0 is a path dependency outside of the workspace",
        ]
    );
    assert_eq!(
        names(refused(&packages)),
        ["forked depends on openssl-sys", "native-tls 0.2.0 is refused"]
    );
    let repeated = repeated(&packages);
    assert!(
        repeated
            .iter()
            .any(|fault| fault.starts_with("tokio has the versions {\"1.0.0\", \"2.0.0\"}: ")),
        "{repeated:?}"
    );
}
