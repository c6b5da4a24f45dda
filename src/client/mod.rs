//! Who is asking.

mod address;
mod forwarded;
mod key;

pub use address::{ClientAddr, PeerAddr};
pub use forwarded::Unforwarded;
pub use key::ClientKey;
