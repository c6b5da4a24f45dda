//! Readers that read a stream together, compared with a plain model.

use std::collections::{BTreeMap, HashSet};

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
}

struct Reader {
    /// k and n; `None` for all partitions.
    share: Option<(u8, u8)>,
    form: Form,
    /// The last id, and whether it came from this reader.
    id: String,
    has_own_id: bool,
    connection: Option<Connection>,
    /// The last number that was given of each partition.
    last: BTreeMap<(usize, i32), u64>,
}

/// Returns the share to which a partition belongs, by the documented rule.
pub(super) fn owner(topic: &str, partition: i32, of: u8) -> u8 {
    let hash = Sha256::digest(topic.as_bytes());
    let first = u64::from_be_bytes(hash[..8].try_into().unwrap());
    (1 + (u128::from(first) + partition as u128) % u128::from(of)) as u8
}

/// Returns the values with these fields, as a client gets it.
fn sent(record: &StoredRecord, fields: Option<&str>) -> String {
    let StoredRecord {
        topic, partition, n, ..
    } = record;
    let topic = TOPICS[*topic];
    match fields {
        None => record.value(),
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
    fn due(&self, reader: usize) -> BTreeMap<String, StoredRecord> {
        let View { fields, filter, .. } = self.view;
        let records = self.cluster.records(self.topics()).into_iter();
        let due = records.filter(|record| {
            self.readers[reader].has(record) && accepts(record, filter) && !self.given.contains(&record.n)
        });
        due.map(|record| (sent(&record, fields), record)).collect()
    }

    /// A reader takes up to this many events.
    pub(super) async fn read(&mut self, reader: usize, most: usize) {
        let reader = reader % self.readers.len();
        let mut due = self.due(reader);
        let count = due.len().min(most);
        let target = self.target(reader);
        let own = &mut self.readers[reader];
        if own.connection.is_none() {
            own.connection = Some(Connection::open(self.gateway, &target, own.form, &own.id).await);
        }
        let connection = own.connection.as_mut().unwrap();
        let mut left = count;
        while left > 0 {
            let message = connection.message().await;
            assert!(
                ["message", "checkpoint"].contains(&&*message.event),
                "{message:?}"
            );
            own.id = message.id.clone().expect("an id");
            own.has_own_id = true;
            if message.event == "checkpoint" {
                continue;
            }
            let record = due.remove(&message.data).unwrap_or_else(|| {
                panic!("{:?} was given {message:?}, and is due {due:?}", own.share);
            });
            let last = own.last.insert((record.topic, record.partition), record.n);
            assert!(last < Some(record.n), "out of order: {message:?}");
            self.given.insert(record.n);
            left -= 1;
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

    /// Another client reads JSON lines from where a reader is.
    pub(super) async fn peek(&self, reader: usize, form: Form) {
        let reader = reader % self.readers.len();
        let form = Form { lines: true, ..form };
        let own = &self.readers[reader];
        let target = self.view.target(own.partitions().as_deref(), form);
        let mut connection = Connection::open(self.gateway, &target, form, &own.id).await;
        let mut due = self.due(reader);
        while !due.is_empty() {
            let line = connection.line().await;
            assert!(due.remove(&line).is_some(), "{line} was not due, but {due:?}");
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
        let due = self.due(reader).len();
        if due > 0 {
            return self.read(reader, 1).await;
        }
        let target = self.target(reader);
        let own = &mut self.readers[reader];
        let mut connection = Connection::open(self.gateway, &target, own.form, &own.id).await;
        let message = connection.message().await;
        assert_eq!(message.event, "checkpoint");
        own.id = message.id.expect("an id");
        own.has_own_id = true;
        own.connection = Some(connection);
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
        assert_eq!(self.given, wanted);
    }
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
