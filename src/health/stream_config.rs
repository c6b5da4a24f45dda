//! The health of the streams that are configured elsewhere.

use std::time::Instant;

use super::{
    report::{StreamConfigReport, age},
    state::{Verdict, count, seconds},
};

/// What is known of a document with streams.
#[derive(Clone, Debug, Default)]
pub struct StreamConfigHealth {
    /// Where it is.
    pub source: String,
    /// How many of its streams are served.
    pub streams: usize,
    /// When it was read last. `None` if this process has not read it yet.
    pub read_at: Option<Instant>,
    /// Why it cannot be read.
    pub problem: Option<String>,
    /// What is wrong with streams of it, a sentence for each.
    pub faults: Vec<String>,
}

impl StreamConfigHealth {
    pub(super) fn report(&self, now: Instant) -> StreamConfigReport {
        let Verdict { state, reason } = self.judge(now);
        StreamConfigReport {
            state,
            reason,
            source: self.source.clone(),
            streams: self.streams,
            read_age_seconds: age(self.read_at, now),
        }
    }

    fn judge(&self, now: Instant) -> Verdict {
        let served = count(self.streams, "stream");
        if let Some(problem) = &self.problem {
            let before = match (self.read_at, self.streams) {
                (Some(at), _) => {
                    let age = seconds(now.saturating_duration_since(at));
                    format!("what was read {age} ago is served, {served}")
                }
                (None, 0) => "none of its streams is served".to_owned(),
                (None, _) => format!("what was read before the start is served, {served}"),
            };
            return Verdict::degraded(format!("{} cannot be read: {problem}; {before}", self.source));
        }
        match &self.faults[..] {
            [] => Verdict::ok(format!("{served} of {}", self.source)),
            [fault] => Verdict::degraded(fault.clone()),
            [fault, more @ ..] => Verdict::degraded(format!("{fault}; and {} more", more.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::health::HealthState;

    #[test]
    fn what_cannot_be_read_is_degraded_and_says_what_is_served_instead() {
        let now = Instant::now();
        let mut health = StreamConfigHealth {
            source: "https://config.example/streams".into(),
            streams: 2,
            read_at: Some(now),
            ..StreamConfigHealth::default()
        };
        let report = health.report(now + Duration::from_secs(7));
        assert_eq!(report.state, HealthState::Ok);
        assert_eq!(report.reason, "2 streams of https://config.example/streams");
        assert_eq!(report.read_age_seconds, Some(7.0));

        health.problem = Some("the answer is 302 Found".into());
        let reason = |health: &StreamConfigHealth| {
            let report = health.report(now + Duration::from_secs(90));
            assert_eq!(report.state, HealthState::Degraded);
            report.reason
        };
        let start = "https://config.example/streams cannot be read: the answer is 302 Found; ";
        assert_eq!(
            reason(&health),
            format!("{start}what was read 90 s ago is served, 2 streams")
        );
        health.read_at = None;
        assert_eq!(
            reason(&health),
            format!("{start}what was read before the start is served, 2 streams")
        );
        health.streams = 0;
        assert_eq!(reason(&health), format!("{start}none of its streams is served"));
    }

    #[test]
    fn a_stream_that_cannot_be_served_as_it_should_be_is_told() {
        let mut health = StreamConfigHealth {
            faults: vec!["stream `a` is left out: x".into()],
            ..StreamConfigHealth::default()
        };
        let report = health.report(Instant::now());
        assert_eq!(report.state, HealthState::Degraded);
        assert_eq!(report.reason, "stream `a` is left out: x");
        health.faults.extend(["b".to_owned(), "c".to_owned()]);
        assert_eq!(
            health.report(Instant::now()).reason,
            "stream `a` is left out: x; and 2 more"
        );
    }
}
