//! The largest and smallest numbers.

use riverhead::{
    position::{IdForm, decode},
    subscription::Subscription,
};

use super::{received, seconds, write};
use crate::support::model::ModelFixture;

/// What follows, and all the other tests, say nothing of a release otherwise.
#[test]
fn releases_check_arithmetic_as_these_tests_do() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let text = std::fs::read_to_string(file).unwrap();
    let (_, profile) = text.split_once("[profile.release.package.riverhead]\n").unwrap();
    let profile = profile.split("\n[").next().unwrap();
    assert!(
        profile.lines().any(|line| line == "overflow-checks = true"),
        "{profile}"
    );
}

/// Whatever a client writes into an id, and however far a position is from all existing records, its client
/// waits or receives a gap, and then receives new records. Tests check arithmetic for overflow, as release
/// builds do.
#[tokio::test(start_paused = true)]
async fn the_largest_and_the_smallest_numbers_are_places_like_any_other() {
    let fixture = ModelFixture::new(1);
    write(&fixture, 0, &seconds(0..5));
    let tag = fixture.model.lock().tag();
    let logs = [
        String::new(),
        format!(r#","log":"{tag}""#),
        format!(r#","log":"{tag}.0""#),
        format!(r#","log":"{tag}.2147483647""#),
        r#","log":"AAAA.AAAAAA.1""#.to_owned(),
    ];
    let far = [
        i64::MIN,
        i64::MIN + 1,
        -2,
        -1,
        0,
        1,
        1 << 53,
        i64::MAX - 1024,
        i64::MAX - 1,
        i64::MAX,
    ];
    let mut taken = 0;
    for offset in far {
        for time in far {
            for log in &logs {
                let id = format!(
                    r#"[{{"topic":"edits","partition":0,"offset":{offset},"timestamp":{time}{log}}}]"#
                );
                let Ok(position) = decode(id.as_bytes()) else {
                    continue;
                };
                taken += 1;
                let mut request = fixture.request(None, IdForm::Json);
                request.position = Some(position);
                let mut subscription = Subscription::start(&fixture.source, request);
                let (_, got) = received(&mut subscription).await;
                assert!(got.len() <= 5, "{id}: {got:?}");
            }
        }
    }
    assert!(taken > 100, "{taken} of them are ids");
}
