//! Reads of parts of streams: of some partitions, and of some fields of their events. Over real sockets, with streams that share
//! topics, compared with a plain model.

mod bounded;
mod cluster;
mod connection;
mod group;
mod requests;

use proptest::{prelude::*, sample::select, test_runner::TestRunner};
use riverhead::http::settings::Sink;

use self::{
    cluster::{Cluster, STREAMS, TOPICS},
    connection::{Form, View},
    group::{Bound, Group},
};
use crate::support::gateway::{TestGateway, with_sink};

/// A step of a schedule.
#[derive(Clone, Debug)]
enum Op {
    /// Records are written.
    Write {
        topic: usize,
        partition: i32,
        count: usize,
    },
    /// A topic gets one more partition, with records in it.
    AddPartition { topic: usize, count: usize },
    /// The oldest pages leave the memory.
    Evict,
    /// A part of a log is deleted.
    Delete {
        topic: usize,
        partition: i32,
        percent: usize,
    },
    /// The streams get another topic, which does not exist, or lose it.
    Reload { further: bool },
    /// A field is removed from the events of a topic, or no longer.
    Redact { topic: usize, is_redacted: bool },
    /// A reader takes events.
    Read {
        group: usize,
        reader: usize,
        most: usize,
    },
    /// A reader is cut, and comes back with its last id.
    Cut { group: usize, reader: usize, form: Form },
    /// Another client reads JSON lines from where a reader is.
    Peek {
        group: usize,
        reader: usize,
        form: Form,
        bound: Option<Bound>,
    },
    /// The number of readers changes.
    Rescale {
        group: usize,
        shares: Option<u8>,
        form: Form,
    },
}

fn form() -> impl Strategy<Value = Form> {
    (any::<bool>(), any::<bool>()).prop_map(|(gzip, compact)| Form {
        gzip,
        compact,
        lines: false,
    })
}

fn bound() -> impl Strategy<Value = Option<Bound>> {
    select(vec![None, Some(Bound::Now), Some(Bound::Limit)])
}

fn op() -> impl Strategy<Value = Op> {
    let (group, reader) = (0..GROUPS, 0..8usize);
    let topic = 0..TOPICS.len();
    prop_oneof![
        12 => (topic.clone(), 0..8i32, 1..12usize)
            .prop_map(|(topic, partition, count)| Op::Write { topic, partition, count }),
        2 => (topic.clone(), 1..8usize).prop_map(|(topic, count)| Op::AddPartition { topic, count }),
        2 => (topic.clone(), any::<bool>()).prop_map(|(topic, is_redacted)| Op::Redact { topic, is_redacted }),
        2 => (topic, 0..8i32, 10..=90usize)
            .prop_map(|(topic, partition, percent)| Op::Delete { topic, partition, percent }),
        1 => any::<bool>().prop_map(|further| Op::Reload { further }),
        1 => Just(Op::Evict),
        12 => (group.clone(), reader.clone(), 1..20usize)
            .prop_map(|(group, reader, most)| Op::Read { group, reader, most }),
        4 => (group.clone(), reader.clone(), form())
            .prop_map(|(group, reader, form)| Op::Cut { group, reader, form }),
        3 => (group.clone(), reader, form(), bound())
            .prop_map(|(group, reader, form, bound)| Op::Peek { group, reader, form, bound }),
        1 => (group, proptest::option::of(1..=7u8), form())
            .prop_map(|(group, shares, form)| Op::Rescale { group, shares, form }),
    ]
}

fn view() -> impl Strategy<Value = View> {
    let streams = STREAMS.map(|(name, _)| name).to_vec();
    let fields = vec![
        None,
        Some("n"),
        Some("m.x.y,t"),
        Some("m.x, t"),
        Some("p, m.n, nothing"),
    ];
    let filters = vec![
        None,
        None,
        Some("n > 0"),
        Some("t = a"),
        Some("m.n in (2, 3, 5, 8, 13, 21, 34, 55)"),
        Some("@partition = 0 or p = 2"),
    ];
    (select(streams), select(fields), select(filters)).prop_map(|(stream, fields, filter)| View {
        stream,
        fields,
        filter,
    })
}

#[test]
fn shares_together_give_everything_once_and_each_only_its_own_whatever_comes_between() {
    let schedule = (
        view(),
        1..=7u8,
        [0..4i32, 1..4i32, 0..3i32],
        form(),
        any::<bool>(),
        prop::collection::vec(op(), 1..50),
    );
    let config = ProptestConfig {
        cases: 40,
        failure_persistence: None,
        max_shrink_iters: 30,
        ..ProptestConfig::default()
    };
    TestRunner::new(config)
        .run(&schedule, |(view, shares, partitions, form, is_body, ops)| {
            let sink = if is_body { Sink::Body } else { Sink::Socket };
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            runtime.block_on(with_sink(sink, run(view, shares, partitions, form, &ops)));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

/// Runs the schedule, then lets everything settle and compares.
async fn run(view: View, shares: u8, partitions: [i32; 3], form: Form, ops: &[Op]) {
    let cluster = Cluster::new(partitions);
    let gateway = TestGateway::over(Cluster::catalog(), cluster.source.clone(), |_| {});
    // Two groups with the same request, so that there are lanes, and one reader of everything.
    let group = |shares| Group::new(&cluster, &gateway, view.clone(), shares, form);
    let mut groups = [group(Some(shares)), group(Some(shares)), group(None)];
    for op in ops {
        step(&cluster, &gateway, &mut groups, op).await;
    }
    for group in &mut groups {
        group.settle().await;
    }
    // What comes now comes live, and to lanes.
    for topic in 0..TOPICS.len() {
        (0..cluster.count(topic)).for_each(|partition| cluster.write(topic, partition, 2));
    }
    for group in &mut groups {
        group.settle().await;
        group.verify_gaps().await;
    }
}

async fn step(cluster: &Cluster, gateway: &TestGateway, groups: &mut [Group<'_>; GROUPS], op: &Op) {
    match *op {
        Op::Write {
            topic,
            partition,
            count,
        } => {
            let partitions = cluster.count(topic);
            if partitions > 0 {
                cluster.write(topic, partition % partitions, count);
            }
        }
        Op::AddPartition { topic, count } => {
            if (0..MOST_PARTITIONS).contains(&cluster.count(topic)) {
                cluster.add_partition(topic);
                cluster.write(topic, cluster.count(topic) - 1, count);
            }
        }
        Op::Evict => cluster.evict(),
        Op::Delete {
            topic,
            partition,
            percent,
        } => {
            let partitions = cluster.count(topic).max(1);
            cluster.delete(topic, partition % partitions, percent);
        }
        Op::Reload { further } => {
            let catalog = Cluster::catalog_with(further).into();
            gateway.switch.set(&catalog);
        }
        Op::Redact { topic, is_redacted } => cluster.redact(topic, is_redacted),
        Op::Read { group, reader, most } => groups[group].read(reader, most).await,
        Op::Cut { group, reader, form } => groups[group].cut(reader, form),
        Op::Peek {
            group,
            reader,
            form,
            bound,
        } => groups[group].peek(reader, form, bound).await,
        Op::Rescale { group, shares, form } => groups[group].rescale(shares, form).await,
    }
}

/// The number of groups.
const GROUPS: usize = 3;

/// The most partitions of a topic.
const MOST_PARTITIONS: i32 = 8;
