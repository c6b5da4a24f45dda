//! Clients that come all the time, and one that stays and comes back whenever it is cut.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use riverhead_loadtest::client::{Ask, Client};
use tokio::task::JoinHandle;

use crate::STREAM;

/// Clients that come one after the other without a pause.
pub(crate) struct Visitors {
    enough: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    coming: Vec<JoinHandle<io::Result<()>>>,
}

impl Visitors {
    pub(crate) fn start(address: SocketAddr) -> Self {
        let (enough, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let coming = (0..4).map(|_| tokio::spawn(come(address, enough.clone(), served.clone())));
        let coming = coming.collect();
        Self {
            enough,
            served,
            coming,
        }
    }

    /// How many got a head and the prelude.
    pub(crate) fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }

    /// Lets nobody come any more; whoever was refused, reset or not greeted fails the test.
    pub(crate) async fn end(self) {
        self.enough.store(true, Ordering::Relaxed);
        for visitor in self.coming {
            visitor.await.unwrap().expect("a stream for everybody");
        }
    }
}

async fn come(address: SocketAddr, enough: Arc<AtomicBool>, served: Arc<AtomicUsize>) -> io::Result<()> {
    while !enough.load(Ordering::Relaxed) {
        let mut client = Client::connect(address, &Ask::new(format!("/v2/stream/{STREAM}"))).await?;
        while client.comments() == 0 {
            if client.fill(usize::MAX).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        assert_eq!(client.status, 200);
        served.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Reads numbers until it has as many as the goal is by then, and goes on by its last id whenever its stream ends.
pub(crate) async fn faithful(address: SocketAddr, id: Option<String>, goal: Arc<AtomicUsize>) -> Got {
    let mut got = Got::default();
    let is_due = |got: &Got| got.numbers.len() < goal.load(Ordering::Relaxed);
    let mut id = id;
    while is_due(&got) {
        let ask = Ask::new(format!("/v2/stream/{STREAM}")).resume(id.clone());
        let mut client = Client::connect(address, &ask).await.expect("nobody is refused");
        assert_eq!(client.status, 200);
        got.connections += 1;
        while is_due(&got) {
            let Some(message) = client.next(Duration::from_secs(20)).await else {
                assert!(
                    client.ended(),
                    "cut inside an event, behind {} events",
                    got.numbers.len()
                );
                break;
            };
            assert_eq!(message.event, "message", "{message:?}");
            let data: serde_json::Value = serde_json::from_str(&message.data).unwrap();
            got.numbers.push(data["n"].as_i64().unwrap());
            id = message.id;
        }
    }
    got
}

#[derive(Debug, Default)]
pub(crate) struct Got {
    pub(crate) numbers: Vec<i64>,
    pub(crate) connections: usize,
}
