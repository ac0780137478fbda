//! Finds the fiber to whose memory an address belongs. It walks through the scheduler's list
//! without locks, and trusts nothing that an overflow may have overwritten.

use crate::scheduler::queue::all::AllFibers;
use crate::scheduler::task::control::Control;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::id::FiberId;
use core::fmt;
use core::ops::Range;
use core::ptr;

/// A part of a fiber's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The page below the stack that is for a guard.
    Guard,
    /// The stack.
    Stack,
    /// The control block, in which the scheduler keeps what it knows of the fiber. It lies above
    /// the stack.
    ControlBlock,
}

/// A fiber whose memory another fiber has used.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Neighbour {
    /// The id of the fiber. Its control block may be damaged, so trust the id only where the
    /// address confirms it.
    pub id: FiberId,
    /// The name of the fiber, or an empty string if it has none or if the name was overwritten.
    pub name: &'static str,
    /// The highest address in its memory that is known to have been used.
    pub address: usize,
    /// The part of its memory in which the address lies.
    pub part: Part,
}

debug_is_display!(Neighbour);

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            name,
            address,
            part,
        } = self;
        let part = match part {
            Part::Guard => "guard",
            Part::Stack => "stack",
            Part::ControlBlock => "control block",
        };
        write!(f, "fiber \"{name}\" ({id:?}), its {part} at {address:#x}")
    }
}

impl AllFibers {
    /// Returns the living fiber, other than `not`, whose memory contains `address`, guard included.
    pub(crate) fn neighbour_at(&self, address: usize, not: *const Header) -> Option<Neighbour> {
        self.neighbour_in(address..address.saturating_add(1), not)
    }

    /// Returns the living fiber, other than `not`, whose memory is overwritten by a fiber that uses
    /// all addresses of the range. This is the fiber at the low end of the range, where the stack
    /// pointer is, or else the nearest to its high end.
    pub(crate) fn neighbour_below(
        &self,
        range: Range<usize>,
        not: *const Header,
    ) -> Option<Neighbour> {
        self.neighbour_at(range.start, not)
            .or_else(|| self.neighbour_in(range, not))
            .filter(|neighbour| neighbour.part != Part::Guard)
    }

    /// Returns the living fiber, other than `not`, whose memory has the highest address in `range`.
    fn neighbour_in(&self, range: Range<usize>, not: *const Header) -> Option<Neighbour> {
        let mut found: Option<Neighbour> = None;
        for (header, is_damaged) in self.iter_warily() {
            if ptr::eq(header, not) {
                continue;
            }
            let Some(address) = highest_common(&range, header, is_damaged) else {
                continue;
            };
            if found.is_none_or(|found| found.address < address) {
                found = Some(neighbour(header, address, is_damaged));
            }
        }
        found
    }
}

/// Returns the highest address of the range that is in the memory of a cell, if the cell has a
/// fiber.
fn highest_common(
    range: &Range<usize>,
    header: &'static Header,
    is_damaged: bool,
) -> Option<usize> {
    // If the cell is damaged, nobody knows whether it had a fiber or where its stack begins.
    if !is_damaged && header.state.is_finished() {
        return None;
    }
    let block = ptr::from_ref(header).addr();
    let start = if is_damaged {
        block
    } else {
        // SAFETY: it is in the list, so it had a fiber.
        unsafe { Header::stack(header) }.guard().start
    };
    let end = (block + size_of::<Control>()).min(range.end);
    (start.max(range.start) < end).then(|| end - 1)
}

fn neighbour(header: &'static Header, address: usize, is_damaged: bool) -> Neighbour {
    let block = ptr::from_ref(header).addr();
    let part = if address >= block {
        Part::ControlBlock
    // SAFETY: it is in the list, and not damaged, for otherwise the address is in the block.
    } else if unsafe { Header::stack(header) }.contains(address) {
        Part::Stack
    } else {
        Part::Guard
    };
    Neighbour {
        // SAFETY: cells stay for good.
        id: unsafe { FiberId::of(header) },
        name: if is_damaged { "" } else { header.name_of_any() },
        address,
        part,
    }
}
