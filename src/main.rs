//! The riverhead binary.

fn main() {}
