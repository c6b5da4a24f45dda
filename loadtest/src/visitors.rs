//! Clients that connect all the time, to notice any moment at which a port is closed.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinHandle, time::sleep};

use crate::client::{Ask, Client};

/// Clients that connect one after the other, and leave after the prelude.
#[derive(Debug)]
pub struct ConnectingClients {
    enough: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    coming: Vec<JoinHandle<Result<(), String>>>,
}

impl ConnectingClients {
    /// Starts to connect clients, some hundreds per second. Must be called inside a runtime.
    pub fn start(server: SocketAddr, ask: &Ask) -> Self {
        let (enough, served) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let queue = |_| {
            tokio::spawn(come(
                server,
                ask.clone(),
                Arc::clone(&enough),
                Arc::clone(&served),
            ))
        };
        let coming = (0..QUEUES).map(queue).collect();
        Self {
            enough,
            served,
            coming,
        }
    }

    /// Returns how many clients have received the prelude so far.
    pub fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }

    /// Ends the clients. Returns how many have received the prelude.
    ///
    /// # Errors
    /// If a client was refused or cut before the prelude, with the cause.
    pub async fn end(self) -> Result<usize, String> {
        self.enough.store(true, Ordering::Relaxed);
        for visitors in self.coming {
            visitors.await.map_err(|panic| panic.to_string())??;
        }
        Ok(self.served.load(Ordering::Relaxed))
    }
}

async fn come(
    server: SocketAddr,
    ask: Ask,
    enough: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
) -> Result<(), String> {
    while !enough.load(Ordering::Relaxed) {
        let client = Client::connect(server, &ask).await;
        greet(client.map_err(|error| error.to_string())?).await?;
        served.fetch_add(1, Ordering::Relaxed);
        sleep(PAUSE).await;
    }
    Ok(())
}

/// Reads up to the prelude.
async fn greet(mut client: Client) -> Result<(), String> {
    if client.status != 200 {
        return Err(client.head);
    }
    while client.comments() == 0 {
        match client.fill(usize::MAX).await {
            Ok(0) => return Err("cut behind the head".into()),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(())
}

/// The number of clients at a time.
const QUEUES: usize = 4;

/// The pause between two clients, so that other processes get processor time.
const PAUSE: Duration = Duration::from_millis(5);
