//! Passes, wake-ups and ends of members that write down what happens to them.

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

/// A member that takes part in no pass.
pub(in crate::http) struct Polled<F>(pub(in crate::http) F);

impl<F: Future + Unpin> Future for Polled<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<F: Future<Output = ()> + Unpin> GroupMember for Polled<F> {
    fn join_group(&mut self, _group_cursor: &mut Option<GroupCursor>) {}

    fn prefetch(&self) {}

    fn write_batches(&mut self, _shared_batches: &SharedBatches) -> bool {
        true
    }
}

/// What happens to a member.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum MemberEvent {
    Polled(usize),
    Given(usize, Vec<u8>),
}

/// A member of a lane that writes down what happens to it.
struct TestMember<'a> {
    name: usize,
    stage: &'a Stage,
    event_log: Rc<RefCell<Vec<MemberEvent>>>,
    /// The waker of each member's last poll, by its name.
    wakers: Rc<RefCell<BTreeMap<usize, Waker>>>,
    /// Whether it wakes itself with each poll.
    is_busy: bool,
    /// Whether it can take no batches in a pass.
    is_full: bool,
    is_over: Rc<Cell<bool>>,
}

impl Future for TestMember<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.is_over.get() {
            return Poll::Ready(());
        }
        self.event_log.borrow_mut().push(MemberEvent::Polled(self.name));
        if self.is_busy {
            context.waker().wake_by_ref();
        }
        let waker = context.waker().clone();
        self.wakers.borrow_mut().insert(self.name, waker);
        Poll::Pending
    }
}

impl GroupMember for TestMember<'_> {
    fn join_group(&mut self, group_cursor: &mut Option<GroupCursor>) {
        group_cursor.get_or_insert_with(|| self.stage.group_cursor());
    }

    fn prefetch(&self) {}

    fn write_batches(&mut self, shared_batches: &SharedBatches) -> bool {
        let given = MemberEvent::Given(self.name, shared_batches.framed.bytes_after(0).to_vec());
        self.event_log.borrow_mut().push(given);
        self.is_full || self.is_over.get()
    }
}

/// A group of `members` members, as they are after `change`.
struct TestGroup<'a> {
    group: ClientGroup<TestMember<'a>>,
    task_waker: Arc<AtomicWaker>,
    event_log: Rc<RefCell<Vec<MemberEvent>>>,
    /// The waker of each member's last poll, by its name.
    wakers: Rc<RefCell<BTreeMap<usize, Waker>>>,
}

impl<'a> TestGroup<'a> {
    fn new(stage: &'a Stage, members: usize, change: impl Fn(&mut TestMember<'a>)) -> Self {
        let task_waker = Arc::default();
        let mut test_group = Self {
            group: ClientGroup::new(&task_waker),
            task_waker,
            event_log: Rc::default(),
            wakers: Rc::default(),
        };
        for name in 0..members {
            let mut test_member = TestMember {
                name,
                stage,
                event_log: Rc::clone(&test_group.event_log),
                wakers: Rc::clone(&test_group.wakers),
                is_busy: false,
                is_full: false,
                is_over: Rc::default(),
            };
            change(&mut test_member);
            test_group.group.push(test_member);
        }
        test_group
    }

    /// Returns what happens until there is nothing to do, or, if `busy`, in one turn.
    async fn happens(&mut self, busy: bool) -> Vec<MemberEvent> {
        let turn = |context: &mut Context<'_>| {
            self.task_waker.register(context.waker());
            while let Poll::Ready(end) = self.group.poll_next(context) {
                assert!(matches!(end, Some(Ok(()))), "{end:?}");
            }
            if busy || coop::has_budget_remaining() {
                return Poll::Ready(());
            }
            Poll::Pending
        };
        // After a yield the task has a full budget.
        task::yield_now().await;
        poll_fn(turn).await;
        self.event_log.take()
    }
}

#[tokio::test]
async fn what_is_for_all_is_given_to_each_once_and_polls_nobody() {
    let stage = Stage::new();
    let mut test_group = TestGroup::new(&stage, 300, |_| {});
    let all = 0..300;
    let polled: Vec<_> = all.clone().map(MemberEvent::Polled).collect();
    assert_eq!(test_group.happens(false).await, polled);
    stage.publish([b"one".to_vec(), b"three".to_vec()]);
    let shared_batches = b"3\r\none\r\n5\r\nthree\r\n";
    let given: Vec<_> = all
        .map(|name| MemberEvent::Given(name, shared_batches.to_vec()))
        .collect();
    assert_eq!(test_group.happens(false).await, given);
    assert_eq!(test_group.happens(false).await, []);
}

#[tokio::test]
async fn who_is_woken_is_polled_once_and_nobody_else() {
    let stage = Stage::new();
    let mut test_group = TestGroup::new(&stage, 3, |_| {});
    test_group.happens(false).await;
    let waker = test_group.wakers.borrow()[&1].clone();
    for _ in 0..2 {
        test_group.task_waker.register(Waker::noop());
        waker.wake_by_ref();
        assert!(test_group.task_waker.take().is_none(), "the shard was woken");
        waker.wake_by_ref();
        assert_eq!(test_group.happens(false).await, [MemberEvent::Polled(1)]);
    }
}

#[tokio::test]
async fn those_who_stay_when_most_have_left_move_together_and_say_anew_what_wakes_them() {
    let stage = Stage::new();
    let is_over = Rc::new(Cell::new(false));
    let mut test_group = TestGroup::new(&stage, 1000, |test_member| {
        if test_member.name % 10 != 3 {
            test_member.is_over = Rc::clone(&is_over);
        }
    });
    test_group.happens(false).await;
    is_over.set(true);
    stage.publish([b"x".to_vec()]);
    test_group.happens(false).await;
    assert_eq!(test_group.group.members.len(), 100);
    assert!(test_group.group.key_bound <= 400 && test_group.group.members.capacity() < 1000);
    let names: Vec<_> = (0..1000).filter(|name| name % 10 == 3).collect();
    let wakers = test_group.wakers.take();
    names.iter().for_each(|name| wakers[name].wake_by_ref());
    let sorted = |mut events: Vec<MemberEvent>| {
        events.sort();
        events
    };
    let polled: Vec<_> = names.iter().map(|name| MemberEvent::Polled(*name)).collect();
    assert_eq!(sorted(test_group.happens(false).await), polled);
    stage.publish([b"y".to_vec()]);
    let given = |name: &usize| MemberEvent::Given(*name, b"1\r\ny\r\n".to_vec());
    assert_eq!(
        sorted(test_group.happens(false).await),
        names.iter().map(given).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn those_who_were_woken_and_keep_their_place_when_most_leave_are_polled() {
    let stage = Stage::new();
    let is_over = Rc::new(Cell::new(false));
    let mut test_group = TestGroup::new(&stage, 1000, |test_member| {
        if test_member.name >= 10 {
            test_member.is_over = Rc::clone(&is_over);
        }
    });
    test_group.happens(false).await;
    is_over.set(true);
    let polled: Vec<_> = (0..10).map(MemberEvent::Polled).collect();
    // Those who leave have their turns first. The slab is compacted while those who stay are still queued. Then each can be woken
    // again.
    for _ in 0..2 {
        let wakers = test_group.wakers.take();
        wakers.values().rev().for_each(Waker::wake_by_ref);
        let mut events = test_group.happens(false).await;
        events.sort();
        // Once more for each time the slab is compacted.
        events.dedup();
        assert_eq!(events, polled);
    }
    assert!(test_group.group.key_bound < 100);
}

#[tokio::test]
async fn what_comes_during_a_pass_is_given_to_each_by_its_turn_and_once() {
    let stage = Stage::new();
    let mut test_group = TestGroup::new(&stage, 200, |_| {});
    test_group.happens(false).await;
    stage.publish([b"one".to_vec()]);
    let mut events = test_group.happens(true).await;
    assert!((1..200).contains(&events.len()), "it takes more than a turn");
    stage.publish([b"two".to_vec()]);
    events.extend(test_group.happens(false).await);
    let given = |name, bytes: &[u8]| MemberEvent::Given(name, bytes.to_vec());
    let (one, two) = (b"3\r\none\r\n", b"3\r\ntwo\r\n");
    let both = [&one[..], two].concat();
    let early = events
        .iter()
        .position(|it| matches!(it, MemberEvent::Given(_, bytes) if *bytes == both));
    let early = early.expect("some had not had their turn");
    let expected: Vec<_> = (0..early)
        .map(|name| given(name, one))
        .chain((early..200).map(|name| given(name, &both)))
        // A `TestMember` does not know what it has had already. A `LaneSubscriber` does.
        .chain((0..200).map(|name| given(name, two)))
        .collect();
    assert_eq!(events, expected);
}

#[tokio::test]
async fn who_cannot_take_its_share_is_polled_for_it_at_once() {
    let stage = Stage::new();
    let mut test_group = TestGroup::new(&stage, 3, |test_member| {
        test_member.is_full = test_member.name == 1
    });
    test_group.happens(false).await;
    stage.publish([b"x".to_vec()]);
    let given = |name| MemberEvent::Given(name, b"1\r\nx\r\n".to_vec());
    let expected = [given(0), given(1), MemberEvent::Polled(1), given(2)];
    assert_eq!(test_group.happens(false).await, expected);
}

#[tokio::test]
async fn who_is_always_busy_and_what_is_for_all_take_turns() {
    let stage = Stage::new();
    let mut test_group = TestGroup::new(&stage, 60, |test_member| {
        test_member.is_busy = test_member.name == 0
    });
    // New members are polled first, out of the task's budget of 128.
    test_group.happens(true).await;
    stage.publish([b"x".to_vec()]);
    let events = test_group.happens(true).await;
    let given = |events: &&MemberEvent| matches!(events, MemberEvent::Given(..));
    assert_eq!(events.iter().filter(given).count(), 60);
    assert!(events.iter().filter(|events| !given(events)).count() >= 60);
}

/// Returns how often the group has members queued.
fn queued(test_group: &TestGroup<'_>) -> usize {
    test_group.group.ready.len() + test_group.group.wake_queue.len()
}

#[tokio::test]
async fn who_is_always_busy_and_takes_no_share_is_queued_once_however_many_passes_there_are() {
    let stage = Stage::new();
    let mut test_group = TestGroup::new(&stage, 1, |test_member| {
        test_member.is_busy = true;
        test_member.is_full = true;
    });
    for _ in 0..20 {
        stage.publish([b"x".to_vec()]);
        test_group.happens(true).await;
        assert_eq!(queued(&test_group), 1);
    }
}

#[tokio::test]
async fn a_wake_up_of_who_has_left_does_not_queue_who_came_to_its_place() {
    let stage = Stage::new();
    let is_over = Rc::new(Cell::new(false));
    let mut test_group = TestGroup::new(&stage, 2, |test_member| {
        if test_member.name == 0 {
            test_member.is_over = Rc::clone(&is_over);
        }
    });
    test_group.happens(false).await;
    let waker = test_group.wakers.borrow()[&0].clone();
    is_over.set(true);
    waker.wake_by_ref();
    test_group.happens(false).await;
    let mut next = TestGroup::new(&stage, 1, |test_member| test_member.is_busy = true);
    test_group.group.push(next.group.members.remove(0).member);
    assert_eq!(test_group.group.members.len(), 2);
    waker.wake_by_ref();
    test_group.happens(true).await;
    assert_eq!(queued(&test_group), 1);
}

#[tokio::test]
async fn one_that_panics_ends_alone() {
    let mut group = ClientGroup::new(&Arc::default());
    let member = Rc::new(RefCell::new(Vec::new()));
    for name in 0..3 {
        let member = Rc::clone(&member);
        group.push(Polled(poll_fn(move |_| {
            assert_ne!(name, 1, "a fault");
            member.borrow_mut().push(name);
            Poll::Pending
        })));
    }
    let end = poll_fn(|context| group.poll_next(context)).await;
    assert!(end.is_some_and(|end| end.is_err()));
    let rest = poll_fn(|context| Poll::Ready(group.poll_next(context).is_pending())).await;
    assert!(rest);
    assert_eq!(*member.borrow(), [0, 2]);
    assert_eq!(group.members.len(), 2);
}
