use std::{collections::HashMap, net::IpAddr, num::NonZeroU32};

use super::*;
use crate::{
    client::{ClientAddr, Named},
    limits::settings::Settings,
};

mod crowd;
mod model;
mod room;

/// A stream whose client's life is in a test's hand.
#[derive(Debug, Default)]
struct Fake {
    is_dead: std::sync::atomic::AtomicBool,
    left: Mutex<Option<Leave>>,
}

impl OpenStream for Fake {
    fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }

    fn leave(&self, why: Leave) {
        let before = self.left.lock().replace(why);
        assert_eq!(before, None, "told twice");
    }
}

/// Streams within a policy.
struct House {
    connections: Connections,
    policy: Policy,
}

impl House {
    fn new(settings: &Settings) -> Self {
        Self {
            connections: Connections::new(LimitMetrics::default()),
            policy: Policy::new(settings),
        }
    }

    fn within(per_client: u32, total: u32) -> Self {
        Self::new(&limits(per_client, total))
    }

    /// One more stream, that nobody looks at.
    fn admit(&self, address: &str) -> Result<Permit, Refusal> {
        self.admit_to(address, &["edits"])
    }

    fn admit_to(&self, address: &str, names: &[&str]) -> Result<Permit, Refusal> {
        let nobody: Weak<dyn OpenStream> = Weak::<Fake>::new();
        self.connections
            .admit(&self.policy, &wish(address, names), &nobody)
    }

    /// One more stream, and a hold of it.
    fn watched(&self, address: &str) -> Result<(Permit, Arc<Fake>), Refusal> {
        let fake = Arc::new(Fake::default());
        let stream: Weak<dyn OpenStream> = Arc::downgrade(&fake) as _;
        let permit = self
            .connections
            .admit(&self.policy, &wish(address, &["edits"]), &stream)?;
        Ok((permit, fake))
    }
}

fn limits(per_client: u32, total: u32) -> Settings {
    Settings {
        streams_per_client: NonZeroU32::new(per_client).unwrap(),
        streams_total: NonZeroU32::new(total).unwrap(),
        ..Settings::default()
    }
}

fn wish(address: &str, names: &[&str]) -> Wish {
    Wish {
        client: address.parse::<IpAddr>().unwrap().into(),
        named: Named::default(),
        names: names.iter().map(|name| (*name).into()).collect(),
    }
}

const A: &str = "192.0.2.1";
const B: &str = "192.0.2.2";
const C: &str = "192.0.2.3";

#[test]
fn a_refused_client_never_lowers_the_count() {
    let house = House::within(2, 100);
    let held = house.admit(A).unwrap();
    let second = house.admit(A).unwrap();
    for _ in 0..3 {
        assert_eq!(house.admit(A).unwrap_err(), Refusal::Client);
    }
    drop(second);
    let second = house.admit(A).unwrap();
    assert_eq!(house.admit(A).unwrap_err(), Refusal::Client);
    assert_eq!((house.connections.open(), house.connections.clients()), (2, 1));
    drop((held, second));
    assert!(house.connections.is_clear());
}

#[test]
fn one_address_never_takes_the_last_slot_of_another() {
    let house = House::within(16, 16);
    let greedy: Vec<_> = (0..20).map(|_| house.admit(A)).collect();
    assert_eq!(greedy.iter().filter(|admitted| admitted.is_ok()).count(), 14);
    assert_eq!(greedy[14].as_ref().unwrap_err(), &Refusal::Host);
    let newcomers = [house.admit(B), house.admit(C)];
    assert!(newcomers.iter().all(Result::is_ok), "{newcomers:?}");
    assert_eq!(house.admit("192.0.2.4").unwrap_err(), Refusal::Host);
}

#[test]
fn a_host_for_one_stream_serves_it() {
    let house = House::within(1, 1);
    let only = house.admit(A).unwrap();
    assert_eq!(house.admit(B).unwrap_err(), Refusal::Host);
    drop(only);
    assert!(house.admit(B).is_ok());
}

#[test]
fn a_composite_counts_against_each_of_its_names_and_a_refused_one_against_none() {
    let house = House::new(&Settings {
        clients_per_stream: NonZeroU32::new(2),
        max_clients: [("rare".into(), NonZeroU32::new(1)), ("free".into(), None)].into(),
        ..limits(10, 100)
    });
    let both = house.admit_to(A, &["edits", "rare"]).unwrap();
    assert_eq!(
        house.admit_to(B, &["edits", "rare"]).unwrap_err(),
        Refusal::Stream
    );
    let edits = house.admit_to(B, &["edits", "free"]).unwrap();
    assert_eq!(
        house.admit_to(C, &["free", "edits"]).unwrap_err(),
        Refusal::Stream
    );
    let free: Vec<_> = (0..5).map(|_| house.admit_to(C, &["free"]).unwrap()).collect();
    drop(both);
    let rare = house.admit_to(B, &["rare"]).unwrap();
    drop((edits, free, rare));
    assert!(house.connections.is_clear());
}

#[test]
fn a_48_has_eight_times_what_its_networks_have() {
    let house = House::within(2, 1000);
    let from = |network: u32| house.admit(&format!("2001:db8:1:{network:x}::1"));
    let held: Vec<_> = (0..40).map(|number| from(number / 2)).collect();
    assert_eq!(held.iter().filter(|admitted| admitted.is_ok()).count(), 16);
    assert_eq!(held[16].as_ref().unwrap_err(), &Refusal::Site);
    assert!(house.admit("2001:db8:2::1").is_ok());
    drop(held);
    assert!(house.connections.is_clear());
}

#[test]
fn a_probe_gets_in_when_the_host_and_the_stream_are_full() {
    let house = House::new(&Settings {
        probes: vec!["198.51.100.0/24".parse().unwrap()],
        clients_per_stream: NonZeroU32::new(80),
        ..limits(2, 80)
    });
    let crowd: Vec<_> = (0..100)
        .map(|number| house.admit(&format!("192.0.2.{number}")))
        .collect();
    assert_eq!(crowd.iter().filter(|admitted| admitted.is_ok()).count(), 72);
    let probes: Vec<_> = (0..5)
        .flat_map(|number| {
            [
                house.admit(&format!("198.51.100.{number}")),
                house.admit(&format!("198.51.100.{number}")),
            ]
        })
        .collect();
    assert_eq!(probes.iter().filter(|admitted| admitted.is_ok()).count(), 8);
    assert_eq!(house.admit("198.51.100.99").unwrap_err(), Refusal::Host);
    drop((crowd, probes));
    assert!(house.connections.is_clear());

    let house = House::new(&Settings {
        probes: vec!["198.51.100.0/24".parse().unwrap()],
        clients_per_stream: NonZeroU32::new(1),
        ..limits(2, 80)
    });
    let _only = house.admit(A).unwrap();
    assert_eq!(house.admit(B).unwrap_err(), Refusal::Stream);
    assert!(house.admit("198.51.100.1").is_ok());
}

#[test]
fn a_reload_touches_nobody_who_is_in() {
    let mut house = House::within(4, 100);
    let held: Vec<_> = (0..4).map(|_| house.admit(A).unwrap()).collect();
    house.policy = Policy::new(&Settings {
        // From now on it counts under another key, and there is less room than is used.
        ipv6_prefix: crate::client::Ipv6Prefix::new(128).unwrap(),
        ..limits(2, 3)
    });
    assert_eq!(house.connections.open(), 4);
    assert_eq!(house.admit(A).unwrap_err(), Refusal::Client);
    assert_eq!(house.admit(B).unwrap_err(), Refusal::Host);
    drop(held);
    assert!(house.connections.is_clear());
}

#[tokio::test(start_paused = true)]
async fn who_holds_most_is_told_first_with_the_ages() {
    let house = House::within(10, 100);
    let mut held = vec![house.admit(A).unwrap()];
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    held.extend([A, B, C, C, C].map(|address| house.admit(address).unwrap()));
    let top = house.connections.top(2);
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
