use std::ops::Range;

use proptest::{collection::vec, prelude::*};

use super::{
    super::{
        fuzzing::KnownStream,
        test_pair::{Pair, TLS13_SUITES, read, written},
    },
    *,
};

/// What happens to a stream: an event of so many bytes, of whose records the socket takes these numbers of bytes, or the client asks
/// for a KeyUpdate, or sends one.
#[derive(Clone, Debug)]
enum Step {
    Event(usize, Vec<usize>),
    KeyUpdate,
}

fn step() -> impl Strategy<Value = Step> {
    let event = |length: Range<usize>| (length, vec(0usize..20_000, 1..6));
    prop_oneof![
        4 => event(1..2_000).prop_map(|(length, takes)| Step::Event(length, takes)),
        2 => event(1..70_000).prop_map(|(length, takes)| Step::Event(length, takes)),
        1 => Just(Step::KeyUpdate),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// The reference is a client of rustls. It opens each record with the next sequence number, so that it fails if one is left out,
    /// comes twice, or in another order.
    #[test]
    fn a_client_gets_each_byte_once_however_the_socket_takes_it(
        suite in 0usize..3,
        key_update_after in 2u32..12,
        steps in vec(step(), 1..40),
    ) {
        let mut pair = Pair::new(TLS13_SUITES[suite]);
        pair.session.seal(b"head").unwrap();
        pair.deliver().unwrap();
        let mut budget = 0;
        let mut records = pair.session.into_records(key_update_after, &mut budget).unwrap();
        let mut client = pair.client;
        let mut buffer = RecordBuffer::default();
        for step in steps {
            match step {
                Step::KeyUpdate => {
                    client.refresh_traffic_keys().unwrap();
                    let update = written(&mut client);
                    prop_assert_eq!(records.receive(&update, &mut budget), Ok(()));
                }
                Step::Event(length, takes) => {
                    let event: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
                    let (got, held) = send_event(&mut records, &mut buffer, &event, &takes, |wire| {
                        read(&mut client, wire).unwrap()
                    });
                    prop_assert!(got == event, "{} bytes of {}", got.len(), event.len());
                    prop_assert!(held <= RecordBuffer::LEN);
                }
            }
        }
        records.close().unwrap();
        records.close().unwrap();
        let sealed = records.unsent().to_vec();
        records.advance(sealed.len());
        prop_assert_eq!(records.send(&mut buffer, |_| 1, |_| 0), Ok(0), "nothing behind close_notify");
        prop_assert_eq!(read(&mut client, &sealed).unwrap(), b"");
        prop_assert!(client.process_new_packets().unwrap().peer_has_closed());
    }

    #[test]
    fn rubbish_never_panics_and_little_of_it_is_held(pieces in vec(vec(any::<u8>(), 0..600), 0..60)) {
        let mut stream = KnownStream::new(1 << 16).unwrap();
        for mut piece in pieces {
            if piece.len() % 3 == 0 {
                // The header of a record that comes slowly.
                piece.splice(..0, [APPLICATION_DATA, 3, 3, 0x40, 0]);
            }
            if stream.receive(&piece).is_some() {
                break;
            }
            prop_assert!(stream.held() <= HEADER_LEN + (1 << 14) + 256);
        }
    }
}

/// Sends an event as a socket takes it: after each record, and of what is kept, some bytes. Returns what the client got, and how many
/// bytes were kept at most.
fn send_event(
    records: &mut TlsRecords,
    buffer: &mut RecordBuffer,
    event: &[u8],
    takes: &[usize],
    mut read: impl FnMut(&[u8]) -> Vec<u8>,
) -> (Vec<u8>, usize) {
    let (mut got, mut held, mut rest) = (Vec::new(), 0, event);
    let mut takes = takes.iter().copied().chain([usize::MAX]).cycle();
    while !rest.is_empty() || !records.unsent().is_empty() {
        let mut wire = Vec::new();
        let take = takes.next().unwrap();
        let sealed = records.send(
            buffer,
            |room| {
                let length = room.len().min(rest.len());
                room[..length].copy_from_slice(&rest[..length]);
                length
            },
            |record| {
                wire.extend_from_slice(&record[..take.min(record.len())]);
                wire.len()
            },
        );
        rest = &rest[sealed.unwrap()..];
        held = held.max(records.unsent().len());
        let taken = takes.next().unwrap().min(records.unsent().len());
        wire.extend_from_slice(&records.unsent()[..taken]);
        records.advance(taken);
        got.extend(read(&wire));
    }
    (got, held)
}

#[test]
fn a_key_seals_as_many_records_as_it_may_and_the_last_is_a_key_update() {
    for after in [2, 3, 1000] {
        let mut pair = Pair::new(TLS13_SUITES[0]);
        pair.session.seal(b"head").unwrap();
        pair.deliver().unwrap();
        let mut records = pair.session.into_records(after, &mut 0).unwrap();
        // How many records rustls has sealed under the first key.
        let mut under_key = records.sender.sequence();
        let mut buffer = RecordBuffer::default();
        for _ in 0..3 * after {
            let mut sent = Vec::new();
            let write = |record: &[u8]| {
                sent.extend_from_slice(record);
                record.len()
            };
            records
                .send(
                    &mut buffer,
                    |room| {
                        room[0] = b'x';
                        1
                    },
                    write,
                )
                .unwrap();
            let updated = sent.len() > HEADER_LEN + 1 + TAIL_LEN;
            assert_eq!(updated, under_key + 1 >= u64::from(after), "{after}");
            under_key = if updated { 1 } else { under_key + 1 };
            assert_eq!(read(&mut pair.client, &sent).unwrap(), b"x");
        }
    }
}

/// Returns what the end of a stream is called after each of these records has come.
fn end_after(records: impl IntoIterator<Item = (u8, Vec<u8>, usize)>) -> Option<String> {
    let mut stream = KnownStream::new(1 << 16).unwrap();
    let ends = records.into_iter().map(|(kind, text, padding)| {
        let record = stream.seal(kind, &text, padding).unwrap();
        stream.receive(&record)
    });
    ends.collect::<Vec<_>>().into_iter().flatten().next()
}

#[test]
fn what_no_client_may_send_ends_the_stream() {
    let update = [&KEY_UPDATE[..], &[0]].concat();
    let malformed = [
        vec![(HANDSHAKE, b"\x01\0\0\x01\0".to_vec(), 0)],
        vec![(HANDSHAKE, b"\x18\0\0\x02\0".to_vec(), 0)],
        vec![(HANDSHAKE, b"\x18\0\0\x01\x02".to_vec(), 0)],
        vec![(HANDSHAKE, [&update[..], &update[..]].concat(), 0)],
        vec![(HANDSHAKE, Vec::new(), 0)],
        vec![
            (HANDSHAKE, update[..2].to_vec(), 0),
            (APPLICATION_DATA, b"x".to_vec(), 0),
        ],
        vec![(HANDSHAKE, update[..2].to_vec(), 0), (ALERT, vec![1, 0], 0)],
        vec![(ALERT, vec![1], 0)],
        vec![(20, vec![1], 0)],
        vec![(24, vec![1], 0)],
        // Nothing but padding.
        vec![(0, Vec::new(), 10)],
        // One byte of padding too many.
        vec![(APPLICATION_DATA, vec![0; 1 << 14], 1)],
    ];
    for records in malformed {
        assert_eq!(
            end_after(records.clone()).as_deref(),
            Some("Malformed"),
            "{records:?}"
        );
    }
    for header in [
        *b"\x17\x03\x03\x00\x10",
        *b"\x17\x03\x03\x41\x01",
        *b"\x16\x03\x03\0\x20",
        *b"\x17\x02\x03\0\x20",
    ] {
        let mut stream = KnownStream::new(1 << 16).unwrap();
        assert_eq!(
            stream.receive(&header).as_deref(),
            Some("Malformed"),
            "{header:?}"
        );
    }
    let mut stream = KnownStream::new(1 << 16).unwrap();
    let mut record = stream.seal(APPLICATION_DATA, b"text", 0).unwrap();
    record[7] ^= 1;
    assert_eq!(
        stream.receive(&record).as_deref(),
        Some("Malformed"),
        "one bit is another"
    );
    let mut stream = KnownStream::new(1 << 16).unwrap();
    let record = stream.seal(APPLICATION_DATA, b"text", 0).unwrap();
    assert_eq!(stream.receive(&record), None);
    assert_eq!(
        stream.receive(&record).as_deref(),
        Some("Malformed"),
        "it came before"
    );
    for alert in [[1, 0], [2, 40], [2, 0]] {
        assert_eq!(end_after([(ALERT, alert.to_vec(), 0)]).as_deref(), Some("Closed"));
    }
}

#[test]
fn what_a_client_may_send_is_bounded() {
    let empty = |count| (0..count).map(|_| (APPLICATION_DATA, Vec::new(), 0));
    assert_eq!(end_after(empty(32)), None);
    assert_eq!(end_after(empty(33)).as_deref(), Some("TooMuch"), "empty records");
    let alternating = empty(20).chain([(APPLICATION_DATA, vec![1], 0)]).chain(empty(20));
    assert_eq!(end_after(alternating), None, "not in a row");

    let data = |count| (0..count).map(|_| (APPLICATION_DATA, vec![1; 1000], 24));
    assert_eq!(end_after(data(60)), None);
    assert_eq!(end_after(data(64)).as_deref(), Some("TooMuch"), "data");

    let padded = |count| (0..count).map(|_| (ALERT, vec![1, 90], 10_000));
    assert_eq!(end_after(padded(6)), None);
    assert_eq!(end_after(padded(7)).as_deref(), Some("TooMuch"), "padding");
    assert_eq!(
        end_after((0..33).map(|_| (ALERT, vec![1, 90], 0))).as_deref(),
        Some("TooMuch")
    );
}

/// Sends a KeyUpdate of the client, in records of so many bytes, each of which comes a byte at a time.
fn update(stream: &mut KnownStream, part: usize, request: u8) -> Option<String> {
    let message = [&KEY_UPDATE[..], &[request]].concat();
    for part in message.chunks(part) {
        let record = stream.seal(HANDSHAKE, part, 0).unwrap();
        for byte in record {
            if let Some(end) = stream.receive(&[byte]) {
                return Some(end);
            }
        }
    }
    stream.update_client_key().unwrap();
    None
}

#[test]
fn key_updates_are_followed_for_as_long_as_there_are_events() {
    let mut stream = KnownStream::new(0).unwrap();
    let (one, plain) = (stream.send(b"event").unwrap(), HEADER_LEN + 5 + TAIL_LEN);
    assert_eq!(one.len(), plain);
    for round in 0..10 {
        for _ in 0..32 {
            let request = (round % 2) as u8;
            assert_eq!(update(&mut stream, 1 + round % 5, request), None, "{round}");
        }
        let is_answered = stream.send(b"event").unwrap().len() > plain;
        assert_eq!(is_answered, round % 2 == 1, "all that ask are answered by one");
        assert_eq!(stream.send(b"event").unwrap().len(), plain);
    }
    assert_eq!((stream.budget, stream.held()), (0, 0), "they cost nothing");
    for _ in 0..32 {
        assert_eq!(update(&mut stream, 5, 0), None);
    }
    assert_eq!(update(&mut stream, 5, 0).as_deref(), Some("TooMuch"));
}
