//! The demo's configuration.

use std::{sync::Arc, time::Duration};

use crate::{
    catalog::{Catalog, Stream},
    config::{Config, Sections},
    demo,
    kafka::settings::{BrokerAddr, ClusterSettings, StateSettings},
};

/// Its own cluster and its one stream, all else as the environment says.
pub(super) fn config(sections: Sections, bootstrap: &[String]) -> Config {
    let brokers = bootstrap
        .iter()
        .filter_map(|address| address.parse::<BrokerAddr>().ok())
        .collect();
    let mut stream = Stream::new(demo::STREAM, demo::TOPICS);
    stream.aliases.push(demo::ALIAS.into());
    stream.filter_fields = demo::FILTER_FIELDS.map(Arc::from).to_vec();
    // The generator writes without pause.
    stream.expect_event_within = Some(QUIET);
    stream.description = "Invented edits and log entries of every wiki".into();
    let cluster = ClusterSettings::new("demo", brokers);
    stream.clusters.push(Arc::clone(&cluster.name));
    // Its cluster is another in every run: what was kept of the last would refuse this one.
    let sections = Sections {
        state: StateSettings::default(),
        ..sections
    };
    // One stream cannot contradict itself.
    let catalog = Catalog::new(vec![stream]).unwrap_or_default();
    sections.with(vec![cluster], catalog)
}

/// At the demo's lowest rate, one event a second, longer than any pause.
const QUIET: Duration = Duration::from_secs(60);
