//! Checks which numbers a client received, and whether they are the expected ones.

use std::fmt;

use riverhead_brokers::Ledger;
use serde::Serialize;

/// The numbers that one client received, in this order.
#[derive(Clone, Debug, Default)]
pub struct Got {
    /// Every number of every event.
    pub numbers: Vec<u64>,
    /// The gap events, as JSON.
    pub gaps: Vec<String>,
    /// Why a response could not be parsed as events.
    pub strange: Vec<String>,
}

/// The faults in what a client received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Written, acknowledged, and never delivered.
    pub lost: usize,
    /// Delivered again.
    pub repeated: usize,
    /// Delivered after a later record of its partition.
    pub out_of_order: usize,
    /// Delivered, but neither acknowledged nor committed.
    pub invented: usize,
}

impl Faults {
    /// Returns whether there are no faults.
    pub fn none(self) -> bool {
        self == Self::default()
    }

    /// Returns the sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            lost: self.lost + other.lost,
            repeated: self.repeated + other.repeated,
            out_of_order: self.out_of_order + other.out_of_order,
            invented: self.invented + other.invented,
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            lost,
            repeated,
            out_of_order,
            invented,
        } = self;
        write!(
            f,
            "lost {lost}, repeated {repeated}, out of order {out_of_order}, invented {invented}"
        )
    }
}

/// The numbers that every client must receive.
#[derive(Debug)]
pub struct Truth {
    /// The smallest number.
    first: u64,
    /// By number, from the smallest on.
    places: Vec<Option<NumberPlace>>,
    partitions: usize,
    len: usize,
}

/// The place of a record. Four bytes for each part, because there are millions.
#[derive(Clone, Copy, Debug)]
struct NumberPlace {
    /// The partition, counted over all topics.
    partition: u32,
    /// The index among the numbered records of the partition.
    rank: u32,
}

impl Truth {
    /// Creates it from the records of these ledgers.
    pub fn of(ledgers: &[Ledger]) -> Self {
        let partitions = ledgers.iter().flat_map(|ledger| ledger.partitions.values());
        let numbers = partitions.map(|acked| acked.iter().map(|acked| acked.n).collect());
        Self::of_partitions(&numbers.collect::<Vec<Vec<u64>>>())
    }

    /// Creates it from numbers by partition, in the order of the log.
    pub fn of_partitions(partitions: &[Vec<u64>]) -> Self {
        let all = || partitions.iter().flatten().copied();
        let first = all().min().unwrap_or_default();
        let behind = all().max().map_or(first, |last| last + 1);
        let mut places = vec![None; (behind - first) as usize];
        for (partition, numbers) in partitions.iter().enumerate() {
            for (rank, number) in numbers.iter().enumerate() {
                places[(number - first) as usize] = Some(NumberPlace {
                    partition: partition as u32,
                    rank: rank as u32,
                });
            }
        }
        Self {
            first,
            places,
            partitions: partitions.len(),
            len: all().count(),
        }
    }

    /// Returns how many numbers there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are no numbers.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Compares what a client received with the expected numbers.
    pub fn judge(&self, got: &Got) -> Faults {
        let mut faults = Faults::default();
        let mut seen = vec![false; self.places.len()];
        let mut newest = vec![0; self.partitions];
        let mut distinct = 0;
        for number in &got.numbers {
            let Some((index, place)) = self.find(*number) else {
                faults.invented += 1;
                continue;
            };
            if std::mem::replace(&mut seen[index], true) {
                faults.repeated += 1;
                continue;
            }
            distinct += 1;
            let newest = &mut newest[place.partition as usize];
            faults.out_of_order += usize::from(place.rank < *newest);
            *newest = place.rank.max(*newest);
        }
        faults.lost = self.len - distinct;
        faults
    }

    /// Returns the faults of all clients together.
    pub fn judge_all<'a>(&self, all: impl IntoIterator<Item = &'a Got>) -> Faults {
        all.into_iter()
            .fold(Faults::default(), |sum, got| sum.plus(self.judge(got)))
    }

    fn find(&self, number: u64) -> Option<(usize, NumberPlace)> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        Some((index, (*self.places.get(index)?)?))
    }
}

/// Returns the `n` of a record of the test producer: `{"n":17,"pad":"..."}`.
pub fn number(data: &str) -> Option<u64> {
    let rest = data.strip_prefix(r#"{"n":"#)?;
    rest[..rest.find([',', '}'])?].parse().ok()
}

#[cfg(test)]
mod tests {
    use riverhead_brokers::Acked;

    use super::*;

    fn truth() -> Truth {
        let acked = |numbers: [u64; 3]| numbers.map(|n| Acked { n, offset: n as i64 }).to_vec();
        let partitions = [(0, acked([1, 3, 5])), (1, acked([2, 4, 6]))].into();
        Truth::of(&[Ledger {
            partitions,
            ..Ledger::default()
        }])
    }

    fn judge(numbers: &[u64]) -> Faults {
        truth().judge(&Got {
            numbers: numbers.to_vec(),
            ..Got::default()
        })
    }

    #[test]
    fn the_referee_sees_every_kind_of_fault() {
        assert!(judge(&[1, 2, 3, 4, 5, 6]).none());
        assert!(
            judge(&[2, 4, 6, 1, 3, 5]).none(),
            "order is promised within a partition only"
        );
        assert_eq!(
            judge(&[1, 2, 3, 4, 5]),
            Faults {
                lost: 1,
                ..Faults::default()
            }
        );
        assert_eq!(
            judge(&[1, 2, 3, 4, 5, 6, 6]),
            Faults {
                repeated: 1,
                ..Faults::default()
            }
        );
        assert_eq!(
            judge(&[3, 1, 5, 2, 4, 6]),
            Faults {
                out_of_order: 1,
                ..Faults::default()
            }
        );
        for stranger in [0, 7, u64::MAX] {
            assert_eq!(
                judge(&[1, 2, 3, 4, 5, 6, stranger]),
                Faults {
                    invented: 1,
                    ..Faults::default()
                }
            );
        }
    }

    #[test]
    fn numbers_are_read_off_records() {
        assert_eq!(number(r#"{"n":17,"pad":"xx"}"#), Some(17));
        assert_eq!(number(r#"{"n":17}"#), Some(17));
        assert_eq!(number("{}"), None);
    }
}
