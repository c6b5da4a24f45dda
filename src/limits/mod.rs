//! Who may have how much.

pub mod settings;
