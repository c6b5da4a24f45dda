//! Request rate limits: a token bucket per client, which refills evenly.
//!
//! Not here: the answer to a request that comes too soon (`http`).
//!
//! tower-governor counts. Its key is our own, a [`ClientKey`] in the request's extensions, because its built-in key extractors
//! trust a header that any client can send. Its clock is the system's, not tokio's.

mod buckets;

use std::sync::Arc;

use buckets::Buckets;
use http::{Request, Response};
use parking_lot::RwLock;
use tower::{Service, ServiceExt};
use tower_governor::{GovernorError, governor::Governor};

use super::LimitSettings;
#[cfg(doc)]
use crate::client::{ClientAddr, ClientKey};

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

    /// Answers a request with `service`, or with `refuse` if it comes too soon for its client or for the client's /48. The request
    /// must have a [`ClientAddr`] and a [`ClientKey`] in its extensions, or it is refused as well. The limits in force when it
    /// arrives apply.
    ///
    /// # Errors
    /// Those of `service`.
    pub async fn limit<S, Q, B>(
        &self,
        request: Request<Q>,
        service: S,
        refuse: fn(GovernorError) -> Response<B>,
    ) -> Result<Response<B>, S::Error>
    where
        S: Service<Request<Q>, Response = Response<B>>,
        S::Response: From<GovernorError>,
        B: 'static,
    {
        let buckets = self.buckets();
        let group = buckets.of(request.extensions());
        // The client's bucket first: a client that has emptied its own takes nothing from its neighbours.
        let of_site = Governor::new(service, &group.sites).error_handler(refuse);
        let of_client = Governor::new(of_site, &group.clients).error_handler(refuse);
        of_client.oneshot(request).await
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

#[cfg(test)]
mod tests;
