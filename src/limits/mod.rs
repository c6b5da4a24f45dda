//! Who may have how much.

mod connections;
pub mod settings;

pub use connections::{Connections, Permit, Refusal};
