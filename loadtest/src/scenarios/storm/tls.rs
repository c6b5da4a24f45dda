//! TLS of a crowd that meets a restart, and its handshakes.

use std::{
    fmt, fs, io,
    iter::repeat_with,
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;

use super::RestartKind;
use crate::{
    crowd::ClientCounts,
    meter::most_of,
    tls::{ServerCertificate, SessionPool, TlsTrust},
};

/// What clients that connect over TLS do when they come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Handshakes {
    /// They resume the sessions that they had. Over a cold restart that needs a file of ticket keys, which the gateway has then. A hot
    /// one passes on random keys.
    Resumed,
    /// They begin new sessions.
    Full,
}

/// The certificate of the gateway, and the sessions of its clients.
pub(super) struct StormTls {
    certificate: ServerCertificate,
    sessions: Arc<SessionPool>,
    trust: TlsTrust,
    handshakes: Handshakes,
    /// The file of ticket keys, if the gateway has one.
    ticket_keys: Option<PathBuf>,
}

/// The handshakes of the clients that came back.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RestartHandshakes {
    /// What clients were to do.
    pub wanted: Handshakes,
    /// The number of handshakes that began a session.
    pub full: u64,
    /// The number of handshakes that resumed one.
    pub resumed: u64,
    /// Handshakes per second, from the first to the last.
    pub mean: f64,
    /// The highest number in a second.
    pub most: f64,
}

/// Samples how many handshakes there were.
pub(super) struct HandshakeMeter {
    tally: Arc<ClientCounts>,
    before: (u64, u64),
    samples: Vec<(Instant, u64)>,
}

impl StormTls {
    pub(super) fn create(handshakes: Handshakes, restart: RestartKind) -> io::Result<Self> {
        let certificate = ServerCertificate::create()?;
        let sessions = Arc::default();
        let trust = match handshakes {
            Handshakes::Resumed => certificate.trust().resuming(&sessions),
            Handshakes::Full => certificate.trust(),
        };
        let needs_keys = handshakes == Handshakes::Resumed && restart == RestartKind::Cold;
        let ticket_keys = needs_keys.then(|| certificate.directory().join(TICKET_KEYS));
        if let Some(file) = &ticket_keys {
            let key: Vec<u8> = repeat_with(|| fastrand::u8(..)).take(TICKET_KEY).collect();
            fs::write(file, STANDARD.encode(key) + "\n")?;
        }
        Ok(Self {
            certificate,
            sessions,
            trust,
            handshakes,
            ticket_keys,
        })
    }

    /// Returns the settings of the gateway, as environment variables.
    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.certificate.settings().to_vec();
        if let Some(file) = &self.ticket_keys {
            settings.push((
                "RIVERHEAD_HTTP__TLS__TICKET_KEYS_FILE",
                file.display().to_string(),
            ));
        }
        settings
    }

    /// Returns what the clients trust.
    pub(super) fn trust(&self) -> TlsTrust {
        self.trust.clone()
    }

    /// Lets the clients use the sessions that they have.
    pub(super) fn come_back(&self) {
        self.sessions.open();
    }

    /// Starts to count the handshakes of a crowd.
    pub(super) fn meter(tally: &Arc<ClientCounts>) -> HandshakeMeter {
        HandshakeMeter {
            before: counts(tally),
            tally: Arc::clone(tally),
            samples: Vec::new(),
        }
    }

    /// Returns what was counted.
    pub(super) fn figures(&self, meter: &HandshakeMeter) -> RestartHandshakes {
        let (full, resumed) = counts(&meter.tally);
        RestartHandshakes {
            wanted: self.handshakes,
            full: full - meter.before.0,
            resumed: resumed - meter.before.1,
            mean: mean_of(&meter.samples),
            most: most_of(&meter.samples, SECOND),
        }
    }
}

impl HandshakeMeter {
    /// Takes a sample. Call it many times a second.
    pub(super) fn look(&mut self) {
        let (full, resumed) = counts(&self.tally);
        self.samples.push((Instant::now(), full + resumed));
    }
}

impl RestartHandshakes {
    /// Returns whether all clients did what they were to do. A client whose stream broke again came back with a ticket too.
    pub(super) fn are_as_wanted(&self) -> bool {
        match self.wanted {
            Handshakes::Resumed => self.full == 0,
            Handshakes::Full => self.resumed == 0,
        }
    }
}

impl fmt::Display for RestartHandshakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            full,
            resumed,
            mean,
            most,
            ..
        } = self;
        write!(
            f,
            "full {full}, resumed {resumed}; {mean:.0}/s, at most {most:.0} in a second"
        )
    }
}

fn counts(tally: &ClientCounts) -> (u64, u64) {
    let (full, resumed) = (&tally.full_handshakes, &tally.resumed_handshakes);
    (full.load(Relaxed), resumed.load(Relaxed))
}

/// Returns the rate between the last sample before the first handshake, and the first one with all.
fn mean_of(samples: &[(Instant, u64)]) -> f64 {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
        return 0.0;
    };
    let begun = samples.iter().take_while(|(_, count)| *count == first.1).last();
    let done = samples.iter().find(|(_, count)| *count == last.1);
    let (Some(begun), Some(done)) = (begun, done) else {
        return 0.0;
    };
    let took = done.0.saturating_duration_since(begun.0).as_secs_f64();
    if took > 0.0 {
        (done.1 - begun.1) as f64 / took
    } else {
        0.0
    }
}

/// The name of the file of ticket keys.
const TICKET_KEYS: &str = "ticket.keys";

/// The bytes of a key in it.
const TICKET_KEY: usize = 80;

/// The window of the highest rate.
const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_before_the_first_handshake_and_after_the_last_does_not_count() {
        let start = Instant::now();
        let at = |millis: u64, count: u64| (start + Duration::from_millis(millis), count);
        let samples = [at(0, 5), at(1000, 5), at(2000, 105), at(3000, 205), at(9000, 205)];
        assert!((mean_of(&samples) - 100.0).abs() < 1.0);
        assert!(mean_of(&samples[..2]).abs() < f64::EPSILON);
        assert!(mean_of(&[]).abs() < f64::EPSILON);
    }
}
