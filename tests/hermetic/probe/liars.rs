//! Gateways with one fault each. The exit code and the sentence must name the fault.

use tokio::net::TcpListener;

use crate::probe::{
    expect,
    liar::{FakeServer, HEAD, Then, asked, event, event_of},
};

/// Probes a server that answers every request this way.
async fn answer(bytes: String, then: Then, arguments: &[&str], code: i32, said: &str) {
    let liar = FakeServer::start(move |_| (bytes.clone(), then)).await;
    let url = liar.url();
    let mut all = vec![url.as_str(), "--timeout", "500ms"];
    all.extend(arguments);
    expect(&all, code, &[said]).await;
}

#[tokio::test]
async fn who_cannot_be_reached_is_critical_with_the_cause() {
    expect(
        &["http://no-such-host.invalid/v2/stream/t"],
        2,
        &["DNS: `no-such-host.invalid` does not resolve"],
    )
    .await;
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let said = format!("RIVERHEAD CRITICAL - t: {free} refuses connections\n");
    expect(&[&format!("http://{free}/v2/stream/t")], 2, &[&said]).await;
}

#[tokio::test]
async fn who_hangs_is_critical_where_it_hangs() {
    answer(String::new(), Then::Hang, &[], 2, "no response head within 500ms").await;
    answer(HEAD.into(), Then::Hang, &[], 2, "no prelude within 500ms").await;
    answer(
        format!("{HEAD}:ok\n"),
        Then::Hang,
        &[],
        2,
        "no prelude within 500ms",
    )
    .await;
    answer(
        format!("{HEAD}:ok\n\n"),
        Then::Hang,
        &[],
        2,
        "no event within 500ms",
    )
    .await;
    answer(
        format!("{HEAD}:ok\n\n:\n:\n"),
        Then::Hang,
        &[],
        2,
        "no event within 500ms",
    )
    .await;
}

#[tokio::test]
async fn who_breaks_off_is_critical() {
    answer(
        String::new(),
        Then::Close,
        &[],
        2,
        "no HTTP response: connection closed",
    )
    .await;
    answer(format!("{HEAD}:ok\n\n"), Then::Close, &[], 2, "the stream ended").await;
    answer(
        "SSH-2.0-OpenSSH\r\n".into(),
        Then::Close,
        &[],
        2,
        "no HTTP response: invalid HTTP",
    )
    .await;
    let begun = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";
    answer(
        format!("{begun}5\r\n:ok\n\n\r\n"),
        Then::Close,
        &[],
        2,
        "the connection broke",
    )
    .await;
    let liar = FakeServer::start(|_| (String::new(), Then::Reset)).await;
    expect(
        &[&liar.url()],
        2,
        &["no HTTP response: connection error: Connection reset by peer"],
    )
    .await;
}

#[tokio::test]
async fn who_says_something_else_is_critical() {
    let busy = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 26\r\n\r\n{\"detail\":\"all taken | x\"}";
    answer(
        busy.into(),
        Then::Hang,
        &[],
        2,
        "status 503 instead of 200: all taken   x |",
    )
    .await;
    answer(
        format!("{HEAD}:ok\n{}", event(1)),
        Then::Hang,
        &[],
        2,
        r#"begins with ":ok\nevent: message"#,
    )
    .await;
    answer(
        format!("{HEAD}<html>"),
        Then::Hang,
        &[],
        2,
        r#"the stream begins with "<html>" instead of ":ok\n\n""#,
    )
    .await;
    let html = HEAD.replace("text/event-stream", "text/html") + ":ok\n\n" + &event(1);
    answer(html, Then::Hang, &[], 2, "content-type is").await;
    let cached = HEAD.replace(", no-transform", "") + ":ok\n\n" + &event(1);
    answer(cached, Then::Hang, &[], 1, "cache-control lacks no-transform").await;
    answer(
        format!("{HEAD}:ok\n\ndata: 1\n\n"),
        Then::Hang,
        &[],
        2,
        "an event has no id",
    )
    .await;
    answer(
        format!("{HEAD}:ok\n\nid: x\ndata: 1\n\n"),
        Then::Hang,
        &[],
        2,
        "an id that cannot be read",
    )
    .await;
}

#[tokio::test]
async fn stale_events_are_critical_to_who_says_how_old_they_may_be() {
    let hour_ago = jiff::Timestamp::now().as_millisecond() - 3_600_000;
    let stale = format!("{HEAD}:ok\n\n{}", event_of(1, hour_ago, "{}"));
    answer(stale.clone(), Then::Hang, &[], 0, "age 3600").await;
    answer(
        stale,
        Then::Hang,
        &["--max-age", "60s"],
        2,
        "0/1 partitions have an event of the last 60s; none in t-0",
    )
    .await;
}

/// Runs a probe with a log of the offsets 0 to 20 and a stream that resumes correctly, except for `lie`,
/// which changes what follows the resumed offset.
async fn resuming(lie: fn(&mut Vec<String>), code: i32, said: &str) {
    let liar = FakeServer::start(move |head| {
        let events = |from| (from..20).map(event).collect::<Vec<_>>();
        let events = match asked(head) {
            None => events(19),
            // The older offsets that the probe looks up. It resumes after them.
            Some(back @ ..15) => events(back),
            Some(cut) => {
                let mut events = events(cut);
                lie(&mut events);
                events
            }
        };
        (format!("{HEAD}:ok\n\n{}", events.concat()), Then::Hang)
    })
    .await;
    expect(&[&liar.url(), "--resume", "--timeout", "1s"], code, &[said]).await;
}

#[tokio::test]
async fn a_resume_that_is_not_exact_is_critical() {
    resuming(|_| {}, 0, "resume exact").await;
    resuming(
        |events| drop(events.remove(1)),
        2,
        "resume not exact: 1 events lost",
    )
    .await;
    resuming(
        |events| drop(events.drain(..2)),
        2,
        "resume not exact: 2 events lost",
    )
    .await;
    resuming(
        |events| events.insert(1, events[0].clone()),
        2,
        "resume not exact: 1 events repeated",
    )
    .await;
    resuming(
        |events| events.insert(0, event(14)),
        2,
        "resume not exact: 1 events repeated",
    )
    .await;
    resuming(
        |events| events[1] = events[1].replace("\"n\"", "\"m\""),
        2,
        "resume not exact: 1 events different",
    )
    .await;
    let gap =
        |events: &mut Vec<String>| events.insert(0, "event: gap\ndata: {\"reason\":\"expired\"}\n\n".into());
    resuming(gap, 2, "resume not exact: gap {\"reason\":\"expired\"}").await;
    resuming(
        Vec::clear,
        2,
        "cannot resume with a received id: no event within 1s",
    )
    .await;
}

#[tokio::test]
async fn a_stream_from_a_time_on_that_begins_at_another_is_critical() {
    let hour_ago = jiff::Timestamp::now().as_millisecond() - 3_600_000;
    for (first, code, said) in [
        (event(3), 0, "since=60s holds"),
        (
            event_of(3, hour_ago, "{}"),
            2,
            "since=60s begins with an older event",
        ),
        (event(25), 2, "since=60s begins too late in t-0"),
        (String::new(), 2, "since=60s: no event within 500ms"),
    ] {
        let liar = FakeServer::start(move |head| {
            let event = if head.contains("since=") {
                first.clone()
            } else {
                event(19)
            };
            (format!("{HEAD}:ok\n\n{event}"), Then::Hang)
        })
        .await;
        expect(
            &[&liar.url(), "--since", "60s", "--timeout", "500ms"],
            code,
            &[said],
        )
        .await;
    }
}

/// Starts an admin listener whose `/healthz` is this.
async fn admin(status: &'static str, body: String) -> FakeServer {
    FakeServer::start(move |head| {
        assert!(head.starts_with("GET /healthz HTTP/1.1\r\n"), "{head}");
        let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n{body}");
        (answer, Then::Close)
    })
    .await
}

/// Probes a server that answers every request this way, and whose admin listener gives these reasons. Returns the line.
async fn with_reasons(bytes: String, admin: &FakeServer, code: i32, said: &str) -> String {
    let liar = FakeServer::start(move |_| (bytes.clone(), Then::Hang)).await;
    let admin = format!("http://{}", admin.address);
    expect(
        &[&liar.url(), "--timeout", "500ms", "--admin", &admin],
        code,
        &[said],
    )
    .await
}

#[tokio::test]
async fn what_fails_is_told_with_the_reasons_of_the_admin_listener() {
    let report = r#"{"state":"failing","reason":"stream t: no partition is read","streams":[],"clusters":[
        {"name":"main","state":"degraded","reason":"1 of 3 brokers answers","topics":[],"partitions":[
        {"topic":"t","partition":0,"state":"failing","reason":"cannot be read\u001b[2J | x"}]}]}"#;
    let admin = admin("503 Service Unavailable", report.into()).await;
    let reasons = "(/healthz says failing: stream t: no partition is read; main: 1 of 3 brokers answers; \
        t-0: cannot be read [2J   x)";
    let silent = format!("{HEAD}:ok\n\n");
    with_reasons(silent, &admin, 2, &format!("no event within 500ms {reasons}")).await;
    let busy = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 18\r\n\r\n{\"detail\":\"taken\"}";
    let refused = format!("status 503 instead of 200: taken {reasons}");
    with_reasons(busy.into(), &admin, 2, &refused).await;
    let good = format!("{HEAD}:ok\n\n{}", event(1));
    let line = with_reasons(good, &admin, 0, "RIVERHEAD OK").await;
    assert!(!line.contains("healthz"), "{line}");

    let liar = FakeServer::start(|head| {
        // No stream that resumes in the log's end gets anything.
        let events: String = match asked(head) {
            None => event(19),
            Some(back @ ..15) => (back..20).map(event).collect(),
            Some(_) => String::new(),
        };
        (format!("{HEAD}:ok\n\n{events}"), Then::Hang)
    })
    .await;
    let admin = format!("http://{}", admin.address);
    let said = format!("cannot resume with a received id: no event within 1s {reasons}");
    expect(
        &[&liar.url(), "--resume", "--timeout", "1s", "--admin", &admin],
        2,
        &[&said],
    )
    .await;
}

#[tokio::test]
async fn an_admin_listener_that_does_not_answer_changes_no_status() {
    let silent = format!("{HEAD}:ok\n\n");
    for (status, body, said) in [
        ("200 OK", "<html>", "this is no health report"),
        (
            "403 Forbidden",
            r#"{"detail":"add the name"}"#,
            "status 403 instead of 200: add the name",
        ),
    ] {
        let admin = admin(status, body.into()).await;
        let said = format!("no event within 500ms (/healthz does not say why: {said})");
        with_reasons(silent.clone(), &admin, 2, &said).await;
        let good = format!("{HEAD}:ok\n\n{}", event(1));
        with_reasons(good, &admin, 0, "RIVERHEAD OK").await;
    }
    let mute = FakeServer::start(|_| (String::new(), Then::Hang)).await;
    let said = "no event within 500ms (/healthz does not say why: no response head within 500ms)";
    with_reasons(silent, &mute, 2, said).await;
}
