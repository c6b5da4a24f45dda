//! A property model of who gets which events: streams that share topics, with `access` and `only`, requests for several of them with
//! filters of their own, and ids that other principals were given. Everything from the check of a request to the bytes of its stream
//! is real. Kafka and the sockets are not.

mod meaning;
mod world;

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Uri};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::Value as Json;
use tokio::{task::yield_now, time::timeout};
use tokio_util::task::TaskTracker;

use self::{
    meaning::{FILTERS, ModelHeader, ModelRecord},
    world::{ModelRequest, ModelWorld, PARTS, REQUESTS, TOPICS, any_world, name},
};
use super::{access, query::StreamQuery};
use crate::{
    catalog::{Catalog, Selection},
    client::ClientKey,
    event::{Encoding, HeadersBuf, MAX_HEADERS_BYTES, Record},
    partition::{LogDirectory, PageBuilder, PartitionLog, TopicPartition},
    position::{LogTag, Offset, PartitionPosition, Timestamp, decode},
    sse::SseReader,
    subscription::{BatchSource, LaneSubscriber, Lanes, LogSource, SubscribeRequest, tests::MemoryHistory},
};

/// A request that has begun.
struct Reader<'w> {
    request: &'w ModelRequest,
    subscriber: LaneSubscriber,
    sse: SseReader,
    /// The numbers of the records that it was given.
    got: Vec<usize>,
    /// The record at which it begins for certain, for each topic. `None`: not known.
    begins: [Option<usize>; TOPICS.len()],
}

struct Play<'w> {
    world: &'w ModelWorld,
    catalog: Catalog,
    logs: Vec<Arc<PartitionLog>>,
    lanes: Lanes,
    tasks: TaskTracker,
    readers: Vec<Reader<'w>>,
    /// The ids that anybody was given.
    ids: Vec<String>,
    /// The records so far, each with its offset.
    written: Vec<(&'w ModelRecord, Offset)>,
}

impl<'w> Play<'w> {
    fn new(world: &'w ModelWorld) -> Self {
        let directory = LogDirectory::new();
        let log = |topic: &str| {
            let partition = TopicPartition {
                topic: topic.into(),
                partition: 0,
            };
            let log = PartitionLog::new(
                partition,
                LogTag::new("cluster", &[1; 16]),
                Encoding::default(),
                START,
            );
            log.set_leader_epoch(Some(0));
            directory.put(Arc::clone(&log));
            log
        };
        let logs = TOPICS.into_iter().map(log).collect();
        let source = LogSource {
            directory,
            history: Arc::new(MemoryHistory),
        };
        let tasks = TaskTracker::new();
        Self {
            world,
            catalog: world.catalog(),
            logs,
            lanes: Lanes::new(source, 16 * 1024 * 1024, tasks.clone()),
            tasks,
            readers: Vec::new(),
            ids: Vec::new(),
            written: Vec::new(),
        }
    }

    async fn run(mut self) {
        for part in 0..PARTS {
            let coming = self.world.requests.iter().enumerate();
            for (number, request) in coming.filter(|(_, request)| request.comes == part) {
                self.begin(number, request);
            }
            self.settle().await;
            for record in &self.world.records[part] {
                self.write(record);
            }
            self.settle().await;
        }
        self.verify();
        drop(self.readers);
        self.tasks.close();
        timeout(Duration::from_secs(60), self.tasks.wait()).await.unwrap();
    }

    fn begin(&mut self, number: usize, request: &'w ModelRequest) {
        let list: Vec<_> = request.streams.iter().map(|index| name(*index)).collect();
        let selection = self.catalog.select(&list.join(",")).unwrap();
        let principal = request.principal.map(|principal| self.world.principal(principal));
        let only = access::check(&self.catalog, principal.as_ref(), &selection);
        assert_eq!(only.is_ok(), self.world.is_allowed(request), "{request:?}");
        let Ok(only) = only else { return };
        let id = request
            .resumes
            .and_then(|seed| self.ids.get(seed % self.ids.len().max(1)).cloned());
        let mut headers = HeaderMap::new();
        if let Some(id) = &id {
            headers.insert("last-event-id", HeaderValue::from_str(id).unwrap());
        }
        // An id with topics that the request does not have is refused.
        let Ok(query) = StreamQuery::read(&headers, &uri(request), &selection, only, NOW) else {
            assert!(id.is_some(), "{request:?}");
            return;
        };
        let begins = self.begins(id.as_deref(), &selection);
        let subscriber = self.lanes.subscribe(SubscribeRequest {
            topics: selection.topics,
            position: query.position,
            ranges: query.ranges,
            since: query.since,
            view: query.view,
            client: ClientKey::of([192, 0, 2, number as u8].into()),
            now: NOW,
        });
        self.readers.push(Reader {
            request,
            subscriber: subscriber.unwrap(),
            sse: SseReader::new(1024 * 1024),
            got: Vec::new(),
            begins,
        });
    }

    /// Returns the record of each topic from which on a request with this id must be given all that is for it.
    fn begins(&self, id: Option<&str>, selection: &Selection) -> [Option<usize>; TOPICS.len()] {
        let Some(id) = id else {
            return [Some(self.written.len()); TOPICS.len()];
        };
        let mut begins = [None; TOPICS.len()];
        let known: Vec<_> = selection.topics.names().map(|name| name.to_string()).collect();
        for entry in decode(id.as_bytes()).unwrap().entries {
            let named = TOPICS
                .iter()
                .position(|topic| entry.topic.names(topic) && known.iter().any(|known| known == *topic));
            if let (Some(topic), PartitionPosition::At(mark)) = (named, entry.place) {
                let before = |(record, offset): &&(&ModelRecord, Offset)| {
                    record.topic != topic || *offset < mark.offset
                };
                begins[topic] = Some(self.written.iter().take_while(before).count());
            }
        }
        begins
    }

    fn write(&mut self, record: &'w ModelRecord) {
        let log = &self.logs[record.topic];
        let mut document = record.document.clone();
        document["i"] = self.written.len().into();
        let mut headers = HeadersBuf::default();
        match record.header {
            ModelHeader::None => {}
            ModelHeader::Text(tenant) => headers.push(b"tenant", Some(tenant.as_bytes())),
            ModelHeader::NotKept => {
                headers.push(b"tenant", Some(b"a"));
                headers.push(b"rest", Some(&[0; MAX_HEADERS_BYTES]));
            }
        }
        let offset = log.next();
        let mut page = PageBuilder::new(offset, log.encoding());
        let pushed = page.push(&Record {
            offset,
            timestamp: NOW,
            epoch: 0,
            key: record.key.map(str::as_bytes),
            headers: headers.headers(),
            value: Some(document.to_string().as_bytes()),
            canary: false,
        });
        pushed.unwrap();
        log.append(page.finish(offset + 1));
        self.written.push((record, offset));
    }

    /// Lets everything run until nothing more comes.
    async fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < 4 {
            yield_now().await;
            yield_now().await;
            let mut came = false;
            for reader in &mut self.readers {
                came |= reader.read(&mut self.ids);
            }
            quiet = if came { 0 } else { quiet + 1 };
        }
    }

    fn verify(&self) {
        for Reader {
            request, got, begins, ..
        } in &self.readers
        {
            let given = |number: &usize| self.world.is_given(request, self.written[*number].0);
            for number in got {
                let record = self.written[*number].0;
                assert!(
                    given(number),
                    "forbidden: {record:?} to {request:?} in {:?}",
                    self.world
                );
            }
            let mut sorted = got.clone();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), got.len(), "repeated: {got:?} to {request:?}");
            let is_due =
                |number: &usize| begins[self.written[*number].0.topic].is_some_and(|from| from <= *number);
            let due = (0..self.written.len()).filter(|number| is_due(number) && given(number));
            let lost: Vec<_> = due.filter(|number| !got.contains(number)).collect();
            assert!(
                lost.is_empty(),
                "lost: {lost:?} of {got:?} by {request:?} in {:?}",
                self.world
            );
        }
    }
}

impl Reader<'_> {
    /// Takes what is there. Returns whether there was something.
    fn read(&mut self, ids: &mut Vec<String>) -> bool {
        let mut came = false;
        while let Some(batch) =
            std::future::poll_fn(|context| self.subscriber.poll_batch(context)).now_or_never()
        {
            came = true;
            batch.pieces().for_each(|piece| self.sse.push(&piece).unwrap());
        }
        while let Some(message) = self.sse.next_message() {
            assert_eq!(message.event, "message", "{message:?}");
            let document: Json = serde_json::from_str(&message.data).unwrap();
            self.got.push(document["i"].as_u64().unwrap() as usize);
            ids.extend(message.id);
        }
        came
    }
}

fn uri(request: &ModelRequest) -> Uri {
    let filter = FILTERS[request.filter].0;
    let filter = percent_encoding::utf8_percent_encode(filter, percent_encoding::NON_ALPHANUMERIC);
    let form = if request.compact { "&id=compact" } else { "" };
    format!("/v2/stream/x?filter={filter}{form}").parse().unwrap()
}

/// The offset of the first record of each log.
const START: Offset = 7;

/// The time of all requests and records.
const NOW: Timestamp = 1_790_487_705_415;

/// Returns how many requests are tried: a million with `RIVERHEAD_TEST_SCALE=10`.
fn cases() -> u32 {
    let scale = std::env::var("RIVERHEAD_TEST_SCALE").ok();
    let scale: f64 = scale.and_then(|scale| scale.parse().ok()).unwrap_or(1.0);
    (4000.0 * scale.powf(2.4)) as u32
}

#[test]
fn nobody_ever_gets_an_event_that_the_model_forbids() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let config = ProptestConfig {
        cases: cases() / REQUESTS as u32,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let play = |world: ModelWorld| {
        runtime.block_on(Play::new(&world).run());
        Ok(())
    };
    let result = TestRunner::new(config).run(&any_world(), play);
    result.unwrap_or_else(|error| panic!("{error}"));
}
