//! An index of the names that streams share, sorted once.

use std::{collections::HashMap, sync::Arc};

use super::{Stream, sorted};

/// The names of one kind of all streams, and which of them each stream has.
///
/// A request may name dozens of streams with hundreds of topics. Their names are counted, without comparing or sorting them.
#[derive(Clone, Debug)]
pub(super) struct NameIndex<T> {
    /// Sorted by name, each once.
    names: Vec<T>,
    /// For each stream the indexes of its names, each once.
    of_streams: Vec<Vec<usize>>,
}

impl<T> Default for NameIndex<T> {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            of_streams: Vec::new(),
        }
    }
}

impl<T: From<Arc<str>>> NameIndex<T> {
    pub(super) fn of(streams: &[Stream], names_of: impl Fn(&Stream) -> &[Arc<str>]) -> Self {
        let names = sorted(streams.iter().flat_map(&names_of));
        let ranks = names.iter().enumerate().map(|(rank, name)| (&**name, rank));
        let ranks: HashMap<_, _> = ranks.collect();
        let of_stream = |stream: &Stream| {
            let own = names_of(stream).iter();
            let mut own: Vec<_> = own.filter_map(|name| ranks.get(&**name).copied()).collect();
            own.sort_unstable();
            own.dedup();
            own
        };
        Self {
            of_streams: streams.iter().map(of_stream).collect(),
            names: names.into_iter().map(T::from).collect(),
        }
    }

    /// Returns the names of all streams, sorted.
    pub(super) fn names(&self) -> &[T] {
        &self.names
    }

    /// Returns the names that any of these streams has, sorted, and how many of the streams have each.
    pub(super) fn among(&self, streams: &[usize]) -> impl Iterator<Item = (&T, usize)> {
        let indexes = self.indexes_among(streams);
        indexes.map(move |(index, count)| (&self.names[index], count))
    }

    /// Returns the indexes of these names, and how many of the streams have each.
    pub(super) fn indexes_among(&self, streams: &[usize]) -> impl Iterator<Item = (usize, usize)> + use<T> {
        let mut counts = vec![0_u32; self.names.len()];
        let of_each = streams.iter().filter_map(|stream| self.of_streams.get(*stream));
        for rank in of_each.flatten() {
            counts[*rank] += 1;
        }
        let counted = counts.into_iter().map(|count| count as usize).enumerate();
        counted.filter(|(_, count)| *count > 0)
    }
}
