//! Client programs that users have.

use std::process::{Child, Command, Stdio};

/// Headers, as names and values.
type Headers = &'static [(&'static str, &'static str)];

/// The headers that each program sends, each set once.
pub(crate) const HEADERS: [Headers; 4] = [
    &[],
    &[("X-Forwarded-For", "203.0.113.9")],
    &[("Forwarded", "for=203.0.113.9")],
    &[
        ("X-Forwarded-For", "203.0.113.9, 10.0.0.1"),
        ("Forwarded", "for=\""),
    ],
];

pub(crate) const ALL: [Program; 3] = [Program::Curl, Program::Undici, Program::JavaHttpClient];

/// A program that reads a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Program {
    Curl,
    /// The `fetch` of Node.
    Undici,
    JavaHttpClient,
}

impl Program {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Curl => "curl",
            Self::Undici => "undici (Node's `fetch`)",
            Self::JavaHttpClient => "Java's `HttpClient`",
        }
    }

    /// Starts to read `url` with these headers, until the result is dropped.
    pub(crate) fn start(self, url: &str, headers: Headers) -> Running {
        let mut command = match self {
            Self::Curl => Command::new("curl"),
            Self::Undici => Command::new("node"),
            Self::JavaHttpClient => Command::new("java"),
        };
        match self {
            Self::Curl => {
                command.args(["--silent", "--no-buffer", url]);
                for (name, value) in headers {
                    command.args(["--header", &format!("{name}: {value}")]);
                }
            }
            Self::Undici => {
                command.args(["-e", NODE, url]).args(flat(headers));
            }
            Self::JavaHttpClient => {
                let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proxies/Read.java");
                command.args([source, url]).args(flat(headers));
            }
        }
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Running(process)
    }
}

fn flat(headers: Headers) -> impl Iterator<Item = &'static str> {
    headers.iter().flat_map(|(name, value)| [*name, *value])
}

/// A running program. Dropping it ends the program.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const NODE: &str = "
const [url, ...flat] = process.argv.slice(1);
const headers = new Headers();
for (let at = 0; at < flat.length; at += 2) headers.append(flat[at], flat[at + 1]);
fetch(url, { headers }).then(async (answer) => { for await (const _ of answer.body); });
";
