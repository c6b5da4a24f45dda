//! Who is asking.

mod address;
mod forwarded;
mod key;
mod trusted;

pub use address::{ClientAddr, PeerAddr};
pub use forwarded::Unforwarded;
pub use key::{ClientKey, Ipv6Prefix};
pub use trusted::Trusted;
