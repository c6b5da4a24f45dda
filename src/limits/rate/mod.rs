//! Request rate limits: a token bucket per client, which refills evenly.
//!
//! Not here: the answer to a request that comes too soon (`http`).
//!
//! tower-governor counts. Its key is our own, a [`ClientKey`] in the request's extensions, because its built-in key extractors
//! trust a header that any client can send. Its clock is the system's, not tokio's.

mod buckets;

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use buckets::{Buckets, ClientKeyExtractor, SiteKeyExtractor};
use governor::middleware::NoOpMiddleware;
use http::{Request, Response};
use parking_lot::RwLock;
use tower::{Layer, Service};
use tower_governor::{GovernorError, GovernorLayer, ResponseFuture, governor::Governor};

use super::settings::LimitSettings;
#[cfg(doc)]
use crate::client::ClientKey;
use crate::client::{CandidateAddrs, ClientAddr};

/// The buckets of all clients. Clones share them.
#[derive(Clone, Debug)]
pub struct RateLimiter(Arc<RwLock<Arc<Buckets>>>);

impl RateLimiter {
    /// Creates full buckets.
    pub fn new(settings: &LimitSettings) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(Buckets::new(settings, None)))))
    }

    /// Applies new rates. Buckets whose rate did not change keep their level. All others start full.
    pub fn reload(&self, settings: &LimitSettings) {
        let mut buckets = self.0.write();
        *buckets = Arc::new(Buckets::new(settings, Some(&buckets)));
    }

    /// Returns a layer that limits the requests to a service. Each request must have a [`ClientAddr`] and a [`ClientKey`] in its
    /// extensions. `refuse` builds the response to a request that comes too soon, or that lacks these.
    pub fn layer<B>(&self, refuse: fn(GovernorError) -> Response<B>) -> RateLimitLayer<B> {
        RateLimitLayer {
            rate: self.clone(),
            refuse,
        }
    }

    /// Forgets clients whose bucket is full again: they are as good as new.
    pub fn forget_idle(&self) {
        self.buckets().forget_idle();
    }

    /// Returns the number of clients that are remembered.
    pub fn clients(&self) -> usize {
        self.buckets().clients()
    }

    fn buckets(&self) -> Arc<Buckets> {
        Arc::clone(&self.0.read())
    }
}

/// Wraps a service in a [`RateLimited`].
#[derive(Debug)]
pub struct RateLimitLayer<B> {
    rate: RateLimiter,
    refuse: fn(GovernorError) -> Response<B>,
}

impl<B> Clone for RateLimitLayer<B> {
    fn clone(&self) -> Self {
        self.rate.layer(self.refuse)
    }
}

impl<S, B> Layer<S> for RateLimitLayer<B> {
    type Service = RateLimited<S, B>;

    fn layer(&self, inner: S) -> RateLimited<S, B> {
        RateLimited {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service behind the rate limits of a client and of its /48. The limits in force when the request arrives apply.
#[derive(Debug)]
pub struct RateLimited<S, B> {
    inner: S,
    layer: RateLimitLayer<B>,
}

impl<S: Clone, B> Clone for RateLimited<S, B> {
    fn clone(&self) -> Self {
        self.layer.layer(self.inner.clone())
    }
}

/// Checks both buckets, the client's first: a client that has emptied its own takes nothing from its neighbours.
type GovernorStack<S, B> =
    Governor<ClientKeyExtractor, NoOpMiddleware, Governor<SiteKeyExtractor, NoOpMiddleware, S, B>, B>;

impl<S, B> RateLimited<S, B>
where
    S: Clone,
    B: 'static,
{
    /// Returns the service, in its present state of readiness, behind the buckets of `client`.
    fn governed(
        &mut self,
        client: Option<ClientAddr>,
        candidates: Option<&CandidateAddrs>,
    ) -> GovernorStack<S, B> {
        let next = self.inner.clone();
        let ready = mem::replace(&mut self.inner, next);
        let (by_client, by_site) = self.layer.rate.buckets().of(client, candidates);
        let sites = GovernorLayer::new(by_site).error_handler(self.layer.refuse);
        let clients = GovernorLayer::new(by_client).error_handler(self.layer.refuse);
        clients.layer(sites.layer(ready))
    }
}

impl<S, Q, B> Service<Request<Q>> for RateLimited<S, B>
where
    S: Service<Request<Q>, Response = Response<B>> + Clone,
    S::Response: From<GovernorError>,
    B: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<ResponseFuture<S::Future, B>, B>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let client = request.extensions().get().copied();
        self.governed(client, request.extensions().get()).call(request)
    }
}

#[cfg(test)]
mod tests;
