//! The referee: which numbers a client got, and whether they are the right ones.

use std::collections::HashMap;

use riverhead_brokers::Ledger;

/// The numbers one client got, in the order it got them.
#[derive(Clone, Debug, Default)]
pub struct Got {
    /// Every number of every event.
    pub numbers: Vec<u64>,
    /// Gap events, as JSON.
    pub gaps: Vec<String>,
}

/// What is wrong with what a client got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Written, acknowledged, and never delivered.
    pub lost: usize,
    /// Delivered again.
    pub repeated: usize,
    /// Delivered behind a later record of its partition.
    pub out_of_order: usize,
    /// Delivered, and never acknowledged nor committed.
    pub invented: usize,
}

impl Faults {
    /// Whether there is nothing wrong.
    pub fn none(self) -> bool {
        self == Self::default()
    }

    /// Both together.
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

/// What every client should get.
#[derive(Debug)]
pub struct Truth {
    /// Number -> (partition, counted over all topics; place in it).
    places: HashMap<u64, (usize, usize)>,
}

impl Truth {
    /// Everything in these ledgers.
    pub fn of(ledgers: &[Ledger]) -> Self {
        let partitions = ledgers.iter().flat_map(|ledger| ledger.partitions.values());
        let places = partitions.enumerate().flat_map(|(partition, acked)| {
            acked
                .iter()
                .enumerate()
                .map(move |(place, acked)| (acked.n, (partition, place)))
        });
        Self {
            places: places.collect(),
        }
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Holds what a client got against it.
    pub fn judge(&self, got: &Got) -> Faults {
        let mut faults = Faults::default();
        let mut seen = std::collections::HashSet::with_capacity(self.places.len());
        let mut newest: HashMap<usize, usize> = HashMap::new();
        for number in &got.numbers {
            let Some((partition, place)) = self.places.get(number) else {
                faults.invented += 1;
                continue;
            };
            if !seen.insert(number) {
                faults.repeated += 1;
                continue;
            }
            let newest = newest.entry(*partition).or_insert(*place);
            faults.out_of_order += usize::from(place < newest);
            *newest = *place.max(newest);
        }
        faults.lost = self.places.len() - seen.len();
        faults
    }
}

/// The `n` of a record of the kit's producer: `{"n":17,"pad":"..."}`.
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
            gaps: Vec::new(),
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
        assert_eq!(
            judge(&[1, 2, 3, 4, 5, 6, 7]),
            Faults {
                invented: 1,
                ..Faults::default()
            }
        );
    }

    #[test]
    fn numbers_are_read_off_records() {
        assert_eq!(number(r#"{"n":17,"pad":"xx"}"#), Some(17));
        assert_eq!(number(r#"{"n":17}"#), Some(17));
        assert_eq!(number("{}"), None);
    }
}
