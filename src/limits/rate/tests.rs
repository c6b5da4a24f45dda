use std::{convert::Infallible, net::IpAddr, num::NonZeroU32};

use axum::body::Body;
use tower::service_fn;

use super::*;
use crate::{
    client::{CandidateAddrs, ClientAddr, ClientKey, Ipv6Prefix, PeerAddr},
    limits::settings::NetworkLimits,
};

fn settings(per_minute: u32, burst: u32) -> LimitSettings {
    LimitSettings {
        requests_per_minute: NonZeroU32::new(per_minute).unwrap(),
        request_burst: NonZeroU32::new(burst).unwrap(),
        ..LimitSettings::default()
    }
}

fn refuse(error: GovernorError) -> Response<Body> {
    let too_soon = matches!(error, GovernorError::TooManyRequests { .. });
    let status = if too_soon { 429 } else { 500 };
    Response::builder().status(status).body(Body::empty()).unwrap()
}

async fn send(rate: &RateLimiter, request: Request<()>) -> u16 {
    let inner = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Body::empty())));
    let response = rate.limit(request, inner, refuse).await;
    response.unwrap().status().as_u16()
}

async fn ask(rate: &RateLimiter, address: &str) -> u16 {
    let client = ClientAddr::from(address.parse::<IpAddr>().unwrap());
    let mut request = Request::new(());
    request.extensions_mut().insert(client);
    request
        .extensions_mut()
        .insert::<ClientKey>(client.key(Ipv6Prefix::default()));
    send(rate, request).await
}

/// Returns how many requests in a row are answered, of at most `of`.
async fn answered(rate: &RateLimiter, address: &str, of: u32) -> u32 {
    for number in 0..of {
        if ask(rate, address).await != 200 {
            return number;
        }
    }
    of
}

#[tokio::test]
async fn who_asks_too_often_is_refused_and_nobody_else() {
    let rate = RateLimiter::new(&settings(1, 3));
    assert_eq!(answered(&rate, "192.0.2.1", 10).await, 3);
    assert_eq!(ask(&rate, "192.0.2.1").await, 429);
    assert_eq!(ask(&rate, "192.0.2.2").await, 200);
}

#[tokio::test]
async fn a_request_of_nobody_is_a_fault() {
    assert_eq!(
        send(&RateLimiter::new(&settings(1, 3)), Request::new(())).await,
        500
    );
}

#[tokio::test]
async fn a_bucket_that_is_full_again_costs_no_memory() {
    let rate = RateLimiter::new(&settings(u32::MAX, 1));
    ask(&rate, "192.0.2.1").await;
    while rate.clients() > 0 {
        rate.forget_idle();
    }
}

#[tokio::test]
async fn a_network_has_a_rate_of_its_own() {
    let mut campus = NetworkLimits::new("198.51.100.0/24".parse().unwrap());
    campus.request_burst = NonZeroU32::new(7);
    let mut settings = settings(1, 3);
    settings.networks.push(campus);
    let rate = RateLimiter::new(&settings);
    assert_eq!(answered(&rate, "198.51.100.1", 10).await, 7);
    assert_eq!(answered(&rate, "198.51.101.1", 10).await, 3);
}

#[tokio::test]
async fn somebody_who_is_not_known_asks_no_more_often_than_any_of_those_that_are_named() {
    let mut dormitory = NetworkLimits::new("198.51.100.0/24".parse().unwrap());
    dormitory.request_burst = NonZeroU32::new(2);
    let mut campus = NetworkLimits::new("203.0.113.0/24".parse().unwrap());
    campus.request_burst = NonZeroU32::new(9);
    let mut settings = settings(1, 3);
    settings.networks.extend([campus, dormitory]);
    for (candidates, burst) in [
        (&["203.0.113.1", "198.51.100.1"][..], 2),
        (&["203.0.113.1"], 3),
        (&[], 3),
    ] {
        let rate = RateLimiter::new(&settings);
        let mut answered = 0;
        while send(&rate, of_unidentified(candidates)).await == 200 {
            answered += 1;
        }
        assert_eq!(answered, burst, "{candidates:?}");
    }
}

/// Returns a request of an unidentified client that may have any of these addresses.
fn of_unidentified(candidates: &[&str]) -> Request<()> {
    let client = ClientAddr::behind(PeerAddr("10.0.0.1:4711".parse().unwrap()));
    let candidates = candidates.iter().map(|address| address.parse().unwrap());
    let mut request = Request::new(());
    let extensions = request.extensions_mut();
    extensions.insert(client);
    extensions.insert(CandidateAddrs(candidates.collect()));
    extensions.insert::<ClientKey>(client.key(Ipv6Prefix::default()));
    request
}

#[tokio::test]
async fn whoever_has_a_whole_48_does_not_have_as_many_buckets() {
    let rate = RateLimiter::new(&settings(1, 3));
    let mut all = 0;
    for network in 0..20 {
        all += answered(&rate, &format!("2001:db8:1:{network:x}::1"), 3).await;
    }
    assert_eq!(all, 24);
    assert_eq!(ask(&rate, "2001:db8:2::1").await, 200);
}

#[tokio::test]
async fn a_reload_fills_the_buckets_whose_rate_changed_and_no_other() {
    let mut campus = NetworkLimits::new("198.51.100.0/24".parse().unwrap());
    campus.request_burst = NonZeroU32::new(5);
    let mut settings = settings(1, 3);
    settings.networks.push(campus);
    let rate = RateLimiter::new(&settings);
    let (usual, raised) = ("192.0.2.1", "198.51.100.1");
    assert_eq!(answered(&rate, usual, 9).await, 3);
    assert_eq!(answered(&rate, raised, 9).await, 5);

    settings.request_burst = NonZeroU32::new(4).unwrap();
    rate.reload(&settings);
    assert_eq!(answered(&rate, usual, 9).await, 4);
    assert_eq!(answered(&rate, raised, 9).await, 0);
}
