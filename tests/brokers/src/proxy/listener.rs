//! The listener of a proxy, and the ways in which a port does not answer.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use super::{
    connection::{Connection, reset_at_close},
    wire::Wire,
};
use crate::address::free_address;

/// What happens to a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListenState {
    Open,
    Closed,
    Resetting,
    Full,
}

/// Controls the thread that accepts connections.
#[derive(Debug)]
pub(super) struct ListenerHandle {
    commands: Option<Sender<ListenCommand>>,
    wake_fd: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl ListenerHandle {
    pub(super) fn start(wire: Arc<Wire>) -> (SocketAddr, Self) {
        let address = free_address();
        let wake_fd =
            Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).expect("an eventfd"));
        let (commands, queue) = channel();
        let listener_thread = ListenerThread {
            address,
            wire,
            state: ListenState::Open,
            listener: Some(listen(address)),
            fillers: Vec::new(),
        };
        let heard = Arc::clone(&wake_fd);
        let thread = thread::spawn(move || listener_thread.serve(&queue, &heard));
        (
            address,
            Self {
                commands: Some(commands),
                wake_fd,
                thread: Some(thread),
            },
        )
    }

    /// Returns once the port behaves so.
    pub(super) fn set(&self, state: ListenState) {
        let (done, answer) = channel();
        let commands = self.commands.as_ref().expect("present until dropped");
        commands
            .send(ListenCommand { state, done })
            .expect("the thread ends after its keeper");
        self.ring();
        answer.recv().expect("the thread answers every command");
    }

    fn ring(&self) {
        let _ = rustix::io::write(&self.wake_fd, &1_u64.to_ne_bytes());
    }
}

impl Drop for ListenerHandle {
    fn drop(&mut self) {
        self.commands = None;
        self.ring();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[derive(Debug)]
struct ListenCommand {
    state: ListenState,
    done: Sender<()>,
}

/// The thread that accepts connections.
struct ListenerThread {
    address: SocketAddr,
    wire: Arc<Wire>,
    state: ListenState,
    listener: Option<TcpListener>,
    /// Connections of this process that fill the accept queue while the state is [`ListenState::Full`].
    fillers: Vec<TcpStream>,
}

impl ListenerThread {
    /// Runs until there can be no more commands.
    fn serve(mut self, commands: &Receiver<ListenCommand>, wake_fd: &OwnedFd) {
        loop {
            self.wait_for_news(wake_fd);
            loop {
                match commands.try_recv() {
                    Ok(command) => self.apply(&command),
                    Err(std::sync::mpsc::TryRecvError::Empty) => break,
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
                }
            }
            self.welcome(&[]);
        }
    }

    fn wait_for_news(&self, wake_fd: &OwnedFd) {
        let mut news = vec![PollFd::new(wake_fd, PollFlags::IN)];
        if let Some(listener) = self.listener.as_ref().filter(|_| self.state != ListenState::Full) {
            news.push(PollFd::new(listener, PollFlags::IN));
        }
        let _ = poll(&mut news, None);
        let _ = rustix::io::read(wake_fd, &mut [0; 8]);
    }

    fn apply(&mut self, command: &ListenCommand) {
        // Connections that arrived before the command are handled by the old state.
        self.welcome(&[]);
        self.state = command.state;
        match command.state {
            ListenState::Open | ListenState::Resetting => self.unlock(),
            ListenState::Closed => self.listener = None,
            ListenState::Full => self.crowd_out(),
        }
        let _ = command.done.send(());
    }

    fn unlock(&mut self) {
        let ours: Vec<_> = self
            .fillers
            .drain(..)
            .filter_map(|socket| socket.local_addr().ok())
            .collect();
        let listener = self.listener.get_or_insert_with(|| listen(self.address));
        rustix::net::listen(&*listener, BACKLOG).expect("a longer queue");
        self.welcome(&ours);
    }

    /// Shortens the accept queue and fills it. The kernel then drops further connection requests without an
    /// answer.
    fn crowd_out(&mut self) {
        let listener = self.listener.get_or_insert_with(|| listen(self.address));
        rustix::net::listen(&*listener, 0).expect("a shorter queue");
        while self.fillers.len() < MOST_TO_FILL
            && let Ok(socket) = TcpStream::connect_timeout(&self.address, FULL_AFTER)
        {
            self.fillers.push(socket);
        }
    }

    /// Accepts all waiting connections, unless the state is full. Those of `ours` only filled the queue.
    fn welcome(&self, ours: &[SocketAddr]) {
        let Some(listener) = self.listener.as_ref().filter(|_| self.state != ListenState::Full) else {
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
        // On Linux, a connection that a non-blocking listener accepts blocks. Elsewhere it may not.
        let blocking: io::Result<()> = client.set_nonblocking(false);
        if blocking.is_err() || self.state == ListenState::Resetting {
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

/// A connection over loopback takes microseconds. One that takes this long was dropped.
const FULL_AFTER: Duration = Duration::from_millis(50);

/// A queue of length 0 holds one connection. A few more, in case a kernel rounds up.
const MOST_TO_FILL: usize = 8;
