//! Who is asking.

mod address;
mod forwarded;
mod key;
mod proxies;
mod proxy_header;
mod trusted;

pub use address::{ClientAddr, PeerAddr};
pub use forwarded::Unforwarded;
pub use key::{ClientKey, Ipv6Prefix};
pub use proxies::Proxies;
pub use proxy_header::{BadHeader, Told};
pub use trusted::Trusted;
