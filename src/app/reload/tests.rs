use std::sync::{
    Mutex,
    atomic::{AtomicU32, Ordering},
};

use tokio::signal::unix::{SignalKind, signal};

use super::*;
use crate::{config::ConfigErrors, http::ConfigReport};

const LEAST: &str = "[[clusters]]\nname = 'main'\nbootstrap = ['b1:9092', 'b2:9092', 'b3:9092']\n\
    [[streams]]\nname = 'edits'\ntopics = ['edits']\n";

fn load(more: &str) -> Result<(Config, Vec<Warning>), ConfigErrors> {
    Config::load(&format!("{more}\n{LEAST}"), "riverhead.toml", [])
}

fn loaded(more: &str) -> Config {
    load(more).unwrap().0
}

/// Returns a reloader for a file that a test writes, and the limit that its subscriber got last.
fn reload(file: &Arc<Mutex<&'static str>>) -> (ConfigReloader, Arc<AtomicU32>) {
    let file = Arc::clone(file);
    let load_config: ConfigLoader = Arc::new(move || load(*file.lock().unwrap()));
    let started = loaded("");
    let history = ConfigHistory::new(&started.shown, ConfigReport::default());
    let mut reload = ConfigReloader::new(load_config, &started, history, LifecycleMetrics::default());
    let told = Arc::new(AtomicU32::new(0));
    let limit = Arc::clone(&told);
    reload.subscribe(move |config| limit.store(config.limits.streams_per_client.get(), Ordering::SeqCst));
    (reload, told)
}

#[tokio::test]
async fn a_file_with_faults_changes_nothing_and_the_next_one_without_does() {
    let file = Arc::new(Mutex::new("[limits]\nstreams_per_client = 3"));
    let (mut reload, told) = reload(&file);
    for (text, expected) in [
        ("[limits]\nstreams_per_client = 3", 3),
        ("[limits]\nstreams_per_client = 4\nrequest_burst = 0", 3),
        ("[limits", 3),
        ("[limits]\nstreams_per_client = 5", 5),
    ] {
        *file.lock().unwrap() = text;
        reload.reload().await;
        assert_eq!(told.load(Ordering::SeqCst), expected, "{text}");
    }
}

#[tokio::test]
async fn of_two_reloads_the_later_one_has_the_last_word() {
    let file = Arc::new(Mutex::new("[limits]\nstreams_per_client = 3"));
    let (mut reload, _) = reload(&file);
    let applied: Arc<Mutex<Vec<u32>>> = Arc::default();
    let told = Arc::clone(&applied);
    reload.subscribe_async(move |config| {
        let (told, limit) = (Arc::clone(&told), config.limits.streams_per_client.get());
        async move {
            // The first takes longer.
            for _ in limit..10 {
                tokio::task::yield_now().await;
            }
            told.lock().unwrap().push(limit);
        }
    });
    let trigger = reload.listen(signal(SignalKind::hangup()).unwrap());
    trigger.reload().await;
    *file.lock().unwrap() = "[limits]\nstreams_per_client = 9";
    trigger.reload().await;
    assert_eq!(*applied.lock().unwrap(), [3, 9]);
}
