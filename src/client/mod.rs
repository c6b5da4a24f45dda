//! Who is asking.

mod address;
mod forwarded;
mod key;
mod trusted;

pub use address::{ClientAddr, PeerAddr};
pub use forwarded::Unforwarded;
pub use key::ClientKey;
pub use trusted::Trusted;
