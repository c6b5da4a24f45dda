//! A client that reads numbers, and is cut now and then.

use std::{net::SocketAddr, time::Duration};

use tokio::time::{Instant, timeout_at};

use crate::{
    client::{Ask, Client},
    numbers::{Got, number},
};

/// A reader's progress over any number of connections.
#[derive(Debug)]
pub struct Reading {
    server: SocketAddr,
    ask: Ask,
    /// What it got.
    pub got: Got,
    /// The id of the last whole event.
    pub last_id: Option<String>,
    /// How often it connected.
    pub connects: usize,
    /// Responses other than 200, and connections that failed.
    pub refusals: Vec<String>,
}

impl Reading {
    /// Will ask `server` this, and later the same with its last id.
    pub fn new(server: SocketAddr, ask: Ask) -> Self {
        let last_id = ask.last_event_id.clone();
        Self {
            server,
            ask,
            got: Got::default(),
            last_id,
            connects: 0,
            refusals: Vec::new(),
        }
    }

    /// Reads until it has `count` numbers in all, at the latest until `deadline`; with `cut_after`, connections break
    /// after about so many numbers each, anywhere, also inside an event. Whether it has them.
    pub async fn read(&mut self, count: usize, cut_after: Option<usize>, deadline: Instant) -> bool {
        while self.got.numbers.len() < count {
            let upto = cut_after.map_or(count, |cut| self.got.numbers.len() + between(cut / 2, cut));
            match self.connect().await {
                Some(client) => {
                    let done = self.read_from(client, upto.min(count), count, deadline).await;
                    if !done && Instant::now() >= deadline {
                        return false;
                    }
                }
                None if Instant::now() >= deadline => return false,
                None => tokio::time::sleep(RECONNECT).await,
            }
        }
        true
    }

    async fn connect(&mut self) -> Option<Client> {
        self.connects += 1;
        let ask = self.ask.clone().resume(self.last_id.clone());
        match Client::connect(self.server, &ask).await {
            Ok(client) if client.status == 200 => Some(client),
            Ok(client) => {
                self.refusals.push(client.head);
                None
            }
            Err(error) => {
                self.refusals.push(error.to_string());
                None
            }
        }
    }

    /// One connection's worth; whether it got as far as `upto`.
    async fn read_from(&mut self, mut client: Client, upto: usize, count: usize, deadline: Instant) -> bool {
        loop {
            while let Some(message) = client.ready() {
                self.take(message);
            }
            if self.got.numbers.len() >= upto {
                if upto < count {
                    self.tear(client).await;
                }
                return true;
            }
            match timeout_at(deadline, client.fill(usize::MAX)).await {
                Ok(Ok(read)) if read > 0 => {}
                _ => return false,
            }
        }
    }

    /// Reads some bytes more and breaks off, as a lost connection does: anywhere.
    async fn tear(&mut self, mut client: Client) {
        let more = between(1, 3_000);
        if let Ok(Ok(_)) = tokio::time::timeout(TEAR, client.fill(more)).await {
            while let Some(message) = client.ready() {
                self.take(message);
            }
        }
    }

    fn take(&mut self, message: riverhead::sse::Message) {
        match message.event.as_str() {
            "gap" => self.got.gaps.push(message.data),
            _ => self.got.numbers.extend(number(&message.data)),
        }
        self.last_id = message.id.or(self.last_id.take());
    }
}

fn between(low: usize, high: usize) -> usize {
    fastrand::usize(low.max(1)..=high.max(low).max(1))
}

/// Between two attempts that the server did not take.
const RECONNECT: Duration = Duration::from_millis(100);

/// How long a connection that is about to be torn may stay silent.
const TEAR: Duration = Duration::from_millis(50);
