//! The process that comes after this one.

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
    time::timeout,
};

use super::{CHANNEL, READY, Spare};

/// A successor that has not taken over yet.
pub(in crate::app) struct Successor {
    pid: u32,
    child: Child,
    channel: UnixStream,
}

/// Why it never took over.
#[derive(Debug, thiserror::Error)]
pub(in crate::app) enum Unfit {
    #[error("it ended with {0}")]
    Ended(ExitStatus),
    #[error("it cannot be heard: {0}")]
    Unheard(#[from] io::Error),
}

impl Successor {
    /// Starts it. Blocks while the process is forked; inside a runtime.
    ///
    /// # Errors
    /// When the system has no process or descriptor to give, or the binary is gone.
    pub(in crate::app) fn start(spare: &Spare) -> io::Result<Self> {
        let (own, its) = StdStream::pair()?;
        own.set_nonblocking(true)?;
        let descriptors = [
            spare.public.try_clone()?,
            spare.admin.try_clone()?,
            OwnedFd::from(its),
        ];
        let child = Command::from(command(descriptors)?).spawn()?;
        Ok(Self {
            pid: child.id().unwrap_or_default(),
            child,
            channel: UnixStream::from_std(own)?,
        })
    }

    pub(in crate::app) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until it has taken over. Cancelling this loses nothing but a part of a word that nobody says twice.
    ///
    /// # Errors
    /// When it ends instead.
    pub(in crate::app) async fn ready(&mut self) -> Result<(), Unfit> {
        let mut word = [0; READY.len()];
        match self.channel.read_exact(&mut word).await {
            Ok(_) if word == READY => Ok(()),
            Ok(_) => Err(Unfit::Unheard(io::ErrorKind::InvalidData.into())),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.ended().await),
            Err(error) => Err(Unfit::Unheard(error)),
        }
    }

    /// Ends it: it has served nobody yet.
    pub(in crate::app) async fn end(mut self) {
        // Fails when it has ended by itself.
        let _ = self.child.kill().await;
    }

    /// It has closed its end, and so is about to go: with a line on why, for which it is left the time.
    async fn ended(&mut self) -> Unfit {
        let status = match timeout(FAREWELL, self.child.wait()).await {
            Ok(status) => status,
            Err(_) => match self.child.kill().await {
                Ok(()) => self.child.wait().await,
                Err(error) => Err(error),
            },
        };
        status.map_or_else(Unfit::Unheard, Unfit::Ended)
    }
}

/// The command line that started this process, with descriptors to inherit.
fn command(descriptors: [OwnedFd; 3]) -> io::Result<StdCommand> {
    let mut arguments = env::args_os();
    // By the name that it was started with: a link may lead to another version by now.
    let program = match arguments.next() {
        Some(name) if !name.is_empty() => name,
        _ => OsString::from(env::current_exe()?),
    };
    let count = descriptors.len().to_string();
    let mappings = descriptors.into_iter().zip(FIRST..);
    let mappings = mappings.map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd });
    let mut command = StdCommand::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env("LISTEN_FDS", count)
        .env("LISTEN_FDNAMES", format!("http:admin:{CHANNEL}"))
        // It would have to be the successor's, which is not known before it runs.
        .env_remove("LISTEN_PID")
        .fd_mappings(mappings.collect())
        .map_err(io::Error::other)?;
    Ok(command)
}

/// As long as librdkafka's clients are given to close, and some more.
const FAREWELL: Duration = Duration::from_secs(10);

/// `SD_LISTEN_FDS_START`.
const FIRST: i32 = 3;
