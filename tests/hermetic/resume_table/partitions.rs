//! Partitions that the id lacks, that are gone, or that are not known yet.

use riverhead::position::IdForm;

use super::{fixture, id, numbers, offset_of, resume, tag};
use crate::support::model::{ModelFixture, TOPIC, all};

#[tokio::test(start_paused = true)]
async fn a_partition_that_the_id_lacks_is_read_from_its_start() {
    let fixture = fixture();
    fixture.add_partition();
    fixture.tail(1);
    let id = id(offset_of(&fixture, 100) + 1, None, Some((tag(&fixture), Some(0))));
    assert_eq!(resume(&fixture, &id).await, (vec![], numbers(101..=105)));
}

#[tokio::test(start_paused = true)]
async fn a_partition_added_under_a_live_client_is_read_from_its_start() {
    let fixture = fixture();
    let mut subscription = fixture.subscribe(None, IdForm::Json);
    assert_eq!(all(&mut subscription).await, vec![]);
    fixture.add_partition();
    fixture.tail(1);
    let messages = all(&mut subscription).await;
    assert_eq!(messages.len(), 5);
    assert!(
        messages[4]
            .id
            .as_ref()
            .unwrap()
            .contains(r#""partition":1,"offset":6"#)
    );
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_gone_is_told() {
    let fixture = fixture();
    let id = format!(
        r#"[{{"topic":"{TOPIC}","partition":0,"offset":-1}},{{"topic":"{TOPIC}","partition":9,"offset":5}}]"#
    );
    let (gaps, numbers) = resume(&fixture, &id).await;
    assert_eq!(numbers, Vec::<u64>::new());
    assert_eq!(gaps[0]["reason"], "partition_gone");
    assert_eq!(gaps[0]["partition"], 9);
}

#[tokio::test(start_paused = true)]
async fn a_mute_leader_holds_up_only_its_own_partition_and_the_id_stays_honest() {
    let fixture = fixture();
    fixture.add_partition();
    fixture.tail(1);
    fixture.tail_lags(0);
    fixture.model.lock().partitions[0].mute = true;
    let id = format!(
        r#"[{{"topic":"{TOPIC}","partition":0,"offset":41}},{{"topic":"{TOPIC}","partition":1,"offset":0}}]"#
    );
    let mut subscription = fixture.subscribe(Some(&id), IdForm::Json);
    let messages = all(&mut subscription).await;
    assert_eq!(messages.len(), 5);
    let last = messages[4].id.as_ref().unwrap();
    assert!(last.contains(r#""partition":0,"offset":41}"#), "verbatim: {last}");
    fixture.model.lock().partitions[0].mute = false;
    assert_eq!(all(&mut subscription).await.len(), 61);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_topic_holds_and_its_entries_are_carried() {
    let fixture = ModelFixture::new(0);
    let source = riverhead::subscription::LogSource {
        directory: riverhead::partition::LogDirectory::new(),
        history: fixture.source.history.clone(),
    };
    let fixture = ModelFixture {
        source,
        model: fixture.model,
    };
    let mut subscription = fixture.subscribe(Some(&id(41, Some(5), None)), IdForm::Json);
    assert_eq!(all(&mut subscription).await, vec![]);
    assert!(subscription.is_held());
}
