//! A stream that a reload lets be read from another cluster.

use riverhead_brokers::eventually;

use super::{APPLIED, Riverhead, SOON, client::Client, streams::until_read};
use crate::support::brokers::Brokers;

/// Returns a configuration of two clusters, with a stream that is read from `cluster`, and another one of `main`.
fn text(main: &Brokers, other: &Brokers, cluster: &str) -> String {
    format!(
        "[limits]\nrequest_burst = 100000\n\
         [[clusters]]\nname = 'main'\nbootstrap = {:?}\n\
         [[clusters]]\nname = 'other'\nbootstrap = {:?}\n\
         [[streams]]\nname = 'edits'\ntopics = ['a']\nclusters = ['{cluster}']\n\
         [[streams]]\nname = 'pages'\ntopics = ['p']\nclusters = ['main']\n",
        main.addresses(),
        other.addresses()
    )
}

#[test]
fn a_stream_goes_on_in_the_cluster_that_a_reload_names_and_back_and_others_notice_nothing() {
    let main = Brokers::start(&[("a", 1), ("p", 1)]);
    let other = Brokers::start(&[("a", 1)]);
    let riverhead = Riverhead::start(&text(&main, &other, "main"));
    until_read(&riverhead, 2.0);
    main.write("a", 0, 0..5);
    // The copy of a mirror.
    other.write("a", 0, 0..5);
    let client = Client::ask(&riverhead, "edits?since=1", "");
    let bystander = Client::ask(&riverhead, "pages?since=1", "");
    client.until_numbers(0..5);
    let id = client.last_id();

    riverhead.reload(&text(&main, &other, "other"), APPLIED);
    other.write("a", 0, 5..10);
    // Nobody reads that any more.
    main.write("a", 0, 100..105);
    let resumed = Client::resume(&riverhead, "edits", &id);
    for reader in [&client, &resumed] {
        until_latest(reader, 5..10);
    }

    riverhead.reload(&text(&main, &other, "main"), APPLIED);
    main.write("a", 0, 105..110);
    until_latest(&client, 105..110);
    main.write("p", 0, 0..3);
    bystander.until_numbers(0..3);
    assert!(!client.is_over() && !bystander.is_over());
}

/// Waits until all of these numbers have come, each once. A move to another cluster may repeat what came before it.
fn until_latest(client: &Client, expected: std::ops::Range<i64>) {
    eventually(SOON, "what the other cluster has", || {
        let numbers = client.numbers();
        let came = expected.clone().all(|number| numbers.get(&number) == Some(&1));
        came.then_some(()).ok_or_else(|| client.body())
    });
}
