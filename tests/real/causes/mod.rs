//! The causes of docs/health.md, as real brokers provoke them: what `/healthz` says of each, how soon, and when it is over.

mod addresses;
mod disk;
mod gone;
mod quota;
mod transaction;
