//! Which cluster a client talks to, and where it finds it.

use std::{
    ffi::{CStr, CString},
    sync::atomic::Ordering,
    time::Duration,
};

use rdkafka::{
    bindings::{rd_kafka_brokers_add, rd_kafka_clusterid, rd_kafka_mem_free},
    consumer::Consumer,
    types::RDKafkaErrorCode,
};

use super::KafkaReader;
use crate::kafka::{
    identity::cluster::{AdvertisedBrokers, ClusterInfo, WrongCluster},
    settings::BrokerAddr,
};

impl KafkaReader {
    /// What the cluster says of itself; `topic` is what else is asked, so that the answer is small. A blocking call.
    ///
    /// # Errors
    /// When no broker answered within `wait`, or the one that did is too old to say.
    pub(in crate::kafka) fn cluster_info(
        &self,
        topic: &str,
        wait: Duration,
    ) -> Result<(ClusterInfo, AdvertisedBrokers), RDKafkaErrorCode> {
        let metadata = self
            .handle
            .consumer()
            .fetch_metadata(Some(topic), wait)
            .map_err(|error| error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown))?;
        let cluster_id = self.with_cluster_id(|id| id.map(|id| id.to_string_lossy().into()));
        let brokers = metadata.brokers().iter();
        let listed = metadata.brokers().iter();
        let advertised = AdvertisedBrokers {
            by: metadata.orig_broker_name().to_owned(),
            brokers: listed
                .map(|broker| (broker.id(), format!("{}:{}", broker.host(), broker.port())))
                .collect(),
        };
        let info = ClusterInfo {
            cluster_id: cluster_id.ok_or(RDKafkaErrorCode::UnsupportedVersion)?,
            brokers: brokers
                .filter_map(|broker| address(broker.host(), broker.port()))
                .collect(),
        };
        Ok((info, advertised))
    }

    /// Another cluster, if the newest answer came from one. Cheap: ask before every use of what was read.
    pub(in crate::kafka) fn wrong_cluster(&self) -> Option<WrongCluster> {
        let identity = &self.handle.0.identity;
        self.with_cluster_id(|id| identity.wrong_cluster(id?))
    }

    /// Tells librdkafka of the brokers to ask first when they have changed since.
    pub(super) fn sync_bootstrap(&self) {
        let (identity, known_version) = (&self.handle.0.identity, &self.handle.0.bootstrap_version);
        let version = identity.bootstrap.version();
        if known_version.swap(version, Ordering::AcqRel) == version {
            return;
        }
        let brokers = servers(&identity.bootstrap.usable());
        if let Ok(brokers) = CString::new(brokers) {
            // SAFETY: the client is alive and the list is a C string, which is copied.
            unsafe { rd_kafka_brokers_add(self.handle.client(), brokers.as_ptr()) };
        }
    }

    /// The id in the newest answer, without asking. (rdkafka's own call for it leaks the text.)
    fn with_cluster_id<T>(&self, look: impl FnOnce(Option<&CStr>) -> T) -> T {
        let client = self.handle.client();
        // SAFETY: the client is alive; without time to wait this only copies what is known.
        let id = unsafe { rd_kafka_clusterid(client, 0) };
        if id.is_null() {
            return look(None);
        }
        // SAFETY: a C string that is ours until it is freed, once, by the allocator it came from.
        unsafe {
            let seen = look(Some(CStr::from_ptr(id)));
            rd_kafka_mem_free(client, id.cast());
            seen
        }
    }
}

/// A list as librdkafka wants it, comma between.
pub(super) fn servers(brokers: &[BrokerAddr]) -> String {
    let brokers: Vec<_> = brokers.iter().map(ToString::to_string).collect();
    brokers.join(",")
}

fn address(host: &str, port: i32) -> Option<BrokerAddr> {
    let plain = format!("{host}:{port}").parse();
    plain.or_else(|_| format!("[{host}]:{port}").parse()).ok()
}
