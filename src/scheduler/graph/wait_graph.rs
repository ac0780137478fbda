//! Who waits for what, since when, where in the source, and who could end it: as data, and to be printed.

use super::needs::{self, All, Need, Waits};
use crate::platform::Nanoseconds;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::id::FiberId;
use crate::scheduler::task::wait::WaitReason;
use core::marker::PhantomData;
use core::panic::Location;
use core::ptr;

/// The fibers of a scheduler that wait: see [`Scheduler::wait_graph`](crate::scheduler::Scheduler::wait_graph).
///
/// Printed, it has one line for each fiber. It takes no lock and allocates nothing; it looks at the fibers when it is asked,
/// not when it was made. So it is only ever lent, to a closure or a hook, for as long as nothing can run that would change
/// what it shows.
pub struct WaitGraph<'a> {
    pub(crate) waits: Waits<'a>,
    not_send: PhantomData<*mut ()>,
}

/// One fiber that waits.
#[derive(Clone, Copy, Debug)]
pub struct WaitingFiber {
    /// Which one.
    pub id: FiberId,
    /// Its name, empty if it has none.
    pub name: &'static str,
    /// For what kind of thing.
    pub reason: WaitReason,
    /// The address of the thing, or null.
    pub object: *const (),
    /// Where in the source.
    pub location: &'static Location<'static>,
    /// Since when: what the clock said when the scheduler last looked at it before the wait began. It looks when its timer
    /// interrupts, before it lets the processor sleep, and whenever a fiber asks for the time or waits with a deadline. So the
    /// wait may have begun later than this, by as long as none of these happened.
    pub since: Nanoseconds,
    /// When it ends by itself, [`NEVER`](crate::platform::NEVER) if it does not.
    pub deadline: Nanoseconds,
    /// Who can end it.
    pub needs: Needs,
    /// Whether nothing can end it any more, but a cancellation: it needs a fiber that is stuck as well, or has ended.
    pub is_stuck: bool,
}

/// Who can end a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Needs {
    /// Only this fiber: it has what is waited for, or is waited for itself.
    Fiber {
        /// Which one.
        id: FiberId,
        /// Its name.
        name: &'static str,
    },
    /// Nobody: the fiber that has what is waited for has ended without giving it back.
    EndedFiber {
        /// Which one it was.
        id: FiberId,
    },
    /// Only the fibers of a scope, by ending.
    Scope {
        /// How many of them have not ended.
        running: usize,
    },
    /// All fibers that read.
    Readers {
        /// Which one reads: one of those that are stuck, if any is.
        id: FiberId,
        /// Its name.
        name: &'static str,
        /// How often it is read besides.
        others: usize,
    },
    /// A fiber that waits to write what is only read now: who comes after it reads after it.
    WriterInFront {
        /// Which one.
        id: FiberId,
        /// Its name.
        name: &'static str,
    },
    /// Only fibers, but it is not known which: those that have not come to a barrier, one of another
    /// scheduler.
    Fibers,
    /// The clock: the wait has a deadline.
    Clock,
    /// Interrupt handlers too.
    Anybody,
}

/// Fibers each of which needs the next one, and the last the first. It is part of a graph or of a deadlock, and lasts no longer.
#[derive(Clone, Copy)]
pub struct Circle<'a> {
    waits: Waits<'a>,
    pub(crate) first: *const Header,
}

impl<'a> WaitGraph<'a> {
    /// A look at the waits of this loop, for its owner, for as long as no fiber runs.
    pub(crate) const fn of(waits: Waits<'a>) -> Self {
        Self {
            waits,
            not_send: PhantomData,
        }
    }

    /// All fibers that wait, the latest made first.
    pub fn fibers(&self) -> impl Iterator<Item = WaitingFiber> + use<'_, 'a> {
        let waits = self.waits;
        waits.mark_stuck();
        waits
            .fibers()
            .filter_map(move |fiber| WaitingFiber::of(waits, fiber))
    }

    /// The circles of fibers that wait for each other, each once.
    pub fn circles(&self) -> impl Iterator<Item = Circle<'_>> + use<'_, 'a> {
        let waits = self.waits;
        waits.mark_stuck();
        waits
            .fibers()
            .filter(|fiber| needs::is_marked(*fiber))
            .map(move |first| Circle { waits, first })
            // A circle is that of its member with the lowest address.
            .filter(|circle| circle.closes() && circle.pointers().all(|at| at >= circle.first))
    }

    /// How many fibers have not ended, and how many of them are stuck.
    pub(crate) fn counts(&self) -> (usize, usize) {
        self.waits.mark_stuck();
        let count = |(all, stuck), fiber| (all + 1, stuck + usize::from(needs::is_marked(fiber)));
        self.waits.fibers().fold((0, 0), count)
    }
}

impl WaitingFiber {
    /// Looks at a fiber; nothing if it does not wait.
    pub(crate) fn of(waits: Waits<'_>, fiber: *const Header) -> Option<Self> {
        let wait = waits.wait_of(fiber)?;
        // SAFETY: G1.
        let header = unsafe { &*fiber };
        // SAFETY: G1.
        let id = |fiber| unsafe { FiberId::of(fiber) };
        let needs = match waits.need_of(fiber, wait) {
            Need::Fiber(next) if waits.is_writer_in_front(next, wait) => Needs::WriterInFront {
                id: id(next),
                // SAFETY: G1.
                name: unsafe { (*next).name() },
            },
            Need::Fiber(next) => Needs::Fiber {
                id: id(next),
                // SAFETY: G1.
                name: unsafe { (*next).name() },
            },
            Need::Ended(id) => Needs::EndedFiber { id },
            Need::All(all @ All::Scope(_)) => Needs::Scope {
                running: waits.in_all(all).count(),
            },
            Need::All(All::Readers(readers)) => match waits.one_of(readers) {
                Some((one, others)) => Needs::Readers {
                    id: one.id()?,
                    name: one.name(),
                    others,
                },
                None => Needs::Fibers,
            },
            Need::Fibers => Needs::Fibers,
            Need::Clock => Needs::Clock,
            Need::Anybody => Needs::Anybody,
        };
        Some(Self {
            id: id(fiber),
            name: header.name(),
            reason: wait.reason(),
            object: wait.object,
            location: wait.location,
            since: wait.since,
            deadline: wait.deadline(),
            needs,
            is_stuck: needs::is_marked(fiber),
        })
    }
}

impl<'a> Circle<'a> {
    /// The circle of this fiber, if the waits were searched for ways to it.
    pub(crate) const fn of(waits: Waits<'a>, first: *const Header) -> Self {
        Self { waits, first }
    }

    /// Its fibers, each before the one that it needs.
    pub fn fibers(&self) -> impl Iterator<Item = WaitingFiber> + use<'a> {
        let waits = self.waits;
        self.pointers()
            .filter_map(move |fiber| WaitingFiber::of(waits, fiber))
    }

    /// As [`fibers`](Self::fibers); never more than there are.
    fn pointers(&self) -> impl Iterator<Item = *const Header> + use<'a> {
        let Self { waits, first } = *self;
        let next = move |fiber: &*const Header| {
            waits
                .next_towards(first, *fiber)
                .filter(|next| !ptr::eq(*next, first))
        };
        core::iter::successors(Some(first), next).take(waits.fibers().count())
    }

    /// Whether it leads back to the first.
    #[inline(never)]
    pub(crate) fn closes(&self) -> bool {
        self.pointers()
            .last()
            .and_then(|last| self.waits.next_towards(self.first, last))
            .is_some_and(|next| ptr::eq(next, self.first))
    }
}
