//! The decision when a group leaves its cluster, and for which one.
//!
//! Not here: the move itself (`failover`).

use std::time::{Duration, Instant};

/// State of one cluster of a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// Whether it serves the group now.
    pub(super) serves: bool,
    /// When it was last seen to serve the group.
    pub(super) served_at: Option<Instant>,
    /// How long it may fail as the active cluster.
    pub(super) failover_after: Duration,
}

/// Returns the cluster to move to from `active`, which was chosen at `since`. Returns `None` if the group stays.
///
/// The choice is the next cluster in the list that serves the group, continued from the list's front. A preferred cluster that
/// has recovered is better than none. If no cluster serves the group, a move would not help.
pub(super) fn choose_cluster(
    candidates: &[Candidate],
    active: usize,
    since: Instant,
    now: Instant,
) -> Option<usize> {
    let current = candidates.get(active)?;
    let healthy_at = current.served_at.map_or(since, |served| served.max(since));
    if current.serves || now.saturating_duration_since(healthy_at) < current.failover_after {
        return None;
    }
    let others = (active + 1..candidates.len()).chain(0..active);
    others.into_iter().find(|other| candidates[*other].serves)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(60);

    fn serving(now: Instant) -> Candidate {
        Candidate {
            serves: true,
            served_at: Some(now),
            failover_after: AFTER,
        }
    }

    fn failing(served_at: Option<Instant>) -> Candidate {
        Candidate {
            serves: false,
            served_at,
            failover_after: AFTER,
        }
    }

    #[test]
    fn a_cluster_is_left_only_when_it_fails_for_longer_than_its_deadline() {
        let start = Instant::now();
        let now = start + Duration::from_secs(300);
        let ago = |seconds| Some(now - Duration::from_secs(seconds));
        assert_eq!(choose_cluster(&[serving(now), serving(now)], 0, start, now), None);
        assert_eq!(
            choose_cluster(&[failing(ago(59)), serving(now)], 0, start, now),
            None
        );
        assert_eq!(
            choose_cluster(&[failing(ago(60)), serving(now)], 0, start, now),
            Some(1)
        );
        assert_eq!(
            choose_cluster(&[failing(None), serving(now)], 0, start, now),
            Some(1),
            "never seen"
        );
        let just = now - Duration::from_secs(59);
        assert_eq!(
            choose_cluster(&[failing(None), serving(now)], 0, just, now),
            None,
            "a cluster that was just chosen gets its time too"
        );
    }

    #[test]
    fn the_way_back_is_no_preference_but_better_than_nothing() {
        let start = Instant::now();
        let now = start + Duration::from_secs(300);
        assert_eq!(
            choose_cluster(&[serving(now), serving(now)], 1, start, now),
            None,
            "it stays"
        );
        let dead = failing(Some(start));
        assert_eq!(
            choose_cluster(&[serving(now), dead, dead], 1, start, now),
            Some(0)
        );
        assert_eq!(
            choose_cluster(&[serving(now), dead, serving(now)], 1, start, now),
            Some(2),
            "the next first"
        );
        assert_eq!(
            choose_cluster(&[dead, dead], 0, start, now),
            None,
            "no cluster serves"
        );
        assert_eq!(choose_cluster(&[dead], 0, start, now), None);
    }
}
