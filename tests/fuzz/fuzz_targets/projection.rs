//! Any list of fields and any document: what is left is a document that has all of the fields and nothing else.
#![no_main]

use libfuzzer_sys::fuzz_target;
use riverhead::projection::Projection;
use serde_json::{Map, Value};

fuzz_target!(|input: (&str, &[u8])| {
    let (text, document) = input;
    let Ok(projection) = Projection::parse(text) else {
        return;
    };
    let canonical = projection.to_string();
    // Quotes make it longer. Past the limit it need not parse again.
    match Projection::parse(&canonical) {
        Ok(again) => assert_eq!(again, projection),
        Err(error) => assert!(canonical.len() > 4096, "{canonical}: {error}"),
    }
    let mut out = b"before".to_vec();
    let spliced = projection.splice(document, &mut out);
    let left = out.strip_prefix(b"before").expect("what was there stays");
    assert!(left.len() <= document.len());
    assert!(spliced.is_ok() || left.is_empty());
    let Ok(whole) = serde_json::from_slice::<Value>(document) else {
        return;
    };
    if !whole.is_object() && !whole.is_array() {
        assert!(spliced.is_err());
        return;
    }
    // serde_json reads 127 levels of nesting.
    assert!(spliced.is_ok(), "{canonical} of {whole}");
    let rest: Value = serde_json::from_slice(left).expect("JSON");
    assert!(is_part(&rest, &whole), "{rest} of {whole}");
    let mut again = Vec::new();
    projection.splice(left, &mut again).expect("a document");
    assert_eq!(again, left);
    if let ([path], Value::Object(members)) = (&paths(&canonical)[..], &whole)
        && let [name] = &path[..]
        && !has_duplicates(document, &whole)
    {
        let expected = members
            .get(*name)
            .map(|value| ((*name).to_owned(), value.clone()));
        assert_eq!(rest, Value::Object(Map::from_iter(expected)));
    }
});

/// Returns the paths of a canonical text that has no quotes; none for another.
fn paths(canonical: &str) -> Vec<Vec<&str>> {
    if canonical.contains('"') {
        return Vec::new();
    }
    canonical
        .split(',')
        .map(|path| path.split('.').collect())
        .collect()
}

/// Whether one value is another without some members and elements. Of members of one name serde_json keeps the last, which need not
/// be the last that is left.
fn is_part(rest: &Value, whole: &Value) -> bool {
    match (rest, whole) {
        (Value::Object(rest), Value::Object(whole)) => rest.keys().all(|name| whole.contains_key(name)),
        (Value::Array(rest), Value::Array(whole)) => rest.len() <= whole.len(),
        _ => false,
    }
}

/// Whether a name may occur twice in an object.
fn has_duplicates(document: &[u8], value: &Value) -> bool {
    let colons = |text: &[u8]| text.iter().filter(|byte| **byte == b':').count();
    // An escape may be a colon.
    colons(value.to_string().as_bytes()) != colons(document) || document.contains(&b'\\')
}
