use std::{collections::HashMap, net::IpAddr, num::NonZeroU32};

use super::*;
use crate::{
    client::{CandidateAddrs, ClientAddr},
    limits::settings::LimitSettings,
};

mod churn;
mod eviction;
mod model;

/// A stream whose client a test declares dead.
#[derive(Debug, Default)]
struct FakeStream {
    is_dead: std::sync::atomic::AtomicBool,
    left: Mutex<Option<EvictReason>>,
}

impl Evictable for FakeStream {
    fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }

    fn evict(&self, why: EvictReason) {
        let before = self.left.lock().replace(why);
        assert_eq!(before, None, "told twice");
    }
}

/// Open streams under a policy.
struct AdmissionFixture {
    open_streams: Arc<OpenStreams>,
    policy: Policy,
}

impl AdmissionFixture {
    fn new(settings: &LimitSettings) -> Self {
        Self {
            open_streams: OpenStreams::new(LimitMetrics::default()),
            policy: Policy::new(settings),
        }
    }

    fn within(per_client: u32, total: u32) -> Self {
        Self::new(&limits(per_client, total))
    }

    /// Admits one more stream without a handle to it.
    fn admit(&self, address: &str) -> Result<Permit, Refusal> {
        self.admit_to(address, &["edits"])
    }

    fn admit_to(&self, address: &str, names: &[&str]) -> Result<Permit, Refusal> {
        let no_stream: Weak<dyn Evictable> = Weak::<FakeStream>::new();
        self.open_streams
            .admit(&self.policy, &request(address, names), &no_stream)
    }

    /// Admits one more stream, and returns it with its permit.
    fn watched(&self, address: &str) -> Result<(Permit, Arc<FakeStream>), Refusal> {
        let fake = Arc::new(FakeStream::default());
        let stream: Weak<dyn Evictable> = Arc::downgrade(&fake) as _;
        let permit = self
            .open_streams
            .admit(&self.policy, &request(address, &["edits"]), &stream)?;
        Ok((permit, fake))
    }
}

fn limits(per_client: u32, total: u32) -> LimitSettings {
    LimitSettings {
        streams_per_client: NonZeroU32::new(per_client).unwrap(),
        streams_total: NonZeroU32::new(total).unwrap(),
        ..LimitSettings::default()
    }
}

fn request(address: &str, names: &[&str]) -> StreamRequest {
    StreamRequest {
        client: address.parse::<IpAddr>().unwrap().into(),
        candidates: CandidateAddrs::default(),
        principal: None,
        names: names.iter().map(|name| (*name).into()).collect(),
    }
}

const A: &str = "192.0.2.1";
const B: &str = "192.0.2.2";
const C: &str = "192.0.2.3";

#[test]
fn a_refused_client_never_lowers_the_count() {
    let fixture = AdmissionFixture::within(2, 100);
    let held = fixture.admit(A).unwrap();
    let second = fixture.admit(A).unwrap();
    for _ in 0..3 {
        assert_eq!(fixture.admit(A).unwrap_err(), Refusal::Client);
    }
    drop(second);
    let second = fixture.admit(A).unwrap();
    assert_eq!(fixture.admit(A).unwrap_err(), Refusal::Client);
    assert_eq!(
        (fixture.open_streams.open(), fixture.open_streams.clients()),
        (2, 1)
    );
    drop((held, second));
    assert!(fixture.open_streams.is_clear());
}

#[test]
fn one_address_never_takes_the_last_slot_of_another() {
    let fixture = AdmissionFixture::within(16, 16);
    let greedy: Vec<_> = (0..20).map(|_| fixture.admit(A)).collect();
    assert_eq!(greedy.iter().filter(|admitted| admitted.is_ok()).count(), 14);
    assert_eq!(greedy[14].as_ref().unwrap_err(), &Refusal::Host);
    let newcomers = [fixture.admit(B), fixture.admit(C)];
    assert!(newcomers.iter().all(Result::is_ok), "{newcomers:?}");
    assert_eq!(fixture.admit("192.0.2.4").unwrap_err(), Refusal::Host);
}

#[test]
fn a_host_for_one_stream_serves_it() {
    let fixture = AdmissionFixture::within(1, 1);
    let only = fixture.admit(A).unwrap();
    assert_eq!(fixture.admit(B).unwrap_err(), Refusal::Host);
    drop(only);
    assert!(fixture.admit(B).is_ok());
}

#[test]
fn a_composite_counts_against_each_of_its_names_and_a_refused_one_against_none() {
    let fixture = AdmissionFixture::new(&LimitSettings {
        clients_per_stream: NonZeroU32::new(2),
        max_clients: [("rare".into(), NonZeroU32::new(1)), ("free".into(), None)].into(),
        ..limits(10, 100)
    });
    let both = fixture.admit_to(A, &["edits", "rare"]).unwrap();
    assert_eq!(
        fixture.admit_to(B, &["edits", "rare"]).unwrap_err(),
        Refusal::Stream
    );
    let edits = fixture.admit_to(B, &["edits", "free"]).unwrap();
    assert_eq!(
        fixture.admit_to(C, &["free", "edits"]).unwrap_err(),
        Refusal::Stream
    );
    let free: Vec<_> = (0..5).map(|_| fixture.admit_to(C, &["free"]).unwrap()).collect();
    drop(both);
    let rare = fixture.admit_to(B, &["rare"]).unwrap();
    drop((edits, free, rare));
    assert!(fixture.open_streams.is_clear());
}

#[test]
fn a_48_has_eight_times_what_its_networks_have() {
    let fixture = AdmissionFixture::within(2, 1000);
    let from = |network: u32| fixture.admit(&format!("2001:db8:1:{network:x}::1"));
    let held: Vec<_> = (0..40).map(|number| from(number / 2)).collect();
    assert_eq!(held.iter().filter(|admitted| admitted.is_ok()).count(), 16);
    assert_eq!(held[16].as_ref().unwrap_err(), &Refusal::Site);
    assert!(fixture.admit("2001:db8:2::1").is_ok());
    drop(held);
    assert!(fixture.open_streams.is_clear());
}

#[test]
fn a_probe_gets_in_when_the_host_and_the_stream_are_full() {
    let fixture = AdmissionFixture::new(&LimitSettings {
        probes: vec!["198.51.100.0/24".parse().unwrap()],
        clients_per_stream: NonZeroU32::new(80),
        ..limits(2, 80)
    });
    let crowd: Vec<_> = (0..100)
        .map(|number| fixture.admit(&format!("192.0.2.{number}")))
        .collect();
    assert_eq!(crowd.iter().filter(|admitted| admitted.is_ok()).count(), 72);
    let probes: Vec<_> = (0..5)
        .flat_map(|number| {
            [
                fixture.admit(&format!("198.51.100.{number}")),
                fixture.admit(&format!("198.51.100.{number}")),
            ]
        })
        .collect();
    assert_eq!(probes.iter().filter(|admitted| admitted.is_ok()).count(), 8);
    assert_eq!(fixture.admit("198.51.100.99").unwrap_err(), Refusal::Host);
    drop((crowd, probes));
    assert!(fixture.open_streams.is_clear());

    let fixture = AdmissionFixture::new(&LimitSettings {
        probes: vec!["198.51.100.0/24".parse().unwrap()],
        clients_per_stream: NonZeroU32::new(1),
        ..limits(2, 80)
    });
    let _only = fixture.admit(A).unwrap();
    assert_eq!(fixture.admit(B).unwrap_err(), Refusal::Stream);
    assert!(fixture.admit("198.51.100.1").is_ok());
}

#[test]
fn a_reload_touches_nobody_who_is_in() {
    let mut fixture = AdmissionFixture::within(4, 100);
    let held: Vec<_> = (0..4).map(|_| fixture.admit(A).unwrap()).collect();
    fixture.policy = Policy::new(&LimitSettings {
        // From now on A counts under another key, and the limits are lower than what is in use.
        ipv6_prefix: crate::client::Ipv6Prefix::new(128).unwrap(),
        ..limits(2, 3)
    });
    assert_eq!(fixture.open_streams.open(), 4);
    assert_eq!(fixture.admit(A).unwrap_err(), Refusal::Client);
    assert_eq!(fixture.admit(B).unwrap_err(), Refusal::Host);
    drop(held);
    assert!(fixture.open_streams.is_clear());
}

#[tokio::test(start_paused = true)]
async fn who_holds_most_is_told_first_with_the_ages() {
    let fixture = AdmissionFixture::within(10, 100);
    let mut held = vec![fixture.admit(A).unwrap()];
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    held.extend([A, B, C, C, C].map(|address| fixture.admit(address).unwrap()));
    let top = fixture.open_streams.top(2);
    let shown: Vec<_> = top
        .iter()
        .map(|held| {
            (
                held.client.as_str(),
                held.streams,
                held.oldest_seconds,
                held.newest_seconds,
            )
        })
        .collect();
    assert_eq!(shown, [(C, 3, 0, 0), (A, 2, 60, 0)]);
}
