//! A real gateway, over a model of Kafka.

use std::{num::NonZeroU32, time::Duration};

use riverhead::limits::settings::LimitSettings;
use tokio::{task::JoinHandle, time::interval};

use crate::{
    probe::expect,
    support::{
        gateway::{TestClient, TestGateway, edits},
        model::ModelFixture,
    },
};

/// A gateway whose topic has two partitions and 40 recent records.
pub(crate) struct ProbedGateway {
    gateway: TestGateway,
    pub(crate) url: String,
    writing: Option<JoinHandle<()>>,
}

impl ProbedGateway {
    /// Starts it, and writes to these partitions from now on.
    pub(crate) fn start(partitions: &'static [usize], streams_per_client: u32) -> Self {
        let fixture = ModelFixture::new(2);
        fixture.model.lock().clock = now();
        for partition in 0..2 {
            fixture.write(partition, 20);
        }
        let number = |number| NonZeroU32::new(number).unwrap();
        let limits = LimitSettings {
            streams_per_client: number(streams_per_client),
            requests_per_minute: number(1_000_000),
            request_burst: number(1_000_000),
            ..LimitSettings::default()
        };
        let gateway = TestGateway::limited(edits(), fixture.source.clone(), limits, |_| {});
        let url = format!("http://{}/v2/stream/edits", gateway.public);
        let writing = (!partitions.is_empty()).then(|| tokio::spawn(write(fixture, partitions)));
        Self {
            gateway,
            url,
            writing,
        }
    }

    /// Probes the gateway with these arguments, and asserts the result.
    async fn expect(&self, arguments: &str, code: i32, said: &[&str]) -> String {
        let arguments = arguments.split_whitespace();
        let all: Vec<_> = [&*self.url].into_iter().chain(arguments).collect();
        expect(&all, code, said).await
    }

    pub(crate) fn stop_writing(&mut self) {
        self.writing.take().unwrap().abort();
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

async fn write(fixture: ModelFixture, partitions: &[usize]) {
    let mut tick = interval(Duration::from_millis(20));
    loop {
        tick.tick().await;
        for partition in partitions {
            let mut model = fixture.model.lock();
            model.clock = model.clock.max(now());
            model.produce(*partition, 1);
            drop(model);
            fixture.tail(*partition);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_does_everything_right_is_ok() {
    let served = ProbedGateway::start(&[0, 1], 5);
    let line = served
        .expect(
            "--max-age 10s --resume --since 10s --limit 5 --from 127.0.0.2",
            0,
            &[
                "RIVERHEAD OK - edits: connected in ",
                "prelude exact, first event after ",
                " 2/2 partitions, resume exact, since=10s holds, limit 5 holds |",
                " gap=0;;0;0 dup=0;;0;0 ",
            ],
        )
        .await;
    assert!(line.ends_with(" streams_admitted=5;;;0;5\n"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_nobody_keeps_is_critical() {
    let served = ProbedGateway::start(&[0], 1_000);
    let limit = "--limit 5 --from 127.0.0.2 --from 127.0.0.3";
    let said = ["one address got 6 streams; its limit is 5"];
    served.expect(limit, 2, &said).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_lower_than_it_should_be_is_critical() {
    let served = ProbedGateway::start(&[0], 3);
    let limit = "--limit 5 --from 127.0.0.2 --timeout 1s";
    let said = ["one address got 3 of 5 streams, then: status 429 instead of 200"];
    served.expect(limit, 2, &said).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_data_is_critical() {
    let served = ProbedGateway::start(&[], 5);
    let line = served
        .expect("--timeout 300ms", 2, &["no event within 300ms"])
        .await;
    assert!(line.starts_with("RIVERHEAD CRITICAL - edits: no event"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_data_is_critical_with_the_reasons_of_the_admin_listener() {
    let served = ProbedGateway::start(&[], 5);
    let admin = served.gateway.admin;
    let arguments = format!("--timeout 500ms --admin http://{admin}");
    let said = ["no event within 500ms (/healthz says "];
    served.expect(&arguments, 2, &said).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_stream_is_ok_if_its_last_event_is_young_enough() {
    let served = ProbedGateway::start(&[], 5);
    let said = ["no event now, but earlier ones", "2/2 partitions", "resume exact"];
    served
        .expect("--timeout 500ms --max-age 1h --resume", 0, &said)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_dead_partition_is_critical_though_the_stream_flows() {
    let served = ProbedGateway::start(&[0], 5);
    // Until the 20 first records are older than the requested age.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let said = [
        "1/2 partitions have an event of the last 1s; none in edits-1",
        "partitions_silent=1;;0;0;2",
    ];
    served.expect("--max-age 1s --timeout 2s", 2, &said).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_threshold_of_the_operator_decides() {
    let served = ProbedGateway::start(&[0, 1], 5);
    let said = ["RIVERHEAD WARNING", "warning at 100:"];
    served.expect("--warning ttfe=100:", 1, &said).await;
    let said = ["RIVERHEAD CRITICAL", "critical at 100:"];
    served.expect("--critical ttfe=100:", 2, &said).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probes_records_are_for_probes() {
    let fixture = ModelFixture::new(1);
    fixture.model.lock().canary_every = Some(2);
    fixture.write(0, 4);
    let gateway = TestGateway::of(&fixture, |_| {});
    for (query, numbers) in [
        ("", vec![1, 3]),
        ("&canary=false", vec![1, 3]),
        ("&canary=true", vec![1, 2, 3, 4]),
    ] {
        let mut client =
            TestClient::stream(gateway.public, &format!("/v2/stream/edits?since=0{query}")).await;
        for number in numbers {
            let until = client.until("data: ").await;
            let event = client.until("\n\n").await;
            assert_eq!(event, format!("{{\"n\":{number}}}\n\n"), "{query}: {until}");
        }
    }
}
