//! Who is asking.

mod key;

pub use key::ClientKey;
