//! Who is asking.

mod address;
mod forwarded;
mod hops;
mod key;
mod network;
mod proxies;
mod proxy_header;
mod trusted;

pub use address::{ClientAddr, PeerAddr};
pub use forwarded::{Lists, Named, Unclear, Unforwarded};
pub use key::{ClientKey, Ipv6Prefix};
pub use network::canonical;
pub use proxies::{Believed, Proxies};
pub use proxy_header::{BadHeader, Told};
pub use trusted::Trusted;
