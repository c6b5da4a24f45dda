//! Child processes that cannot outlive the test.

use std::{
    fs::OpenOptions,
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        OnceLock,
        mpsc::{Sender, channel},
    },
    thread,
    time::Duration,
};

use rustix::{
    process::{Pid, Signal, getpid, getppid, kill_process, set_parent_process_death_signal},
    thread::{sched_getaffinity, sched_setaffinity},
};

use crate::patience::eventually;

/// A child that the kernel kills when this process ends in any way.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts `command` with both outputs appended to the file `log`.
    pub(crate) fn spawn_logged(mut command: Command, log: &Path) -> io::Result<Self> {
        let out = OpenOptions::new().create(true).append(true).open(log)?;
        let errors = out.try_clone()?;
        command.stdin(Stdio::null()).stdout(out).stderr(errors);
        Ok(Self {
            child: spawn(command)?,
        })
    }

    /// Sends a signal. A signal to a process that has ended is lost silently.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        // The child has not been waited for yet, so its id cannot belong to another process.
        let _ = kill_process(pid, signal);
    }

    /// Waits for the end.
    ///
    /// # Panics
    ///
    /// If it takes longer than `deadline`.
    pub(crate) fn wait(&mut self, deadline: Duration, what: &str) -> ExitStatus {
        eventually(deadline, what, || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err("still running".to_owned()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Returns whether it has ended by itself, with the status.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a command that the kernel kills when this process ends in any way.
///
/// The kernel sends the death signal when the *thread* that forked ends. A test's thread ends with its test
/// while a shared cluster continues, so all children are forked by one thread that never ends. A child still
/// gets its processor affinity from the caller.
///
/// # Errors
/// If the command cannot be started.
pub fn spawn(mut command: Command) -> io::Result<Child> {
    static NURSERY: OnceLock<Sender<Job>> = OnceLock::new();
    let nursery = NURSERY.get_or_init(|| {
        let (jobs, queue) = channel::<Job>();
        thread::spawn(move || queue.iter().for_each(|job| job()));
        jobs
    });
    die_with_parent(&mut command);
    let (answer, child) = channel();
    let affinity = sched_getaffinity(None);
    let job = move || {
        if let Ok(affinity) = affinity {
            // This fails only if the affinity could not be read above.
            let _ = sched_setaffinity(None, &affinity);
        }
        drop(answer.send(command.spawn()));
    };
    nursery
        .send(Box::new(job))
        .map_err(|_| io::ErrorKind::BrokenPipe)?;
    child.recv().map_err(io::Error::other)?
}

type Job = Box<dyn FnOnce() + Send>;

#[allow(unsafe_code, reason = "a death signal can only be set between fork and exec")]
fn die_with_parent(command: &mut Command) {
    let parent = getpid();
    let before_exec = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // If the parent ended before the call above, the kernel sends no signal any more.
        if getppid() == Some(parent) {
            Ok(())
        } else {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    };
    // SAFETY: the closure makes two system calls, and neither allocates nor takes a lock. Nothing else is
    // allowed in the child of a process with threads.
    unsafe { command.pre_exec(before_exec) };
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::thread::CpuSet;

    use super::*;

    #[test]
    fn a_child_outlives_the_thread_that_asked_for_it() {
        let mut child = thread::spawn(|| spawn(sleep()))
            .join()
            .expect("joined")
            .expect("spawned");
        assert!(child.try_wait().expect("asked").is_none());
        child.kill().expect("killed");
        assert!(!child.wait().expect("waited").success());
    }

    #[test]
    fn a_child_runs_where_its_parent_does() {
        let mut one = CpuSet::new();
        one.set(0);
        // On its own thread, which no other test uses.
        let child = thread::spawn(move || {
            sched_setaffinity(None, &one).expect("pinned");
            spawn(sleep())
        });
        let mut child = child.join().expect("joined").expect("spawned");
        let pid = Pid::from_child(&child);
        assert_eq!(sched_getaffinity(Some(pid)).expect("asked"), one);
        child.kill().expect("killed");
        child.wait().expect("waited");
    }

    #[test]
    fn a_child_dies_with_a_test_process_that_aborts() {
        if let Ok(note) = std::env::var(NOTE) {
            let child = spawn(sleep()).expect("spawned");
            fs::write(note, child.id().to_string()).expect("noted");
            std::process::abort();
        }
        let note = std::env::temp_dir().join(format!("riverhead-brokers-note-{}", std::process::id()));
        let mut this_test_again = Command::new(std::env::current_exe().expect("a test binary"));
        this_test_again.args(["a_child_dies_with_a_test_process_that_aborts", "--test-threads=1"]);
        let output = this_test_again.env(NOTE, &note).output().expect("run");
        assert!(!output.status.success(), "it aborts");
        let child = fs::read_to_string(&note).expect("the id of the child's child");
        fs::remove_file(&note).expect("removed");
        eventually(Duration::from_secs(5), "the child's child dead", || {
            is_dead(&child)
        });
    }

    fn sleep() -> Command {
        let mut command = Command::new("sleep");
        command.arg("60");
        command
    }

    /// Returns Ok if the process is gone, or dead and not waited for by its new parent yet.
    fn is_dead(process: &str) -> Result<(), String> {
        match fs::read_to_string(format!("/proc/{process}/stat")) {
            Ok(stat) if !stat.contains(") Z ") => Err(stat),
            _ => Ok(()),
        }
    }

    const NOTE: &str = "RIVERHEAD_BROKERS_TEST_NOTE";
}
