//! Those of a shard's clients who get the same.

use std::{
    collections::VecDeque,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    thread,
};

use futures_util::task::{AtomicWaker, waker_ref};
use slab::Slab;
use tokio::task::coop;

use super::{
    calls::{Call, Calls},
    chunks::WRITE,
    round::{Round, Share},
};
use crate::subscription::{News, Row};

/// One who is served in a crowd. As a future it is over when its client has been served to its end.
pub(super) trait Served: Future<Output = ()> + Unpin {
    /// Has `row` wait in its place for what all get, if there is anything; begins it, if it is the first.
    fn sit_in(&mut self, row: &mut Option<Row>);

    /// Reads what [`give`](Self::give) will need, so that it is in the processor's cache then.
    fn prefetch(&self);

    /// Gives it what all get. Whether it has to be polled to get it, or for the rest of it.
    fn give(&mut self, share: &Share) -> bool;
}

/// Clients who get the same.
///
/// When there is something for all, a pass over the list gives it to them, one write each. As futures each would be woken by
/// itself, look whether there is anything, and say to everything it waits for that it waits again; of 10,000, nothing which that
/// touches is in any cache. Only what is one client's own matter wakes that one: its socket was full, it is gone, a silence.
pub(super) struct Crowd<C> {
    clients: Slab<Client<C>>,
    /// Behind the greatest key there was since they moved together last.
    end: usize,
    calls: Arc<Calls>,
    /// Whom to poll, before those of `calls`.
    called: VecDeque<usize>,
    row: Option<Row>,
    round: Option<Round>,
}

struct Client<C> {
    served: C,
    call: Arc<Call>,
}

impl<C: Served> Crowd<C> {
    /// Nobody yet. `shard` is woken when one of them is.
    pub(super) fn new(shard: &Arc<AtomicWaker>) -> Self {
        Self {
            clients: Slab::new(),
            end: 0,
            calls: Calls::new(shard),
            called: VecDeque::new(),
            row: None,
            round: None,
        }
    }

    /// Adds one, to be polled.
    pub(super) fn push(&mut self, mut client: C) {
        client.sit_in(&mut self.row);
        let entry = self.clients.vacant_entry();
        let key = entry.key();
        entry.insert(Client {
            served: client,
            call: Call::new(key, &self.calls),
        });
        self.end = self.end.max(key + 1);
        self.called.push_back(key);
    }

    /// Serves who has to be, as far as tokio's budget goes, until one is over; over itself when nobody is left. Whoever asks
    /// registers for the shard to be woken first.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<thread::Result<()>>> {
        if self.clients.is_empty() {
            return Poll::Ready(None);
        }
        self.look(context);
        while !self.called.is_empty() || self.round.is_some() {
            // By turns, so that those who are always busy, as who catches up is, and those who are live do not wait for each other.
            if let Some(key) = self.called.pop_front() {
                if !proceed(context) {
                    self.called.push_front(key);
                    return Poll::Pending;
                }
                if let Some(end) = self.poll_client(key) {
                    return Poll::Ready(Some(end));
                }
            }
            if self.round.is_some() {
                if !proceed(context) {
                    return Poll::Pending;
                }
                if let Some(end) = self.step() {
                    return Poll::Ready(Some(end));
                }
            }
            if self.called.is_empty() && self.round.is_none() {
                self.look(context);
            }
        }
        Poll::Pending
    }

    /// Looks who was woken, and what has come for all.
    fn look(&mut self, context: &Context<'_>) {
        if self.end > FEW && self.clients.len() < self.end / SPARSE {
            self.move_together();
        }
        if self.called.is_empty() {
            self.calls.drain_into(&mut self.called);
        }
        let room = self.round.as_ref().map_or(Some(WRITE), Round::room);
        if let (Some(row), Some(room)) = (&mut self.row, room) {
            let news = catch_unwind(AssertUnwindSafe(|| row.poll_news(context, room)));
            // Whose fault it is ends when it asks for itself.
            let Poll::Ready(news) = news.unwrap_or(Poll::Ready(News::Each)) else {
                return;
            };
            match &mut self.round {
                Some(round) => round.add(news),
                None => self.round = Some(Round::new(news)),
            }
        }
    }

    /// Frees the memory of those who have left, over whom each round would go.
    fn move_together(&mut self) {
        let Self {
            clients,
            calls,
            called,
            ..
        } = self;
        clients.compact(|client, _, key| {
            // What it waits for would wake whoever has its old key.
            client.call = Call::new(key, calls);
            called.push_back(key);
            true
        });
        clients.shrink_to_fit();
        self.end = clients.len();
    }

    /// Gives the next client its part of the round.
    fn step(&mut self) -> Option<thread::Result<()>> {
        let round = self.round.as_mut()?;
        loop {
            let Some(key) = round.step(self.end) else {
                self.round = None;
                return None;
            };
            let share = round.share();
            if share.is_some() && key.is_multiple_of(TOGETHER) {
                let next = (key..key + TOGETHER).filter_map(|key| self.clients.get(key));
                next.for_each(|client| client.served.prefetch());
            }
            let Some(client) = self.clients.get_mut(key) else {
                continue;
            };
            let Some(share) = share else {
                return self.poll_client(key);
            };
            let given = catch_unwind(AssertUnwindSafe(|| client.served.give(share)));
            return match given {
                Ok(false) => None,
                Ok(true) => self.poll_client(key),
                Err(panic) => {
                    self.clients.remove(key);
                    Some(Err(panic))
                }
            };
        }
    }

    /// How it ended, if it has.
    fn poll_client(&mut self, key: usize) -> Option<thread::Result<()>> {
        // Somebody else's by now, or nobody's, if it was called before it ended.
        let client = self.clients.get_mut(key)?;
        client.call.answer();
        let waker = waker_ref(&client.call);
        let mut context = Context::from_waker(&waker);
        // What is polled in here must not find the shard's budget used up, or a socket would look blocked that is not.
        let served = pin!(coop::unconstrained(&mut client.served));
        let end = match catch_unwind(AssertUnwindSafe(|| served.poll(&mut context))) {
            Ok(Poll::Pending) => return None,
            Ok(Poll::Ready(())) => Ok(()),
            Err(panic) => Err(panic),
        };
        self.clients.remove(key);
        Some(end)
    }
}

/// Clients whose memory is waited for together. Of 10,000, none of it is in any cache, and one at a time a delivery took 6.1 us
/// where it now takes 5.5.
const TOGETHER: usize = 16;

/// Of so many places of which one is taken, the rest is worth to be given back.
const SPARSE: usize = 4;

/// Places that are not worth it.
const FEW: usize = 64;

/// Whether there is budget for one more; if not, the task is woken when there is again.
fn proceed(context: &mut Context<'_>) -> bool {
    // Asked first, because what is polled without any budget takes itself to be woken.
    if !coop::has_budget_remaining() {
        context.waker().wake_by_ref();
        return false;
    }
    if let Poll::Ready(turn) = coop::poll_proceed(context) {
        turn.made_progress();
    }
    true
}

#[cfg(test)]
pub(super) mod tests {
    use std::{
        cell::{Cell, RefCell},
        collections::BTreeMap,
        future::poll_fn,
        pin::Pin,
        rc::Rc,
        task::Waker,
    };

    use tokio::task;

    use super::*;
    use crate::subscription::tests::Stage;

    /// One for whom there is nothing that is for all.
    pub(in crate::http) struct Polled<F>(pub(in crate::http) F);

    impl<F: Future + Unpin> Future for Polled<F> {
        type Output = F::Output;

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
            Pin::new(&mut self.0).poll(context)
        }
    }

    impl<F: Future<Output = ()> + Unpin> Served for Polled<F> {
        fn sit_in(&mut self, _row: &mut Option<Row>) {}

        fn prefetch(&self) {}

        fn give(&mut self, _share: &Share) -> bool {
            true
        }
    }

    /// What happens to a guest.
    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Happened {
        Polled(usize),
        Given(usize, Vec<u8>),
    }

    /// One of a lane, who writes down what happens to it.
    struct Guest<'a> {
        name: usize,
        stage: &'a Stage,
        diary: Rc<RefCell<Vec<Happened>>>,
        /// What wakes each, by its last word.
        wakers: Rc<RefCell<BTreeMap<usize, Waker>>>,
        /// Whether it asks to be polled again at once.
        is_busy: bool,
        /// Whether it can take no share.
        is_full: bool,
        is_over: Rc<Cell<bool>>,
    }

    impl Future for Guest<'_> {
        type Output = ();

        fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            if self.is_over.get() {
                return Poll::Ready(());
            }
            self.diary.borrow_mut().push(Happened::Polled(self.name));
            if self.is_busy {
                context.waker().wake_by_ref();
            }
            let waker = context.waker().clone();
            self.wakers.borrow_mut().insert(self.name, waker);
            Poll::Pending
        }
    }

    impl Served for Guest<'_> {
        fn sit_in(&mut self, row: &mut Option<Row>) {
            row.get_or_insert_with(|| self.stage.row());
        }

        fn prefetch(&self) {}

        fn give(&mut self, share: &Share) -> bool {
            let given = Happened::Given(self.name, share.bytes(0).to_vec());
            self.diary.borrow_mut().push(given);
            self.is_full || self.is_over.get()
        }
    }

    /// A crowd of `guests`, as they are after `change`.
    struct Party<'a> {
        crowd: Crowd<Guest<'a>>,
        shard: Arc<AtomicWaker>,
        diary: Rc<RefCell<Vec<Happened>>>,
        /// What wakes each, by its last word.
        wakers: Rc<RefCell<BTreeMap<usize, Waker>>>,
    }

    impl<'a> Party<'a> {
        fn new(stage: &'a Stage, guests: usize, change: impl Fn(&mut Guest<'a>)) -> Self {
            let shard = Arc::default();
            let mut party = Self {
                crowd: Crowd::new(&shard),
                shard,
                diary: Rc::default(),
                wakers: Rc::default(),
            };
            for name in 0..guests {
                let mut guest = Guest {
                    name,
                    stage,
                    diary: Rc::clone(&party.diary),
                    wakers: Rc::clone(&party.wakers),
                    is_busy: false,
                    is_full: false,
                    is_over: Rc::default(),
                };
                change(&mut guest);
                party.crowd.push(guest);
            }
            party
        }

        /// What happens until there is nothing to do, or, if `busy`, for one turn.
        async fn happens(&mut self, busy: bool) -> Vec<Happened> {
            let turn = |context: &mut Context<'_>| {
                self.shard.register(context.waker());
                while let Poll::Ready(end) = self.crowd.poll_next(context) {
                    assert!(matches!(end, Some(Ok(()))), "{end:?}");
                }
                if busy || coop::has_budget_remaining() {
                    return Poll::Ready(());
                }
                Poll::Pending
            };
            // With a budget of its own.
            task::yield_now().await;
            poll_fn(turn).await;
            self.diary.take()
        }
    }

    #[tokio::test]
    async fn what_is_for_all_is_given_to_each_once_and_polls_nobody() {
        let stage = Stage::new();
        let mut party = Party::new(&stage, 300, |_| {});
        let all = 0..300;
        let polled: Vec<_> = all.clone().map(Happened::Polled).collect();
        assert_eq!(party.happens(false).await, polled);
        stage.publish([b"one".to_vec(), b"three".to_vec()]);
        let share = b"3\r\none\r\n5\r\nthree\r\n";
        let given: Vec<_> = all.map(|name| Happened::Given(name, share.to_vec())).collect();
        assert_eq!(party.happens(false).await, given);
        assert_eq!(party.happens(false).await, []);
    }

    #[tokio::test]
    async fn who_is_woken_is_polled_once_and_nobody_else() {
        let stage = Stage::new();
        let mut party = Party::new(&stage, 3, |_| {});
        party.happens(false).await;
        let waker = party.wakers.borrow()[&1].clone();
        for _ in 0..2 {
            party.shard.register(Waker::noop());
            waker.wake_by_ref();
            assert!(party.shard.take().is_none(), "the shard was woken");
            waker.wake_by_ref();
            assert_eq!(party.happens(false).await, [Happened::Polled(1)]);
        }
    }

    #[tokio::test]
    async fn those_who_stay_when_most_have_left_move_together_and_say_anew_what_wakes_them() {
        let stage = Stage::new();
        let is_over = Rc::new(Cell::new(false));
        let mut party = Party::new(&stage, 1000, |guest| {
            if guest.name % 10 != 3 {
                guest.is_over = Rc::clone(&is_over);
            }
        });
        party.happens(false).await;
        is_over.set(true);
        stage.publish([b"x".to_vec()]);
        party.happens(false).await;
        assert_eq!(party.crowd.clients.len(), 100);
        assert!(party.crowd.end <= 400 && party.crowd.clients.capacity() < 1000);
        let names: Vec<_> = (0..1000).filter(|name| name % 10 == 3).collect();
        let wakers = party.wakers.take();
        names.iter().for_each(|name| wakers[name].wake_by_ref());
        let sorted = |mut happened: Vec<Happened>| {
            happened.sort();
            happened
        };
        let polled: Vec<_> = names.iter().map(|name| Happened::Polled(*name)).collect();
        assert_eq!(sorted(party.happens(false).await), polled);
        stage.publish([b"y".to_vec()]);
        let given = |name: &usize| Happened::Given(*name, b"1\r\ny\r\n".to_vec());
        assert_eq!(
            sorted(party.happens(false).await),
            names.iter().map(given).collect::<Vec<_>>()
        );
    }

    #[tokio::test]
    async fn what_comes_during_a_pass_is_given_to_each_by_its_turn_and_once() {
        let stage = Stage::new();
        let mut party = Party::new(&stage, 200, |_| {});
        party.happens(false).await;
        stage.publish([b"one".to_vec()]);
        let mut happened = party.happens(true).await;
        assert!((1..200).contains(&happened.len()), "it takes more than a turn");
        stage.publish([b"two".to_vec()]);
        happened.extend(party.happens(false).await);
        let given = |name, bytes: &[u8]| Happened::Given(name, bytes.to_vec());
        let (one, two) = (b"3\r\none\r\n", b"3\r\ntwo\r\n");
        let both = [&one[..], two].concat();
        let early = happened
            .iter()
            .position(|it| matches!(it, Happened::Given(_, bytes) if *bytes == both));
        let early = early.expect("some had not had their turn");
        let expected: Vec<_> = (0..early)
            .map(|name| given(name, one))
            .chain((early..200).map(|name| given(name, &both)))
            // A guest does not know what it has had; a follower does.
            .chain((0..200).map(|name| given(name, two)))
            .collect();
        assert_eq!(happened, expected);
    }

    #[tokio::test]
    async fn who_cannot_take_its_share_is_polled_for_it_at_once() {
        let stage = Stage::new();
        let mut party = Party::new(&stage, 3, |guest| guest.is_full = guest.name == 1);
        party.happens(false).await;
        stage.publish([b"x".to_vec()]);
        let given = |name| Happened::Given(name, b"1\r\nx\r\n".to_vec());
        let expected = [given(0), given(1), Happened::Polled(1), given(2)];
        assert_eq!(party.happens(false).await, expected);
    }

    #[tokio::test]
    async fn who_is_always_busy_and_what_is_for_all_take_turns() {
        let stage = Stage::new();
        let mut party = Party::new(&stage, 60, |guest| guest.is_busy = guest.name == 0);
        // Those who came are polled first, with everybody's budget of 128.
        party.happens(true).await;
        stage.publish([b"x".to_vec()]);
        let happened = party.happens(true).await;
        let given = |happened: &&Happened| matches!(happened, Happened::Given(..));
        assert_eq!(happened.iter().filter(given).count(), 60);
        assert!(happened.iter().filter(|happened| !given(happened)).count() >= 60);
    }

    #[tokio::test]
    async fn one_that_panics_ends_alone() {
        let mut crowd = Crowd::new(&Arc::default());
        let served = Rc::new(RefCell::new(Vec::new()));
        for name in 0..3 {
            let served = Rc::clone(&served);
            crowd.push(Polled(poll_fn(move |_| {
                assert_ne!(name, 1, "a fault");
                served.borrow_mut().push(name);
                Poll::Pending
            })));
        }
        let end = poll_fn(|context| crowd.poll_next(context)).await;
        assert!(end.is_some_and(|end| end.is_err()));
        let rest = poll_fn(|context| Poll::Ready(crowd.poll_next(context).is_pending())).await;
        assert!(rest);
        assert_eq!(*served.borrow(), [0, 2]);
        assert_eq!(crowd.clients.len(), 2);
    }
}
