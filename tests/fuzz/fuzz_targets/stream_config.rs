//! Any document of a stream-config service: reading it never panics; the streams of the configuration win; what is served of it can be
//! kept on disk, and is served as it is when it is read again.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use riverhead::config::{Config, StreamEntries};

static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let text = "[[clusters]]\nname = 'main'\nbootstrap = ['b1:9092', 'b2:9092', 'b3:9092']\n\
        [[streams]]\nname = 'own'\naliases = ['mine']\ntopics = ['own', 'shared']\n\
        [stream_config]\nfile = 'streams.json'\n";
    let (config, _) = Config::load(text, "riverhead.toml", []).expect("a configuration");
    config
});

fuzz_target!(|text: &[u8]| {
    let settings = CONFIG.stream_config.as_ref().expect("the section");
    let Ok(document) = settings.parse(text) else {
        return;
    };
    let served = CONFIG
        .clone()
        .with_streams_of(&document.entries, &StreamEntries::default());
    assert!(served.faults.iter().all(|fault| !fault.is_as_before));
    assert_eq!(served.entries.len() + served.faults.len(), document.entries.len());
    let names = |config: &Config| -> Vec<String> {
        let streams = config.catalog.streams();
        streams.map(|stream| stream.name.to_string()).collect()
    };
    let all = names(&served.config);
    assert_eq!(all.len(), 1 + served.entries.len());
    let own = |config: &Config| config.catalog.named("own").cloned();
    assert_eq!(own(&served.config), own(&CONFIG));

    let kept = serde_json::to_string(&served.entries).expect("JSON");
    let kept: StreamEntries = serde_json::from_str(&kept).expect("what was written");
    assert_eq!(kept, served.entries);
    let again = CONFIG.clone().with_streams_of(&kept, &served.entries);
    assert_eq!(again.faults, []);
    assert_eq!(names(&again.config), all);
});
