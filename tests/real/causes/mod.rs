//! The causes of docs/health.md, as real brokers provoke them: what `/healthz` says about each, how soon, and
//! how it ends.

mod addresses;
mod disk;
mod gone;
mod quota;
mod transaction;
