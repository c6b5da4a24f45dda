//! A client that keeps everything that it receives.

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::OnceLock,
    time::{Duration, Instant},
};

use riverhead::sse::SseMessage;
use riverhead_brokers::{Acked, scaled};
use riverhead_loadtest::{
    client::{Ask, Client},
    numbers::number,
};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::fixture::SOON;

/// Something that a client received.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Heard {
    /// An event.
    Number(u64),
    /// `event: gap`: the partition, the requested offset, the resumed offset, and the reason.
    Gap(i64, Option<i64>, Option<i64>, String),
}

/// A connected client.
pub(super) struct Listener {
    client: Client,
    pub(super) heard: Vec<Heard>,
    ids: HashMap<u64, String>,
}

impl Listener {
    /// Connects, and asserts that the client is not refused.
    pub(super) fn connect(server: SocketAddr, ask: &Ask) -> Self {
        let client = runtime().block_on(Client::connect(server, ask));
        let client = client.expect("an answer");
        assert_eq!(client.status, 200, "{}", client.head);
        Self {
            client,
            heard: Vec::new(),
            ids: HashMap::new(),
        }
    }

    /// Reads until all of these records were received.
    pub(super) fn upto(&mut self, records: &[Acked]) -> &mut Self {
        let mut missing: BTreeSet<_> = records.iter().map(|record| record.n).collect();
        self.listen_until("records", |heard| {
            if let Heard::Number(number) = heard {
                missing.remove(number);
            }
            missing.is_empty()
        });
        self
    }

    /// Reads until a gap was received.
    pub(super) fn upto_gap(&mut self) -> &mut Self {
        self.listen_until("a gap", |heard| matches!(heard, Heard::Gap(..)));
        self
    }

    /// Reads until nothing has arrived for this time.
    pub(super) fn hear_what_comes(&mut self, silence: Duration) {
        while let Some(message) = runtime().block_on(self.client.next(silence)) {
            self.take(message);
        }
    }

    /// Checks what was received, and then what arrives, until the wanted item is the last one.
    fn listen_until(&mut self, what: &str, mut is_last: impl FnMut(&Heard) -> bool) {
        let deadline = Instant::now() + scaled(SOON);
        let mut looked_at = 0;
        loop {
            let found = self.heard[looked_at..]
                .iter()
                .filter(|heard| is_last(heard))
                .count();
            if found > 0 {
                return;
            }
            looked_at = self.heard.len();
            let patience = deadline.saturating_duration_since(Instant::now());
            match runtime().block_on(self.client.next(patience)) {
                Some(message) => self.take(message),
                None => panic!("no {what} arrived; what arrived is {}", self.tail()),
            }
        }
    }

    fn take(&mut self, message: SseMessage) {
        if message.event == "gap" {
            assert_eq!(message.id, None, "the client's last id stays true");
            self.heard.push(gap_of(&message.data));
            return;
        }
        let number = number(&message.data).expect("a number");
        self.heard.push(Heard::Number(number));
        self.ids.insert(number, message.id.expect("an id"));
    }

    /// Returns the numbers received, in order.
    pub(super) fn numbers(&self) -> Vec<u64> {
        let number = |heard: &Heard| match heard {
            Heard::Number(number) => Some(*number),
            Heard::Gap(..) => None,
        };
        self.heard.iter().filter_map(number).collect()
    }

    /// Returns the text of the id of a number.
    pub(super) fn text_id(&self, number: u64) -> &str {
        &self.ids[&number]
    }

    /// Returns the id of a record.
    pub(super) fn id(&self, record: Acked) -> Value {
        serde_json::from_str(self.text_id(record.n)).expect("JSON")
    }

    /// Returns the last id.
    pub(super) fn last_id(&self) -> Value {
        let last = self.numbers().pop().expect("an event");
        serde_json::from_str(self.text_id(last)).expect("JSON")
    }

    /// Returns those of these records that were received, in the order of arrival.
    pub(super) fn heard_of(&self, records: &[Acked]) -> Vec<Heard> {
        let wanted = events(records);
        let heard = self.heard.iter().filter(|heard| wanted.contains(heard));
        heard.cloned().collect()
    }

    /// Returns whether a gap was received.
    pub(super) fn heard_a_gap(&self) -> bool {
        self.heard.iter().any(|heard| matches!(heard, Heard::Gap(..)))
    }

    fn tail(&self) -> String {
        let from = self.heard.len().saturating_sub(20);
        format!(
            "{} events and gaps, last {:?}",
            self.heard.len(),
            &self.heard[from..]
        )
    }

    /// Asserts that exactly this was received, in this order.
    pub(super) fn assert_heard(&self, parts: &[&[Heard]]) {
        let expected = parts.concat();
        let differs = self
            .heard
            .iter()
            .zip(&expected)
            .position(|(heard, expected)| heard != expected);
        let at = differs.unwrap_or(self.heard.len().min(expected.len()));
        let around = |list: &[Heard]| format!("{:?}", &list[at.min(list.len())..(at + 5).min(list.len())]);
        assert!(
            self.heard == expected,
            "after {at}: heard {} of {}, expected {} of {}",
            around(&self.heard),
            self.heard.len(),
            around(&expected),
            expected.len()
        );
    }
}

/// Returns these records as received events.
pub(super) fn events(records: &[Acked]) -> Vec<Heard> {
    records.iter().map(|record| Heard::Number(record.n)).collect()
}

/// Returns a received gap in partition 0.
pub(super) fn gap(requested: i64, resumed: i64, reason: &str) -> Vec<Heard> {
    vec![Heard::Gap(0, Some(requested), Some(resumed), reason.to_owned())]
}

fn gap_of(data: &str) -> Heard {
    let data: Value = serde_json::from_str(data).expect("JSON");
    assert!(data["topic"].is_string(), "{data}");
    Heard::Gap(
        data["partition"].as_i64().expect("a partition"),
        data["requested"].as_i64(),
        data["resumed"].as_i64(),
        data["reason"].as_str().expect("a reason").to_owned(),
    )
}

/// Clients are async and the tests are not, because the cluster's calls block.
pub(super) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("a runtime"))
}
