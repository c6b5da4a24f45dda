//! When a lane opens, and for whom there is none.

use riverhead::{
    client::ClientKey,
    filter::MAX_FILTERS,
    position::IdForm,
    subscription::{BatchSource, LaneSubscriber, Lanes},
};
use tokio_util::task::TaskTracker;

use super::{follow, next, numbers, others, read, runtime};
use crate::support::{checker::DeliveryChecker, model::ModelFixture};

#[test]
fn those_who_catch_up_open_no_lane_and_those_who_left_do_not_count() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(1);
        let start = DeliveryChecker::default().reconnect(&fixture);
        fixture.write(0, 500);
        let tasks = TaskTracker::new();
        let lanes = Lanes::new(fixture.source.clone(), 1024 * 1024, tasks.clone());
        let mut three = [(); 3].map(|()| {
            lanes
                .subscribe(fixture.request(Some(&start), IdForm::Json))
                .unwrap()
        });
        for subscriber in &mut three {
            assert!(next(subscriber).await.is_some());
        }
        assert_eq!(tasks.len(), 0, "all are on their way");
        let [mut first, mut second, mut third] = three;
        follow(&mut first).await;
        drop(first);
        follow(&mut second).await;
        assert_eq!(tasks.len(), 0, "one is at the end");
        follow(&mut third).await;
        assert_eq!(tasks.len(), 1);
        follow(&mut second).await;
        assert!(second.is_in_lane() && third.is_in_lane());
    });
}

#[test]
fn a_client_alone_with_its_wish_has_no_lane() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(1);
        let tasks = TaskTracker::new();
        let lanes = Lanes::new(fixture.source.clone(), 1024 * 1024, tasks.clone());
        let mut one = lanes.subscribe(fixture.request(None, IdForm::Json)).unwrap();
        let mut other = lanes.subscribe(fixture.request(None, IdForm::Compact)).unwrap();
        follow(&mut one).await;
        follow(&mut other).await;
        fixture.write(0, 4);
        assert_eq!(numbers(&follow(&mut one).await), [1, 2, 3, 4]);
        assert_eq!(numbers(&follow(&mut other).await), [1, 2, 3, 4]);
        assert!(!one.is_in_lane() && !other.is_in_lane());
        assert_eq!((tasks.len(), lanes.bytes()), (0, 0));
    });
}

#[test]
fn tenants_alone_share_one_task_and_each_resumes_where_it_was() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(2);
        let tasks = TaskTracker::new();
        let lanes = Lanes::new(fixture.source.clone(), 1024 * 1024, tasks.clone());
        let subscriber = |n: u64, id: Option<&str>| {
            let mut request = fixture.filtered(id, IdForm::Json, Some(&format!("n in ({n}, {})", n + 20)));
            request.client = ClientKey::of(std::net::Ipv4Addr::from(0x0a00_0000 + n as u32).into());
            lanes.subscribe(request).unwrap()
        };
        let mut all: Vec<_> = (1..=20).map(|n| subscriber(n, None)).collect();
        for subscriber in &mut all {
            follow(subscriber).await;
        }
        assert!(all.iter().all(LaneSubscriber::is_in_lane));
        assert_eq!((lanes.count(), tasks.len()), (20, 1));
        fixture.write(0, 10);
        fixture.write(1, 10);
        let mut ids = Vec::new();
        for (n, subscriber) in (1..).zip(&mut all) {
            let bytes = follow(subscriber).await;
            assert_eq!(numbers(&bytes), [n]);
            ids.push(read(&bytes)[0].id.clone().unwrap());
        }
        drop(all);
        others(20).await;
        assert_eq!((lanes.count(), tasks.len()), (0, 0));
        fixture.write(0, 10);
        fixture.write(1, 10);
        // With the ids of others too: an id is a position, and says nothing of the filter.
        for n in 1..=20 {
            for id in [&ids[n as usize - 1], &ids[0], &ids[19]] {
                let seen = numbers(&follow(&mut subscriber(n, Some(id))).await);
                assert!(
                    seen.contains(&(n + 20)) && seen.iter().all(|it| [n, n + 20].contains(it)),
                    "{n}: {seen:?}"
                );
            }
        }
    });
}

#[test]
fn ten_thousand_different_wishes_are_ten_thousand_subscriptions_and_no_lane() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(1);
        let tasks = TaskTracker::new();
        let lanes = Lanes::new(fixture.source.clone(), 4096, tasks.clone());
        let mut popular = [(); 2].map(|()| lanes.subscribe(fixture.request(None, IdForm::Json)).unwrap());
        let hostile = |n: u32| {
            let mut request = fixture.filtered(None, IdForm::Json, Some(&format!("n = {n} or n < 0")));
            request.client = ClientKey::of(std::net::Ipv4Addr::from(0x0a00_0000 + n / 5).into());
            lanes.subscribe(request)
        };
        let all: Vec<_> = (0..10_000).map(hostile).collect();
        assert_eq!(
            all.iter().filter(|subscriber| subscriber.is_ok()).count(),
            MAX_FILTERS
        );
        for subscriber in &mut popular {
            follow(subscriber).await;
        }
        fixture.write(0, 1);
        for subscriber in &mut popular {
            assert_eq!(numbers(&follow(subscriber).await), [1]);
            assert!(subscriber.is_in_lane());
        }
        assert_eq!(tasks.len(), 1);
        assert!(lanes.bytes() <= 4096);
    });
}

#[test]
fn two_thousand_lanes_of_strangers_stay_within_the_budget_and_the_others_miss_nothing() {
    runtime().block_on(async {
        let fixture = ModelFixture::new(1);
        let (tasks, budget) = (TaskTracker::new(), 64 * 1024);
        let lanes = Lanes::new(fixture.source.clone(), budget, tasks.clone());
        let mut popular = [(); 2].map(|()| lanes.subscribe(fixture.request(None, IdForm::Json)).unwrap());
        // Each filter passes everything, and has two clients: a lane with a ring.
        let hostile = |(n, address): (usize, usize)| {
            let mut request = fixture.filtered(None, IdForm::Json, Some(&format!("n > 0 or n = -{n}")));
            request.client = ClientKey::of(std::net::Ipv4Addr::from(0x0a00_0000 + address as u32).into());
            lanes.subscribe(request)
        };
        let first = (0..MAX_FILTERS).map(|n| (n, n / 5));
        let second = (0..MAX_FILTERS).map(|n| (n, MAX_FILTERS + n / 5));
        let mut strangers: Vec<_> = first.chain(second).map(|it| hostile(it).unwrap()).collect();
        assert_eq!((lanes.count(), tasks.len()), (MAX_FILTERS + 1, 0));
        for subscriber in popular.iter_mut().chain(&mut strangers) {
            assert!(follow(subscriber).await.is_empty());
        }
        assert_eq!((lanes.count(), tasks.len()), (MAX_FILTERS + 1, MAX_FILTERS + 1));
        let mut seen = [Vec::new(), Vec::new()];
        for _ in 0..10 {
            fixture.write(0, 5);
            for (subscriber, seen) in popular.iter_mut().zip(&mut seen) {
                seen.extend(numbers(&follow(subscriber).await));
                assert!(lanes.bytes() <= budget, "{lanes:?}");
            }
        }
        let all: Vec<_> = (1..=50).collect();
        assert_eq!(seen, [all.clone(), all]);
        drop(strangers);
        follow(&mut popular[0]).await;
        assert_eq!((lanes.count(), tasks.len()), (1, 1));
    });
}
