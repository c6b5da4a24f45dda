//! Where a read ends in each partition, and when, with a model of the brokers and simulated time.

use std::time::Duration;

use riverhead::{
    partition::LogDirectory,
    position::is_end_id,
    subscription::{BatchSource, LogSource, ReadEnd},
};
use tokio::time::Instant;

use super::{LONG, START, Wish, at_id, end_with_hole, is_silent, numbers, read_some, sorted, write};
use crate::support::model::{ModelFixture, TOPIC};

fn seconds(range: std::ops::Range<i64>) -> Vec<i64> {
    range.map(|second| START + second * 1000).collect()
}

fn all() -> Wish {
    Wish {
        now: Some(START + 3_600_000),
        ..Wish::since(0)
    }
}

/// Runs a check with the records in the ring, and again with the records in history only.
async fn in_ring_and_history(fixture: ModelFixture, check: impl AsyncFn(&ModelFixture)) {
    check(&fixture).await;
    let partitions = fixture.model.lock().partitions.len();
    (0..partitions).for_each(|partition| fixture.tail_lags(partition));
    check(&fixture).await;
}

#[tokio::test(start_paused = true)]
async fn a_read_until_a_time_ends_where_one_since_that_time_begins() {
    let fixture = ModelFixture::new(2);
    write(&fixture, 0, &seconds(0..10));
    // Times out of order: what counts is the first record that bears the time.
    let times = [5, 1, 7, 2, 3, 9, 4].map(|second| START + second * 1000);
    write(&fixture, 1, &times);
    in_ring_and_history(fixture, async |fixture| {
        for second in 0..12 {
            let time = START + second * 1000;
            let (before, end) = all().until(ReadEnd::Time(time)).numbers(fixture).await;
            let behind = Wish {
                since: Some(time),
                ..all()
            };
            let (behind, _) = behind.until(ReadEnd::Now).numbers(fixture).await;
            assert_eq!(
                sorted([&before[..], &behind[..]].concat()),
                (1..=17).collect::<Vec<_>>(),
                "{second} {before:?}"
            );
            assert_eq!(
                (&end["reason"], end["events"].as_u64()),
                (&"until".into(), Some(before.len() as u64))
            );
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn records_at_the_end_or_behind_it_are_not_in_and_an_empty_range_ends_at_once() {
    let fixture = ModelFixture::new(1);
    write(&fixture, 0, &seconds(0..10));
    let (got, _) = all().until(ReadEnd::Time(START + 3_000)).numbers(&fixture).await;
    assert_eq!(got, [1, 2, 3]);
    for (since, until) in [(5, 5), (6, 2), (9, 0)] {
        let wish = Wish {
            since: Some(START + since * 1000),
            ..all()
        };
        let (got, end) = wish
            .until(ReadEnd::Time(START + until * 1000))
            .numbers(&fixture)
            .await;
        assert_eq!((got.len(), end["events"].as_u64()), (0, Some(0)));
    }
    let (got, _) = all().until(ReadEnd::Time(0)).numbers(&fixture).await;
    assert_eq!(got, [] as [u64; 0]);
}

#[tokio::test(start_paused = true)]
async fn now_is_the_end_that_may_be_read_when_the_leader_is_asked() {
    let fixture = ModelFixture::new(2);
    write(&fixture, 0, &seconds(0..10));
    in_ring_and_history(fixture, async |fixture| {
        let mut read = all().until(ReadEnd::Now).start(fixture);
        let mut messages = Vec::new();
        let mut is_first = true;
        while !read_some(&mut read, &mut messages, LONG).await {
            if std::mem::take(&mut is_first) {
                write(fixture, 0, &[START + 60_000]);
            }
        }
        let got = numbers(&messages);
        let before = fixture.model.lock().n - 1;
        assert_eq!(got, (1..=before).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_id_is_an_exact_end_that_can_be_repeated_after_a_cut() {
    let fixture = ModelFixture::new(2);
    write(&fixture, 0, &seconds(0..20));
    write(&fixture, 1, &seconds(0..20));
    let messages = all().until(ReadEnd::Now).read(&fixture).await;
    for end in [1, 7, 25, 40] {
        let id = messages[end - 1].id.clone().unwrap();
        let expected = sorted(numbers(&messages[..end]));
        let (got, _) = all().until(at_id(&id)).numbers(&fixture).await;
        assert_eq!(sorted(got), expected);
        let cut = Wish {
            id: messages[end / 2].id.clone(),
            ..all()
        };
        let (rest, _) = cut.until(at_id(&id)).numbers(&fixture).await;
        let both = [numbers(&messages[..=end / 2]), rest].concat();
        assert_eq!(sorted(both), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_of_a_partition_that_the_log_does_not_reach_yet_is_waited_for() {
    let fixture = ModelFixture::new(1);
    write(&fixture, 0, &seconds(0..5));
    let tag = fixture.model.lock().tag();
    let ahead = format!(r#"[{{"topic":"{TOPIC}","partition":0,"offset":8,"timestamp":1,"log":"{tag}.0"}}]"#);
    let mut read = all().until(at_id(&ahead)).start(&fixture);
    assert!(
        is_silent(&mut read, LONG).await,
        "nothing is known to be before the end"
    );
    write(&fixture, 0, &seconds(5..15));
    let mut messages = Vec::new();
    while !read_some(&mut read, &mut messages, LONG).await {}
    assert_eq!(numbers(&messages), (1..=8).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_time_to_come_ends_the_read_when_a_record_bears_it() {
    let fixture = ModelFixture::new(1);
    write(&fixture, 0, &seconds(0..5));
    let wish = Wish {
        now: Some(START + 5_000),
        ..all()
    };
    let mut read = wish.until(ReadEnd::Time(START + 60_000)).start(&fixture);
    let mut messages = Vec::new();
    assert!(!read_some(&mut read, &mut messages, LONG).await);
    write(&fixture, 0, &[START + 6_000, START + 59_999]);
    assert!(!read_some(&mut read, &mut messages, LONG).await);
    write(&fixture, 0, &[START + 60_000, START + 61_000, START + 7_000]);
    assert!(read_some(&mut read, &mut messages, LONG).await);
    assert_eq!(numbers(&messages), (1..=7).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_time_to_come_ends_a_quiet_partition_within_10_s() {
    for records in [0, 5] {
        let fixture = ModelFixture::new(2);
        write(&fixture, 0, &seconds(0..records));
        let wish = Wish {
            now: Some(START + 5_000),
            ..all()
        };
        let begun = Instant::now();
        let mut read = wish.until(ReadEnd::Time(START + 35_000)).start(&fixture);
        let mut messages = Vec::new();
        while !read_some(&mut read, &mut messages, LONG).await {}
        let took = begun.elapsed();
        assert!(
            took >= Duration::from_secs(30) && took <= Duration::from_secs(40),
            "{took:?}"
        );
        assert_eq!(numbers(&messages).len(), records as usize);
    }
}

/// A record of before the time may come after it: its producer had taken the timestamp already.
#[tokio::test(start_paused = true)]
async fn what_is_a_little_late_is_in() {
    let fixture = ModelFixture::new(1);
    write(&fixture, 0, &seconds(0..5));
    let wish = Wish {
        now: Some(START + 5_000),
        ..all()
    };
    let mut read = wish.until(ReadEnd::Time(START + 10_000)).start(&fixture);
    let mut messages = Vec::new();
    assert!(!read_some(&mut read, &mut messages, LONG).await);
    tokio::time::sleep(Duration::from_secs(7)).await;
    write(&fixture, 0, &[START + 9_999]);
    while !read_some(&mut read, &mut messages, LONG).await {}
    assert_eq!(numbers(&messages), (1..=6).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_finds_the_end_that_has_left_the_memory() {
    let fixture = ModelFixture::new(1);
    write(&fixture, 0, &seconds(0..5));
    let wish = Wish {
        now: Some(START + 5_000),
        ..all()
    };
    let mut read = wish.until(ReadEnd::Time(START + 50_000)).start(&fixture);
    let mut messages = Vec::new();
    assert!(!read_some(&mut read, &mut messages, LONG).await);
    write(&fixture, 0, &seconds(10..60));
    for log in fixture.source.directory.all() {
        (0..9).for_each(|_| _ = log.evict_oldest());
    }
    while !read_some(&mut read, &mut messages, LONG).await {}
    assert_eq!(numbers(&messages), (1..=45).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn holes_and_markers_before_the_end_do_not_keep_a_read_open() {
    for hole in [1, 7, 30] {
        let fixture = ModelFixture::new(2);
        write(&fixture, 0, &seconds(0..5));
        end_with_hole(&fixture, 0, hole);
        // A partition of nothing but a hole.
        end_with_hole(&fixture, 1, hole);
        for end in [ReadEnd::Now, ReadEnd::Time(START + 100_000)] {
            let (got, _) = all().until(end).numbers(&fixture).await;
            assert_eq!(got, (1..=5).collect::<Vec<_>>());
        }
        // Live as well: it begins at the end of what the tail has read.
        let live = Wish { since: None, ..all() };
        let (got, end) = live.until(ReadEnd::Now).numbers(&fixture).await;
        assert_eq!((got.len(), end["events"].as_u64()), (0, Some(0)));
    }
}

#[tokio::test(start_paused = true)]
async fn canaries_tombstones_and_filtered_records_count_for_the_end_and_not_for_the_limit() {
    let fixture = ModelFixture::new(1);
    fixture.model.lock().canary_every = Some(3);
    fixture.write(0, 30);
    fixture.model.lock().quiet = true;
    fixture.write(0, 5);
    let filter = Some("n in (1, 2, 4, 6, 10, 20)".to_owned());
    let wish = Wish { filter, ..all() };
    let (got, end) = wish.clone().until(ReadEnd::Now).numbers(&fixture).await;
    assert_eq!(
        (&got[..], &end["reason"]),
        (&[1, 2, 4, 10, 20][..], &"until".into())
    );
    let limited = Wish {
        limit: Some(3),
        ..wish
    };
    let (got, end) = limited.numbers(&fixture).await;
    assert_eq!((&got[..], &end["reason"]), (&[1, 2, 4][..], &"limit".into()));
    assert_eq!(end["events"], 3);
}

#[tokio::test(start_paused = true)]
async fn a_limit_ends_behind_its_last_event_and_its_id_goes_on_there() {
    let fixture = ModelFixture::new(2);
    fixture.write(0, 300);
    fixture.write(1, 300);
    let (mut all_numbers, mut id) = (Vec::new(), None);
    for limit in [1, 2, 127, 128, 129, 200, 10] {
        let wish = Wish {
            limit: Some(limit),
            id: id.take(),
            ..all()
        };
        let mut messages = wish.read(&fixture).await;
        let end = messages.pop().unwrap();
        assert_eq!(numbers(&messages).len() as u64, limit);
        let (marked, last) = (end.id.unwrap(), messages.last().unwrap().id.clone().unwrap());
        assert!(is_end_id(marked.as_bytes()) && !is_end_id(last.as_bytes()));
        assert_eq!(marked.replace(",\"end\":true", ""), last);
        let data: serde_json::Value = serde_json::from_str(&end.data).unwrap();
        assert_eq!(
            data["position"],
            serde_json::from_str::<serde_json::Value>(&last).unwrap()
        );
        all_numbers.extend(numbers(&messages));
        id = Some(marked);
    }
    let behind = Wish { id, ..all() };
    let (rest, _) = behind.until(ReadEnd::Now).numbers(&fixture).await;
    assert_eq!(rest.len(), 3);
    all_numbers.extend(rest);
    assert_eq!(sorted(all_numbers), (1..=600).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn the_first_bound_that_is_reached_ends_the_read() {
    let fixture = ModelFixture::new(1);
    write(&fixture, 0, &seconds(0..10));
    for (limit, reason) in [(4, "limit"), (5, "until"), (6, "until")] {
        let wish = Wish {
            limit: Some(limit),
            ..all()
        };
        let (_, end) = wish.until(ReadEnd::Time(START + 5_000)).numbers(&fixture).await;
        assert_eq!(end["reason"], reason, "{limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_kafka_is_away_a_read_waits() {
    let fixture = ModelFixture::new(2);
    fixture.write(0, 20);
    fixture.write(1, 20);
    for partition in 0..2 {
        fixture.tail_lags(partition);
        fixture.model.lock().partitions[partition].mute = true;
    }
    for end in [ReadEnd::Now, ReadEnd::Time(START + 3_600_000)] {
        let wish = all().until(end);
        let mut read = wish.start(&fixture);
        assert!(is_silent(&mut read, Duration::from_secs(1_000)).await);
        fixture.model.lock().partitions[0].mute = false;
        let mut messages = Vec::new();
        while messages.len() < 20 {
            assert!(!read_some(&mut read, &mut messages, LONG).await);
        }
        assert!(
            is_silent(&mut read, Duration::from_secs(1_000)).await,
            "one leader is away"
        );
        fixture.model.lock().partitions[1].mute = false;
        while !read_some(&mut read, &mut messages, LONG).await {}
        assert_eq!(sorted(numbers(&messages)), (1..=40).collect::<Vec<_>>());
        for partition in 0..2 {
            fixture.model.lock().partitions[partition].mute = true;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_nothing_is_known_of_is_waited_for() {
    let fixture = unknown();
    let mut read = all().until(ReadEnd::Now).start(&fixture);
    assert!(is_silent(&mut read, Duration::from_secs(1_000)).await && read.is_held());
    fixture.publish_all();
    fixture.tail(0);
    let mut messages = Vec::new();
    while !read_some(&mut read, &mut messages, LONG).await {}
    assert_eq!(numbers(&messages), (1..=20).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_does_not_exist_has_nothing_to_read() {
    let fixture = unknown();
    fixture.source.directory.set_absent(&TOPIC.into());
    let (got, end) = all().until(ReadEnd::Now).numbers(&fixture).await;
    assert_eq!((got.len(), &end["reason"]), (0, &"until".into()));
}

/// Returns a model with 20 records whose topic is not in the directory yet.
fn unknown() -> ModelFixture {
    let fixture = ModelFixture::new(1);
    fixture.write(0, 20);
    let source = LogSource {
        directory: LogDirectory::new(),
        history: fixture.source.history.clone(),
    };
    ModelFixture {
        source,
        model: fixture.model,
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_added_is_read_up_to_a_time_and_has_nothing_before_now() {
    let fixture = ModelFixture::new(1);
    write(&fixture, 0, &seconds(0..5));
    fixture.model.lock().clock = START + 20_000;
    let until_time = Wish {
        now: Some(START + 5_000),
        ..all()
    };
    let mut read = until_time.until(ReadEnd::Time(START + 40_000)).start(&fixture);
    let mut messages = Vec::new();
    assert!(!read_some(&mut read, &mut messages, LONG).await);
    fixture.add_partition();
    fixture.tail(1);
    while !read_some(&mut read, &mut messages, LONG).await {}
    assert_eq!(sorted(numbers(&messages)), (1..=10).collect::<Vec<_>>());

    for partition in 0..2 {
        fixture.model.lock().partitions[partition].mute = true;
        fixture.tail_lags(partition);
    }
    let mut read = all().until(ReadEnd::Now).start(&fixture);
    assert!(is_silent(&mut read, LONG).await);
    fixture.add_partition();
    for partition in 0..2 {
        fixture.model.lock().partitions[partition].mute = false;
    }
    let mut messages = Vec::new();
    while !read_some(&mut read, &mut messages, LONG).await {}
    assert_eq!(sorted(numbers(&messages)), (1..=10).collect::<Vec<_>>());
    let id: serde_json::Value = serde_json::from_str(&messages.last().unwrap().id.clone().unwrap()).unwrap();
    assert_eq!((&id[2]["partition"], &id[2]["offset"]), (&2.into(), &0.into()));
}

#[tokio::test(start_paused = true)]
async fn in_another_cluster_a_time_is_the_same_end() {
    let fixture = ModelFixture::new(2);
    write(&fixture, 0, &seconds(0..10));
    write(&fixture, 1, &seconds(0..10));
    let mut read = all().until(ReadEnd::Time(START + 7_000)).start(&fixture);
    let mut messages = Vec::new();
    // One batch before the other cluster takes over.
    let limited = Wish {
        limit: Some(5),
        ..all()
    };
    let first = limited.read(&fixture).await;
    fixture.fail_over(1_000);
    while !read_some(&mut read, &mut messages, LONG).await {}
    assert_eq!(numbers(&messages).len(), 14, "{:?}", numbers(&messages));
    let resumed = Wish {
        id: first[4].id.clone(),
        ..all()
    };
    let messages = resumed.until(ReadEnd::Time(START + 7_000)).read(&fixture).await;
    let seen = [numbers(&first), numbers(&messages)].concat();
    assert!((1..=7).chain(11..=17).all(|n| seen.contains(&n)), "{seen:?}");
    assert!(seen.iter().all(|n| (n - 1) % 10 < 7), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn who_wants_no_gap_is_told_before_the_head_that_there_is_none() {
    let fixture = ModelFixture::new(2);
    fixture.write(0, 20);
    fixture.write(1, 20);
    for end in [ReadEnd::Now, ReadEnd::Time(START), ReadEnd::Time(0)] {
        let mut read = all().until(end).start(&fixture);
        let verdict = std::future::poll_fn(|context| read.poll_gap_check(context));
        assert_eq!(tokio::time::timeout(LONG, verdict).await, Ok(Ok(())));
    }
}

#[tokio::test(start_paused = true)]
async fn what_expires_before_it_is_read_is_told_and_does_not_keep_the_read_open() {
    let fixture = ModelFixture::new(1);
    fixture.write(0, 40);
    let id = Wish {
        limit: Some(2),
        ..all()
    };
    let id = id.read(&fixture).await[1].id.clone();
    let until = all().until(ReadEnd::Now).read(&fixture).await[9]
        .id
        .clone()
        .unwrap();
    fixture.expire(0, 50);
    fixture.tail_lags(0);
    let wish = Wish { id, ..all() };
    let messages = wish.until(at_id(&until)).read(&fixture).await;
    let events: Vec<_> = messages.iter().map(|message| &*message.event).collect();
    assert_eq!(events, ["gap", "end"]);
}
