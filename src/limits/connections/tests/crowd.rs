//! Many tasks that connect and disconnect at random, on one worker and on eight.

use std::sync::atomic::AtomicU32;

use proptest::prelude::*;

use super::*;

proptest! {
    // Each case runs two runtimes.
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn one_worker_and_eight_keep_the_same_limits(
        seed: u64,
        per_client in 1..5u32,
        per_name in 1..30u32,
        total in 1..40u32,
        evict_when_full: bool,
    ) {
        let settings = Settings {
            clients_per_stream: NonZeroU32::new(per_name),
            evict_when_full,
            ..limits(per_client, total)
        };
        for workers in [1, 8] {
            crowd(workers, seed, &settings);
        }
    }
}

/// What a crowd believes it holds: counted behind an admission, and no more when it is dropped or the stream was told to
/// go; so never above the truth.
#[derive(Default)]
struct Believed {
    clients: [AtomicU32; CLIENTS],
    sites: [AtomicU32; SITES],
    names: [AtomicU32; NAMES.len()],
    total: AtomicU32,
}

const CLIENTS: usize = 24;
const SITES: usize = 2;
const NAMES: [&str; 2] = ["edits", "pages"];

/// What must hold throughout, and that nothing is left behind.
fn crowd(workers: usize, seed: u64, settings: &Settings) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_time()
        .build()
        .unwrap();
    let house = Arc::new(House::new(settings));
    let believed = Arc::new(Believed::default());
    runtime.block_on(async {
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let member = Member {
                    house: Arc::clone(&house),
                    believed: Arc::clone(&believed),
                    settings: settings.clone(),
                    random: fastrand::Rng::with_seed(seed ^ task),
                };
                tokio::spawn(member.run())
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert!(house.connections.is_clear());
}

struct Member {
    house: Arc<House>,
    believed: Arc<Believed>,
    settings: Settings,
    random: fastrand::Rng,
}

impl Member {
    async fn run(mut self) {
        for _ in 0..40 {
            let admitted = self.enter();
            for _ in 0..self.random.u8(..4) {
                tokio::task::yield_now().await;
            }
            if let Some((permit, visitor)) = admitted {
                visitor.0.lock().take();
                drop(permit);
            }
            tokio::task::yield_now().await;
        }
    }

    fn enter(&mut self) -> Option<(Permit, Arc<Visitor>)> {
        let client = self.random.usize(..CLIENTS);
        let names = [&NAMES[..1], &NAMES[1..], &NAMES[..]][self.random.usize(..3)];
        let tally = Tally::new(&self.believed, &self.settings, client, names);
        let visitor = Arc::new(Visitor(Mutex::new(None), self.random.u8(..8) == 0));
        let stream: Weak<dyn OpenStream> = Arc::downgrade(&visitor) as _;
        let wish = wish(&format!("2001:db8:{}:{client:x}::1", client % SITES), names);
        // Held until the tally is up, so that whoever tells it to go finds it so.
        let mut place = visitor.0.lock();
        let permit = self
            .house
            .connections
            .admit(&self.house.policy, &wish, &stream)
            .ok()?;
        *place = Some(tally.up());
        drop(place);
        Some((permit, visitor))
    }
}

/// A stream that now and then is dead.
struct Visitor(Mutex<Option<Up>>, bool);

impl OpenStream for Visitor {
    fn is_dead(&self) -> bool {
        self.1
    }

    fn leave(&self, _why: Leave) {
        self.0.lock().take();
    }
}

/// The counters that a stream belongs to, each with its limit.
struct Tally {
    believed: Arc<Believed>,
    client: usize,
    names: Vec<usize>,
    limits: [u32; 4],
}

impl Tally {
    fn new(believed: &Arc<Believed>, settings: &Settings, client: usize, names: &[&str]) -> Self {
        let per_client = settings.streams_per_client.get();
        let position = |name: &&str| NAMES.iter().position(|known| known == name).unwrap();
        Self {
            believed: Arc::clone(believed),
            client,
            names: names.iter().map(position).collect(),
            limits: [
                per_client,
                8 * per_client,
                settings.clients_per_stream.unwrap().get(),
                settings.streams_total.get(),
            ],
        }
    }

    fn counters(&self) -> Vec<(&AtomicU32, u32)> {
        let [client, site, name, total] = self.limits;
        let names = self.names.iter().map(|at| (&self.believed.names[*at], name));
        let single = [
            (&self.believed.clients[self.client], client),
            (&self.believed.sites[self.client % SITES], site),
            (&self.believed.total, total),
        ];
        single.into_iter().chain(names).collect()
    }

    fn up(self) -> Up {
        for (counter, limit) in self.counters() {
            assert!(counter.fetch_add(1, Ordering::SeqCst) < limit, "above {limit}");
        }
        Up(self)
    }
}

/// A tally that counts.
struct Up(Tally);

impl Drop for Up {
    fn drop(&mut self) {
        for (counter, _) in self.0.counters() {
            counter.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
