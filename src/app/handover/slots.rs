//! Which inherited descriptor is which socket.

use super::{CHANNEL, TICKET_KEYS};

/// The indices of the sockets among the inherited descriptors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Slots {
    pub(super) http: Option<usize>,
    pub(super) https: Option<usize>,
    pub(super) admin: Option<usize>,
    /// The channel to the predecessor.
    pub(super) channel: Option<usize>,
    /// The channel with the predecessor's keys of tickets.
    pub(super) ticket_keys: Option<usize>,
}

impl Slots {
    /// The name of the public socket without TLS, in `LISTEN_FDNAMES`.
    pub(super) const HTTP: &str = "http";
    /// The name of the public socket with TLS.
    pub(super) const HTTPS: &str = "https";
    /// The name of the admin socket.
    pub(super) const ADMIN: &str = "admin";

    /// Assigns `count` descriptors by their `names`, which are separated by colons. systemd names them after their unit unless it is
    /// told otherwise. So those with other names are taken in their order: the public one without TLS, if `has_http`, and then the
    /// admin one.
    pub(super) fn assign(names: &str, count: usize, has_http: bool) -> Self {
        let (mut slots, mut others) = (Self::default(), Vec::new());
        let names = names.split(':').chain(std::iter::repeat(""));
        for (index, name) in names.take(count).enumerate() {
            match slots.named(name) {
                Some(slot @ None) => *slot = Some(index),
                _ => others.push(index),
            }
        }
        let mut others = others.into_iter();
        if has_http && slots.http.is_none() {
            slots.http = others.next();
        }
        slots.admin = slots.admin.or_else(|| others.next());
        slots
    }

    fn named(&mut self, name: &str) -> Option<&mut Option<usize>> {
        match name {
            Self::HTTP => Some(&mut self.http),
            Self::HTTPS => Some(&mut self.https),
            Self::ADMIN => Some(&mut self.admin),
            CHANNEL => Some(&mut self.channel),
            TICKET_KEYS => Some(&mut self.ticket_keys),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the slots as indices: public, with TLS, admin, channel.
    fn assigned(names: &str, count: usize, has_http: bool) -> [Option<usize>; 4] {
        let slots = Slots::assign(names, count, has_http);
        [slots.http, slots.https, slots.admin, slots.channel]
    }

    #[test]
    fn sockets_without_names_of_ours_are_taken_in_their_order() {
        for names in ["", "riverhead.socket:riverhead.socket", "unknown", "http:http"] {
            assert_eq!(
                assigned(names, 2, true),
                [Some(0), None, Some(1), None],
                "{names}"
            );
        }
        assert_eq!(assigned("", 1, true), [Some(0), None, None, None]);
        assert_eq!(assigned("", 0, true), [None; 4]);
        assert_eq!(
            assigned("", 1, false),
            [None, None, Some(0), None],
            "there is no plain listener"
        );
    }

    #[test]
    fn a_name_goes_before_the_order() {
        assert_eq!(assigned("https:a:b", 3, true), [Some(1), Some(0), Some(2), None]);
        assert_eq!(assigned("https:a", 2, false), [None, Some(0), Some(1), None]);
        assert_eq!(
            assigned("http:admin:https:riverhead-handover", 4, true),
            [Some(0), Some(2), Some(1), Some(3)]
        );
        assert_eq!(
            assigned("http:admin:riverhead-handover", 3, true),
            [Some(0), None, Some(1), Some(2)],
            "of a predecessor without TLS"
        );
    }

    #[test]
    fn the_channel_with_ticket_keys_is_taken_for_no_listener() {
        let names = "http:admin:https:riverhead-handover:riverhead-ticket-keys";
        assert_eq!(assigned(names, 5, true), [Some(0), Some(2), Some(1), Some(3)]);
        assert_eq!(Slots::assign(names, 5, true).ticket_keys, Some(4));
        // The predecessor had no plain listener, and the successor has one.
        let names = "admin:https:riverhead-handover:riverhead-ticket-keys";
        assert_eq!(assigned(names, 4, true), [None, Some(1), Some(0), Some(2)]);
    }

    #[test]
    fn a_listener_that_is_configured_anew_is_not_taken_for_another() {
        // The predecessor had no plain listener, and the successor has one.
        assert_eq!(
            assigned("admin:https:riverhead-handover", 3, true),
            [None, Some(1), Some(0), Some(2)]
        );
    }
}
