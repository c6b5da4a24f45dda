//! Tables in the documentation that a test makes.

use std::{fs, path::Path};

/// Compares the table of this name on a page with the results. With `RIVERHEAD_WRITE_DOCS` it writes the results there.
///
/// The table stands between two comments of HTML: its name, and `end`.
pub(crate) fn compare_with_docs(page: &str, name: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(&format!("<!-- {name} -->\n")).unwrap();
    let (own, after) = rest.split_once("<!-- end -->").unwrap();
    if std::env::var_os("RIVERHEAD_WRITE_DOCS").is_some() {
        let text = format!("{before}<!-- {name} -->\n{table}<!-- end -->{after}");
        fs::write(path, text).unwrap();
    } else {
        assert_eq!(own, table, "{page} is not what is so");
    }
}
