//! The configuration that a process starts with: that of its file, with what is added to its streams.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Runtime;

use super::{former_topics::FormerTopics, stream_config::StreamConfig};
use crate::config::Config;

/// The configuration that a process starts with.
pub(super) struct StartedConfig {
    /// With the streams that are configured elsewhere, and the topics that streams have had.
    pub(super) config: Config,
    /// Without them.
    pub(super) of_file: Config,
    pub(super) stream_config: StreamConfig,
    pub(super) former_topics: Arc<Mutex<FormerTopics>>,
}

impl StartedConfig {
    /// Reads the streams that are configured elsewhere, for which it waits only for a short time, and the topics that streams have
    /// had. What is known from now on is kept.
    pub(super) fn read(of_file: Config, runtime: &Runtime) -> Self {
        let mut config = of_file.clone();
        let stream_config = runtime.block_on(StreamConfig::start(&mut config));
        let mut former_topics = FormerTopics::open(config.state.directory.as_deref());
        let (catalog, known) = former_topics.add_to(&config.catalog);
        former_topics.keep(known);
        config.catalog = catalog;
        Self {
            config,
            of_file,
            stream_config,
            former_topics: Arc::new(Mutex::new(former_topics)),
        }
    }
}
