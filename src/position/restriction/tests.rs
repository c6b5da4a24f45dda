use sha2::{Digest, Sha256};

use super::*;

fn share(number: u8, of: u8) -> Share {
    Share::new(number, of).expect("a share")
}

/// The rule as the documentation has it, with numbers that cannot overflow.
fn owner(topic: &str, partition: i32, of: u8) -> u8 {
    let hash = Sha256::digest(topic.as_bytes());
    let first = u64::from_be_bytes(hash[..8].try_into().expect("8 bytes"));
    (1 + (u128::from(first) + partition as u128) % u128::from(of)) as u8
}

#[test]
fn every_partition_belongs_to_exactly_one_share_which_is_that_of_the_documented_rule() {
    for name in [
        "eqiad.mediawiki.recentchange",
        "codfw.mediawiki.recentchange",
        "a",
    ] {
        let topic = name.into();
        for of in (1..=7).chain([63, MAX_SHARES]) {
            for partition in (0..70).chain([i32::MAX - 1, i32::MAX]) {
                let owns = |number: &u8| {
                    let restriction = Restriction::Share(share(*number, of));
                    restriction.of_topic(&topic).contains(partition)
                };
                let owners: Vec<_> = (1..=of).filter(owns).collect();
                let expected = [owner(name, partition, of)];
                assert_eq!(owners, expected, "{name} {partition} of {of}");
            }
        }
    }
}

#[test]
fn the_rule_is_the_same_in_every_release() {
    let owners: Vec<_> = (0..6).map(|partition| owner("edits", partition, 4)).collect();
    let shares = (0..6).map(|partition| {
        let owns = |number: &u8| {
            Restriction::Share(share(*number, 4))
                .of_topic(&"edits".into())
                .contains(partition)
        };
        (1..=4).find(owns).expect("an owner")
    });
    assert_eq!(shares.collect::<Vec<_>>(), owners);
    assert_eq!(owners, EDITS_OF_4);
}

/// Computed with another program: `printf edits | sha256sum`.
const EDITS_OF_4: [u8; 6] = [3, 4, 1, 2, 3, 4];

#[test]
fn a_restriction_is_read_only_as_it_is_documented() {
    for text in ["1/1", "2/3", "64/64", "a:0", "a.b-c_d:0,a.b-c_d:3,e:2147483646"] {
        assert!(Restriction::parse(text).is_some(), "{text}");
    }
    for text in [
        "",
        "0/1",
        "2/1",
        "1/65",
        "1/256",
        "+1/2",
        "01/2",
        "1/02",
        "1/",
        "/2",
        "1",
        "1/2/3",
        " 1/2",
        "1/2 ",
        "-1/2",
        "a",
        "a:",
        ":0",
        "a:-1",
        "a:+1",
        "a:1,",
        ",a:1",
        "a:2147483647",
        "a:0,1/2",
        "a:0,,b:0",
    ] {
        assert_eq!(Restriction::parse(text), None, "{text}");
    }
    let list = |count: usize| (0..count).map(|n| format!("a:{n}")).collect::<Vec<_>>().join(",");
    assert!(Restriction::parse(&list(list::MAX_LISTED)).is_some());
    assert_eq!(Restriction::parse(&list(list::MAX_LISTED + 1)), None);
}

#[test]
fn lists_of_the_same_partitions_are_one_whatever_their_order() {
    let parse = |text| Restriction::parse(text).expect("a list");
    assert_eq!(parse("b:3,a:1,b:0,a:1"), parse("a:1,b:0,b:3"));
    assert_eq!(parse("b:3,a:1").tag(), parse("a:1,b:3").tag());
    assert_ne!(parse("a:1").tag(), parse("a:2").tag());
    assert_ne!(parse("a:11").tag(), parse("a:1").tag());
    let list = parse("b:3,a:1,b:0");
    let of = |topic: &str| {
        (0..5)
            .filter(|n| list.of_topic(&topic.into()).contains(*n))
            .collect::<Vec<_>>()
    };
    assert_eq!((of("a"), of("b"), of("c")), (vec![1], vec![0, 3], vec![]));
}

#[test]
fn a_tag_reads_back_as_it_was_written() {
    for tag in [
        RestrictionTag::Share(share(64, 64)),
        RestrictionTag::List(0),
        RestrictionTag::List(u32::MAX),
    ] {
        assert_eq!(tag.to_string().parse(), Ok(tag));
    }
    for text in [
        "",
        "list:",
        "list:0000000",
        "list:000000000",
        "list:0000000G",
        "list:0000000A",
        "list:+0000000",
    ] {
        assert!(text.parse::<RestrictionTag>().is_err(), "{text}");
    }
}

#[test]
fn an_id_is_whole_only_if_no_share_is_missing_and_nothing_else_is_in_it() {
    let scope = |tags: &[Option<&str>]| {
        let mut scope = ScopeBuilder::default();
        for tag in tags {
            scope.add(tag.map(|tag| tag.parse().expect("a tag")));
        }
        scope.finish()
    };
    let part = |tag: &str| IdScope::Part(tag.parse().expect("a tag"));
    assert_eq!(scope(&[]), IdScope::Whole);
    assert_eq!(scope(&[None, None]), IdScope::Whole);
    assert_eq!(scope(&[Some("1/1")]), IdScope::Whole);
    assert_eq!(scope(&[Some("2/3"), Some("2/3")]), part("2/3"));
    assert_eq!(
        scope(&[Some("3/3"), Some("1/3")]),
        IdScope::Incomplete(share(2, 3))
    );
    assert_eq!(scope(&[Some("3/3"), Some("1/3"), Some("2/3")]), IdScope::Whole);
    assert_eq!(scope(&[Some("1/2"), Some("2/3")]), IdScope::Mixed);
    assert_eq!(scope(&[Some("1/2"), None, Some("2/2")]), IdScope::Mixed);
    assert_eq!(scope(&[Some("list:00000001")]), part("list:00000001"));
    assert_eq!(
        scope(&[Some("list:00000001"), Some("list:00000002")]),
        IdScope::Mixed
    );
    assert_eq!(scope(&[Some("list:00000001"), Some("1/1")]), IdScope::Mixed);
    let all: Vec<_> = (1..=64).map(|number| share(number, 64).to_string()).collect();
    let all: Vec<_> = all.iter().map(|tag| Some(tag.as_str())).collect();
    assert_eq!(scope(&all), IdScope::Whole);
    assert_eq!(scope(&all[..63]), IdScope::Incomplete(share(64, 64)));
}
