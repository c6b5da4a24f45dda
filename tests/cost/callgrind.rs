//! Runs this program again, under callgrind.

use std::{env, fs, path::Path, process::Command};

/// The functions whose instructions are counted: the future that answers a request whose head was read,
/// whenever it is polled, and [`counted`].
const COUNTED: [&str; 2] = [
    "riverhead::http::routes::middleware::HttpService::respond::{{closure}}",
    "cost::callgrind::counted",
];

/// Counts work that is not a request.
#[inline(never)]
pub(crate) fn counted(what: &dyn Fn()) {
    what();
}

/// When this is called, callgrind writes its counts, and starts from zero.
#[inline(never)]
pub(crate) fn end_of_shape() {
    std::hint::black_box(());
}

/// Returns the instructions counted up to each call of [`end_of_shape`] in the test of this name.
pub(crate) fn counts(test: &str) -> Vec<u64> {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .args(COUNTED.map(|function| format!("--toggle-collect={function}")))
        .arg("--dump-before=cost::callgrind::end_of_shape")
        .arg(format!("--callgrind-out-file={}/out", directory.path().display()))
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .output()
        .expect("valgrind is installed");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let dumps = (1..).map(|number| directory.path().join(format!("out.{number}")));
    dumps.map_while(|dump| total(&dump)).collect()
}

/// Returns the total of one dump; `None` if the dump does not exist.
fn total(dump: &Path) -> Option<u64> {
    let text = fs::read_to_string(dump).ok()?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    Some(total.expect("a total").trim().parse().unwrap())
}
