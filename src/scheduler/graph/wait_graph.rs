//! The wait graph: which fibers wait for what, since when, at which source location, and who could
//! end the wait.

use super::marks;
use super::needs::{All, Need, Waits};
use crate::platform::Nanoseconds;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::id::FiberId;
#[cfg(feature = "smp")]
use crate::scheduler::task::wait::Wait;
use crate::scheduler::task::wait::WaitReason;
use core::marker::PhantomData;
use core::panic::Location;
use core::ptr;

/// The waiting fibers of a scheduler. See
/// [`Scheduler::wait_graph`](crate::scheduler::Scheduler::wait_graph).
///
/// Its `Display` prints one line for each fiber. The graph takes no lock and allocates nothing. It
/// reads the state of the fibers when it is used, not when it is created. Therefore it is only lent
/// to a closure or a hook, while no fiber can run and change that state.
pub struct WaitGraph<'a> {
    pub(crate) waits: Waits<'a>,
    not_send: PhantomData<*mut ()>,
}

/// A fiber that waits.
#[derive(Clone, Copy, Debug)]
pub struct WaitingFiber {
    /// The id of the fiber.
    pub id: FiberId,
    /// The name of the fiber. It is empty if the fiber has none.
    pub name: &'static str,
    /// The kind of thing that the fiber waits for.
    pub reason: WaitReason,
    /// The address of the object that the fiber waits for, or null.
    pub object: *const (),
    /// The source location of the wait.
    pub location: &'static Location<'static>,
    /// The time at which the scheduler last read the clock before the wait began.
    ///
    /// The scheduler reads the clock when its timer interrupts, before the processor goes idle, and
    /// whenever a fiber asks for the time or waits with a deadline. The wait may therefore have
    /// begun later than this time.
    pub since: Nanoseconds,
    /// The deadline of the wait, or [`NEVER`](crate::platform::NEVER) if it has none.
    pub deadline: Nanoseconds,
    /// Who can end the wait.
    pub waits_for: WaitsFor,
    /// Whether only a cancellation can end the wait: it depends on a fiber that is stuck as well,
    /// or that has ended.
    pub is_stuck: bool,
}

/// Who can end a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitsFor {
    /// Only this fiber, which holds what is waited for, or whose end is waited for.
    Fiber {
        /// The id of the fiber.
        id: FiberId,
        /// The name of the fiber.
        name: &'static str,
    },
    /// No fiber: the holder of what is waited for has ended without giving it back.
    EndedFiber {
        /// The id of the fiber that has ended.
        id: FiberId,
    },
    /// Only the fibers of a scope, by ending.
    Scope {
        /// The number of fibers that have not ended.
        running: usize,
    },
    /// All fibers that read.
    Readers {
        /// The id of one of the readers. It is one that is stuck, if any is.
        id: FiberId,
        /// The name of that reader.
        name: &'static str,
        /// The number of further read locks.
        others: usize,
    },
    /// A fiber that waits to write. A fiber that asks for read access after it has to wait behind
    /// it.
    WriterInFront {
        /// The id of the writer.
        id: FiberId,
        /// The name of the writer.
        name: &'static str,
    },
    /// Only fibers, but it is not known which ones: those that have not arrived at a barrier, or a
    /// fiber of another scheduler.
    Fibers,
    /// The clock: the wait has a deadline.
    Clock,
    /// Interrupt handlers, and anyone else.
    Anybody,
}

/// A cycle of fibers, in which each fiber needs the next one, and the last needs the first. It
/// borrows from a graph or from a deadlock.
#[derive(Clone, Copy)]
pub struct WaitCycle<'a> {
    waits: Waits<'a>,
    pub(crate) first: *const Header,
}

impl<'a> WaitGraph<'a> {
    /// Returns the wait graph of a loop. Only the owner of the loop may use it, and only while no
    /// fiber runs.
    pub(crate) const fn of(waits: Waits<'a>) -> Self {
        Self {
            waits,
            not_send: PhantomData,
        }
    }

    /// Returns all waiting fibers, in the reverse order of their creation.
    pub fn fibers(&self) -> impl Iterator<Item = WaitingFiber> + use<'_, 'a> {
        let waits = self.waits;
        waits.mark_stuck();
        waits
            .fibers()
            .filter_map(move |fiber| WaitingFiber::of(waits, fiber))
    }

    /// Returns the cycles of fibers that wait for each other. Each cycle is returned once.
    pub fn cycles(&self) -> impl Iterator<Item = WaitCycle<'_>> + use<'_, 'a> {
        let waits = self.waits;
        waits.mark_stuck();
        waits
            .fibers()
            .filter(|fiber| marks::is_marked(*fiber))
            .map(move |first| WaitCycle { waits, first })
            // Each cycle is reported once: for its member with the lowest address.
            .filter(|cycle| cycle.closes() && cycle.pointers().all(|at| at >= cycle.first))
    }

    /// Returns the number of fibers that have not ended, and the number of those that are stuck.
    pub(crate) fn counts(&self) -> (usize, usize) {
        self.waits.mark_stuck();
        let count = |(all, stuck), fiber| (all + 1, stuck + usize::from(marks::is_marked(fiber)));
        self.waits.fibers().fold((0, 0), count)
    }
}

impl WaitingFiber {
    /// Returns the description of a fiber that waits, or `None` if it does not wait.
    pub(crate) fn of(waits: Waits<'_>, fiber: *const Header) -> Option<Self> {
        let wait = waits.wait_of(fiber)?;
        // SAFETY: G1.
        let header = unsafe { &*fiber };
        // SAFETY: G1.
        let id = |fiber| unsafe { FiberId::of(fiber) };
        let waits_for = match waits.need_of(fiber, wait) {
            Need::Fiber(next) if waits.is_writer_in_front(next, wait) => WaitsFor::WriterInFront {
                id: id(next),
                // SAFETY: G1.
                name: unsafe { (*next).name() },
            },
            Need::Fiber(next) => WaitsFor::Fiber {
                id: id(next),
                // SAFETY: G1.
                name: unsafe { (*next).name() },
            },
            Need::Ended(id) => WaitsFor::EndedFiber { id },
            #[cfg(not(feature = "smp"))]
            Need::All(all @ All::Scope(_)) => WaitsFor::Scope {
                running: waits.in_all(all).count(),
            },
            // Some of them may run on other cores.
            #[cfg(feature = "smp")]
            Need::All(All::Scope(scope)) => WaitsFor::Scope {
                // SAFETY: its fiber waits for it, so it is alive.
                running: unsafe { &*scope }.running(),
            },
            #[cfg(feature = "smp")]
            Need::Elsewhere(next) => WaitsFor::Fiber {
                id: id(next),
                // SAFETY: headers stay readable for good.
                name: unsafe { &*next }.name_of_any(),
            },
            Need::All(All::Readers(readers)) => match waits.one_of(readers) {
                Some((one, others)) => WaitsFor::Readers {
                    id: one.id()?,
                    name: one.name(),
                    others,
                },
                None => WaitsFor::Fibers,
            },
            Need::Fibers => WaitsFor::Fibers,
            Need::Clock => WaitsFor::Clock,
            Need::Anybody => WaitsFor::Anybody,
        };
        Some(Self {
            id: id(fiber),
            name: header.name(),
            reason: wait.reason(),
            object: wait.object,
            location: wait.location,
            since: wait.since,
            deadline: wait.deadline(),
            waits_for,
            is_stuck: marks::is_marked(fiber),
        })
    }
}

impl<'a> WaitCycle<'a> {
    /// Returns the cycle of this fiber. The ways to the fiber must have been marked before.
    pub(crate) const fn of(waits: Waits<'a>, first: *const Header) -> Self {
        Self { waits, first }
    }

    /// Returns the fibers of the cycle, each before the one that it needs.
    pub fn fibers(&self) -> impl Iterator<Item = WaitingFiber> + use<'a> {
        let waits = self.waits;
        self.pointers()
            .filter_map(move |fiber| WaitingFiber::of(waits, fiber))
    }

    /// Returns the same fibers as [`fibers`](Self::fibers), as pointers. It never returns more than
    /// there are.
    fn pointers(&self) -> impl Iterator<Item = *const Header> + use<'a> {
        let Self { waits, first } = *self;
        let next = move |fiber: &*const Header| {
            waits
                .next_towards(first, *fiber)
                .filter(|next| !ptr::eq(*next, first))
        };
        core::iter::successors(Some(first), next).take(waits.fibers().count())
    }

    /// Records in the waits of the fibers that the cycle is reported.
    #[cfg(feature = "smp")]
    pub(crate) fn note_report(&self) {
        self.waiting().for_each(Wait::note_report);
    }

    /// Returns whether the cycle was reported: any of its waits says so.
    #[cfg(feature = "smp")]
    pub(crate) fn is_reported(&self) -> bool {
        self.waiting().any(Wait::is_reported)
    }

    #[cfg(feature = "smp")]
    fn waiting(&self) -> impl Iterator<Item = &'a Wait> {
        let waits = self.waits;
        self.pointers()
            .filter_map(move |fiber| waits.wait_of(fiber))
    }

    /// Returns whether the chain leads back to the first fiber.
    #[inline(never)]
    pub(crate) fn closes(&self) -> bool {
        self.pointers()
            .last()
            .and_then(|last| self.waits.next_towards(self.first, last))
            .is_some_and(|next| ptr::eq(next, self.first))
    }
}
