use std::{fmt::Write, time::Duration};

use super::*;
use crate::{
    catalog::Access,
    config::Config,
    encoding::{Payload, Tombstones},
};

const CLUSTER: &str = "[[clusters]]\nname = 'main'\nbootstrap = ['b1:9092', 'b2:9092', 'b3:9092']\n\
    [[clusters]]\nname = 'other'\nbootstrap = ['c1:9092', 'c2:9092', 'c3:9092']\n";

/// Returns a configuration with this text.
fn config(more: &str) -> Config {
    let (config, _) = Config::load(&format!("{CLUSTER}{more}"), "dir/riverhead.toml", []).unwrap();
    config
}

/// Returns a configuration with this section.
fn section(keys: &str) -> Config {
    config(&format!("[stream_config]\nfile = 'streams.json'\n{keys}\n"))
}

fn settings(keys: &str) -> StreamConfigSettings {
    section(keys).stream_config.unwrap()
}

fn refusal(more: &str) -> String {
    let faults = Config::load(&format!("{CLUSTER}{more}"), "riverhead.toml", []).unwrap_err();
    faults.to_string()
}

/// Returns what is served of a document, and what is wrong with it.
fn merged(config: Config, text: &str) -> MergedStreams {
    let document = config.stream_config.as_ref().unwrap().parse(text.as_bytes());
    config.with_streams_of(&document.unwrap().entries, &StreamEntries::default())
}

fn names(config: &Config) -> Vec<String> {
    let streams = config.catalog.streams();
    streams.map(|stream| stream.name.to_string()).collect()
}

fn told(faults: &[StreamFault]) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn every_key_is_read_and_a_relative_path_begins_at_the_directory_of_the_file() {
    let read =
        settings("object_path = 'a.b'\nrefresh = '5m'\nallowed = ['x.*']\ndefaults = { annotate = true }");
    assert_eq!(read.source, StreamConfigSource::File("dir/streams.json".into()));
    assert_eq!(read.object_path, ["a", "b"]);
    assert_eq!(read.refresh, Duration::from_secs(300));
    assert!(read.allows("x.y") && !read.allows("y"));

    let more = "[stream_config]\nurl = 'https://config.example/streams?format=json&token=secret'";
    let read = config(more).stream_config.unwrap();
    assert_eq!(read.object_path, ["streams"]);
    assert_eq!(read.refresh, Duration::from_secs(60));
    assert!(read.allows("anything"));
    assert_eq!(read.source.to_string(), "https://config.example/streams");
    assert!(read.origin().contains("secret"), "another token may show others");
}

#[test]
fn what_is_wrong_with_the_section_is_told_at_once() {
    let text = "[stream_config]\nurl = 'http://config.example'\nobject_path = 'a..b'\nrefresh = '10ms'\n\
                allowed = ['/^a/']\nrefersh = 1\n\
                [stream_config.defaults]\nname = 'x'\nredcat = []\n";
    let report = refusal(text);
    for expected in [
        "found a URL with another scheme than https",
        "found an empty key",
        "at least 1s",
        "`stream_config.allowed`: expected a name",
        "did you mean `refresh`?",
        "`stream_config.defaults.name`: each stream has its own",
        "6 errors",
    ] {
        assert!(report.contains(expected), "{expected} in {report}");
    }
    for (text, expected) in [
        ("[stream_config]\nrefresh = '1m'", "has neither `url` nor `file`"),
        (
            "[stream_config]\nurl = 'https://a.example'\nfile = 'x'",
            "`stream_config.url` and `stream_config.file` are both set",
        ),
        ("[stream_config]\nfile = 'x'\nallowed = []", "at least one name"),
        (
            "[stream_config]\nfile = 'x'\ndefaults = { redcat = [] }",
            "did you mean `redact`?",
        ),
        (
            "[stream_config]\nfile = 'x'\ndefaults = { clusters = ['mian'] }",
            "did you mean `main`?",
        ),
        (
            "[stream_config]\nfile = 'x'\ndefaults = { access = ['staff'] }",
            "ask for a credential, but there is no [auth]",
        ),
        (
            "[stream_config]\nfile = 'x'\n[[streams]]\nname = 'a'\ntopics = []",
            "has no topics",
        ),
        ("", "`streams` is missing"),
    ] {
        let report = refusal(text);
        assert!(
            report.contains(expected) && report.ends_with("1 error"),
            "{report}"
        );
    }
}

#[test]
fn a_url_without_a_place_to_keep_its_streams_is_a_surprise_and_a_cluster_that_only_its_streams_may_use_is_none()
 {
    let warnings = |more: &str| {
        let (_, warnings) = Config::load(&format!("{CLUSTER}{more}"), "riverhead.toml", []).unwrap();
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let url = "[stream_config]\nurl = 'https://config.example'\n";
    let told = warnings(url);
    assert!(
        told.len() == 1 && told[0].contains("their clients get 400"),
        "{told:?}"
    );
    assert_eq!(warnings(&format!("{url}[state]\ndirectory = 'x'\n")), [""; 0]);
    assert_eq!(warnings("[stream_config]\nfile = 'x'\n"), [""; 0]);
}

#[test]
fn the_shape_of_the_service_of_eventstreams_is_understood() {
    // As MediaWiki's API gives it.
    let text = r#"{"streams":{
        "mediawiki.recentchange":{"stream":"mediawiki.recentchange","schema_title":"mediawiki\/recentchange",
            "topic_prefixes":["eqiad.","codfw."],"canary_events_enabled":true,"message_key_fields":{"wiki":"wiki"},
            "consumers":{"analytics_hadoop_ingestion":{"enabled":false}},"producers":{"eventgate":{}},
            "sample":{"unit":"pageview","rate":0.5},"destination_event_service":"eventgate-main",
            "topics":["eqiad.mediawiki.recentchange","codfw.mediawiki.recentchange"],
            "stream_aliases":["recentchange"],"description":"Edits","schema":{"type":"object"}},
        "\/^mediawiki\\.job\\..+\/":{"stream":"\/^mediawiki\\.job\\..+\/","schema_title":"mediawiki\/job"},
        "named.otherwise":{"stream":"/^x/","topics":["x"]},
        "eventlogging_Test":{"topic_prefixes":null,"topics":[]},
        "eventlogging_Other":{"topic_prefixes":null},
        "eventlogging_Null":{"topics":null}}}"#;
    let config = section("");
    let document = config
        .stream_config
        .as_ref()
        .unwrap()
        .parse(text.as_bytes())
        .unwrap();
    assert_eq!(
        document.left_out,
        LeftOut {
            patterns: vec!["/^mediawiki\\.job\\..+/".into(), "named.otherwise".into()],
            without_topics: vec![
                "eventlogging_Null".into(),
                "eventlogging_Other".into(),
                "eventlogging_Test".into()
            ],
            not_allowed: 0,
        }
    );
    let merged = merged(config, text);
    assert_eq!(told(&merged.faults), [""; 0]);
    assert_eq!(names(&merged.config), ["mediawiki.recentchange"]);
    let stream = merged.config.catalog.streams().next().unwrap();
    assert_eq!(stream.aliases, ["recentchange".into()]);
    assert_eq!(
        stream.topics,
        [
            "eqiad.mediawiki.recentchange".into(),
            "codfw.mediawiki.recentchange".into()
        ]
    );
    assert_eq!((&*stream.description, &stream.schema), ("Edits", &None));
    assert_eq!(stream.clusters, ["main".into()]);
}

#[test]
fn yaml_with_keys_of_streams_is_understood_and_defaults_are_for_what_is_not_there() {
    let text = "
# a comment
base: &base
  payload: json
  redact:
    - when: meta.domain = \"x.example\"
      remove: [user]
      blank: [comment]
streams:
  edits:
    <<: *base
    topics: [edits]
    access: public
    tombstones: delete
    max_clients: 7
    expect_event_within: 10m
    filter_fields: [wiki]
    clusters: [other, main]
  pages:
    topics:
      - pages
    annotate: false
";
    let auth = "[auth]\nkeys_file = 'keys.toml'\n";
    let defaults = "defaults = { access = ['staff'], annotate = true, max_clients = 3 }";
    let own = config(&format!(
        "{auth}[stream_config]\nfile = 'x'\n{defaults}\n[limits]\nclients_per_stream = 3\n"
    ));
    let merged = merged(own, text);
    assert_eq!(told(&merged.faults), [""; 0]);
    let streams: Vec<_> = merged.config.catalog.streams().collect();
    let [edits, pages] = &streams[..] else {
        panic!("{streams:?}")
    };
    assert_eq!((&edits.access, edits.rules.annotate), (&Access::Public, true));
    assert_eq!(
        (&pages.access, pages.rules.annotate),
        (&Access::Scopes(vec!["staff".into()]), false)
    );
    assert_eq!(edits.rules.redact.len(), 1);
    assert_eq!(edits.rules.redact[0].remove, ["user".into()]);
    assert_eq!(edits.encoding.payload, Payload::Json);
    assert_eq!(edits.encoding.tombstones, Tombstones::Delete);
    assert_eq!(edits.clusters, ["other".into(), "main".into()]);
    assert_eq!(edits.expect_event_within, Some(Duration::from_secs(600)));
    let limits = &merged.config.limits.max_clients;
    let limits: Vec<_> = limits
        .iter()
        .map(|(name, limit)| (&**name, limit.map(u32::from)))
        .collect();
    assert_eq!(
        limits,
        [("edits", Some(7))],
        "that of `pages` is that of all streams"
    );
}

#[test]
fn only_what_is_allowed_is_served_also_of_what_is_kept() {
    let text = r#"{"streams":{"mediawiki.a":{"topics":["a"]},"mediawiki.b":{"topics":["b"]},"x":{"topics":["x"]},"y":7}}"#;
    let own = section("allowed = ['mediawiki.*']");
    let document = own
        .stream_config
        .as_ref()
        .unwrap()
        .parse(text.as_bytes())
        .unwrap();
    assert_eq!(document.left_out.not_allowed, 2);
    assert_eq!(names(&merged(own, text).config), ["mediawiki.a", "mediawiki.b"]);
    let fewer = settings("allowed = ['*.b', 'x']").allowed_of(&document.entries);
    assert_eq!(fewer.0.keys().collect::<Vec<_>>(), ["mediawiki.b"]);
}

#[test]
fn streams_of_the_configuration_win_by_name_by_alias_and_over_aliases() {
    let own = config(
        "[stream_config]\nfile = 'x'\n[[streams]]\nname = 'edits'\naliases = ['changes']\ntopics = ['own']\n",
    );
    let text = r#"{"streams":{"changes":{"topics":["c"]},"edits":{"topics":["e"],"payload":"nonsense"},
        "pages":{"topics":["p"],"aliases":["edits","wiki-pages","users"]},
        "users":{"topics":["u"],"stream_aliases":["wiki-pages","people"]}}}"#;
    let merged = merged(own, text);
    assert_eq!(
        told(&merged.faults),
        [""; 0],
        "nobody asks for what is not served"
    );
    assert_eq!(names(&merged.config), ["edits", "pages", "users"]);
    let streams: Vec<_> = merged.config.catalog.streams().collect();
    assert_eq!(streams[0].topics, ["own".into()]);
    assert_eq!(streams[1].aliases, ["wiki-pages".into()]);
    assert_eq!(streams[2].aliases, ["people".into()]);
    assert_eq!(merged.entries.len(), 2);
}

#[test]
fn a_broken_stream_is_left_out_alone_and_told_what_is_wrong_with_it() {
    let broken = [
        (r#"{"topics":["a b"]}"#, "`a b` is not a valid name"),
        (r#"{"topics":"t"}"#, "expected an array of names"),
        (r#"{"topics":["t","t"]}"#, "topic `t` is listed twice"),
        (
            r#"{"topics":["t"],"redcat":[]}"#,
            "unknown key `redcat`: did you mean `redact`?",
        ),
        (
            r#"{"topics":["t"],"redact":[{"when":"x =","remove":["y"]}]}"#,
            "`redact.when`: expected a filter",
        ),
        (r#"{"topics":["t"],"drop":"x ="}"#, "`drop`: expected a filter"),
        (
            r#"{"topics":["t"],"payload":"xml"}"#,
            "`payload`: expected one of",
        ),
        (
            r#"{"topics":["t"],"payload":"raw","annotate":true}"#,
            "`annotate`",
        ),
        (r#"{"topics":["t"],"clusters":["mian"]}"#, "did you mean `main`?"),
        (
            r#"{"topics":["t"],"access":["staff"]}"#,
            "needs a credential, but there is no [auth]",
        ),
        (r#"{"topics":["t"],"stream":"x"}"#, "`stream` is another name"),
        (
            r#"{"topics":["t"],"aliases":["a/b"]}"#,
            "`a/b` is not a valid name",
        ),
        (r#"{"topics":["t"],"max_clients":0}"#, "`max_clients`"),
        (
            r#"{"topics":["shared"],"payload":"raw"}"#,
            "must agree on `payload`",
        ),
        (r#"["t"]"#, "its entry is not an object"),
    ];
    for (entry, expected) in broken {
        let text = format!(
            r#"{{"streams":{{"a.good":{{"topics":["shared"]}},"broken":{entry},"z.good":{{"topics":["z"]}}}}}}"#
        );
        let merged = merged(section(""), &text);
        assert_eq!(names(&merged.config), ["a.good", "z.good"], "{entry}");
        let told = told(&merged.faults);
        assert!(
            told.len() == 1
                && told[0].starts_with("stream `broken` is left out: ")
                && told[0].contains(expected),
            "{entry}: {told:?}"
        );
    }
    let name = merged(
        section(""),
        r#"{"streams":{"a b":{"topics":["x"]},"c":{"topics":["c"]}}}"#,
    );
    assert_eq!(names(&name.config), ["c"]);
    assert!(told(&name.faults)[0].contains("`a b` is not a valid name"));
}

#[test]
fn of_a_stream_that_breaks_what_was_served_before_stays() {
    let own = section("");
    let entries = |text: &str| {
        let text = format!(r#"{{"streams":{text}}}"#);
        settings("").parse(text.as_bytes()).unwrap().entries
    };
    let before = entries(r#"{"a":{"topics":["a"],"description":"old"},"b":{"topics":["b"]}}"#);
    let after = entries(r#"{"a":{"topics":["a"],"redcat":1},"c":{"topics":["c"],"x":1}}"#);
    let merged = own.with_streams_of(&after, &before);
    assert_eq!(
        names(&merged.config),
        ["a"],
        "`b` is gone, and `c` has never been good"
    );
    assert_eq!(merged.config.catalog.streams().next().unwrap().description, "old");
    assert_eq!(merged.entries.0["a"], before.0["a"]);
    let told = told(&merged.faults);
    assert!(
        told[0].starts_with("stream `a` is served as it was before: unknown key `redcat`"),
        "{told:?}"
    );
    assert!(
        told[1].starts_with("stream `c` is left out: unknown key `x`"),
        "{told:?}"
    );
}

#[test]
fn of_streams_that_contradict_each_other_the_first_is_served_and_what_contradicts_only_others_is_too() {
    let own = config(
        "[stream_config]\nfile = 'x'\n[[streams]]\nname = 'own'\ntopics = ['t']\nredact = [{ remove = ['user'] }]\n",
    );
    let text = r#"{"streams":{"a":{"topics":["t"]},"b":{"topics":["u","t"],"redact":[{"remove":["user"]}]},
        "c":{"topics":["u"],"redact":[{"remove":["user"]}]},"d":{"topics":["u"]},"e":{"topics":["d"]}}}"#;
    let merged = merged(own, text);
    assert_eq!(names(&merged.config), ["own", "b", "c", "e"]);
    let mut told = told(&merged.faults);
    told.sort();
    assert_eq!(
        told,
        [
            "stream `a` is left out: streams that share topic `t` must agree on `redact`: its records are changed only once",
            "stream `d` is left out: streams that share topic `u` must agree on `redact`: its records are changed only once",
        ]
    );
}

#[test]
fn a_contradiction_changes_nothing_of_what_is_served() {
    let entries = |text: &str| {
        let text = format!(r#"{{"streams":{text}}}"#);
        settings("").parse(text.as_bytes()).unwrap().entries
    };
    let before = entries(r#"{"b":{"topics":["t"]},"c":{"topics":["t"]}}"#);
    // Something new that comes before them, and a rule that only one of them gets.
    let after = entries(
        r#"{"a":{"topics":["t"],"drop":"x = 1"},"b":{"topics":["t"],"redact":[{"remove":["user"]}]},
            "c":{"topics":["t"]},"d":{"topics":["d"]}}"#,
    );
    let merged = section("").with_streams_of(&after, &before);
    assert_eq!(names(&merged.config), ["b", "c", "d"]);
    assert_eq!(merged.entries.0["b"], before.0["b"]);
    let mut told = told(&merged.faults);
    told.sort();
    assert!(told[0].starts_with("stream `a` is left out: "), "{told:?}");
    assert!(
        told[1].starts_with("stream `b` is served as it was before: streams that share topic `t`"),
        "{told:?}"
    );
    assert_eq!(told.len(), 2);
    // When both have it, both get it.
    let both = entries(
        r#"{"b":{"topics":["t"],"redact":[{"remove":["user"]}]},"c":{"topics":["t"],"redact":[{"remove":["user"]}]}}"#,
    );
    let merged = section("").with_streams_of(&both, &merged.entries);
    assert_eq!(merged.entries, both);
}

#[test]
fn rubbish_is_refused_as_a_whole_with_the_reason() {
    let twice = r#"{"streams":{"a":{"topics":["a"],"redact":[{"remove":["user"]}],"redact":[]}}}"#;
    let mut many = r#"{"streams":{"a":{"topics":["a"]}"#.to_owned();
    for number in 0..1_000 {
        write!(many, r#","s{number}":{{"topics":["t"]}}"#).unwrap();
    }
    many += "}}";
    let large = format!(
        r#"{{"streams":{{"a":{{"topics":["{}"]}}}}}}"#,
        "x".repeat(2 << 20)
    );
    let deep = format!(r#"{{"streams":{}"#, "[".repeat(100_000));
    for (text, expected) in [
        ("", "no object with streams at `streams`"),
        (
            "<html><body>Service unavailable</body></html>",
            "no object with streams",
        ),
        ("{\"streams\":{\"a\":{\"topics\":[\"a\"", "it is not JSON: EOF"),
        ("streams: [a", "neither JSON nor YAML"),
        ("{\"streams\":[]}", "no object with streams"),
        (
            "{\"error\":{\"code\":\"internal_api_error\"}}",
            "no object with streams",
        ),
        ("{\"streams\":{}}", "no stream that can be served"),
        (
            "{\"streams\":{\"/^a/\":{\"topics\":[\"a\"]}}}",
            "no stream that can be served",
        ),
        (twice, "the key \"redact\" is there twice"),
        (
            "streams:\n  a: {topics: [a]}\n  a: {topics: [b]}\n",
            "neither JSON nor YAML",
        ),
        (&many, "more than 1000 streams"),
        (&large, "longer than 1048576 bytes"),
        (&deep, "it is not JSON"),
    ] {
        let why = settings("").parse(text.as_bytes()).unwrap_err();
        assert!(why.contains(expected), "{expected} in {why}");
        assert!(why.len() < 300, "{why}");
    }
    let why = settings("").parse(b"{\"streams\":\"\xff\"}").unwrap_err();
    assert_eq!(why, "it is not UTF-8");
    let why = settings("object_path = 'a.b'").parse(b"{\"a\":{}}").unwrap_err();
    assert!(why.contains("at `a.b`"), "{why}");
}

#[test]
fn aliases_of_yaml_cannot_grow_without_bound() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        writeln!(bomb, "a{level}: &a{level} [{before}]").unwrap();
    }
    bomb += "streams: {a: {topics: *a9}}\n";
    let why = settings("").parse(bomb.as_bytes()).unwrap_err();
    assert!(why.contains("neither JSON nor YAML"), "{why}");
}

#[test]
fn the_document_itself_can_be_the_object_and_a_path_can_lead_into_it() {
    for (path, text) in [
        ("", r#"{"a":{"topics":["t"]}}"#),
        ("x.y", r#"{"x":{"y":{"a":{"topics":["t"]}}}}"#),
        ("streams", "\u{20}\nstreams:\n  a:\n    topics: [t]\n"),
    ] {
        let own = section(&format!("object_path = '{path}'"));
        assert_eq!(names(&merged(own, text).config), ["a"], "{path}");
    }
}
