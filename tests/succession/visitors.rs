//! Clients that come all the time.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use riverhead_loadtest::client::{Ask, Client};
use tokio::task::JoinHandle;

use crate::STREAM;

/// Clients that come one after the other without a pause, and go when they are greeted.
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
