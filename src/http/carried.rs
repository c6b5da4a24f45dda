//! A delivery together with what carries it: whoever drops it has ended it.

use std::{
    sync::Arc,
    task::{Context, Poll},
    thread,
};

use super::{
    carrier::Carrier,
    delivery::{Delivery, Feed},
    segments::Segments,
};
use crate::{
    metrics::EndReason,
    subscription::{Audience, Given, Hold, Row, Stretch, Stuck, Unwritten},
};

/// What a sink asks of a delivery, whatever feeds it.
pub(super) trait Deliver: Send {
    /// See [`Delivery::poll_next`].
    fn poll_next(&mut self, context: &mut Context<'_>, blocked: bool) -> Poll<Option<Segments>>;

    /// See [`Delivery::cut`].
    fn cut(&mut self, reason: EndReason);

    /// See [`Feed::is_shared`].
    fn is_shared(&self) -> bool;

    /// See [`Feed::mark`].
    fn mark(&mut self);

    /// See [`Feed::given`].
    fn given(&self) -> Given;

    /// See [`Feed::hold`].
    fn hold(&self, unwritten: Unwritten, stuck: &dyn Fn() -> Arc<dyn Stuck>) -> Option<Hold>;

    /// See [`Feed::audience`].
    fn audience(&self) -> Audience;

    /// See [`Feed::sit_in`].
    fn sit_in(&mut self, row: &mut Option<Row>);

    /// See [`Delivery::prefetch`].
    fn prefetch(&self);

    /// See [`Delivery::take_stretch`].
    fn take_stretch(&mut self, stretch: &Stretch) -> Option<usize>;
}

impl<F: Feed + Send> Deliver for Delivery<F> {
    fn poll_next(&mut self, context: &mut Context<'_>, blocked: bool) -> Poll<Option<Segments>> {
        self.poll_next(context, blocked)
    }

    fn cut(&mut self, reason: EndReason) {
        self.cut(reason);
    }

    fn is_shared(&self) -> bool {
        self.is_shared()
    }

    fn mark(&mut self) {
        self.mark();
    }

    fn given(&self) -> Given {
        self.given()
    }

    fn hold(&self, unwritten: Unwritten, stuck: &dyn Fn() -> Arc<dyn Stuck>) -> Option<Hold> {
        self.hold(unwritten, stuck)
    }

    fn audience(&self) -> Audience {
        self.audience()
    }

    fn sit_in(&mut self, row: &mut Option<Row>) {
        self.sit_in(row);
    }

    fn prefetch(&self) {
        self.prefetch();
    }

    fn take_stretch(&mut self, stretch: &Stretch) -> Option<usize> {
        self.take_stretch(stretch)
    }
}

/// A delivery in a sink. One that is dropped before it has ended by itself was ended by its carrier, which knows why.
pub(super) struct Carried<D: Deliver + ?Sized> {
    pub(super) carrier: Carrier,
    pub(super) delivery: D,
}

impl<D: Deliver + ?Sized> Carried<D> {
    /// Notes what its socket does not take: see [`Feed::hold`].
    pub(super) fn hold(&self, unwritten: Unwritten) -> Option<Hold> {
        self.delivery
            .hold(unwritten, &|| Arc::new(self.carrier.downgrade()))
    }
}

impl<D: Deliver + ?Sized> Drop for Carried<D> {
    fn drop(&mut self) {
        let reason = if thread::panicking() {
            EndReason::Panicked
        } else {
            self.carrier.end()
        };
        self.delivery.cut(reason);
    }
}
