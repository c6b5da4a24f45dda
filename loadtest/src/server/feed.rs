//! Gives a server its events.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::ChildStdin,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use riverhead_brokers::{Cluster, Producer, value};

use super::PARTITIONS;
use crate::stopwatch::Sent;

/// The input of numbered events. The raw writer ends when it is dropped.
#[derive(Debug)]
pub struct Feed(Way);

#[derive(Debug)]
enum Way {
    Kafka(Box<Producer>),
    /// To the raw writer: a length in four bytes, then the bytes to write to all clients.
    Pipe {
        pipe: ChildStdin,
        topic: String,
        bytes: usize,
    },
    /// One request for each event, on one connection.
    Post {
        answers: BufReader<TcpStream>,
        bytes: usize,
    },
}

impl Feed {
    /// Creates a feed into a topic of three partitions, in turn.
    pub fn to_kafka(cluster: &Cluster, topic: &str, bytes: usize) -> Self {
        let producer = cluster
            .producer(topic)
            .record_bytes(bytes)
            .property("linger.ms", "0")
            .numbers_from(0)
            .start();
        Self(Way::Kafka(Box::new(producer)))
    }

    pub(super) fn pipe(pipe: ChildStdin, topic: &str, bytes: usize) -> Self {
        let topic = topic.to_owned();
        Self(Way::Pipe { pipe, topic, bytes })
    }

    pub(super) fn post(server: SocketAddr, bytes: usize) -> io::Result<Self> {
        let socket = TcpStream::connect(server)?;
        socket.set_nodelay(true)?;
        let answers = BufReader::new(socket);
        Ok(Self(Way::Post { answers, bytes }))
    }

    /// Writes numbers from 0 on, up to `count` and at this rate, and waits until they are accepted. Returns
    /// their number. After a delay it writes faster, so that the rate holds on average. But a server that
    /// answers each event gets as many as it accepts in this time, so that a slow one does not delay the run.
    ///
    /// # Errors
    /// If the server does not accept one.
    pub fn run(&mut self, count: u64, rate: f64, sent: &Arc<Sent>) -> io::Result<u64> {
        let began = Instant::now();
        let due = |number| began + Duration::from_secs_f64(number as f64 / rate);
        let answered = matches!(self.0, Way::Post { .. });
        for number in 0..count {
            if answered && Instant::now() >= due(count) {
                return Ok(number);
            }
            thread::sleep(due(number).saturating_duration_since(Instant::now()));
            sent.note(number);
            self.send(number)?;
        }
        self.settle()?;
        Ok(count)
    }

    fn send(&mut self, number: u64) -> io::Result<()> {
        match &mut self.0 {
            Way::Kafka(producer) => {
                producer.send(1);
                Ok(())
            }
            Way::Pipe { pipe, topic, bytes } => pipe.write_all(&frame(&event(topic, number, *bytes))),
            Way::Post { answers, bytes } => post(answers, &value(number, *bytes)),
        }
    }

    fn settle(&self) -> io::Result<()> {
        let Way::Kafka(producer) = &self.0 else {
            return Ok(());
        };
        producer.flush();
        if producer.ledger().failed.is_empty() {
            Ok(())
        } else {
            Err(io::Error::other("records were not acknowledged"))
        }
    }
}

/// Returns an event as riverhead writes it, with an id of the same length.
fn event(topic: &str, number: u64, bytes: usize) -> String {
    let entry = |partition| {
        format!(
            r#"{{"topic":"{topic}","partition":{partition},"offset":{},"timestamp":1790487705415,"log":"q7Zk.1wPx9A.4"}}"#,
            number / PARTITIONS as u64
        )
    };
    let id: Vec<String> = (0..PARTITIONS).map(entry).collect();
    let id = id.join(",");
    let data = value(number, bytes);
    format!("event: message\nid: [{id}]\ndata: {data}\n\n")
}

/// Returns an event in its own chunk, after its length for the raw writer.
fn frame(event: &str) -> Vec<u8> {
    let chunk = format!("{:x}\r\n{event}\r\n", event.len());
    let mut frame = (chunk.len() as u32).to_le_bytes().to_vec();
    frame.extend_from_slice(chunk.as_bytes());
    frame
}

fn post(answers: &mut BufReader<TcpStream>, data: &str) -> io::Result<()> {
    let request = format!(
        "POST /pub HTTP/1.1\r\nHost: nchan\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{data}",
        data.len()
    );
    answers.get_mut().write_all(request.as_bytes())?;
    let (mut line, mut length) = (String::new(), 0);
    answers.read_line(&mut line)?;
    if !line.starts_with("HTTP/1.1 20") {
        return Err(io::Error::other(format!("not accepted: {line:?}")));
    }
    while line != "\r\n" {
        line.clear();
        if answers.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    io::copy(&mut answers.by_ref().take(length), &mut io::sink())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_server_that_answers_slowly_gets_what_it_takes() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut feed = Feed::post(listener.local_addr().expect("an address"), 40).expect("a connection");
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("the feed");
            let mut posts = 0;
            while socket.read(&mut [0; 1_024]).expect("a request") > 0 {
                posts += 1;
                // At most a thousand of these make a second.
                thread::sleep(Duration::from_millis(1));
                let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok";
                socket.write_all(answer).expect("the feed listens");
            }
            posts
        });
        let given = feed.run(1_000, 1e6, &Sent::new(1_000, 0)).expect("it is taken");
        drop(feed);
        assert_eq!(given, server.join().expect("the server"));
        assert!(given < 1_000, "{given}");
    }
}
