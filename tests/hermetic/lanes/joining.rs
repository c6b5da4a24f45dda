//! What a client reads in a lane, and what keeps it out.

use std::task::{Context, Poll, Waker};

use futures_test::task::new_count_waker;
use riverhead::{
    position::{IdForm, PartitionPosition, decode},
    sse::SseReader,
    subscription::{BatchSource, EventFormat, GroupUpdate, LaneSubscriber, Lanes},
};
use tokio_util::task::TaskTracker;

use super::{PARTITIONS, PLENTY, collect, follow, next, numbers, others, read, runtime};
use crate::support::{
    checker::DeliveryChecker,
    model::{ModelFixture, TOPIC},
};

#[test]
fn in_a_lane_a_client_reads_byte_for_byte_what_it_would_read_alone() {
    for form in [IdForm::Json, IdForm::Compact] {
        runtime().block_on(compare(form));
    }
}

async fn compare(form: IdForm) {
    let fixture = ModelFixture::new(PARTITIONS);
    let lanes = Lanes::new(fixture.source.clone(), 1024 * 1024, TaskTracker::new());
    let start = DeliveryChecker::default().reconnect(&fixture);
    let mut alone = fixture.subscribe(Some(&start), form);
    let mut first = lanes.subscribe(fixture.request(Some(&start), form)).unwrap();
    let mut second = lanes.subscribe(fixture.request(None, form)).unwrap();
    // Once in each partition, so that a record follows every entry of the id.
    fixture.write(0, 3);
    fixture.write(1, 2);
    let mut reading = (collect(&mut alone).await, follow(&mut first).await);
    follow(&mut second).await;
    assert!(follow(&mut first).await.is_empty());
    assert!(first.is_in_lane() && second.is_in_lane());
    for round in 0..20 {
        fixture.model.lock().quiet = round % 4 == 3;
        fixture.write(round % 2, 1 + round % 3);
        reading.0.extend(collect(&mut alone).await);
        reading.1.extend(follow(&mut first).await);
        assert!(first.is_in_lane());
    }
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    assert_eq!(text(&reading.1), text(&reading.0));
    assert!(reading.0.len() > 2000);
}

#[test]
fn a_client_that_is_overrun_goes_on_at_its_place_and_joins_again() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(1);
        let lanes = Lanes::new(fixture.source.clone(), 4096, TaskTracker::new());
        let mut quick = lanes.subscribe(fixture.request(None, IdForm::Json)).unwrap();
        let mut slow = lanes.subscribe(fixture.request(None, IdForm::Json)).unwrap();
        follow(&mut quick).await;
        follow(&mut slow).await;
        follow(&mut quick).await;
        assert!(quick.is_in_lane() && slow.is_in_lane());
        for _ in 0..100 {
            fixture.write(0, 1);
            follow(&mut quick).await;
        }
        assert!(lanes.bytes() <= 4096);
        fixture
            .source
            .directory
            .all()
            .iter()
            .for_each(|log| while log.evict_oldest() > 0 {});
        let bytes = next(&mut slow).await.expect("what it missed");
        assert!(!slow.is_in_lane(), "the ring has moved past it");
        let mut missed = numbers(&bytes);
        // The memory of a client counts, and most of this budget is enough to stop it.
        drop(bytes);
        missed.extend(numbers(&follow(&mut slow).await));
        assert_eq!(missed, (1..=100).collect::<Vec<_>>());
        assert!(slow.is_in_lane());
    });
}

#[test]
fn those_in_a_row_are_not_woken_and_get_what_it_finds() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(2);
        let lanes = Lanes::new(fixture.source.clone(), 64 * 1024, TaskTracker::new());
        let mut group_cursor = None;
        let mut subscribers = [(); 3].map(|()| lanes.subscribe(fixture.request(None, IdForm::Json)).unwrap());
        for subscriber in &mut subscribers {
            follow(subscriber).await;
        }
        follow(&mut subscribers[0]).await;
        let (waker, woken) = new_count_waker();
        let context = &mut Context::from_waker(&waker);
        for subscriber in &mut subscribers {
            subscriber.join_group(&mut group_cursor);
            assert!(subscriber.poll_batch(context).is_pending() && subscriber.is_in_lane());
        }
        let mut group_cursor = group_cursor.unwrap();
        assert!(!matches!(
            group_cursor.poll_update(&Context::from_waker(Waker::noop()), PLENTY),
            Poll::Ready(GroupUpdate::BatchRun(_))
        ));
        let mut seen = vec![Vec::new(); 3];
        for n in 0..10 {
            fixture.write(n % 2, 3);
            others(20).await;
            let Poll::Ready(GroupUpdate::BatchRun(batch_run)) = group_cursor.poll_update(context, PLENTY)
            else {
                panic!("nothing after {n}")
            };
            for (subscriber, seen) in subscribers.iter_mut().zip(&mut seen) {
                let had = subscriber.take_run(&batch_run).unwrap();
                assert_eq!(
                    subscriber.take_run(&batch_run),
                    Some(batch_run.batches().len()),
                    "once"
                );
                seen.extend(
                    batch_run.batches()[had..]
                        .iter()
                        .flat_map(|batch| numbers(&batch.bytes)),
                );
            }
        }
        assert_eq!(seen, vec![(1..=30).collect::<Vec<_>>(); 3]);
        assert!(
            group_cursor
                .poll_update(&Context::from_waker(Waker::noop()), PLENTY)
                .is_pending()
        );
        for subscriber in &mut subscribers {
            assert!(subscriber.poll_batch(context).is_pending());
        }
        let before = woken.get();
        fixture.write(0, 1);
        others(20).await;
        assert_eq!(woken, before, "a follower was woken");
    });
}

#[test]
fn a_client_whose_leader_is_away_stays_out_of_the_lane_and_the_rest_flows() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(2);
        fixture.write(0, 5);
        fixture.write(1, 5);
        let start = DeliveryChecker::default().reconnect(&fixture);
        let lanes = Lanes::new(fixture.source.clone(), 1024 * 1024, TaskTracker::new());
        let mut live = lanes.subscribe(fixture.request(None, IdForm::Json)).unwrap();
        let mut other = lanes.subscribe(fixture.request(None, IdForm::Json)).unwrap();
        for subscriber in [&mut live, &mut other] {
            follow(subscriber).await;
        }
        fixture
            .source
            .directory
            .all()
            .iter()
            .for_each(|log| while log.evict_oldest() > 0 {});
        fixture.model.lock().partitions[0].mute = true;
        let mut late = [(); 2].map(|()| {
            lanes
                .subscribe(fixture.request(Some(&start), IdForm::Json))
                .unwrap()
        });
        for late in &mut late {
            assert_eq!(numbers(&follow(late).await), [6, 7, 8, 9, 10]);
        }
        for n in 11..20 {
            fixture.write(1, 1);
            for subscriber in late.iter_mut().chain([&mut live]) {
                assert_eq!(numbers(&follow(subscriber).await), [n]);
            }
        }
        assert!(live.is_in_lane() && !late.iter().any(LaneSubscriber::is_in_lane));
        fixture.model.lock().partitions[0].mute = false;
        for late in &mut late {
            assert_eq!(numbers(&follow(late).await), [1, 2, 3, 4, 5]);
            assert!(late.is_in_lane());
        }
    });
}

/// Returns an id of three partitions of a topic that was deleted since, after this id of the model's topic.
fn with_deleted_topic(id: &str) -> String {
    let deleted = (0..3).map(|partition| {
        format!(r#",{{"topic":"gone","partition":{partition},"offset":700,"timestamp":1790000000000}}"#)
    });
    format!("{}{}]", id.trim_end_matches(']'), deleted.collect::<String>())
}

#[test]
fn clients_with_places_in_a_topic_that_is_absent_are_told_once_and_join_the_lane() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(1);
        fixture.source.directory.set_absent(&"gone".into());
        let id = with_deleted_topic(&DeliveryChecker::default().reconnect(&fixture));
        let lanes = Lanes::new(fixture.source.clone(), 1024 * 1024, TaskTracker::new());
        let mut crowd: Vec<_> = (0..200)
            .map(|_| {
                let mut request = fixture.request(Some(&id), IdForm::Json);
                request.topics = [TOPIC, "gone"].into();
                lanes.subscribe(request).unwrap()
            })
            .collect();
        for subscriber in &mut crowd {
            let told = read(&follow(subscriber).await);
            assert_eq!(told.len(), 1, "{told:?}");
            assert_eq!(
                told[0].data,
                r#"{"topic":"gone","partition":0,"requested":700,"resumed":null,"reason":"partition_gone","partitions":3}"#
            );
        }
        for subscriber in &mut crowd {
            assert!(follow(subscriber).await.is_empty() && subscriber.is_in_lane());
        }
        let before = lanes.composed();
        fixture.write(0, 10);
        for subscriber in &mut crowd {
            let bytes = follow(subscriber).await;
            assert_eq!(numbers(&bytes), (1..=10).collect::<Vec<_>>());
            let ids = read(&bytes).into_iter().map(|message| message.id.unwrap());
            assert!(ids.into_iter().all(|id| id.ends_with(r#"{"topic":"gone","partition":0,"offset":-2}]"#)));
        }
        assert!(lanes.composed() - before < 3000, "composed once for all");
    });
}

#[test]
fn a_hole_at_the_end_of_history_keeps_nobody_out_of_the_lane() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(1);
        fixture.model.lock().produce(0, 10);
        // The tail has reached the last existing record. After it, history has a marker or compacted records.
        fixture.publish(0, 9);
        fixture.model.lock().partitions[0].records.pop();
        let start = DeliveryChecker::default().reconnect(&fixture);
        let lanes = Lanes::new(fixture.source.clone(), 1024 * 1024, TaskTracker::new());
        let mut both = [(); 2].map(|()| {
            lanes
                .subscribe(fixture.request(Some(&start), IdForm::Json))
                .unwrap()
        });
        for subscriber in &mut both {
            assert_eq!(numbers(&follow(subscriber).await), (1..=9).collect::<Vec<_>>());
        }
        for subscriber in &mut both {
            assert!(follow(subscriber).await.is_empty() && subscriber.is_in_lane());
        }
    });
}

#[test]
fn an_id_from_a_lane_stands_at_the_event_it_came_with() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(2);
        let lanes = Lanes::new(fixture.source.clone(), 1024 * 1024, TaskTracker::new());
        let mut both = [(); 2].map(|()| lanes.subscribe(fixture.request(None, IdForm::Json)).unwrap());
        for subscriber in &mut both {
            follow(subscriber).await;
        }
        fixture.write(0, 3);
        fixture.write(1, 1);
        let mut reader = SseReader::new(1024 * 1024);
        reader.push(&follow(&mut both[1]).await).unwrap();
        assert!(both[1].is_in_lane());
        let ids: Vec<_> = std::iter::from_fn(|| reader.next_message())
            .map(|event| event.id.unwrap())
            .collect();
        let offsets = |id: &String| -> Vec<_> {
            let entries = decode(id.as_bytes()).unwrap().entries.into_iter();
            entries
                .map(|entry| match entry.place {
                    PartitionPosition::At(mark) => mark.offset,
                    other => panic!("{other:?}"),
                })
                .collect()
        };
        assert_eq!(
            ids.iter().map(offsets).collect::<Vec<_>>(),
            [[1, 0], [2, 0], [3, 0], [3, 1]]
        );
    });
}

#[test]
fn a_quiet_filter_is_told_how_far_it_has_come_and_resumes_there() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(1);
        let lanes = Lanes::new(fixture.source.clone(), 1024 * 1024, TaskTracker::new());
        let filtered = |id: Option<&str>| {
            let request = fixture.filtered(id, IdForm::Json, Some("n < 0"));
            lanes.subscribe(request).unwrap()
        };
        let mut both = [filtered(None), filtered(None)];
        let mut messages = Vec::new();
        for _ in 0..2 {
            fixture.write(0, 30);
            for subscriber in &mut both {
                messages = read(&follow(subscriber).await);
            }
        }
        assert!(both[1].is_in_lane());
        let [checkpoint] = messages.as_slice() else {
            panic!("{messages:?}")
        };
        assert_eq!(
            (checkpoint.event.as_str(), checkpoint.data.as_str()),
            ("checkpoint", r#"{"skipped":30}"#)
        );
        let id = checkpoint.id.as_deref().unwrap();
        let request = fixture.request(Some(id), IdForm::Json);
        fixture.write(0, 1);
        assert_eq!(
            numbers(&follow(&mut lanes.subscribe(request).unwrap()).await),
            [61]
        );
        let mut json_lines = fixture.filtered(None, IdForm::Json, Some("n < 0"));
        json_lines.view.format = EventFormat::Ndjson;
        let mut subscriber = lanes.subscribe(json_lines).unwrap();
        follow(&mut subscriber).await;
        fixture.write(0, 30);
        assert!(
            follow(&mut subscriber).await.is_empty(),
            "JSON lines have no checkpoints"
        );
    });
}
