//! Limits that change while streams are open.

use super::*;

async fn new_limits_hold_for_who_comes_and_touch_nobody_who_is_there() {
    let gateway = gateway(streams(2), |_| {});
    let mut held = Vec::new();
    for expected in ["200", "200", "429"] {
        let (client, status) = from([127, 0, 0, 1], &gateway).await;
        assert_eq!(status, expected);
        held.push(client);
    }
    gateway.admission.reload(&streams(3));
    let (third, status) = from([127, 0, 0, 1], &gateway).await;
    assert_eq!(status, "200");

    gateway.admission.reload(&LimitSettings {
        deny: vec!["127.0.0.2/32".parse().unwrap()],
        requests_per_minute: number(1),
        request_burst: number(2),
        ..streams(1)
    });
    assert_eq!(from([127, 0, 0, 1], &gateway).await.1, "429");
    assert_eq!(from([127, 0, 0, 2], &gateway).await.1, "403");
    assert_eq!(
        gateway.metric(ADMITTED).await,
        3.0,
        "above what may be, and still there"
    );
    drop((held, third));
    gateway.until_metric(ADMITTED, 0.0).await;
    assert_eq!(from([127, 0, 0, 1], &gateway).await.1, "200");
    assert_eq!(
        get(gateway.public, "/", "").await.json()["title"],
        "Too Many Requests From Your Client IP"
    );
}

async fn who_has_most_and_who_is_refused_is_shown_to_those_who_run_it_only() {
    let gateway = gateway(streams(2), |_| {});
    let _one = from([127, 0, 0, 2], &gateway).await;
    let mut crowd = Vec::new();
    for _ in 0..5 {
        crowd.push(from([127, 0, 0, 1], &gateway).await);
    }
    let shown = get(gateway.admin, "/admin/clients", "").await.json();
    assert_eq!((&shown["streams"], &shown["clients"]), (&3.into(), &2.into()));
    assert_eq!(shown["streams_total"], 10_000);
    let top = &shown["by_streams"][0];
    assert_eq!(
        (&top["client"], &top["streams"]),
        (&"127.0.0.1".into(), &2.into())
    );
    assert!(top["oldest_seconds"].as_u64() >= top["newest_seconds"].as_u64());
    assert_eq!(shown["by_streams"][1]["client"], "127.0.0.2");
    let refused = &shown["by_refusals"][0];
    assert_eq!(
        (&refused["client"], &refused["refusals"]),
        (&"127.0.0.1".into(), &3.into())
    );
    assert_eq!(refused["last_reason"], "client_streams");
    assert_eq!(shown["by_refusals"].as_array().unwrap().len(), 1);
    assert_eq!(get(gateway.public, "/admin/clients", "").await.status, 404);
}

on_both_sinks! {
    #[tokio::test]
    new_limits_hold_for_who_comes_and_touch_nobody_who_is_there
    who_has_most_and_who_is_refused_is_shown_to_those_who_run_it_only
}
