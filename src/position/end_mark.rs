//! The mark in the id of an `event: end`, by which a read that has ended is known when its client asks for it again.
//!
//! A client of Server-Sent Events reconnects when a stream ends, and sends the last id. The mark tells this from a stream that
//! was cut. The position is that of the id without the mark, and readers that do not know the mark pass over it: in JSON it is
//! one or two more members of the first entry, in the compact form one or two more topics without partitions.

use memchr::memmem;

use super::{EndMark, IdWriter, MAX_ID_BYTES, compact};

/// Appends the id of an end. An id that would be too long with the mark is written without it.
///
/// # Examples
/// ```
/// use riverhead::position::{EndMark, IdForm, IdWriter, PartitionPosition, decode, is_end_id, write_end_id};
///
/// let ids = IdWriter::new(IdForm::Json, [("edits".into(), 0, PartitionPosition::Earliest)]);
/// let mut id = Vec::new();
/// write_end_id(&ids, EndMark::First, &mut id);
/// assert_eq!(id, br#"[{"topic":"edits","partition":0,"offset":-2,"end":true}]"#);
/// assert!(is_end_id(&id));
/// assert_eq!(decode(&id)?.entries[0].place, PartitionPosition::Earliest);
/// # Ok::<(), riverhead::position::DecodeError>(())
/// ```
pub fn write_end_id(ids: &IdWriter, mark: EndMark, out: &mut Vec<u8>) {
    let mut id = Vec::new();
    ids.write(&mut id);
    let marked = match id.starts_with(compact::MARKER) {
        true => compact::marked(&id, mark),
        false => json_marked(&id, mark),
    };
    out.extend_from_slice(
        marked
            .filter(|id| id.len() <= MAX_ID_BYTES)
            .as_ref()
            .unwrap_or(&id),
    );
}

/// Returns the mark that an entry of a JSON id bears.
pub(super) fn in_json(id: &[u8]) -> Option<EndMark> {
    let has = |member: &[u8]| memmem::find_iter(id, member).any(|at| is_true(&id[at + member.len()..]));
    match (has(MEMBER), has(SECOND_MEMBER)) {
        (false, _) => None,
        (true, false) => Some(EndMark::First),
        (true, true) => Some(EndMark::Second),
    }
}

/// Returns a JSON id with the mark in its first entry. Returns `None` for an id without entries.
fn json_marked(id: &[u8], mark: EndMark) -> Option<Vec<u8>> {
    // Neither names of topics nor logs contain a brace.
    let end_of_entry = memchr::memchr(b'}', id)?;
    let (entry, rest) = id.split_at(end_of_entry);
    let members: &[&[u8]] = match mark {
        EndMark::First => &[MEMBER],
        EndMark::Second => &[MEMBER, SECOND_MEMBER],
    };
    let members: Vec<_> = members
        .iter()
        .flat_map(|member| [&b","[..], *member, b":true"])
        .collect();
    Some([entry, &members.concat(), rest].concat())
}

/// Returns whether a member whose value is `true` goes on like this. A client may have written the JSON anew, with spaces.
fn is_true(behind_name: &[u8]) -> bool {
    let value = behind_name.trim_ascii_start().strip_prefix(b":");
    value.is_some_and(|value| value.trim_ascii_start().starts_with(b"true"))
}

/// The member of a JSON entry, with its quotes. No other member and no value of an id has this text.
const MEMBER: &[u8] = b"\"end\"";

/// The further member of the second mark.
const SECOND_MEMBER: &[u8] = b"\"again\"";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::position::{
        Epoch, IdForm, LogPosition, LogTag, Offset, PartitionPosition, Timestamp, decode, decode_marked,
        is_end_id,
    };

    fn place() -> impl Strategy<Value = PartitionPosition> {
        let log = (any::<u32>(), any::<u64>()).prop_map(|(cluster, topic)| LogTag::from_bits(cluster, topic));
        let log = prop::option::of((log, prop::option::of(0..Epoch::MAX)));
        let at = (0..Offset::MAX, prop::option::of(0..Timestamp::MAX), log).prop_map(
            |(offset, timestamp, log)| {
                PartitionPosition::At(LogPosition {
                    offset,
                    timestamp,
                    log: log.map(|(tag, _)| tag),
                    epoch: log.and_then(|(_, epoch)| epoch),
                })
            },
        );
        prop_oneof![
            Just(PartitionPosition::Earliest),
            Just(PartitionPosition::Latest),
            (0..Timestamp::MAX).prop_map(PartitionPosition::Since),
            at,
        ]
    }

    fn written(write: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
        let mut id = Vec::new();
        write(&mut id);
        id
    }

    proptest! {
        #[test]
        fn a_marked_id_is_the_same_position_and_an_unmarked_one_is_no_end(
            places in prop::collection::vec((0..3_usize, place()), 1..40),
            compact in any::<bool>(),
            mark in prop_oneof![Just(EndMark::First), Just(EndMark::Second)],
        ) {
            let mut places = places;
            places.sort_by_key(|(topic, _)| *topic);
            let form = if compact { IdForm::Compact } else { IdForm::Json };
            let partitions = places.iter().zip(0..);
            // `end` is a legal name.
            let names = ["again", "end", "end."];
            let partitions = partitions.map(|((topic, place), number)| (names[*topic].into(), number, *place));
            let ids = IdWriter::new(form, partitions);
            let (plain, marked) = (written(|out| ids.write(out)), written(|out| write_end_id(&ids, mark, out)));
            prop_assert!(!is_end_id(&plain), "{}", String::from_utf8_lossy(&plain));
            prop_assert!(is_end_id(&marked), "{}", String::from_utf8_lossy(&marked));
            prop_assert_eq!(decode(&plain), decode(&marked));
            prop_assert_eq!(decode_marked(&marked).map(|(_, mark)| mark), Ok(Some(mark)));
            prop_assert!(marked.len() < plain.len() + 25);
        }

        #[test]
        fn what_is_no_id_is_no_end(text in prop::collection::vec(any::<u8>(), 0..100), compact in any::<bool>()) {
            let text = if compact { [b"~1", &text[..]].concat() } else { text };
            if decode(&text).is_err() && compact {
                prop_assert!(!is_end_id(&text));
            }
        }
    }

    #[test]
    fn an_id_that_a_client_has_written_anew_keeps_its_mark() {
        for id in [
            r#"[{"end": true, "topic": "t", "partition": 0, "offset": 7}]"#,
            r#"  [ { "topic" : "t" , "end" : true , "partition" : 0 , "offset" : 7 } ]"#,
        ] {
            assert!(is_end_id(id.as_bytes()), "{id}");
            assert!(decode(id.as_bytes()).is_ok(), "{id}");
        }
        for id in [
            r#"[{"topic":"end","partition":0,"offset":7}]"#,
            r#"[{"topic":"t","partition":0,"offset":7,"end":false}]"#,
            r#"["end"]"#,
            r#""end,true""#,
            "",
            "~",
            "~1",
        ] {
            assert!(!is_end_id(id.as_bytes()), "{id}");
        }
    }

    /// What the decoders of the first versions read of ids that were marked then: the fields and topics that they did not know are
    /// passed over. The texts are those that the decoder of 712fa40 was given.
    #[test]
    fn the_form_of_the_mark_is_the_one_that_older_versions_ignore() {
        let at = PartitionPosition::At(LogPosition {
            offset: 43,
            timestamp: Some(1_790_487_705_415),
            log: Some(LogTag::from_bits(0xab_cdef, 0x1_2345_6789)),
            epoch: Some(4),
        });
        let id = |form| {
            let ids = IdWriter::new(
                form,
                [
                    ("edits".into(), 0, at),
                    ("edits".into(), 1, PartitionPosition::Earliest),
                ],
            );
            String::from_utf8(written(|out| write_end_id(&ids, EndMark::First, out))).unwrap()
        };
        assert_eq!(id(IdForm::Json), MARKED_JSON);
        assert_eq!(id(IdForm::Compact), MARKED_COMPACT);
    }

    const MARKED_JSON: &str = r#"[{"topic":"edits","partition":0,"offset":43,"timestamp":1790487705415,"log":"q83v.EjRWeJ.4","end":true},{"topic":"edits","partition":1,"offset":-2}]"#;
    const MARKED_COMPACT: &str = "~1BZecaKvN75r0ibUSASNFZ4lWK7mRNwBlbmQuAA";
}
