//! The body of a streaming response: one of the two sinks of a delivery.

use std::sync::Arc;

use axum::body::Body;

use super::{
    body::StreamBody,
    guarded::GuardedDelivery,
    handle::ConnHandle,
    handoff::{HandoffBody, HandoffSlot},
    source::BatchSource,
    state_machine::Delivery,
};

/// Returns a body that serves `delivery` on the connection of `handle`.
///
/// Without a `slot` hyper polls the body until the stream ends. With a `slot` the delivery leaves hyper after the prelude.
pub(in crate::http) fn response_body<S: BatchSource + Unpin + Send + 'static>(
    delivery: Delivery<S>,
    handle: ConnHandle,
    slot: Option<Arc<HandoffSlot>>,
) -> Body {
    handle.expect_stream();
    let guarded = GuardedDelivery { handle, delivery };
    match slot {
        Some(slot) => Body::new(HandoffBody::new(guarded, slot)),
        None => Body::new(StreamBody::new(guarded)),
    }
}
