//! The budget of file descriptors: every stream takes one, and a process may have a limited number.

use std::num::NonZeroU32;

use super::StartError;
use crate::{config::Config, limits::settings::LimitSettings};

/// Raises the limit of descriptors as far as the operating system allows, and makes the number of streams fit. A default number
/// of streams is lowered, with a line in the log.
///
/// # Errors
/// [`StartError::Descriptors`] if more streams were configured than fit.
pub(super) fn fit(config: &mut Config) -> Result<(), StartError> {
    let available = rlimit::increase_nofile_limit(u64::MAX)?;
    let limits = &mut config.limits;
    let wanted = limits.streams_total;
    limits.streams_total = streams(limits, config.streams_total_chosen, available)?;
    limits.streams_per_client = limits.streams_per_client.min(limits.streams_total);
    if limits.streams_total < wanted {
        tracing::warn!(
            streams_total = limits.streams_total,
            descriptors = available,
            "fewer streams than by default, because file descriptors are limited; \
             raise the hard limit (LimitNOFILE=, ulimit -n)"
        );
    }
    Ok(())
}

/// Returns how many streams there can be.
fn streams(limits: &LimitSettings, chosen: bool, available: u64) -> Result<NonZeroU32, StartError> {
    let others = u64::from(limits.connections_without_stream.get()) + OTHER_DESCRIPTORS;
    let room = available.saturating_sub(others);
    let wanted = limits.streams_total;
    if u64::from(wanted.get()) <= room {
        return Ok(wanted);
    }
    if chosen {
        return Err(StartError::Descriptors {
            wanted,
            others,
            available,
        });
    }
    // If hardly anything is left, a gateway that cannot hold all of its idle connections is better than none.
    let room = room.max(available / 4).min(wanted.get().into());
    Ok(u32::try_from(room)
        .ok()
        .and_then(NonZeroU32::new)
        .unwrap_or(NonZeroU32::MIN))
}

/// How many descriptors are kept for everything but streams and public connections without one: brokers (each client of
/// librdkafka has a connection to each), the admin listener, trusted proxies' connections, the runtime.
const OTHER_DESCRIPTORS: u64 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(wanted: u32, chosen: bool, available: u64) -> Option<u32> {
        let limits = LimitSettings {
            streams_total: NonZeroU32::new(wanted).unwrap(),
            ..LimitSettings::default()
        };
        streams(&limits, chosen, available).ok().map(NonZeroU32::get)
    }

    #[test]
    fn what_fits_is_left_as_it_is() {
        assert_eq!(fits(10_000, false, 20_000), Some(10_000));
        assert_eq!(fits(10_000, true, 11_024), Some(10_000));
        assert_eq!(fits(u32::MAX, true, u64::MAX), Some(u32::MAX));
    }

    #[test]
    fn what_somebody_asked_for_is_not_changed_behind_their_back() {
        assert_eq!(fits(10_000, true, 11_023), None);
        assert_eq!(fits(1, true, 1_024), None);
    }

    #[test]
    fn a_default_shrinks_and_never_to_nothing() {
        assert_eq!(fits(10_000, false, 4_096), Some(3_072));
        assert_eq!(fits(10_000, false, 1_024), Some(256));
        assert_eq!(fits(10_000, false, 3), Some(1));
        assert_eq!(fits(10, false, 64), Some(10));
    }
}
