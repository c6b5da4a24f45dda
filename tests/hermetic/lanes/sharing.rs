//! What clients that catch up compose for each other.

use std::time::Duration;

use riverhead::{
    position::IdForm,
    subscription::{BatchSource, Lanes},
};
use tokio_util::task::TaskTracker;

use super::{collect, follow, next, read, runtime};
use crate::support::{checker::DeliveryChecker, model::ModelFixture};

#[test]
fn those_who_resume_from_a_few_places_share_what_one_of_them_composes() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(2);
        let start = DeliveryChecker::default().reconnect(&fixture);
        for _ in 0..100 {
            fixture.write(0, 20);
            fixture.write(1, 15);
        }
        let all = collect(&mut fixture.subscribe(Some(&start), IdForm::Json)).await;
        let mut ids = vec![start];
        ids.extend([10, 700, 701].map(|at: usize| read(&all)[at].id.clone().unwrap()));
        let lanes = Lanes::new(fixture.source.clone(), 64 * 1024 * 1024, TaskTracker::new());
        let subscriber = |id: &String| lanes.subscribe(fixture.request(Some(id), IdForm::Json)).unwrap();
        let mut crowd: Vec<_> = ids.iter().cycle().take(100).map(subscriber).collect();
        for (id, subscriber) in ids.iter().cycle().zip(&mut crowd) {
            let alone = collect(&mut fixture.subscribe(Some(id), IdForm::Json)).await;
            assert!(
                follow(subscriber).await == alone,
                "as if it were alone, from {id}"
            );
        }
        let (composed, unique) = (lanes.composed(), all.len() as u64);
        assert!(
            (unique..unique * 5 / 4).contains(&composed),
            "{composed} of {unique}"
        );
        for subscriber in &mut crowd {
            assert!(follow(subscriber).await.is_empty() && subscriber.is_in_lane());
        }
        tokio::time::advance(Duration::from_secs(60)).await;
        fixture.write(0, 1);
        for subscriber in &mut crowd {
            follow(subscriber).await;
        }
        assert!(
            lanes.bytes() < 64 * 1024,
            "no client is left that could need the kept batches"
        );
    });
}

#[test]
fn what_one_has_composed_is_there_for_one_who_comes_a_moment_later() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(1);
        let start = DeliveryChecker::default().reconnect(&fixture);
        (0..100).for_each(|_| fixture.write(0, 20));
        let lanes = Lanes::new(fixture.source.clone(), 64 * 1024 * 1024, TaskTracker::new());
        let subscriber = |id| lanes.subscribe(fixture.request(id, IdForm::Json)).unwrap();
        let mut live = [subscriber(None), subscriber(None)];
        for live in &mut live {
            follow(live).await;
        }
        let mut pair = [subscriber(Some(&start)), subscriber(Some(&start))];
        let first = next(&mut pair[0]).await.unwrap();
        next(&mut pair[1]).await.unwrap();
        drop(pair);
        let composed = lanes.composed();
        assert_eq!(next(&mut subscriber(Some(&start))).await.unwrap(), first);
        assert_eq!(lanes.composed(), composed);

        tokio::time::advance(Duration::from_secs(60)).await;
        fixture.write(0, 1);
        for live in &mut live {
            follow(live).await;
        }
        assert_ne!(lanes.composed(), composed);
        let composed = lanes.composed();
        next(&mut subscriber(Some(&start))).await.unwrap();
        assert!(lanes.composed() > composed, "it is kept for a moment only");
    });
}
