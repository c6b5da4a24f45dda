//! The cluster that a client is connected to, and the bootstrap brokers that it knows.

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
    /// Returns the id and the brokers that the cluster reports. `topic` is requested as well, so that the answer does not list
    /// all topics. A blocking call.
    ///
    /// # Errors
    /// Returns an error if no broker answered within `wait`, or if the one that did is too old to report a cluster id.
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

    /// Returns the wrong cluster if the newest answer came from one. Cheap: ask before every use of what was read.
    pub(in crate::kafka) fn wrong_cluster(&self) -> Option<WrongCluster> {
        let identity = &self.handle.0.identity;
        self.with_cluster_id(|id| identity.wrong_cluster(id?))
    }

    /// Passes the bootstrap brokers to librdkafka if they have changed since the last call.
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

    /// Passes the cluster id of the newest answer to `look`, without a request. (rdkafka's own call for it leaks the text.)
    fn with_cluster_id<T>(&self, look: impl FnOnce(Option<&CStr>) -> T) -> T {
        let client = self.handle.client();
        // SAFETY: the client is alive; with a timeout of zero the call only copies the id that is known.
        let id = unsafe { rd_kafka_clusterid(client, 0) };
        if id.is_null() {
            return look(None);
        }
        // SAFETY: a C string that this function owns until it frees it, once, by the allocator it came from.
        unsafe {
            let seen = look(Some(CStr::from_ptr(id)));
            rd_kafka_mem_free(client, id.cast());
            seen
        }
    }
}

/// Returns the comma-separated list that librdkafka expects.
pub(super) fn servers(brokers: &[BrokerAddr]) -> String {
    let brokers: Vec<_> = brokers.iter().map(ToString::to_string).collect();
    brokers.join(",")
}

/// Parses an advertised address. An IPv6 address is advertised without brackets.
fn address(host: &str, port: i32) -> Option<BrokerAddr> {
    let plain = format!("{host}:{port}").parse();
    plain.or_else(|_| format!("[{host}]:{port}").parse()).ok()
}
