//! Client identification: the address that a request comes from, also through trusted proxies, and the key it is counted under.
//!
//! Not here: what a client may use (`limits`).

mod address;
mod forwarded;
mod hops;
mod key;
mod network;
mod proxy_protocol;
mod trusted_networks;
mod trusted_proxies;

pub use address::{ClientAddr, PeerAddr};
pub use forwarded::{CandidateAddrs, ForwardedError, ForwardedHeaders, UnidentifiedClient};
pub use key::{ClientKey, Ipv6Prefix};
pub use network::canonical;
pub use proxy_protocol::{InvalidProxyHeader, ProxyHeader};
pub use trusted_networks::TrustedNetworks;
pub use trusted_proxies::{ClientAddrSource, TrustedProxies};
