//! The process after this one.

use std::{
    env,
    ffi::OsString,
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdStream},
    process::{Command as StdCommand, ExitStatus, Stdio},
    time::Duration,
};

use command_fds::{CommandFdExt, FdMapping};
use tokio::{
    io::AsyncReadExt,
    net::UnixStream,
    process::{Child, Command},
    time::{Instant, timeout, timeout_at},
};

use super::{CHANNEL, READY, SpareSockets, TICKET_KEYS, ticket_keys};

/// A successor that has not taken over yet.
pub(super) struct Successor {
    pid: u32,
    child: Child,
    channel: UnixStream,
    /// When it must have taken over.
    due: Instant,
}

/// Why a successor never took over.
#[derive(Debug, thiserror::Error)]
pub(super) enum TakeoverError {
    #[error("it ended with {0}")]
    Exited(ExitStatus),
    #[error("it has neither taken over nor ended in time")]
    TimedOut,
    #[error("its channel cannot be read: {0}")]
    Channel(#[from] io::Error),
}

impl Successor {
    /// Starts a successor, which takes over within `takeover` or gives up. It gets the sockets, and this message with keys of
    /// tickets unless it is empty. Blocks while the process is forked. Must be called inside a runtime.
    ///
    /// # Errors
    /// If the system has no process or descriptor to give, or the binary is gone.
    pub(super) fn start(spare: &SpareSockets, keys: &[u8], takeover: Duration) -> io::Result<Self> {
        let (own, its) = StdStream::pair()?;
        own.set_nonblocking(true)?;
        let sockets = spare
            .0
            .iter()
            .map(|(name, socket)| Ok((*name, socket.try_clone()?)));
        let mut descriptors = sockets.collect::<io::Result<Vec<_>>>()?;
        descriptors.push((CHANNEL, OwnedFd::from(its)));
        if !keys.is_empty() {
            descriptors.push((TICKET_KEYS, ticket_keys::filled_with(keys)?));
        }
        let command = command(descriptors)?;
        // librdkafka's pipes are not close-on-exec: each successor would inherit those of all processes before it.
        close_fds::set_fds_cloexec_threadsafe(FIRST_FD, &[]);
        let child = Command::from(command).spawn()?;
        Ok(Self {
            pid: child.id().unwrap_or_default(),
            child,
            channel: UnixStream::from_std(own)?,
            due: Instant::now() + takeover + EXIT_TIMEOUT,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until it has taken over. Cancel safe.
    ///
    /// # Errors
    /// [`TakeoverError`] if it never will.
    pub(super) async fn ready(&mut self) -> Result<(), TakeoverError> {
        let mut word = [0];
        match timeout_at(self.due, self.channel.read(&mut word)).await {
            Ok(Ok(0)) => Err(self.ended().await),
            Ok(Ok(_)) if word == [READY] => Ok(()),
            Ok(Ok(_)) => Err(TakeoverError::Channel(io::ErrorKind::InvalidData.into())),
            Ok(Err(error)) => Err(TakeoverError::Channel(error)),
            Err(_) => Err(TakeoverError::TimedOut),
        }
    }

    /// Ends it. It has served no client yet.
    pub(super) async fn end(&mut self) {
        // Fails if it has ended by itself.
        let _ = self.child.kill().await;
    }

    /// Waits for its exit, which is near since it has closed its end of the channel. Returns why it did not take over.
    async fn ended(&mut self) -> TakeoverError {
        match timeout(EXIT_TIMEOUT, self.child.wait()).await {
            Ok(status) => status.map_or_else(TakeoverError::Channel, TakeoverError::Exited),
            Err(_) => TakeoverError::TimedOut,
        }
    }
}

/// Returns the command line that started this process, with descriptors to inherit, each under a name.
fn command(descriptors: Vec<(&'static str, OwnedFd)>) -> io::Result<StdCommand> {
    let mut arguments = env::args_os();
    // By the name that it was started with, because a link may lead to another version by now.
    let program = match arguments.next() {
        Some(name) if !name.is_empty() => name,
        _ => OsString::from(env::current_exe()?),
    };
    let count = descriptors.len().to_string();
    let (names, descriptors): (Vec<_>, Vec<_>) = descriptors.into_iter().unzip();
    let mappings = descriptors.into_iter().zip(FIRST_FD..);
    let mappings = mappings.map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd });
    let mut command = StdCommand::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env("LISTEN_FDS", count)
        .env("LISTEN_FDNAMES", names.join(":"))
        // It would have to be the successor's process id, which is not known before it runs.
        .env_remove("LISTEN_PID")
        .fd_mappings(mappings.collect())
        .map_err(io::Error::other)?;
    Ok(command)
}

/// How long the exit is waited for: as long as librdkafka's clients may take to close, and some more.
const EXIT_TIMEOUT: Duration = Duration::from_secs(10);

/// `SD_LISTEN_FDS_START`.
const FIRST_FD: i32 = 3;
