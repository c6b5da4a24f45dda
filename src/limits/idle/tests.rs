use std::{collections::BTreeSet, num::NonZeroU32};

use futures_util::FutureExt;
use proptest::prelude::*;
use tokio::time::{Instant, advance, sleep};

use super::*;

fn idle(total: u32, per_client: u32) -> IdleConnections {
    let settings = LimitSettings {
        connections_without_stream: NonZeroU32::new(total).unwrap(),
        connections_without_stream_per_client: NonZeroU32::new(per_client).unwrap(),
        ..LimitSettings::default()
    };
    IdleConnections::new(&settings, LimitMetrics::default())
}

fn client(number: u8) -> ClientKey {
    ClientKey::of([192, 0, 2, number].into())
}

fn enter(idle: &IdleConnections, number: u8) -> IdleGuard {
    let guard = idle.guard();
    guard.enter_as(client(number));
    guard
}

fn is_evicted(guard: &IdleGuard) -> bool {
    guard.evicted().now_or_never().is_some()
}

#[test]
fn a_client_with_too_many_loses_its_own_oldest() {
    let idle = idle(10, 2);
    let other = enter(&idle, 2);
    let own: Vec<_> = (0..4).map(|_| enter(&idle, 1)).collect();
    assert_eq!(
        own.iter().map(is_evicted).collect::<Vec<_>>(),
        [true, true, false, false]
    );
    assert!(!is_evicted(&other));
    assert_eq!(idle.count(), 3);
}

#[test]
fn a_full_lobby_loses_the_oldest_of_all() {
    let idle = idle(3, 2);
    let guards: Vec<_> = (0..5).map(|number| enter(&idle, number)).collect();
    let gone = guards.iter().map(is_evicted).collect::<Vec<_>>();
    assert_eq!(gone, [true, true, false, false, false]);
}

#[test]
fn a_proxy_has_as_many_as_there_may_be_in_all_and_no_more() {
    let idle = idle(4, 2);
    let of_a_proxy = || {
        let guard = idle.guard();
        guard.enter_as_proxy();
        guard
    };
    let mut guards: Vec<_> = (0..4).map(|_| of_a_proxy()).collect();
    assert!(!guards.iter().any(is_evicted));
    guards.push(enter(&idle, 1));
    guards.push(of_a_proxy());
    assert_eq!(
        guards.iter().map(is_evicted).collect::<Vec<_>>(),
        [true, true, false, false, false, false]
    );
    assert_eq!(idle.count(), 4);
}

#[test]
fn the_admin_listener_has_a_few_of_its_own() {
    let idle = IdleConnections::for_admin(LimitMetrics::default());
    let guards: Vec<_> = (0..200).map(|number| enter(&idle, number)).collect();
    assert_eq!(idle.count(), ADMIN.total);
    let of_one: Vec<_> = (0..200).map(|_| enter(&idle, 250)).collect();
    let kept = of_one.iter().filter(|guard| !is_evicted(guard)).count();
    assert_eq!(kept, ADMIN.per_client);
    drop(guards);
}

#[test]
fn who_asked_goes_behind_who_is_silent() {
    let idle = idle(2, 2);
    let (active, silent) = (enter(&idle, 1), enter(&idle, 2));
    active.enter();
    let _third = enter(&idle, 3);
    assert!(is_evicted(&silent) && !is_evicted(&active));
}

#[test]
fn who_has_a_stream_is_not_there_and_is_back_behind_it() {
    let idle = idle(1, 1);
    let streaming = enter(&idle, 1);
    streaming.leave();
    assert_eq!(idle.count(), 0);
    let other = enter(&idle, 2);
    assert!(!is_evicted(&streaming));
    streaming.enter();
    assert!(is_evicted(&other));
    drop((streaming, other));
    assert_eq!(idle.count(), 0);
}

#[test]
fn who_asks_in_the_moment_it_is_evicted_may_stay() {
    let idle = idle(1, 1);
    let asking = enter(&idle, 1);
    let _newest = enter(&idle, 2);
    asking.leave();
    assert!(!is_evicted(&asking));
}

#[tokio::test(start_paused = true)]
async fn newcomers_are_not_pushed_out_by_each_other() {
    let idle = idle(2, 2);
    let first = enter(&idle, 1);
    assert!(idle.wait_for_capacity().now_or_never().is_some(), "there is room");
    let _second = enter(&idle, 1);
    let start = Instant::now();
    idle.wait_for_capacity().await;
    assert_eq!(start.elapsed(), NEWCOMER_TIME);
    assert!(
        idle.wait_for_capacity().now_or_never().is_some(),
        "the first is no newcomer any more"
    );
    first.enter();
    idle.wait_for_capacity().await;
    let third = enter(&idle, 2);
    let start = Instant::now();
    let (_, ()) = tokio::join!(idle.wait_for_capacity(), async { third.leave() });
    assert_eq!(
        start.elapsed(),
        Duration::ZERO,
        "a guard that comes free is taken at once"
    );
}

#[tokio::test(start_paused = true)]
async fn a_handshake_is_a_newcomer_anew_with_each_step() {
    let idle = idle(2, 2);
    let (one, two) = (enter(&idle, 1), enter(&idle, 2));
    for (wait, expected) in [
        (IdleWait::Client, NEWCOMER_TIME),
        (IdleWait::RoundTrip, ROUND_TRIP_TIME),
        (IdleWait::Turn, TURN_TIME),
    ] {
        advance(TURN_TIME).await;
        one.renew(wait);
        two.renew(wait);
        let start = Instant::now();
        idle.wait_for_capacity().await;
        assert_eq!(start.elapsed(), expected, "{wait:?}");
    }
    assert_eq!(idle.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn accepting_waits_for_the_next_oldest_too_but_not_for_ever() {
    let idle = idle(1, 1);
    let only = enter(&idle, 1);
    only.renew(IdleWait::RoundTrip);
    let start = Instant::now();
    let (_, ()) = tokio::join!(idle.wait_for_capacity(), async {
        sleep(ROUND_TRIP_TIME / 2).await;
        only.renew(IdleWait::RoundTrip);
    });
    assert_eq!(start.elapsed(), ROUND_TRIP_TIME * 3 / 2);
    only.renew(IdleWait::RoundTrip);
    let start = Instant::now();
    let renewing = async {
        loop {
            sleep(ROUND_TRIP_TIME / 2).await;
            only.renew(IdleWait::RoundTrip);
        }
    };
    tokio::select! {
        () = renewing => {}
        () = idle.wait_for_capacity() => {}
    }
    assert_eq!(start.elapsed(), LONGEST_WAIT);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_request_goes_before_a_handshake_that_is_on_its_way() {
    let idle = idle(2, 2);
    let (shaking, settled) = (enter(&idle, 1), enter(&idle, 2));
    shaking.renew(IdleWait::RoundTrip);
    settled.enter();
    advance(NEWCOMER_TIME).await;
    let _third = enter(&idle, 3);
    assert!(is_evicted(&settled) && !is_evicted(&shaking));
    // All are newcomers now.
    let _fourth = enter(&idle, 4);
    assert!(is_evicted(&shaking));
}

#[test]
fn a_handshake_that_was_evicted_does_not_come_back_by_its_next_step() {
    let idle = idle(1, 1);
    let first = enter(&idle, 1);
    let second = enter(&idle, 2);
    first.renew(IdleWait::RoundTrip);
    assert!(is_evicted(&first) && !is_evicted(&second));
    second.leave();
    second.renew(IdleWait::RoundTrip);
    assert_eq!(idle.count(), 0, "nor does one that has its request");
}

proptest! {
    #[test]
    fn it_never_holds_more_than_it_may(steps in proptest::collection::vec((0..5_u8, 0..5_u8, 0..40_usize), 0..200)) {
        let idle = idle(9, 3);
        let mut guards = Vec::new();
        for (step, number, index) in steps {
            match (step, guards.get(index)) {
                (0 | 1, _) => guards.push(enter(&idle, number)),
                (2, Some(guard)) => IdleGuard::leave(guard),
                (3, Some(guard)) => IdleGuard::enter(guard),
                (4, Some(guard)) => guard.renew(IdleWait::RoundTrip),
                _ => drop(guards.pop()),
            }
            let list = idle.0.list.lock();
            prop_assert!(list.by_age.len() <= 9);
            prop_assert!(list.by_client.values().all(|own| (1..=3).contains(&own.len())));
            let counted: usize = list.by_client.values().map(BTreeSet::len).sum();
            prop_assert_eq!(counted, list.by_age.len());
        }
        drop(guards);
        prop_assert_eq!(idle.count(), 0);
        prop_assert!(idle.0.list.lock().by_client.is_empty());
    }
}
