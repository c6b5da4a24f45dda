//! The body of a streaming response: one of the two sinks of a delivery.

use std::sync::Arc;

use axum::body::Body;

use super::{
    Delivery,
    body::StreamBody,
    guarded::GuardedDelivery,
    handle::ConnHandle,
    handoff::{HandoffBody, HandoffSlot},
    source::BatchSource,
};

/// Returns a body that serves `delivery` on the connection of `handle`.
///
/// hyper polls it until the stream ends if there is no `slot`. With a `slot` it leaves hyper behind the prelude.
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
