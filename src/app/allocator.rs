//! How the C library's allocator is set: freed memory goes back to the system, so that a burst of large records is no lasting cost.
//!
//! By itself glibc keeps an arena for each of up to eight threads a core, of which Kafka's clients have dozens, and after the first
//! large buffer that is freed it takes such buffers, up to 32 MiB, from the arenas, which hold on to them.
#![allow(unsafe_code)] // mallopt is a call of C, and there is no other way to set what the environment would have to set before the start

/// Sets it. Before there is any other thread.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn set() {
    // SAFETY: mallopt takes two numbers; what it does not know it refuses. No other thread allocates meanwhile.
    let set = |(name, value)| unsafe { libc::mallopt(name, value) } == 1;
    if !SETTINGS.into_iter().all(set) {
        tracing::debug!("the allocator does not take its settings");
    }
}

/// Other allocators have no such settings.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn set() {}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
const SETTINGS: [(libc::c_int, libc::c_int); 3] = [
    // Two cores' worth: the threads of Kafka's clients rarely allocate at one time.
    (libc::M_ARENA_MAX, 4),
    // What is larger is mapped by itself, and unmapped when it is freed: batches of one large record, pages, answers of brokers. To
    // set it also ends its growth.
    (libc::M_MMAP_THRESHOLD, 512 * 1024),
    // What is free at the end of an arena beyond this goes back.
    (libc::M_TRIM_THRESHOLD, 1024 * 1024),
];
