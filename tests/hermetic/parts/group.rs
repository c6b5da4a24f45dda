//! Readers that read a stream together, compared with a plain model.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
};

use riverhead::{position::Offset, sse::SseMessage};
use sha2::{Digest, Sha256};

use super::{
    cluster::{Cluster, STREAMS, StoredRecord, TOPICS},
    connection::{Connection, Form, View},
};
use crate::support::gateway::TestGateway;

/// Readers of all shares of a stream, or one reader of all of it.
pub(super) struct Group<'a> {
    cluster: &'a Cluster,
    gateway: &'a TestGateway,
    view: View,
    readers: Vec<Reader>,
    /// The numbers of the records that the readers were given, since all have begun.
    given: HashSet<u64>,
    /// The partitions of which records were given, and how many records had been deleted when the first was.
    begun: HashMap<(usize, i32), usize>,
    /// The offsets that gaps have named.
    gaps: Vec<((usize, i32), Range<Offset>)>,
}

/// What a read ends at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bound {
    /// Everything that there is.
    Now,
    /// As many events as are due.
    Limit,
}

struct Reader {
    /// k and n; `None` for all partitions.
    share: Option<(u8, u8)>,
    form: Form,
    /// The last id, and whether it came from this reader.
    id: String,
    has_own_id: bool,
    connection: Option<Connection>,
    /// How many records had been deleted when it was opened.
    deleted_before: usize,
    /// How often the rules of topics had changed when it was opened.
    changes_before: usize,
    /// The last number that was given of each partition.
    last: BTreeMap<(usize, i32), u64>,
}

/// Returns the share to which a partition belongs, by the documented rule.
pub(super) fn owner(topic: &str, partition: i32, of: u8) -> u8 {
    let hash = Sha256::digest(topic.as_bytes());
    let first = u64::from_be_bytes(hash[..8].try_into().unwrap());
    (1 + (u128::from(first) + partition as u128) % u128::from(of)) as u8
}

/// An event that a reader is to be given.
#[derive(Clone, Copy, Debug)]
struct Expected {
    record: StoredRecord,
    /// Whether the text is that of the redacted record; `None` if that is the same.
    is_redacted: Option<bool>,
}

/// The events that a reader is to be given, by what they look like. A record may have two texts.
type Due = BTreeMap<String, Expected>;

/// Takes an event with this text, and the other text of its record.
fn take(due: &mut Due, text: &str, fields: Option<&str>) -> Option<Expected> {
    let expected = due.remove(text)?;
    if let Some(is_redacted) = expected.is_redacted {
        due.remove(&sent(&expected.record, !is_redacted, fields));
    }
    Some(expected)
}

/// Returns the number of records that are due.
fn count(due: &Due) -> usize {
    due.values()
        .filter(|expected| expected.is_redacted != Some(true))
        .count()
}

/// Returns the value with these fields, as a client gets it.
fn sent(record: &StoredRecord, is_redacted: bool, fields: Option<&str>) -> String {
    let StoredRecord {
        topic, partition, n, ..
    } = record;
    let topic = TOPICS[*topic];
    match fields {
        None => record.value(is_redacted),
        Some("m.x, t") => format!(r#"{{"t":"{topic}","m":{{"x":{}}}}}"#, record.x(is_redacted)),
        Some("n") => format!(r#"{{"n":{n}}}"#),
        Some("m.x.y,t") => format!(r#"{{"t":"{topic}","m":{{"x":[{{"y":{n}.0}}]}}}}"#),
        Some("p, m.n, nothing") => format!(r#"{{"p":{partition},"m":{{"n":{n}}}}}"#),
        Some(other) => panic!("{other}"),
    }
}

/// Returns whether a filter accepts a record. It sees fields that are not sent.
fn accepts(record: &StoredRecord, filter: Option<&str>) -> bool {
    match filter {
        None | Some("n > 0") => true,
        // This one has a dispatcher.
        Some("t = a") => record.topic == 0,
        Some("m.n in (2, 3, 5, 8, 13, 21, 34, 55)") => [2, 3, 5, 8, 13, 21, 34, 55].contains(&record.n),
        Some("@partition = 0 or p = 2") => [0, 2].contains(&record.partition),
        Some(other) => panic!("{other}"),
    }
}

impl Reader {
    fn new(share: Option<(u8, u8)>, form: Form, id: &str) -> Self {
        Self {
            share,
            form,
            id: id.to_owned(),
            has_own_id: false,
            connection: None,
            deleted_before: 0,
            changes_before: 0,
            last: BTreeMap::new(),
        }
    }

    fn partitions(&self) -> Option<String> {
        self.share.map(|(k, n)| format!("{k}/{n}"))
    }

    fn has(&self, record: &StoredRecord) -> bool {
        let is_own = |(k, n)| owner(TOPICS[record.topic], record.partition, n) == k;
        self.share.is_none_or(is_own)
    }
}

impl<'a> Group<'a> {
    /// Creates readers of `shares` shares, or of all partitions, that begin at the start of everything.
    pub(super) fn new(
        cluster: &'a Cluster,
        gateway: &'a TestGateway,
        view: View,
        shares: Option<u8>,
        form: Form,
    ) -> Self {
        let mut group = Self {
            cluster,
            gateway,
            view,
            readers: Vec::new(),
            given: HashSet::new(),
            begun: HashMap::new(),
            gaps: Vec::new(),
        };
        let entries = group.topics().iter().flat_map(|topic| {
            let entry = move |partition| {
                format!(
                    r#"{{"topic":"{}","partition":{partition},"offset":-2}}"#,
                    TOPICS[*topic]
                )
            };
            // A topic without partitions is one of which everything is wanted, once it is there.
            (0..cluster.count(*topic).max(1)).map(entry)
        });
        let id = format!("[{}]", entries.collect::<Vec<_>>().join(","));
        group.restart(shares, form, &id);
        group
    }

    fn restart(&mut self, shares: Option<u8>, form: Form, id: &str) {
        self.readers = match shares {
            None => vec![Reader::new(None, form, id)],
            Some(n) => (1..=n).map(|k| Reader::new(Some((k, n)), form, id)).collect(),
        };
    }

    fn topics(&self) -> &'static [usize] {
        STREAMS
            .iter()
            .find(|(name, _)| *name == self.view.stream)
            .unwrap()
            .1
    }

    /// Returns what a reader is to be given, by what it looks like.
    fn due(&self, reader: usize) -> Due {
        self.wanted(reader, self.cluster.records(self.topics()))
    }

    /// Returns what a reader may be given although it was deleted, because it may have been sent before that.
    fn sent_before_deletion(&self, reader: usize) -> Due {
        let own = &self.readers[reader];
        match own.connection {
            None => Due::new(),
            Some(_) => self.wanted(reader, self.cluster.deleted(own.deleted_before)),
        }
    }

    fn wanted(&self, reader: usize, records: Vec<StoredRecord>) -> Due {
        let View { fields, filter, .. } = self.view;
        let wanted = records.into_iter().filter(|record| {
            self.topics().contains(&record.topic)
                && self.readers[reader].has(record)
                && accepts(record, filter)
                && !self.given.contains(&record.n)
        });
        let texts = wanted.flat_map(|record| {
            let [plain, redacted] = [false, true].map(|is_redacted| sent(&record, is_redacted, fields));
            let differs = plain != redacted;
            let expected = |is_redacted| Expected {
                record,
                is_redacted: differs.then_some(is_redacted),
            };
            let redacted = differs.then(|| (redacted, expected(true)));
            [(plain, expected(false))].into_iter().chain(redacted)
        });
        texts.collect()
    }

    /// Asserts that an event looks as events of its topic did since this many changes of rules.
    fn check_redaction(&self, expected: &Expected, changes: usize) {
        if let Some(is_redacted) = expected.is_redacted {
            let may_be = self.cluster.may_be(expected.record.topic, is_redacted, changes);
            assert!(may_be, "{expected:?} was given after change {changes}");
        }
    }

    /// A reader takes up to this many events.
    pub(super) async fn read(&mut self, reader: usize, most: usize) {
        let reader = reader % self.readers.len();
        let mut due = self.due(reader);
        let mut deleted = self.sent_before_deletion(reader);
        let fields = self.view.fields;
        let mut left = count(&due).min(most);
        while left > 0 {
            let message = self.next(reader).await;
            if message.event == "checkpoint" {
                continue;
            }
            let expected = take(&mut due, &message.data, fields);
            left -= usize::from(expected.is_some());
            let expected = expected.or_else(|| take(&mut deleted, &message.data, fields));
            let expected = expected.unwrap_or_else(|| {
                let share = self.readers[reader].share;
                panic!("{share:?} was given {message:?}, and is due {due:?}");
            });
            self.check_redaction(&expected, self.readers[reader].changes_before);
            let (record, own) = (expected.record, &mut self.readers[reader]);
            let partition = (record.topic, record.partition);
            let last = own.last.insert(partition, record.n);
            assert!(last < Some(record.n), "out of order: {message:?}");
            self.given.insert(record.n);
            let before = self.cluster.count_deleted();
            self.begun.entry(partition).or_insert(before);
        }
    }

    /// Returns the next event or checkpoint of a reader. Notes gaps, and comes back if the stream ends.
    async fn next(&mut self, reader: usize) -> SseMessage {
        loop {
            let target = self.target(reader);
            let own = &mut self.readers[reader];
            let connection = match &mut own.connection {
                Some(connection) => connection,
                none => {
                    own.deleted_before = self.cluster.count_deleted();
                    own.changes_before = self.cluster.count_redactions();
                    let connection = Connection::open(self.gateway, &target, own.form, &own.id).await;
                    none.insert(connection)
                }
            };
            let Some(message) = connection.message_or_end().await else {
                own.connection = None;
                continue;
            };
            match &*message.event {
                "gap" => {
                    own.id = message.id.unwrap_or(std::mem::take(&mut own.id));
                    self.gaps.push(gap(&message.data));
                }
                "message" | "checkpoint" => {
                    own.id = message.id.clone().expect("an id");
                    own.has_own_id = true;
                    return message;
                }
                _ => panic!("{message:?}"),
            }
        }
    }

    fn target(&self, reader: usize) -> String {
        let Reader { form, .. } = self.readers[reader];
        self.view
            .target(self.readers[reader].partitions().as_deref(), form)
    }

    /// A reader is cut, and comes back in this form.
    pub(super) fn cut(&mut self, reader: usize, form: Form) {
        let reader = reader % self.readers.len();
        let own = &mut self.readers[reader];
        own.connection = None;
        own.form = form;
    }

    /// Another client reads JSON lines from where a reader is, up to an end if it has one.
    pub(super) async fn peek(&self, reader: usize, form: Form, bound: Option<Bound>) {
        let reader = reader % self.readers.len();
        let form = Form { lines: true, ..form };
        let own = &self.readers[reader];
        let mut due = self.due(reader);
        let bound = match (bound, count(&due)) {
            (None, _) => None,
            (Some(Bound::Limit), count @ 1..) => Some(("limit", format!("&limit={count}"))),
            (Some(_), _) => Some(("until", "&until=now".to_owned())),
        };
        let mut target = self.view.target(own.partitions().as_deref(), form);
        target.extend(bound.iter().map(|(_, parameter)| parameter.as_str()));
        let changes = self.cluster.count_redactions();
        let mut connection = Connection::open(self.gateway, &target, form, &own.id).await;
        while !due.is_empty() {
            let line = connection.line().await;
            if line.starts_with("{\"gap\":") {
                continue;
            }
            let expected = take(&mut due, &line, self.view.fields);
            let expected = expected.unwrap_or_else(|| panic!("{line} was not due, but {due:?}"));
            self.check_redaction(&expected, changes);
        }
        let Some((reason, _)) = bound else { return };
        loop {
            let line = connection.line().await;
            if !line.starts_with("{\"gap\":") {
                assert!(
                    line.starts_with(&format!("{{\"end\":{{\"reason\":\"{reason}\"")),
                    "{line}"
                );
                return;
            }
        }
    }

    /// All readers stop, and others go on where they were: of so many shares, or of all partitions.
    pub(super) async fn rescale(&mut self, shares: Option<u8>, form: Form) {
        for reader in 0..self.readers.len() {
            let Reader { has_own_id, id, .. } = &self.readers[reader];
            // In one form, so that the ids can be joined. The id of a reader of everything is joined with no other.
            let can_be_joined = *has_own_id && id.starts_with('~') == form.compact;
            if self.readers.len() > 1 && !can_be_joined {
                self.cut(reader, form);
                self.wait_for_id(reader).await;
            }
        }
        let ids: Vec<_> = self.readers.iter().map(|reader| reader.id.as_str()).collect();
        let id = match ids[..] {
            [id] => id.to_owned(),
            _ if form.compact => ids.join(","),
            _ => join_arrays(&ids),
        };
        self.restart(shares, form, &id);
    }

    /// Waits until a reader has an id of its own in the form of its connection.
    async fn wait_for_id(&mut self, reader: usize) {
        let due = count(&self.due(reader));
        if due > 0 {
            return self.read(reader, 1).await;
        }
        let message = self.next(reader).await;
        assert_eq!(message.event, "checkpoint");
    }

    /// All readers take everything.
    pub(super) async fn settle(&mut self) {
        for reader in 0..self.readers.len() {
            self.read(reader, usize::MAX).await;
        }
        let due: Vec<_> = (0..self.readers.len())
            .flat_map(|reader| self.due(reader))
            .collect();
        assert!(due.is_empty(), "{due:?}");
        let records = self.cluster.records(self.topics());
        let wanted = records.iter().filter(|record| accepts(record, self.view.filter));
        let wanted: HashSet<_> = wanted.map(|record| record.n).collect();
        let deleted = self.cluster.deleted(0);
        let was_deleted = |n: &u64| deleted.iter().any(|record| record.n == *n);
        assert!(wanted.is_subset(&self.given));
        assert!(self.given.difference(&wanted).all(was_deleted));
    }

    /// Asserts that the readers were given or told of each record that was deleted.
    pub(super) async fn verify_gaps(&mut self) {
        for reader in 0..self.readers.len() {
            if !self.untold().is_empty() {
                self.read_what_was_sent(reader).await;
            }
        }
        let untold = self.untold();
        assert!(untold.is_empty(), "no gap tells of {untold:?}: {:?}", self.gaps);
    }

    /// A reader takes what was sent before it was deleted. Checkpoints come behind that.
    async fn read_what_was_sent(&mut self, reader: usize) {
        let mut deleted = self.sent_before_deletion(reader);
        let mut checkpoints = 0;
        while checkpoints < 2 {
            let message = self.next(reader).await;
            if message.event == "checkpoint" {
                checkpoints += 1;
                continue;
            }
            let expected = take(&mut deleted, &message.data, self.view.fields);
            let expected = expected.unwrap_or_else(|| panic!("{message:?} was not due"));
            self.check_redaction(&expected, self.readers[reader].changes_before);
            self.given.insert(expected.record.n);
        }
    }

    /// Returns the records that were deleted before they were given, and of which no gap tells, in partitions of which something had
    /// been given.
    fn untold(&self) -> Vec<StoredRecord> {
        let deleted = self.cluster.deleted(0).into_iter().enumerate();
        let untold = deleted.filter(|(number, record)| {
            let partition = (record.topic, record.partition);
            let had_begun = self.begun.get(&partition).is_some_and(|before| before <= number);
            let is_told = |(of, offsets): &((usize, i32), Range<Offset>)| {
                *of == partition && offsets.contains(&record.offset)
            };
            had_begun
                && accepts(record, self.view.filter)
                && !self.given.contains(&record.n)
                && !self.gaps.iter().any(is_told)
        });
        untold.map(|(_, record)| record).collect()
    }
}

/// Returns the partition and the offsets of a gap.
fn gap(data: &str) -> ((usize, i32), Range<Offset>) {
    let gap: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(gap["reason"], "expired", "{gap}");
    let topic = TOPICS.iter().position(|own| gap["topic"] == *own).unwrap();
    let offset = |name: &str| gap[name].as_i64().unwrap_or_else(|| panic!("{gap}"));
    let partition = offset("partition") as i32;
    ((topic, partition), offset("requested")..offset("resumed"))
}

/// Joins JSON arrays into one.
fn join_arrays(ids: &[&str]) -> String {
    let inner = ids.iter().map(|id| {
        id.strip_prefix('[')
            .and_then(|id| id.strip_suffix(']'))
            .expect("an array")
    });
    format!("[{}]", inner.collect::<Vec<_>>().join(","))
}
