//! Checks numbers at their arrival, so that those of ten thousand clients need not be kept.

use crate::numbers::Faults;

/// The next number of each client.
///
/// Number `n` is in partition `n % partitions`, where it follows `n - partitions`. A producer that uses its
/// partitions in turn writes them so.
#[derive(Debug)]
pub(crate) struct DeliveryChecker {
    partitions: u64,
    /// The distance of two numbers of a client in a partition.
    step: u64,
    /// By client, then by partition.
    next: Vec<u64>,
    faults: Faults,
}

impl DeliveryChecker {
    /// Creates a checker for this many clients, each of which may begin with any number.
    pub(crate) fn new(clients: usize, partitions: usize) -> Self {
        Self {
            partitions: partitions as u64,
            step: partitions as u64,
            next: vec![UNKNOWN; clients * partitions],
            faults: Faults::default(),
        }
    }

    /// Expects of each client every `step`-th number. In a partition these are as far apart as the least multiple
    /// of both `step` and the number of partitions.
    pub(crate) fn stepping(self, step: u64) -> Self {
        let multiples = (1..=self.partitions).map(|count| count * step);
        let common = multiples
            .filter(|number| number.is_multiple_of(self.partitions))
            .min();
        Self {
            step: common.unwrap_or(self.step),
            ..self
        }
    }

    /// Sets the next numbers of a client, one for each partition: [`NEVER`] where it gets none.
    pub(crate) fn expect(&mut self, client: usize, next: &[u64]) {
        self.of(client).copy_from_slice(next);
    }

    /// Lets a client begin with any number again.
    pub(crate) fn forget(&mut self, client: usize) {
        self.of(client).fill(UNKNOWN);
    }

    /// Checks a received number. A number that arrives too late counts as repeated here. It was counted as
    /// lost before. One that is for another client counts as invented.
    pub(crate) fn judge(&mut self, client: usize, number: u64) {
        let (partitions, step) = (self.partitions, self.step);
        let next = &mut self.of(client)[(number % partitions) as usize];
        let expected = std::mem::replace(next, number + step);
        if expected == number || expected == UNKNOWN {
            return;
        }
        if expected == NEVER || !number.abs_diff(expected).is_multiple_of(step) {
            *next = expected;
            self.faults.invented += 1;
        } else if number > expected {
            self.faults.lost += ((number - expected) / step) as usize;
        } else {
            *next = expected;
            self.faults.repeated += 1;
        }
    }

    /// Returns whether a client has all numbers below `end`.
    pub(crate) fn has_all(&self, client: usize, end: u64) -> bool {
        let width = self.partitions as usize;
        let next = &self.next[client * width..][..width];
        next.iter().all(|next| *next != UNKNOWN && *next >= end)
    }

    pub(crate) fn faults(&self) -> Faults {
        self.faults
    }

    fn of(&mut self, client: usize) -> &mut [u64] {
        let width = self.partitions as usize;
        &mut self.next[client * width..][..width]
    }
}

/// No producer writes so many records.
const UNKNOWN: u64 = u64::MAX;

/// The next number of a client in a partition of which it gets none.
pub(crate) const NEVER: u64 = u64::MAX - 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(numbers: &[u64]) -> (usize, usize, bool) {
        let mut checker = DeliveryChecker::new(2, 3);
        checker.expect(1, &[0, 1, 2]);
        numbers.iter().for_each(|number| checker.judge(1, *number));
        let faults = checker.faults();
        (faults.lost, faults.repeated, checker.has_all(1, 6))
    }

    #[test]
    fn order_is_promised_within_a_partition_only() {
        assert_eq!(judged(&[0, 3, 2, 1, 5, 4]), (0, 0, true));
    }

    #[test]
    fn every_kind_of_fault_is_seen() {
        assert_eq!(judged(&[0, 1, 2, 3, 4]), (0, 0, false));
        assert_eq!(judged(&[0, 1, 2, 3, 3, 4, 5]), (0, 1, true));
        assert_eq!(judged(&[1, 2, 6, 4, 5]), (2, 0, true));
        assert_eq!(judged(&[3, 0, 1, 2, 4, 5]), (1, 1, true));
    }

    #[test]
    fn a_number_for_another_client_is_seen() {
        let mut checker = DeliveryChecker::new(1, 3).stepping(4);
        // Every fourth number from 1 on: 1, 5, 9, ... of which 9 is the first in partition 0.
        checker.expect(0, &[9, 1, 5]);
        [1, 5, 9, 13]
            .into_iter()
            .for_each(|number| checker.judge(0, number));
        assert!(checker.faults().none() && checker.has_all(0, 17));
        checker.judge(0, 16);
        assert_eq!(checker.faults().invented, 1);
        checker.judge(0, 29);
        assert_eq!((checker.faults().lost, checker.faults().invented), (1, 1));
        let mut checker = DeliveryChecker::new(1, 3).stepping(3);
        checker.expect(0, &[0, NEVER, NEVER]);
        // All of its numbers are in one partition.
        [0, 3, 6].into_iter().for_each(|number| checker.judge(0, number));
        assert!(checker.faults().none() && checker.has_all(0, 9));
        checker.judge(0, 4);
        assert_eq!(checker.faults().invented, 1);
    }

    #[test]
    fn who_knows_nothing_begins_anywhere() {
        let mut checker = DeliveryChecker::new(1, 2);
        [7, 9, 8].into_iter().for_each(|number| checker.judge(0, number));
        assert!(checker.faults().none());
        checker.judge(0, 12);
        assert_eq!(checker.faults().lost, 1);
        checker.forget(0);
        checker.judge(0, 3);
        assert_eq!(checker.faults().repeated, 0);
    }
}
