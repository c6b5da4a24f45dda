//! Searches the memory of another process.

use std::{fs::File, io::Read as _, os::unix::fs::FileExt};

/// Returns how often these bytes are in the memory that a process can write to.
pub(crate) fn copies_in_memory(pid: u32, wanted: &[u8]) -> usize {
    count_in_memory(pid, |bytes| memchr::memmem::find_iter(bytes, wanted).count())
}

/// Returns the sum of what `count` returns for each part of the memory that a process can write to.
pub(crate) fn count_in_memory(pid: u32, count: impl Fn(&[u8]) -> usize) -> usize {
    let mut maps = String::new();
    let mut file = File::open(format!("/proc/{pid}/maps")).expect("maps");
    file.read_to_string(&mut maps).expect("text");
    let memory = File::open(format!("/proc/{pid}/mem")).expect("its memory; root, or its parent");
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let range = line.split(' ').next().expect("a range");
        let (from, to) = range.split_once('-').expect("two ends");
        let [from, to] = [from, to].map(|end| u64::from_str_radix(end, 16).expect("an address"));
        let mut bytes = vec![0; (to - from) as usize];
        // Some pages cannot be read, and some have been unmapped meanwhile.
        if memory.read_exact_at(&mut bytes, from).is_ok() {
            found += count(&bytes);
        }
    }
    found
}

/// The variable that has freed memory overwritten, so that anything found in memory is still in use. What glibc keeps for each
/// thread it would not overwrite, so it keeps nothing.
pub(crate) const OVERWRITE_FREED: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.malloc.perturb=85:glibc.malloc.tcache_count=0",
);
