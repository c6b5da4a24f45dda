//! The positions in a log at which clients were cut.

use std::{io, net::SocketAddr, time::Duration};

use crate::{ask::Ask, client::Client, numbers::number, scenarios::runtime, server::PARTITIONS};

/// A position at which a client was cut.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    /// The client's last id.
    pub(super) id: String,
    /// The numbers that it must receive next, one for each partition.
    pub(super) next: Vec<u64>,
}

/// Reads the first `events` of the log through a gateway. A client could have been cut after each.
pub(super) fn cuts(server: SocketAddr, events: usize) -> io::Result<Vec<Cut>> {
    runtime().block_on(async {
        let mut client = Client::connect(server, &Ask::new("/v2/stream/numbers?since=1")).await?;
        let mut next: Vec<u64> = (0..PARTITIONS as u64).collect();
        let mut cuts = Vec::new();
        while cuts.len() < events {
            let event = client.next(PATIENCE).await.ok_or(io::ErrorKind::TimedOut)?;
            let Some(number) = number(&event.data) else {
                continue;
            };
            next[number as usize % PARTITIONS] = number + PARTITIONS as u64;
            cuts.push(Cut {
                id: event.id.unwrap_or_default(),
                next: next.clone(),
            });
        }
        Ok(cuts)
    })
}

/// The longest wait for the next event of an existing log.
const PATIENCE: Duration = Duration::from_secs(20);
