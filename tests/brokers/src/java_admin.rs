//! The JVM that runs `java/Admin.java`: a line of JSON as request, and a line of JSON as response.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use serde_json::Value;

use crate::{home::KafkaHome, process::spawn};

/// Kafka's Admin client, one request at a time.
#[derive(Debug)]
pub(crate) struct JavaAdmin {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl JavaAdmin {
    /// Starts the JVM (about 0.5 s with the first request). Its log is written to `directory`.
    pub(crate) fn start(bootstrap: &str, directory: &Path) -> Self {
        let log = File::create(directory.join("admin.log")).expect("a log for the admin program");
        let mut command = KafkaHome::get().admin(bootstrap);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = spawn(command).expect("a JVM");
        let requests = child.stdin.take().expect("a pipe to the admin program");
        let answers = BufReader::new(child.stdout.take().expect("a pipe from the admin program"));
        Self {
            child,
            requests,
            answers,
        }
    }

    /// Sends a request, and returns the brokers' answer.
    ///
    /// # Errors
    ///
    /// If the brokers refuse, or do not answer within 15 s, or the program has ended; as text.
    pub(crate) fn ask(&mut self, request: &Value) -> Result<Value, String> {
        let line = self
            .exchange(request)
            .map_err(|error| format!("the admin program has failed: {error}"))?;
        let mut answer: Value = serde_json::from_str(&line).map_err(|error| format!("{error}: {line:?}"))?;
        match answer.get("error") {
            Some(error) => Err(error.as_str().unwrap_or_default().to_owned()),
            None => Ok(answer["answer"].take()),
        }
    }

    fn exchange(&mut self, request: &Value) -> io::Result<String> {
        writeln!(self.requests, "{request}")?;
        let mut line = String::new();
        let read = self.answers.read_line(&mut line)?;
        if read == 0 {
            Err(io::Error::other("it has ended; admin.log says why"))
        } else {
            Ok(line)
        }
    }
}

impl Drop for JavaAdmin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
