//! Runs one scenario and prints what it found.

fn main() {}
