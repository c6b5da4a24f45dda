//! The identity of a cluster: its pinned id, the brokers that new clients ask first, and the file that keeps both over a
//! restart.
//!
//! Not here: the check of each answer against it (`client::raw`, `supervisor`).

mod bootstrap_brokers;
pub(super) mod cluster;
mod cluster_file;
