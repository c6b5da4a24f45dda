//! The OpenAPI documents, checked by a public validator.

use std::{env, fs, path::PathBuf, process::Command};

use riverhead::{
    catalog::{Access, Catalog, Stream},
    encoding::{Payload, Tombstones},
};

use crate::support::gateway::{TestGateway, get, nothing};

/// Prints the version of a valid document; ends with an error for another.
const VALIDATE: &str = "
import json, sys
from openapi_spec_validator import validate
document = json.load(open(sys.argv[1]))
validate(document)
print(document['openapi'])
";

/// The Python that has the package, in the directory of the target by default: `./tests/run` makes it.
fn python() -> PathBuf {
    let made = concat!(env!("CARGO_MANIFEST_DIR"), "/target/openapi/bin/python");
    env::var_os("RIVERHEAD_OPENAPI_PYTHON").map_or_else(|| made.into(), Into::into)
}

/// Returns the version of a document if it is valid, and what is wrong if not.
fn validate(document: &str) -> Result<String, String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("openapi.json");
    fs::write(&file, document).unwrap();
    let python = python();
    let output = Command::new(&python).args(["-c", VALIDATE]).arg(file).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap().trim().to_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// Streams of each kind, and one whose fields are named as parameters are.
fn catalog() -> Catalog {
    let mut streams = Vec::new();
    for payload in Payload::ALL {
        for tombstones in Tombstones::ALL {
            let name = format!("{}-{}", payload.name(), tombstones.name());
            let mut stream = Stream::new(&name, [&*name]);
            stream.encoding.payload = payload;
            stream.encoding.tombstones = tombstones;
            streams.push(stream);
        }
    }
    let mut named = Stream::new("named", ["topic"]);
    named.filter_fields = ["wiki", "meta.domain", "checkpoint", "lastEventID"]
        .map(Into::into)
        .into();
    named.description = "Says \"all\"\nof it".into();
    let mut secret = Stream::new("secret", ["secret"]);
    secret.access = Access::Scopes(vec!["read".into()]);
    streams.extend([named, secret]);
    Catalog::new(streams).unwrap()
}

#[tokio::test]
#[ignore = "needs the Python package openapi-spec-validator: ./tests/run"]
async fn both_documents_are_what_their_versions_say() {
    let gateway = TestGateway::over(catalog(), nothing(), |_| {});
    for (target, version) in [("/?spec", "3.0.3"), ("/?spec=3.2", "3.2.0")] {
        let document = get(gateway.public, target, "").await.body;
        assert_eq!(validate(&document), Ok(version.to_owned()), "{document}");
        // The validator can fail.
        let broken = document.replace("\"responses\"", "\"answers\"");
        assert!(validate(&broken).is_err());
    }
    let later = get(gateway.public, "/?spec=3.2", "").await.body;
    assert!(later.contains("\"itemSchema\""));
    let broken = later.replace("\"itemSchema\"", "\"itemShema\"");
    let fault = validate(&broken).unwrap_err();
    assert!(fault.contains("itemShema"), "{fault}");
}
