//! Every limit, and the response to a request that exceeds it.

use super::*;

fn refused(reason: &str) -> String {
    format!("riverhead_refusals_total{{reason=\"{reason}\"}}")
}

/// Sends a GET from this loopback address.
async fn get_from(
    source: [u8; 4],
    address: std::net::SocketAddr,
    target: &str,
) -> crate::support::gateway::TestResponse {
    let mut client = TestClient::from(source, address).await;
    let request = format!("GET {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    client.send(&request).await;
    client.answer().await
}

const NEIGHBOUR: [u8; 4] = [127, 0, 0, 2];

async fn who_is_denied_gets_nothing_but_on_the_admin_listener() {
    let limits = LimitSettings {
        deny: vec!["127.0.0.0/8".parse().unwrap()],
        allow: vec!["127.0.0.1/32".parse().unwrap()],
        ..streams(1)
    };
    let gateway = gateway(limits, |_| {});
    for target in [STREAM, "/", "/livez", "/nowhere", "/v2/stream/%ZZ"] {
        let answer = get_from(NEIGHBOUR, gateway.public, target).await;
        assert_eq!(answer.status, 403, "{target}");
        assert_eq!(answer.json()["type"], "forbidden");
        assert_eq!(answer.json()["uri"], target);
        assert_eq!(answer.header("retry-after"), None);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
    assert_eq!(get_from(NEIGHBOUR, gateway.admin, "/livez").await.status, 200);
    assert_eq!(from([127, 0, 0, 1], &gateway).await.1, "200");
    assert_eq!(gateway.metric(&refused("denied")).await, 5.0);
}

async fn a_stream_with_many_clients_leaves_the_others_alone() {
    let limits = LimitSettings {
        max_clients: [("revision".into(), Some(number(1)))].into(),
        ..streams(10)
    };
    let gateway = gateway(limits, |_| {});
    let ask = async |streams: &str| {
        let mut client = TestClient::stream(gateway.public, &format!("/v2/stream/{streams}")).await;
        let status = client.head().await[9..12].to_owned();
        (client, status)
    };
    let (composite, status) = ask("recentchange,revision").await;
    assert_eq!(status, "200");
    let refusal = get(gateway.public, "/v2/stream/revision", "").await;
    assert_eq!(
        (refusal.status, &refusal.json()["title"]),
        (503, &"Too Many Clients Of This Stream".into())
    );
    assert!(refusal.header("retry-after").is_some());
    assert_eq!(ask("mediawiki.recentchange,revision").await.1, "503");
    let (_other, status) = ask("recentchange").await;
    assert_eq!(status, "200");
    drop(composite);
    gateway.until_metric(ADMITTED, 1.0).await;
    assert_eq!(ask("revision").await.1, "200");
    assert_eq!(gateway.metric(&refused("stream_clients")).await, 2.0);
}

async fn whoever_has_a_whole_48_is_one_site() {
    let gateway = gateway(streams(1), |settings| {
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()]
    });
    let ask_for = async |address: String| {
        let line = format!("x-forwarded-for: {address}\r\n");
        ask(TestClient::connect(gateway.public).await, &line).await
    };
    let mut held = Vec::new();
    for network in 0..8 {
        let (client, status) = ask_for(format!("2001:db8:1:{network}::1")).await;
        assert_eq!(status, "200");
        held.push(client);
    }
    assert_eq!(ask_for("2001:db8:1:7::2".into()).await.1, "429", "its own /64");
    assert_eq!(ask_for("2001:db8:1:8::1".into()).await.1, "429", "its site");
    assert_eq!(ask_for("2001:db8:2::1".into()).await.1, "200");
    assert_eq!(gateway.metric(OVER_CLIENT).await, 1.0);
    assert_eq!(gateway.metric(&refused("site_streams")).await, 1.0);
}

async fn a_network_with_limits_of_its_own_is_held_to_those() {
    let mut campus = NetworkLimits::new("127.0.0.2/31".parse().unwrap());
    campus.streams_per_client = Some(number(3));
    campus.request_burst = Some(number(6));
    let limits = LimitSettings {
        streams_per_client: number(1),
        requests_per_minute: number(1),
        request_burst: number(3),
        networks: vec![campus],
        ..LimitSettings::default()
    };
    let gateway = gateway(limits, |_| {});
    for (source, let_in, burst) in [([127, 0, 0, 1], 1, 3), (NEIGHBOUR, 3, 6)] {
        let mut held = Vec::new();
        for _ in 0..burst {
            held.push(from(source, &gateway).await);
        }
        assert_eq!(held.iter().filter(|(_, status)| status == "200").count(), let_in);
        let too_soon = get_from(source, gateway.public, "/").await;
        assert_eq!(too_soon.json()["title"], "Too Many Requests From Your Client IP");
    }
    assert_eq!(gateway.metric(OVER_RATE).await, 2.0);
}

async fn a_probe_gets_in_when_the_host_is_full() {
    let limits = LimitSettings {
        streams_total: number(4),
        probes: vec!["127.0.0.3/32".parse().unwrap()],
        ..streams(2)
    };
    let gateway = gateway(limits, |_| {});
    let mut crowd = Vec::new();
    for last in [10, 11, 12] {
        crowd.push(from([127, 0, 0, last], &gateway).await);
    }
    let statuses: Vec<_> = crowd.iter().map(|(_, status)| status.as_str()).collect();
    assert_eq!(statuses, ["200", "200", "503"]);
    let probe = [127, 0, 0, 3];
    let probes = [
        from(probe, &gateway).await,
        from(probe, &gateway).await,
        from(probe, &gateway).await,
    ];
    assert_eq!(
        probes.each_ref().map(|(_, status)| status.as_str()),
        ["200", "200", "429"]
    );
}

on_both_sinks! {
    #[tokio::test]
    who_is_denied_gets_nothing_but_on_the_admin_listener
    a_stream_with_many_clients_leaves_the_others_alone
    whoever_has_a_whole_48_is_one_site
    a_network_with_limits_of_its_own_is_held_to_those
    a_probe_gets_in_when_the_host_is_full
}
