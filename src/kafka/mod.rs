//! Reading Kafka without groups.

pub mod settings;
