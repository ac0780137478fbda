//! The mutants of the code that the proof accepts because they are right: each with the reason.
//!
//! A mutant that survives and is not listed here fails the proof, and so does a line here that no build needs. The
//! list itself is in `list`.

mod list;

use std::collections::BTreeSet;

use super::part::Part;

/// Part of the code, reason, and the mutants that it is the reason for.
type List = &'static [(Part, &'static str, &'static [&'static str])];

/// A list, and which of its lines were needed.
#[derive(Debug)]
pub(super) struct Equivalents {
    list: List,
    used: BTreeSet<(Part, &'static str)>,
}

impl Equivalents {
    /// The committed list.
    pub(super) const fn new() -> Self {
        Self::of(list::EQUIVALENT)
    }

    pub(super) const fn of(list: List) -> Self {
        Self {
            list,
            used: BTreeSet::new(),
        }
    }

    fn lines(&self) -> impl Iterator<Item = (Part, &'static str)> + use<> {
        let groups = self.list.iter();
        groups.flat_map(|(part, _, mutants)| mutants.iter().map(|mutant| (*part, *mutant)))
    }

    /// Whether the list explains why this mutant is right.
    pub(super) fn explain(&mut self, part: Part, what: &str) -> bool {
        let line = self.lines().find(|line| *line == (part, what));
        self.used.extend(line);
        line.is_some()
    }

    /// Lines that explain nothing.
    pub(super) fn stale(&self) -> Vec<String> {
        let stale = self.lines().filter(|line| !self.used.contains(line));
        stale
            .map(|(part, mutant)| format!("{}: {mutant}", part.name()))
            .collect()
    }
}
