//! The features of rdkafka, which any dependency can turn on for all.

use std::collections::BTreeSet;

use super::cargo;

/// The features of rdkafka in the whole workspace.
///
/// `libz-static`, `zstd` and `ssl-vendored` make a binary that needs nothing but libc and reads every compression a
/// topic may hold; they need `build-essential` and `perl`. `gssapi` would need Cyrus SASL.
const RDKAFKA: [&str; 4] = ["libz-static", "ssl-vendored", "tokio", "zstd"];

/// Cargo unifies features: a feature that one dependency enables is enabled for all.
const NO_CMAKE: &str = "\
a dependency enables `cmake-build` of librdkafka, and feature unification enables it here too.
Built with CMake, librdkafka 2.12.1 does not define HAVE_ATOMICS_32_ATOMIC: rd_atomic32_set() then returns the new
value instead of the old, AllBrokersDown is never raised, and a client whose brokers were all replaced never goes back
to its bootstrap list (confluentinc/librdkafka#5282, fixed in 2.15.0). Nor does it compile without libcurl's headers
(#5135). Find the dependency with `cargo tree -e features -i rdkafka-sys`, and disable it there";

#[test]
fn nobody_builds_librdkafka_with_cmake() {
    let tree = features_of_the_workspace();
    for name in ["rdkafka", "rdkafka-sys"] {
        let features = features(&tree, name);
        assert!(!features.is_empty(), "{name} is not in the tree at all:\n{tree}");
        assert!(
            !features.contains("cmake-build") && !features.contains("cmake_build"),
            "{name}: {NO_CMAKE}"
        );
    }
}

#[test]
fn rdkafka_has_the_features_that_were_measured_and_no_other() {
    let tree = features_of_the_workspace();
    assert_eq!(
        features(&tree, "rdkafka"),
        BTreeSet::from(RDKAFKA),
        "left: the enabled features, right: the measured ones. Another feature changes the protocol with Kafka or \
         what a build needs: document it in README.md and in RDKAFKA here"
    );
}

#[test]
fn one_library_does_all_cryptography_of_tls() {
    let tree = features_of_the_workspace();
    let is_built = |name: &str| tree.lines().any(|line| line.starts_with(&format!("{name} v")));
    assert!(is_built("aws-lc-rs"), "{tree}");
    // Cargo.lock names it as an optional dependency of rustls-webpki all the same.
    assert!(
        !is_built("ring"),
        "a dependency turns on ring beside aws-lc-rs: two libraries to patch, and rustls cannot tell which one to use by \
         default. Find who it is with `cargo tree -e features -i ring`"
    );
}

#[test]
fn a_feature_is_found_wherever_it_stands_in_the_tree() {
    let tree =
        "a v1.0.0\nrdkafka feature \"tokio\"\nrdkafka-sys feature \"cmake-build\" (*)\nrdkafka v0.39.0\n";
    assert_eq!(features(tree, "rdkafka"), BTreeSet::from(["tokio"]));
    assert_eq!(features(tree, "rdkafka-sys"), BTreeSet::from(["cmake-build"]));
}

/// Returns the output of `cargo tree` for all members with all their features.
fn features_of_the_workspace() -> String {
    cargo("tree --locked --workspace --all-features --edges features --prefix none")
}

/// Returns the features of the package `name` in `tree`, from lines like `rdkafka feature "zstd" (*)`.
fn features<'a>(tree: &'a str, name: &str) -> BTreeSet<&'a str> {
    let feature = |line: &'a str| {
        line.strip_prefix(name)?
            .strip_prefix(" feature \"")?
            .split('"')
            .next()
    };
    tree.lines().filter_map(feature).collect()
}
