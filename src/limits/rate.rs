//! How often a client may ask: a bucket of requests that refills evenly.
//!
//! tower-governor counts; who asks is what we say (a [`ClientKey`] in the request's extensions), because its own ways to
//! find out trust a header that anybody can send. Its clock is the system's, not tokio's.

use std::{sync::Arc, time::Duration};

use governor::middleware::NoOpMiddleware;
use http::{Request, Response};
use tower_governor::{
    GovernorError, GovernorLayer,
    governor::{GovernorConfig, GovernorConfigBuilder},
    key_extractor::KeyExtractor,
};

use super::settings::Settings;
use crate::client::ClientKey;

/// What answers a request that came too soon, in place of the service behind it.
pub type RateLayer<B> = GovernorLayer<ByClient, NoOpMiddleware, B>;

/// The buckets of all clients. Clones count together.
#[derive(Clone, Debug)]
pub struct Rate(Arc<GovernorConfig<ByClient, NoOpMiddleware>>);

impl Rate {
    /// Every bucket is full.
    pub fn new(settings: &Settings) -> Self {
        let config = GovernorConfigBuilder::default()
            .period(MINUTE / settings.requests_per_minute.get())
            .burst_size(settings.request_burst.get())
            .key_extractor(ByClient)
            .finish();
        match config {
            Some(config) => Self(Arc::new(config)),
            None => unreachable!(
                "a minute has more nanoseconds than a rate can have requests, and a burst is not zero"
            ),
        }
    }

    /// Lets requests through to a service, each of which must have a [`ClientKey`] in its extensions; `refuse` answers those
    /// that come too soon, or have none.
    pub fn layer<B>(&self, refuse: fn(GovernorError) -> Response<B>) -> RateLayer<B>
    where
        B: 'static,
    {
        GovernorLayer::new(Arc::clone(&self.0)).error_handler(refuse)
    }

    /// Forgets clients whose bucket is full again: they are as good as new.
    pub fn forget_idle(&self) {
        self.0.limiter().retain_recent();
        self.0.limiter().shrink_to_fit();
    }

    /// How many clients are remembered.
    pub fn clients(&self) -> usize {
        self.0.limiter().len()
    }
}

/// Finds out who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByClient;

impl KeyExtractor for ByClient {
    type Key = ClientKey;

    fn extract<T>(&self, request: &Request<T>) -> Result<ClientKey, GovernorError> {
        request
            .extensions()
            .get()
            .copied()
            .ok_or(GovernorError::UnableToExtractKey)
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, num::NonZeroU32};

    use axum::body::Body;
    use tower::{Layer, ServiceExt, service_fn};

    use super::*;

    fn rate(per_minute: u32, burst: u32) -> Rate {
        Rate::new(&Settings {
            requests_per_minute: NonZeroU32::new(per_minute).unwrap(),
            request_burst: NonZeroU32::new(burst).unwrap(),
            ..Settings::default()
        })
    }

    fn client(number: u8) -> ClientKey {
        ClientKey::of([192, 0, 2, number].into())
    }

    async fn ask(rate: &Rate, client: Option<ClientKey>) -> u16 {
        let inner = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Body::empty())));
        let refuse = |error| {
            let status = if matches!(error, GovernorError::TooManyRequests { .. }) {
                429
            } else {
                500
            };
            Response::builder().status(status).body(Body::empty()).unwrap()
        };
        let mut request = Request::new(());
        request.extensions_mut().extend(
            client
                .map(|client| {
                    let mut extensions = http::Extensions::new();
                    extensions.insert(client);
                    extensions
                })
                .unwrap_or_default(),
        );
        let response = rate.layer(refuse).layer(inner).oneshot(request).await;
        response.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn who_asks_too_often_is_refused_and_nobody_else() {
        let rate = rate(1, 3);
        for expected in [200, 200, 200, 429, 429] {
            assert_eq!(ask(&rate, Some(client(1))).await, expected);
        }
        assert_eq!(ask(&rate, Some(client(2))).await, 200);
    }

    #[tokio::test]
    async fn a_request_of_nobody_is_a_fault() {
        assert_eq!(ask(&rate(1, 3), None).await, 500);
    }

    #[tokio::test]
    async fn a_bucket_that_is_full_again_costs_no_memory() {
        let rate = rate(u32::MAX, 1);
        ask(&rate, Some(client(1))).await;
        while rate.clients() > 0 {
            rate.forget_idle();
        }
    }
}
