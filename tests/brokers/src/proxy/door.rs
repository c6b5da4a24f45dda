//! The listening side of a proxy, and the ways in which a port does not answer.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use super::connection::{Connection, reset_at_close};
use super::wire::Wire;
use crate::address::free_address;

/// What becomes of a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Open,
    Closed,
    Resetting,
    Full,
}

/// Commands the thread that accepts.
#[derive(Debug)]
pub(super) struct DoorKeeper {
    orders: Option<Sender<Order>>,
    bell: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl DoorKeeper {
    pub(super) fn start(wire: Arc<Wire>) -> (SocketAddr, Self) {
        let address = free_address();
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).expect("an eventfd"));
        let (orders, queue) = channel();
        let porch = Porch {
            address,
            wire,
            door: Door::Open,
            listener: Some(listen(address)),
            crowd: Vec::new(),
        };
        let heard = Arc::clone(&bell);
        let thread = thread::spawn(move || porch.serve(&queue, &heard));
        (
            address,
            Self {
                orders: Some(orders),
                bell,
                thread: Some(thread),
            },
        )
    }

    /// Returns once the port behaves so.
    pub(super) fn set(&self, door: Door) {
        let (done, answer) = channel();
        let orders = self.orders.as_ref().expect("present until dropped");
        orders
            .send(Order { door, done })
            .expect("the thread ends after its keeper");
        self.ring();
        answer.recv().expect("the thread answers every order");
    }

    fn ring(&self) {
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }
}

impl Drop for DoorKeeper {
    fn drop(&mut self) {
        self.orders = None;
        self.ring();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[derive(Debug)]
struct Order {
    door: Door,
    done: Sender<()>,
}

/// Where connections arrive.
struct Porch {
    address: SocketAddr,
    wire: Arc<Wire>,
    door: Door,
    listener: Option<TcpListener>,
    /// Our own connections that fill the accept queue while the door is [`Door::Full`].
    crowd: Vec<TcpStream>,
}

impl Porch {
    /// Serves until there can be no more orders.
    fn serve(mut self, orders: &Receiver<Order>, bell: &OwnedFd) {
        loop {
            self.wait_for_news(bell);
            loop {
                match orders.try_recv() {
                    Ok(order) => self.obey(&order),
                    Err(std::sync::mpsc::TryRecvError::Empty) => break,
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
                }
            }
            self.welcome(&[]);
        }
    }

    fn wait_for_news(&self, bell: &OwnedFd) {
        let mut news = vec![PollFd::new(bell, PollFlags::IN)];
        if let Some(listener) = self.listener.as_ref().filter(|_| self.door != Door::Full) {
            news.push(PollFd::new(listener, PollFlags::IN));
        }
        let _ = poll(&mut news, None);
        let _ = rustix::io::read(bell, &mut [0; 8]);
    }

    fn obey(&mut self, order: &Order) {
        // Those who came before the order get what was promised them.
        self.welcome(&[]);
        self.door = order.door;
        match order.door {
            Door::Open | Door::Resetting => self.unlock(),
            Door::Closed => self.listener = None,
            Door::Full => self.crowd_out(),
        }
        let _ = order.done.send(());
    }

    fn unlock(&mut self) {
        let ours: Vec<_> = self
            .crowd
            .drain(..)
            .filter_map(|socket| socket.local_addr().ok())
            .collect();
        let listener = self.listener.get_or_insert_with(|| listen(self.address));
        rustix::net::listen(&*listener, BACKLOG).expect("a longer queue");
        self.welcome(&ours);
    }

    /// Shortens the accept queue and fills it: the kernel drops further connection requests, and sends nothing.
    fn crowd_out(&mut self) {
        let listener = self.listener.get_or_insert_with(|| listen(self.address));
        rustix::net::listen(&*listener, 0).expect("a shorter queue");
        while self.crowd.len() < MOST_TO_FILL
            && let Ok(socket) = TcpStream::connect_timeout(&self.address, FULL_AFTER)
        {
            self.crowd.push(socket);
        }
    }

    /// Accepts all who wait, unless the door is full; `ours` only filled the queue.
    fn welcome(&self, ours: &[SocketAddr]) {
        let Some(listener) = self.listener.as_ref().filter(|_| self.door != Door::Full) else {
            return;
        };
        while let Ok((client, peer)) = listener.accept() {
            if !ours.contains(&peer) {
                self.admit(client);
            }
        }
    }

    fn admit(&self, client: TcpStream) {
        self.wire.count_accepted();
        // What is accepted from a listener that does not block blocks by itself on Linux; elsewhere it may not.
        let blocking: io::Result<()> = client.set_nonblocking(false);
        if blocking.is_err() || self.door == Door::Resetting {
            return reset_at_close(&client);
        }
        Connection::open(client, &self.wire);
    }
}

fn listen(address: SocketAddr) -> TcpListener {
    let listener = TcpListener::bind(address).expect("the proxy's port stays its own");
    listener
        .set_nonblocking(true)
        .expect("a listener that does not block");
    listener
}

const BACKLOG: i32 = 128;

/// A connection over loopback takes microseconds; one that takes this long was dropped.
const FULL_AFTER: Duration = Duration::from_millis(50);

/// A queue of length 0 holds one connection; a few more in case a kernel rounds up.
const MOST_TO_FILL: usize = 8;
