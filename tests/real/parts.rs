//! Clients that read a stream together, each a share of its partitions, and some fields of its events.

use std::collections::BTreeSet;

use riverhead::{position::Restriction, sse::SseMessage};
use riverhead_brokers::{Ledger, shared};
use riverhead_loadtest::{client::Client, gateway::Gateway};

use crate::following::{follow, id, numbers, plan, start, take};

const TOPIC: &str = "parts";

#[tokio::test]
#[ignore = "needs real brokers: ./tests/run"]
async fn three_shares_are_together_everything_through_cuts_and_with_partitions_that_are_added() {
    let brokers = shared();
    brokers.create_topic(TOPIC, 4);
    let gateway = start(&plan(&brokers, &[TOPIC]));
    let mut producer = brokers.producer(TOPIC).start();
    producer.send(600);
    producer.flush();
    let ledger = producer.ledger();
    let (mut clients, mut ids) = (Vec::new(), Vec::new());
    for share in SHARES {
        let due = due(&ledger, share, 4);
        let mut client = ask(&gateway, share, "&since=1", None).await;
        let first = take(&mut client, due.len() / 2).await;
        drop(client);
        let mut client = ask(&gateway, share, "", Some(id(last(&first)))).await;
        let rest = take(&mut client, due.len() - first.len()).await;
        assert!(
            rest.iter()
                .all(|message| message.data.starts_with("{\"n\":") && message.data.len() < 20)
        );
        assert_eq!(all_of(&first, &rest), due, "{share}");
        ids.push(id(last(&rest)).to_owned());
        clients.push(client);
    }

    brokers.add_partitions(TOPIC, 7);
    // One that knows them from its start.
    let mut producer = brokers.producer(TOPIC).numbers_from(10_000).start();
    producer.send(900);
    producer.flush();
    let added = producer.ledger();
    assert!((4..7).all(|partition| !added.numbers_of(partition).is_empty()));
    for (share, client) in SHARES.iter().zip(&mut clients) {
        let due = due(&added, share, 7);
        assert_eq!(all_of(&take(client, due.len()).await, &[]), due, "{share}");
    }

    // From before the partitions were added, and by fewer.
    let inner = ids.iter().map(|id| id.trim_matches(['[', ']']));
    let joined = format!("[{}]", inner.collect::<Vec<_>>().join(","));
    for share in ["1/2", "2/2"] {
        let due = due(&added, share, 7);
        let mut client = ask(&gateway, share, "", Some(&joined)).await;
        assert_eq!(all_of(&take(&mut client, due.len()).await, &[]), due, "{share}");
    }
}

async fn ask(gateway: &Gateway, share: &str, more: &str, id: Option<&str>) -> Client {
    follow(gateway, &format!("?fields=n&partitions={share}{more}"), id).await
}

/// Returns the numbers in the partitions of a share.
fn due(ledger: &Ledger, share: &str, partitions: i32) -> BTreeSet<u64> {
    let share = Restriction::parse(share).expect("a share");
    let own = (0..partitions).filter(|partition| share.of_topic(&TOPIC.into()).contains(*partition));
    own.flat_map(|partition| ledger.numbers_of(partition)).collect()
}

/// Returns the numbers of these events, none of which comes twice.
fn all_of(first: &[SseMessage], rest: &[SseMessage]) -> BTreeSet<u64> {
    let numbers = [numbers(first), numbers(rest)].concat();
    let all: BTreeSet<_> = numbers.iter().copied().collect();
    assert_eq!(all.len(), numbers.len(), "a number came twice");
    all
}

fn last(messages: &[SseMessage]) -> &SseMessage {
    messages.last().expect("an event")
}

const SHARES: [&str; 3] = ["1/3", "2/3", "3/3"];
