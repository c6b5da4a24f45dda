use std::collections::HashMap;

use proptest::{collection::vec, prelude::*};

use super::*;

fn connections(per_client: u32, total: u32) -> Connections {
    let settings = Settings {
        streams_per_client: NonZeroU32::new(per_client).unwrap(),
        streams_total: NonZeroU32::new(total).unwrap(),
        ..Settings::default()
    };
    Connections::new(&settings, LimitMetrics::default())
}

fn client(number: u8) -> ClientKey {
    ClientKey::of([192, 0, 2, number].into())
}

#[test]
fn a_refused_client_never_lowers_the_count() {
    let connections = connections(2, 100);
    let held = connections.admit(client(1)).unwrap();
    let second = connections.admit(client(1)).unwrap();
    for _ in 0..3 {
        assert_eq!(connections.admit(client(1)).unwrap_err(), Refusal::Client);
    }
    drop(second);
    let second = connections.admit(client(1)).unwrap();
    assert_eq!(connections.admit(client(1)).unwrap_err(), Refusal::Client);
    assert_eq!((connections.open(), connections.clients()), (2, 1));
    drop((held, second));
    assert_eq!((connections.open(), connections.clients()), (0, 0));
}

#[test]
fn one_address_never_takes_the_last_slot_of_another() {
    let connections = connections(16, 16);
    let greedy: Vec<_> = (0..20).map(|_| connections.admit(client(1))).collect();
    assert_eq!(greedy.iter().filter(|admitted| admitted.is_ok()).count(), 14);
    assert_eq!(greedy[14].as_ref().unwrap_err(), &Refusal::Host);
    let newcomers = [connections.admit(client(2)), connections.admit(client(3))];
    assert!(newcomers.iter().all(Result::is_ok), "{newcomers:?}");
    assert_eq!(connections.admit(client(4)).unwrap_err(), Refusal::Host);
}

#[test]
fn a_host_for_one_stream_serves_it() {
    let connections = connections(1, 1);
    let only = connections.admit(client(1)).unwrap();
    assert_eq!(connections.admit(client(2)).unwrap_err(), Refusal::Host);
    drop(only);
    assert!(connections.admit(client(2)).is_ok());
}

/// One client comes, or its oldest stream goes.
#[derive(Clone, Copy, Debug)]
enum Step {
    Connect(u8),
    Disconnect(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..6u8).prop_map(Step::Connect),
        2 => (0..6u8).prop_map(Step::Disconnect),
    ];
    vec(step, 0..200)
}

proptest! {
    #[test]
    fn every_decision_is_the_models((per_client, total) in (1..6u32, 1..20u32), steps in steps()) {
        let connections = connections(per_client, total);
        let mut model: HashMap<u8, Vec<Permit>> = HashMap::new();
        for step in steps {
            let open: usize = model.values().map(Vec::len).sum();
            match step {
                Step::Connect(number) => {
                    let held = model.entry(number).or_default();
                    let limit = if held.is_empty() { total } else { total - total.div_ceil(8) };
                    let expected = if held.len() >= per_client as usize {
                        Err(Refusal::Client)
                    } else if open >= limit as usize {
                        Err(Refusal::Host)
                    } else {
                        Ok(())
                    };
                    let admitted = connections.admit(client(number));
                    prop_assert_eq!(admitted.as_ref().map(drop).map_err(|refusal| *refusal), expected);
                    held.extend(admitted);
                }
                Step::Disconnect(number) => drop(model.get_mut(&number).and_then(Vec::pop)),
            }
            let open: usize = model.values().map(Vec::len).sum();
            prop_assert_eq!(connections.open() as usize, open);
            prop_assert_eq!(connections.clients(), model.values().filter(|held| !held.is_empty()).count());
        }
        drop(model);
        prop_assert_eq!((connections.open(), connections.clients()), (0, 0));
    }
}

proptest! {
    // Each case runs two runtimes.
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn one_worker_and_eight_keep_the_same_limit(seed: u64, per_client in 1..5u32, total in 1..40u32) {
        for workers in [1, 8] {
            crowd(workers, seed, per_client, total);
        }
    }
}

/// What a crowd believes it holds: counted behind an admission and before a drop, so never above the truth.
#[derive(Default)]
struct Believed {
    clients: [AtomicU32; CLIENTS],
    total: AtomicU32,
}

const CLIENTS: usize = 8;

/// Many tasks that connect and disconnect at random, and what must hold throughout and behind them.
fn crowd(workers: usize, seed: u64, per_client: u32, total: u32) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .build()
        .unwrap();
    let (connections, believed) = (connections(per_client, total), Arc::new(Believed::default()));
    runtime.block_on(async {
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let random = fastrand::Rng::with_seed(seed ^ task);
                let member = Member {
                    connections: connections.clone(),
                    believed: Arc::clone(&believed),
                    limits: (per_client, total),
                    random,
                };
                tokio::spawn(member.run())
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!((connections.open(), connections.clients()), (0, 0));
}

struct Member {
    connections: Connections,
    believed: Arc<Believed>,
    limits: (u32, u32),
    random: fastrand::Rng,
}

impl Member {
    async fn run(mut self) {
        for _ in 0..40 {
            let number = self.random.usize(..CLIENTS);
            if let Ok(permit) = self.connections.admit(client(number as u8)) {
                let (of_client, of_all) = (&self.believed.clients[number], &self.believed.total);
                assert!(of_client.fetch_add(1, Ordering::SeqCst) < self.limits.0);
                assert!(of_all.fetch_add(1, Ordering::SeqCst) < self.limits.1);
                for _ in 0..self.random.u8(..4) {
                    tokio::task::yield_now().await;
                }
                of_client.fetch_sub(1, Ordering::SeqCst);
                of_all.fetch_sub(1, Ordering::SeqCst);
                drop(permit);
            }
            tokio::task::yield_now().await;
        }
    }
}
