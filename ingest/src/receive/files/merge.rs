//! Rows of many files, each nearly in order, in one order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use durward_schemas::Time;

use super::FilesError;
use super::source::{Row, Source};
use crate::format::Context;

/// The files that are not read to their end.
pub(super) struct Merge {
    sources: Vec<Option<Source>>,
    /// The earliest time of each, with its index.
    next: BinaryHeap<Reverse<(Time, usize)>>,
    ended: Vec<Source>,
}

impl Merge {
    pub(super) fn new(sources: Vec<Source>) -> Self {
        let mut merge = Self { sources: Vec::new(), next: BinaryHeap::new(), ended: Vec::new() };
        for source in sources {
            merge.sources.push(None);
            merge.put(merge.sources.len() - 1, source);
        }
        merge
    }

    /// The earliest row of all files.
    pub(super) fn next(&mut self, context: &Context<'_>) -> Result<Option<Row>, FilesError> {
        let Some(Reverse((_, index))) = self.next.pop() else { return Ok(None) };
        let Some(mut source) = self.sources.get_mut(index).and_then(Option::take) else {
            return Ok(None);
        };
        let row = source.next(context)?;
        self.put(index, source);
        Ok(row)
    }

    /// The files that have ended since the last time.
    pub(super) fn take_ended(&mut self) -> Vec<Source> {
        std::mem::take(&mut self.ended)
    }

    /// Puts a file back among those that have rows, or among those that have none left.
    fn put(&mut self, index: usize, source: Source) {
        match (source.time(), self.sources.get_mut(index)) {
            (Some(time), Some(place)) => {
                self.next.push(Reverse((time, index)));
                *place = Some(source);
            }
            _ => self.ended.push(source),
        }
    }
}
