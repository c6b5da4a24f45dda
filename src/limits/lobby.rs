//! Where connections wait that have nothing to do: those that have asked nothing yet, and those between two requests.
//!
//! They cost a file descriptor each, and nothing else counts them: those with a stream have a permit, and those that are
//! being answered are that soon, or sit in the tarpit, which has so many seats. When there are too many, of one client or of
//! all, the one that has been silent for longest is sent away, and not the one that comes: an honest client asks within a
//! moment and stands far from the end of the queue, while whoever holds connections open is what the queue consists of. To
//! refuse the newest would give the place to who was there first, which is the attacker.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::settings::Settings;
use crate::{client::ClientKey, metrics::LimitMetrics};

/// Counts connections that wait for a request. Clones count together.
#[derive(Clone, Debug)]
pub struct Lobby(Arc<Room>);

impl Lobby {
    /// Nobody waits yet.
    pub fn new(settings: &Settings, metrics: LimitMetrics) -> Self {
        let crowd = Crowd {
            size: Size::of(settings),
            ..Crowd::default()
        };
        Self(Arc::new(Room {
            crowd: Mutex::new(crowd),
            freed: Notify::new(),
            metrics,
            is_admin: false,
        }))
    }

    /// That of the admin listener, which nobody waits in yet: a few connections, whatever the settings, so that what takes all
    /// of them leaves the descriptors of everybody else alone.
    pub(super) fn of_admin(metrics: LimitMetrics) -> Self {
        let crowd = Crowd {
            size: ADMIN,
            ..Crowd::default()
        };
        Self(Arc::new(Room {
            crowd: Mutex::new(crowd),
            freed: Notify::new(),
            metrics,
            is_admin: true,
        }))
    }

    /// Takes another size for whoever comes from now on; nobody is sent away for it.
    pub(super) fn reload(&self, settings: &Settings) {
        self.0.crowd.lock().size = Size::of(settings);
    }

    /// A place for a connection that is not in it yet.
    pub fn place(&self) -> Place {
        Place {
            room: Arc::clone(&self.0),
            bell: Arc::default(),
            held: Mutex::default(),
        }
    }

    /// Waits, when it is full, until the oldest is not a newcomer any more. When everybody comes at once, as after a restart,
    /// accepting is faster than answering, and whoever came first would be sent away before anybody had looked at what it
    /// asks.
    pub async fn room(&self) {
        let oldest = self.0.crowd.lock().oldest_when_full();
        if let Some(since) = oldest {
            // Who waits in vain sends it away.
            let _ = timeout_at(since + NEWCOMER, self.0.freed.notified()).await;
        }
    }

    /// How many connections are in it.
    pub fn waiting(&self) -> usize {
        self.0.crowd.lock().by_age.len()
    }
}

/// One connection's place. It leaves with its drop.
#[derive(Debug)]
pub struct Place {
    room: Arc<Room>,
    /// Rings when it should look whether it has to go.
    bell: Arc<Notify>,
    held: Mutex<Held>,
}

/// What a connection holds of the lobby.
#[derive(Debug, Default)]
struct Held {
    owner: Option<Owner>,
    ticket: Option<u64>,
}

/// Whose connection one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Client(ClientKey),
    /// A trusted proxy, which has the connections of all of its clients: they count together with all others, and not
    /// against it.
    Proxy,
}

impl Place {
    /// Enters, as a connection of `client`; somebody else may have to go for it.
    pub fn enter_as(&self, client: ClientKey) {
        self.enter_for(Owner::Client(client));
    }

    /// Enters, as a connection of a trusted proxy; somebody else may have to go for it.
    pub fn enter_as_proxy(&self) {
        self.enter_for(Owner::Proxy);
    }

    fn enter_for(&self, owner: Owner) {
        let mut held = self.held.lock();
        self.room.leave(held.ticket.take());
        *held = Held {
            owner: Some(owner),
            ticket: Some(self.room.enter(owner, Arc::clone(&self.bell))),
        };
    }

    /// Enters again, behind everybody else: it was active until now. Not one that never entered.
    pub fn enter(&self) {
        let owner = self.held.lock().owner;
        if let Some(owner) = owner {
            self.enter_for(owner);
        }
    }

    /// Leaves: what it does now is counted elsewhere. Who was sent away in the same moment may stay.
    pub fn leave(&self) {
        self.room.leave(self.held.lock().ticket.take());
    }

    /// Waits until it has to go.
    pub async fn sent_away(&self) {
        while !self.is_out() {
            self.bell.notified().await;
        }
    }

    /// Whether its ticket is not worth anything any more.
    fn is_out(&self) -> bool {
        let ticket = self.held.lock().ticket;
        ticket.is_some_and(|ticket| !self.room.crowd.lock().by_age.contains_key(&ticket))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

#[derive(Debug)]
struct Room {
    crowd: Mutex<Crowd>,
    freed: Notify,
    metrics: LimitMetrics,
    is_admin: bool,
}

impl Room {
    fn enter(&self, owner: Owner, bell: Arc<Notify>) -> u64 {
        let mut crowd = self.crowd.lock();
        let ticket = crowd.add(owner, bell);
        if let Some(oldest) = crowd.oldest_above(crowd.size.per_client, owner) {
            crowd.send_away(oldest);
            self.count_sent_away("client");
        } else if crowd.by_age.len() > crowd.size.total {
            let oldest = crowd.by_age.keys().next().copied();
            oldest.into_iter().for_each(|oldest| crowd.send_away(oldest));
            self.count_sent_away("host");
        }
        self.show(crowd.by_age.len());
        ticket
    }

    fn count_sent_away(&self, reason: &'static str) {
        self.metrics
            .sent_away(if self.is_admin { "admin" } else { reason });
    }

    fn show(&self, waiting: usize) {
        if self.is_admin {
            self.metrics.set_admin_waiting(waiting);
        } else {
            self.metrics.set_waiting(waiting);
        }
    }

    fn leave(&self, ticket: Option<u64>) {
        let Some(ticket) = ticket else { return };
        let mut crowd = self.crowd.lock();
        if crowd.remove(ticket).is_some() {
            self.show(crowd.by_age.len());
            self.freed.notify_one();
        }
    }
}

/// How many may be in it.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    total: usize,
    per_client: usize,
}

impl Size {
    fn of(settings: &Settings) -> Self {
        let size = |setting: NonZeroU32| setting.get() as usize;
        Self {
            total: size(settings.connections_without_stream),
            per_client: size(settings.connections_without_stream_per_client),
        }
    }
}

/// Who is there. Every step costs the logarithm of what the lobby holds, which is a constant.
#[derive(Debug, Default)]
struct Crowd {
    size: Size,
    next: u64,
    by_age: BTreeMap<u64, Waiting>,
    /// Never empty: who has none is not in it.
    by_client: HashMap<ClientKey, BTreeSet<u64>>,
}

#[derive(Debug)]
struct Waiting {
    owner: Owner,
    since: Instant,
    bell: Arc<Notify>,
}

impl Crowd {
    /// Since when the oldest is here, when there is no room for another.
    fn oldest_when_full(&self) -> Option<Instant> {
        let oldest = self.by_age.values().next();
        oldest
            .filter(|_| self.by_age.len() >= self.size.total)
            .map(|oldest| oldest.since)
    }

    fn add(&mut self, owner: Owner, bell: Arc<Notify>) -> u64 {
        let ticket = self.next;
        self.next += 1;
        let since = Instant::now();
        self.by_age.insert(ticket, Waiting { owner, since, bell });
        if let Owner::Client(client) = owner {
            self.by_client.entry(client).or_default().insert(ticket);
        }
        ticket
    }

    fn remove(&mut self, ticket: u64) -> Option<Waiting> {
        let waiting = self.by_age.remove(&ticket)?;
        if let Owner::Client(client) = waiting.owner
            && let Some(own) = self.by_client.get_mut(&client)
        {
            own.remove(&ticket);
            if own.is_empty() {
                self.by_client.remove(&client);
            }
        }
        Some(waiting)
    }

    /// The oldest of `owner`, if that is a client and has more than `limit`.
    fn oldest_above(&self, limit: usize, owner: Owner) -> Option<u64> {
        let Owner::Client(client) = owner else {
            return None;
        };
        let own = self.by_client.get(&client)?;
        own.first().copied().filter(|_| own.len() > limit)
    }

    fn send_away(&mut self, ticket: u64) {
        if let Some(waiting) = self.remove(ticket) {
            waiting.bell.notify_one();
        }
    }
}

/// For how long a connection is a newcomer. A client's request comes right behind its handshake, whatever the line, so that
/// this is time for us to read it. With the lobby as it is by default it still lets 20,000 a second in, so that who comes
/// behind an attack of thousands is not kept waiting.
const NEWCOMER: Duration = Duration::from_millis(25);

/// How many connections to the admin listener may wait, and of one client: scrapes of several Prometheus servers, probes of an
/// orchestrator, and people with browsers. Their descriptors are among those that are kept for other things than streams.
const ADMIN: Size = Size {
    total: 64,
    per_client: 32,
};

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::*;

    fn lobby(total: u32, per_client: u32) -> Lobby {
        let settings = Settings {
            connections_without_stream: NonZeroU32::new(total).unwrap(),
            connections_without_stream_per_client: NonZeroU32::new(per_client).unwrap(),
            ..Settings::default()
        };
        Lobby::new(&settings, LimitMetrics::default())
    }

    fn client(number: u8) -> ClientKey {
        ClientKey::of([192, 0, 2, number].into())
    }

    fn enter(lobby: &Lobby, number: u8) -> Place {
        let place = lobby.place();
        place.enter_as(client(number));
        place
    }

    fn is_sent_away(place: &Place) -> bool {
        place.sent_away().now_or_never().is_some()
    }

    #[test]
    fn a_client_with_too_many_loses_its_own_oldest() {
        let lobby = lobby(10, 2);
        let other = enter(&lobby, 2);
        let own: Vec<_> = (0..4).map(|_| enter(&lobby, 1)).collect();
        assert_eq!(
            own.iter().map(is_sent_away).collect::<Vec<_>>(),
            [true, true, false, false]
        );
        assert!(!is_sent_away(&other));
        assert_eq!(lobby.waiting(), 3);
    }

    #[test]
    fn a_full_lobby_loses_the_oldest_of_all() {
        let lobby = lobby(3, 2);
        let places: Vec<_> = (0..5).map(|number| enter(&lobby, number)).collect();
        let gone = places.iter().map(is_sent_away).collect::<Vec<_>>();
        assert_eq!(gone, [true, true, false, false, false]);
    }

    #[test]
    fn a_proxy_has_as_many_as_there_may_be_in_all_and_no_more() {
        let lobby = lobby(4, 2);
        let of_a_proxy = || {
            let place = lobby.place();
            place.enter_as_proxy();
            place
        };
        let mut places: Vec<_> = (0..4).map(|_| of_a_proxy()).collect();
        assert!(!places.iter().any(is_sent_away));
        places.push(enter(&lobby, 1));
        places.push(of_a_proxy());
        assert_eq!(
            places.iter().map(is_sent_away).collect::<Vec<_>>(),
            [true, true, false, false, false, false]
        );
        assert_eq!(lobby.waiting(), 4);
    }

    #[test]
    fn the_admin_listener_has_a_few_of_its_own() {
        let lobby = Lobby::of_admin(LimitMetrics::default());
        let places: Vec<_> = (0..200).map(|number| enter(&lobby, number)).collect();
        assert_eq!(lobby.waiting(), ADMIN.total);
        let of_one: Vec<_> = (0..200).map(|_| enter(&lobby, 250)).collect();
        let kept = of_one.iter().filter(|place| !is_sent_away(place)).count();
        assert_eq!(kept, ADMIN.per_client);
        drop(places);
    }

    #[test]
    fn who_asked_goes_behind_who_is_silent() {
        let lobby = lobby(2, 2);
        let (active, silent) = (enter(&lobby, 1), enter(&lobby, 2));
        active.enter();
        let _third = enter(&lobby, 3);
        assert!(is_sent_away(&silent) && !is_sent_away(&active));
    }

    #[test]
    fn who_has_a_stream_is_not_there_and_is_back_behind_it() {
        let lobby = lobby(1, 1);
        let streaming = enter(&lobby, 1);
        streaming.leave();
        assert_eq!(lobby.waiting(), 0);
        let other = enter(&lobby, 2);
        assert!(!is_sent_away(&streaming));
        streaming.enter();
        assert!(is_sent_away(&other));
        drop((streaming, other));
        assert_eq!(lobby.waiting(), 0);
    }

    #[test]
    fn who_asks_in_the_moment_it_is_sent_away_may_stay() {
        let lobby = lobby(1, 1);
        let asking = enter(&lobby, 1);
        let _newest = enter(&lobby, 2);
        asking.leave();
        assert!(!is_sent_away(&asking));
    }

    #[tokio::test(start_paused = true)]
    async fn newcomers_are_not_pushed_out_by_each_other() {
        let lobby = lobby(2, 2);
        let first = enter(&lobby, 1);
        assert!(lobby.room().now_or_never().is_some(), "there is room");
        let _second = enter(&lobby, 1);
        let start = Instant::now();
        lobby.room().await;
        assert_eq!(start.elapsed(), NEWCOMER);
        assert!(
            lobby.room().now_or_never().is_some(),
            "the first is no newcomer any more"
        );
        first.enter();
        lobby.room().await;
        let third = enter(&lobby, 2);
        let start = Instant::now();
        let (_, ()) = tokio::join!(lobby.room(), async { third.leave() });
        assert_eq!(
            start.elapsed(),
            Duration::ZERO,
            "a place that comes free is taken at once"
        );
    }

    proptest! {
        #[test]
        fn it_never_holds_more_than_it_may(steps in proptest::collection::vec((0..4_u8, 0..5_u8, 0..40_usize), 0..200)) {
            let lobby = lobby(9, 3);
            let mut places = Vec::new();
            for (step, number, index) in steps {
                match (step, places.get(index)) {
                    (0 | 1, _) => places.push(enter(&lobby, number)),
                    (2, Some(place)) => Place::leave(place),
                    (3, Some(place)) => Place::enter(place),
                    _ => drop(places.pop()),
                }
                let crowd = lobby.0.crowd.lock();
                prop_assert!(crowd.by_age.len() <= 9);
                prop_assert!(crowd.by_client.values().all(|own| (1..=3).contains(&own.len())));
                let counted: usize = crowd.by_client.values().map(BTreeSet::len).sum();
                prop_assert_eq!(counted, crowd.by_age.len());
            }
            drop(places);
            prop_assert_eq!(lobby.waiting(), 0);
            prop_assert!(lobby.0.crowd.lock().by_client.is_empty());
        }
    }
}
