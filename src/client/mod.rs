//! Who is asking.

mod address;
mod key;

pub use address::{ClientAddr, PeerAddr};
pub use key::ClientKey;
