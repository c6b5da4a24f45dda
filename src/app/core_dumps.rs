//! Keeping secrets out of core dumps.
//!
//! The limit of their size (`LimitCORE=`) does not hold for those that a program such as systemd-coredump takes. A process that is not
//! dumpable (`PR_SET_DUMPABLE`) writes none, but hides its files in `/proc` from operators and their tools. So the process can be
//! dumped, and none of its memory is in the dump.

/// Keeps all memory of this process, and of those that it starts, out of core dumps from now on.
#[cfg(target_os = "linux")]
pub(super) fn exclude_memory() {
    // No bit is set: of no kind of mapping (core(5)).
    if let Err(error) = std::fs::write("/proc/self/coredump_filter", "0") {
        tracing::warn!(%error, "a core dump of this process would hold keys of TLS: its memory cannot be excluded");
    }
}

/// Does nothing: other systems have no such filter.
#[cfg(not(target_os = "linux"))]
pub(super) fn exclude_memory() {}
