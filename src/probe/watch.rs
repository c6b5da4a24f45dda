//! A probe that runs again and again, and serves the last result over HTTP.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header};
use parking_lot::Mutex;
use tokio::{net::TcpListener, runtime, task::spawn_blocking, time::sleep};

use super::{ProbePlan, ProbeReport, render, run::run};
use crate::metrics;

/// The options of a repeated probe.
#[derive(Clone, Copy, Debug)]
pub struct WatchOptions {
    /// The time from the beginning of one run to that of the next. A run that takes longer is followed by the next at once.
    pub every: Duration,
    /// The address of `/metrics` and `/result`. Port 0 takes a free port.
    pub listen: SocketAddr,
}

/// Probes until the process ends. Calls `on_listening` with the address once it is served, and `on_report` with every report.
///
/// # Errors
/// If the address cannot be served.
pub fn watch(
    plan: &ProbePlan,
    options: WatchOptions,
    on_listening: impl FnOnce(SocketAddr),
    on_report: impl Fn(&ProbeReport),
) -> io::Result<Infallible> {
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(options.listen).await?;
        on_listening(listener.local_addr()?);
        let last_report = Arc::new(LastReport::default());
        let serving = axum::serve(listener, router(Arc::clone(&last_report)));
        tokio::select! {
            served = serving => Err(served.err().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())),
            never = probe(plan, options.every, &last_report, on_report) => match never {},
        }
    })
}

async fn probe(
    plan: &ProbePlan,
    every: Duration,
    last_report: &LastReport,
    on_report: impl Fn(&ProbeReport),
) -> Infallible {
    loop {
        let begun = Instant::now();
        let plan = plan.clone();
        if let Ok(report) = spawn_blocking(move || run(&plan)).await {
            on_report(&report);
            last_report.put(report);
        }
        sleep(every.saturating_sub(begun.elapsed())).await;
    }
}

/// The last report, and the number of reports.
#[derive(Default)]
struct LastReport {
    last: Mutex<Option<ProbeReport>>,
    runs: render::Runs,
}

impl LastReport {
    fn put(&self, report: ProbeReport) {
        let labels = vec![("status", report.status().name().to_lowercase())];
        self.runs.get_or_create(&labels).inc();
        *self.last.lock() = Some(report);
    }

    /// Returns a response with the text that `write` makes of the last report.
    fn answer(&self, mime: &'static str, write: impl FnOnce(&ProbeReport) -> Option<String>) -> Response {
        match self.last.lock().as_ref() {
            Some(report) => match write(report) {
                Some(text) => ([(header::CONTENT_TYPE, mime)], text).into_response(),
                None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            },
            None => (StatusCode::SERVICE_UNAVAILABLE, "the first run has not ended\n").into_response(),
        }
    }
}

fn router(last_report: Arc<LastReport>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/result", get(result))
        .with_state(last_report)
}

async fn metrics(State(last_report): State<Arc<LastReport>>) -> Response {
    last_report.answer(metrics::CONTENT_TYPE, |report| {
        render::text(report, Some(&last_report.runs)).ok()
    })
}

async fn result(State(last_report): State<Arc<LastReport>>) -> Response {
    last_report.answer("application/json", |report| Some(render::document(report)))
}
