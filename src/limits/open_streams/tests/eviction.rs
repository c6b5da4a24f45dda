//! Slots that are taken from one stream and given to another.

use super::*;

fn dead(fake: &FakeStream) {
    fake.is_dead.store(true, Ordering::Relaxed);
}

#[test]
fn a_client_that_vanished_is_let_in_again_and_its_old_stream_goes() {
    let fixture = AdmissionFixture::within(2, 100);
    let (alive, vanished) = (fixture.watched(A).unwrap(), fixture.watched(A).unwrap());
    assert_eq!(fixture.admit(A).unwrap_err(), Refusal::Client);

    dead(&vanished.1);
    let back = fixture.watched(A).unwrap();
    assert_eq!(*vanished.1.left.lock(), Some(EvictReason::Dead));
    assert_eq!((*alive.1.left.lock(), *back.1.left.lock()), (None, None));
    assert_eq!(fixture.admit(A).unwrap_err(), Refusal::Client);
    assert_eq!(fixture.open_streams.open(), 2);

    // Its own permit does not free the slot a second time.
    drop(vanished);
    assert_eq!(fixture.open_streams.open(), 2);
    assert_eq!(fixture.admit(A).unwrap_err(), Refusal::Client);
    drop((alive, back));
    assert!(fixture.open_streams.is_clear());
}

#[test]
fn a_dead_stream_of_somebody_else_makes_no_room() {
    let fixture = AdmissionFixture::within(1, 100);
    let (neighbour, own) = (fixture.watched(B).unwrap(), fixture.watched(A).unwrap());
    dead(&neighbour.1);
    assert_eq!(fixture.admit(A).unwrap_err(), Refusal::Client);
    assert_eq!((*neighbour.1.left.lock(), *own.1.left.lock()), (None, None));
}

#[test]
fn a_dead_stream_makes_room_under_whatever_limit_its_client_meets() {
    let fixture = AdmissionFixture::new(&LimitSettings {
        clients_per_stream: NonZeroU32::new(1),
        ..limits(5, 100)
    });
    let vanished = fixture.watched(A).unwrap();
    assert_eq!(fixture.admit(A).unwrap_err(), Refusal::Stream);
    dead(&vanished.1);
    assert!(fixture.admit(A).is_ok());
}

#[test]
fn of_a_client_with_thousands_no_more_are_looked_at_than_a_few() {
    let fixture = AdmissionFixture::within(1000, 10_000);
    let held: Vec<_> = (0..1000).map(|_| fixture.watched(A).unwrap()).collect();
    assert_eq!(
        fixture
            .open_streams
            .held
            .get(&fixture.policy.key(address(A)))
            .unwrap()
            .sample(MAX_EXAMINED)
            .len(),
        MAX_EXAMINED
    );
    // Wherever the sample begins, it contains some of these.
    held.iter().step_by(2).for_each(|(_, fake)| dead(fake));
    assert!(fixture.admit(A).is_ok());
    assert_eq!(
        held.iter().filter(|(_, fake)| fake.left.lock().is_some()).count(),
        1
    );
}

fn address(text: &str) -> ClientAddr {
    text.parse::<IpAddr>().unwrap().into()
}

fn evicting(per_client: u32, total: u32) -> AdmissionFixture {
    AdmissionFixture::new(&LimitSettings {
        evict_when_full: true,
        ..limits(per_client, total)
    })
}

/// Fills a host for 16 streams: one client has 9, another 5, two have one each.
fn full(fixture: &AdmissionFixture) -> HashMap<&'static str, Vec<(Permit, Arc<FakeStream>)>> {
    let fill = [(A, 9), (B, 5), (C, 1), ("192.0.2.4", 1)];
    fill.into_iter()
        .map(|(address, streams)| {
            (
                address,
                (0..streams).map(|_| fixture.watched(address).unwrap()).collect(),
            )
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn who_has_most_makes_room_for_who_has_none() {
    let fixture = evicting(9, 16);
    let held = full(&fixture);
    let newcomer = fixture.admit("192.0.2.5").unwrap();
    assert_eq!(
        *held[A][8].1.left.lock(),
        Some(EvictReason::HostFull),
        "the newest of who has most"
    );
    let gone = |address: &str| {
        held[address]
            .iter()
            .filter(|(_, fake)| fake.left.lock().is_some())
            .count()
    };
    assert_eq!((gone(A), gone(B), gone(C)), (1, 0, 0));
    assert_eq!(fixture.open_streams.open(), 16);
    drop((held, newcomer));
    assert!(fixture.open_streams.is_clear());
}

#[tokio::test(start_paused = true)]
async fn nobody_goes_for_who_has_one_already_nor_when_it_is_switched_off() {
    let fixture = evicting(9, 16);
    let held = full(&fixture);
    assert_eq!(fixture.admit(C).unwrap_err(), Refusal::Host);
    assert!(
        held.values()
            .flatten()
            .all(|(_, fake)| fake.left.lock().is_none())
    );

    let fixture = AdmissionFixture::within(9, 16);
    let held = full(&fixture);
    assert_eq!(fixture.admit("192.0.2.5").unwrap_err(), Refusal::Host);
    assert!(
        held.values()
            .flatten()
            .all(|(_, fake)| fake.left.lock().is_none())
    );
}

#[tokio::test(start_paused = true)]
async fn newcomers_are_let_in_until_all_have_the_same_and_then_refused() {
    let fixture = evicting(9, 16);
    let _held = full(&fixture);
    let mut newcomers = Vec::new();
    for number in 5.. {
        let admitted = fixture.admit(&format!("192.0.2.{number}"));
        tokio::time::advance(std::time::Duration::from_millis(100)).await;
        match admitted {
            Ok(permit) => newcomers.push(permit),
            Err(refusal) => {
                assert_eq!(refusal, Refusal::Host);
                break;
            }
        }
    }
    // Twelve newcomers and the four that were there, one stream each.
    assert_eq!(newcomers.len(), 12);
    assert_eq!(
        (fixture.open_streams.open(), fixture.open_streams.clients()),
        (16, 16)
    );
}

#[tokio::test(start_paused = true)]
async fn a_census_serves_a_crowd_that_comes_at_once() {
    let fixture = evicting(9, 16);
    let _held = full(&fixture);
    let newcomers: Vec<_> = (5..9)
        .map(|number| fixture.admit(&format!("192.0.2.{number}")))
        .collect();
    assert!(newcomers.iter().all(Result::is_ok), "{newcomers:?}");
}

#[tokio::test(start_paused = true)]
async fn a_reload_to_less_than_there_is_ends_nobody_for_a_newcomer_who_cannot_be_let_in() {
    let mut fixture = evicting(9, 16);
    let held = full(&fixture);
    fixture.policy = evicting(9, 10).policy;
    assert_eq!(fixture.admit("192.0.2.5").unwrap_err(), Refusal::Host);
    assert!(
        held.values()
            .flatten()
            .all(|(_, fake)| fake.left.lock().is_none())
    );
}
