//! Settings of the C library's allocator: freed memory goes back to the system, so that a burst of large records is no lasting
//! cost.
//!
//! By default glibc keeps an arena for each of up to eight threads a core, and Kafka's clients have dozens of threads. After the
//! first large buffer is freed, glibc takes such buffers, up to 32 MiB, from the arenas, which hold on to them.
#![allow(unsafe_code)] // mallopt is a call of C, and there is no other way to set what the environment would have to set before the start

#[cfg(all(target_os = "linux", target_env = "gnu"))]
use std::time::Duration;

/// Applies the settings, and starts giving free memory back. Must be called before there is any other thread.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn start() {
    set();
    keep_trimmed();
}

/// Does nothing: other allocators have no such settings, and give memory back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn start() {}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn set() {
    // SAFETY: mallopt takes two numbers, and refuses those that it does not know. No other thread allocates meanwhile.
    let set = |(name, value)| unsafe { libc::mallopt(name, value) } == 1;
    if !SETTINGS.into_iter().all(set) {
        tracing::debug!("the allocator refused a setting");
    }
}

/// Starts the thread that gives free memory back to the system. An arena gives back by itself only the free memory at its end.
/// Memory that is freed between two blocks in use is kept. Batches of clients that catch up live for moments among pages that
/// live for minutes: without this thread, an hour of them doubled the resident memory while the memory in use stayed the same.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn keep_trimmed() {
    let run = || {
        loop {
            std::thread::sleep(CHECK_INTERVAL);
            if free() > MAX_FREE {
                trim();
            }
        }
    };
    let thread = std::thread::Builder::new().name("allocator".to_owned());
    if let Err(error) = thread.spawn(run) {
        tracing::warn!("cannot start the thread that returns free memory to the system: {error}");
    }
}

/// Returns the bytes that are free inside of all arenas.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn free() -> u32 {
    // SAFETY: it only reads the allocator's own numbers, under the allocator's locks. (mallinfo2, without 32-bit numbers, needs
    // glibc 2.33.)
    unsafe { libc::mallinfo() }.fordblks.cast_unsigned()
}

/// Gives the whole free pages back.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trim() {
    // SAFETY: it takes the allocator's own locks, and does not move memory in use.
    unsafe { libc::malloc_trim(0) };
}

/// How often the free memory is checked. A check takes the lock of each arena for a moment. Clients that catch up by the hundred
/// leave 5 MB free a second between blocks in use.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Free memory in bytes that is kept for the next allocations. Less would be given back and fetched again all the time.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAX_FREE: u32 = 16 << 20;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
const SETTINGS: [(libc::c_int, libc::c_int); 3] = [
    // Two cores' worth: the threads of Kafka's clients rarely allocate at the same time.
    (libc::M_ARENA_MAX, 4),
    // A larger block is mapped by itself, and unmapped when it is freed: large records, and batches of one. Pages and brokers'
    // answers (1 MiB) come by the hundred a second: mapped and unmapped each time, they made a replay take 1.7 times the
    // processor time, in page faults. Setting it also stops glibc from raising it.
    (libc::M_MMAP_THRESHOLD, 4 << 20),
    // Free memory at the end of an arena beyond this goes back at once, without waiting for the thread above.
    (libc::M_TRIM_THRESHOLD, 4 << 20),
];

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_freed_between_blocks_that_stay_goes_back_to_the_system() {
        // On a thread of its own and in small blocks, so that all come from one arena, each beside one that stays.
        let (held, before) = std::thread::spawn(|| {
            let block = |_| (vec![1_u8; BLOCK], vec![1_u8; 64]);
            let (large, held): (Vec<_>, Vec<_>) = (0..BLOCKS).map(block).unzip();
            drop(large);
            (held, resident())
        })
        .join()
        .expect("no panic");
        assert!(free() as usize >= BLOCKS * BLOCK / 2, "{} are free", free());
        trim();
        // Whole pages only, and other tests allocate meanwhile.
        let after = resident();
        assert!(
            after + BLOCKS * BLOCK / 2 < before,
            "{before} before, {after} after"
        );
        assert_eq!(held.len(), BLOCKS);
    }

    /// Returns the resident memory of this process, in bytes.
    fn resident() -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
        let pages = statm
            .split(' ')
            .nth(1)
            .and_then(|pages| pages.parse::<usize>().ok());
        pages.expect("a number") * 4096
    }

    /// Below the threshold for blocks that are mapped by themselves.
    const BLOCK: usize = 32 * 1024;

    const BLOCKS: usize = 4096;
}
