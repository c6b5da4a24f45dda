//! The comparison of the brokers' answers about idle partitions: which broker names another leader than the one that is fetched
//! from.

use std::sync::Arc;

use crate::kafka::client::raw::TopicDescriptions;

/// A partition whose high watermark does not move, and the broker it is fetched from.
pub(super) type IdlePartition = (Arc<str>, i32, Option<i32>);

/// The partitions whose log end is to be asked of the leaders that one broker names.
pub(super) type SuspectPartitions = Vec<(Arc<str>, i32)>;

/// Returns the broker that names another leader for most of these partitions, and those partitions; `None` if no broker does.
pub(super) fn find_contradiction(
    topics: &[Arc<str>],
    views: &[(i32, TopicDescriptions)],
    idle: &[IdlePartition],
) -> Option<(i32, SuspectPartitions)> {
    let contradictions = views.iter().map(|(via, view)| {
        let contradicts = |(topic, number, from): &&IdlePartition| {
            let leader = leader(topics, view, topic, *number);
            leader.is_some() && leader != *from
        };
        (*via, partitions_of(idle.iter().filter(contradicts)))
    });
    let most = contradictions.max_by_key(|(_, suspects)| suspects.len());
    most.filter(|(_, suspects)| !suspects.is_empty())
}

/// Returns the leader of a partition in this view.
fn leader(topics: &[Arc<str>], view: &TopicDescriptions, topic: &str, number: i32) -> Option<i32> {
    let at = topics.iter().position(|it| **it == *topic)?;
    let info = view.get(at)?.as_ref().ok()?;
    *info.leaders.get(usize::try_from(number).ok()?)?
}

pub(super) fn partitions_of<'a>(partitions: impl Iterator<Item = &'a IdlePartition>) -> SuspectPartitions {
    partitions
        .map(|(topic, number, _)| (Arc::clone(topic), *number))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rdkafka::types::RDKafkaErrorCode;

    use super::*;
    use crate::kafka::client::raw::TopicInfo;

    fn view(leaders: [Option<i32>; 2]) -> TopicDescriptions {
        vec![
            Err(RDKafkaErrorCode::UnknownTopicOrPartition),
            Ok(TopicInfo {
                id: [0; 16],
                leaders: leaders.to_vec(),
                replicas: BTreeSet::new(),
            }),
        ]
    }

    #[test]
    fn who_names_another_leader_is_believed_and_asked_about_that_partition_only() {
        let topics = ["gone".into(), "t".into()];
        let idle = [("t".into(), 0, Some(1)), ("t".into(), 1, Some(2))];
        let agreeing = (1, view([Some(1), Some(2)]));
        // A broker that knows no leader contradicts no other broker.
        let clueless = (2, view([None, Some(2)]));
        assert_eq!(
            find_contradiction(&topics, &[agreeing.clone(), clueless.clone()], &idle),
            None
        );
        let other = (3, view([Some(3), Some(2)]));
        let found = find_contradiction(&topics, &[agreeing, other, clueless], &idle);
        assert_eq!(found, Some((3, vec![("t".into(), 0)])));
    }
}
