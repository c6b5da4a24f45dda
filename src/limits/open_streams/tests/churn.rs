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
        let settings = LimitSettings {
            clients_per_stream: NonZeroU32::new(per_name),
            evict_when_full,
            ..limits(per_client, total)
        };
        for workers in [1, 8] {
            churn(workers, seed, &settings);
        }
    }
}

/// What the tasks believe to hold. A stream is counted after its admission, and no more once it is dropped or evicted. So no
/// count is ever above the truth.
#[derive(Default)]
struct ExpectedCounts {
    clients: [AtomicU32; CLIENTS],
    sites: [AtomicU32; SITES],
    names: [AtomicU32; NAMES.len()],
    total: AtomicU32,
}

const CLIENTS: usize = 24;
const SITES: usize = 2;
const NAMES: [&str; 2] = ["edits", "pages"];

/// Checks the limits throughout, and that nothing is left behind.
fn churn(workers: usize, seed: u64, settings: &LimitSettings) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_time()
        .build()
        .unwrap();
    let fixture = Arc::new(AdmissionFixture::new(settings));
    let expected = Arc::new(ExpectedCounts::default());
    runtime.block_on(async {
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let task = ChurnTask {
                    fixture: Arc::clone(&fixture),
                    expected: Arc::clone(&expected),
                    settings: settings.clone(),
                    random: fastrand::Rng::with_seed(seed ^ task),
                };
                tokio::spawn(task.run())
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert!(fixture.open_streams.is_clear());
}

struct ChurnTask {
    fixture: Arc<AdmissionFixture>,
    expected: Arc<ExpectedCounts>,
    settings: LimitSettings,
    random: fastrand::Rng,
}

impl ChurnTask {
    async fn run(mut self) {
        for _ in 0..40 {
            let admitted = self.enter();
            for _ in 0..self.random.u8(..4) {
                tokio::task::yield_now().await;
            }
            if let Some((permit, stream)) = admitted {
                stream.0.lock().take();
                drop(permit);
            }
            tokio::task::yield_now().await;
        }
    }

    fn enter(&mut self) -> Option<(Permit, Arc<CountedStream>)> {
        let client = self.random.usize(..CLIENTS);
        let names = [&NAMES[..1], &NAMES[1..], &NAMES[..]][self.random.usize(..3)];
        let counters = StreamCounters::new(&self.expected, &self.settings, client, names);
        let counted = Arc::new(CountedStream(Mutex::new(None), self.random.u8(..8) == 0));
        let stream: Weak<dyn Evictable> = Arc::downgrade(&counted) as _;
        let request = request(&format!("2001:db8:{}:{client:x}::1", client % SITES), names);
        // Held until the counters are incremented, so that an eviction finds them incremented.
        let mut place = counted.0.lock();
        let permit = self
            .fixture
            .open_streams
            .admit(&self.fixture.policy, &request, &stream)
            .ok()?;
        *place = Some(counters.increment());
        drop(place);
        Some((permit, counted))
    }
}

/// A stream that is sometimes dead.
struct CountedStream(Mutex<Option<CountGuard>>, bool);

impl Evictable for CountedStream {
    fn is_dead(&self) -> bool {
        self.1
    }

    fn evict(&self, _why: EvictReason) {
        self.0.lock().take();
    }
}

/// The counters that a stream belongs to, each with its limit.
struct StreamCounters {
    expected: Arc<ExpectedCounts>,
    client: usize,
    names: Vec<usize>,
    limits: [u32; 4],
}

impl StreamCounters {
    fn new(expected: &Arc<ExpectedCounts>, settings: &LimitSettings, client: usize, names: &[&str]) -> Self {
        let per_client = settings.streams_per_client.get();
        let position = |name: &&str| NAMES.iter().position(|known| known == name).unwrap();
        Self {
            expected: Arc::clone(expected),
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
        let names = self.names.iter().map(|at| (&self.expected.names[*at], name));
        let single = [
            (&self.expected.clients[self.client], client),
            (&self.expected.sites[self.client % SITES], site),
            (&self.expected.total, total),
        ];
        single.into_iter().chain(names).collect()
    }

    fn increment(self) -> CountGuard {
        for (counter, limit) in self.counters() {
            assert!(counter.fetch_add(1, Ordering::SeqCst) < limit, "above {limit}");
        }
        CountGuard(self)
    }
}

/// Decrements the counters when dropped.
struct CountGuard(StreamCounters);

impl Drop for CountGuard {
    fn drop(&mut self) {
        for (counter, _) in self.0.counters() {
            counter.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
