//! What a waiting fiber needs in order to continue, and which fibers can never continue.
//!
//! Each fiber waits for one thing. If only a certain fiber can provide it, this is an edge of the
//! wait graph. A scope needs all of its fibers, and a writer needs all fibers that read, so these
//! have several edges. A fiber is *stuck* if one of its edges leads to a fiber that is stuck, or
//! that has ended. The stuck fibers are the largest set for which this holds. Nothing can then wake
//! such a fiber, except the cancellation of a fiber in the set.
//!
//! Only the owner of a loop may read the waits of its fibers. Whatever only a fiber of another
//! scheduler can provide is therefore assumed to be provided. With several cores this holds for the
//! fibers of another core too, unless they are held (`run_loop::hold`), or all cores
//! sleep.

use crate::scheduler::queue::all::{AllFibers, Headers};
use crate::scheduler::task::control::Extra;
use crate::scheduler::task::header::{Header, is_cancelled};
use crate::scheduler::task::id::FiberId;
use crate::scheduler::task::owner::{HeldBy, OwnerWord, Readers};
use crate::scheduler::task::scope_count::ScopeCount;
use crate::scheduler::task::wait::{Giver, HolderOf, Wait, WaitReason};
use core::ptr;

/// What a wait needs; see the [module](self).
#[derive(Clone, Copy)]
pub(crate) enum Need {
    /// Only this fiber, which belongs to the same loop, can end the wait.
    Fiber(*const Header),
    /// The fiber that could have ended the wait has itself ended.
    Ended(FiberId),
    /// All of these fibers must do something. None of them has ended.
    All(All),
    /// Only fibers can end the wait, but it is not known which ones, or they belong to another
    /// scheduler.
    Fibers,
    /// Only this fiber can end the wait. It belongs to another loop, and is not held.
    #[cfg(feature = "smp")]
    Elsewhere(*const Header),
    /// A deadline ends the wait.
    Clock,
    /// Interrupt handlers, or anyone else, can end the wait.
    Anybody,
}

/// Several fibers, all of which a wait needs.
#[derive(Clone, Copy)]
pub(crate) enum All {
    /// The fibers of a scope.
    Scope(*const ScopeCount),
    /// The fibers that hold a lock for reading.
    Readers(Readers),
}

/// The waits of the fibers of one loop. Only the owner of the loop may create this value.
///
/// - **G1**: all fibers in it, as `*const Header`, are in cells of this loop, or of another one and
///   held (**V1**). Their whole control blocks can be reached through these pointers, and stay readable
///   forever.
#[derive(Clone, Copy)]
pub(crate) struct Waits<'a> {
    /// All fibers of the loop.
    pub(crate) all: &'a AllFibers,
    /// The address of the loop.
    #[cfg(not(feature = "smp"))]
    pub(crate) run_loop: *const (),
    /// The loops that are owned.
    #[cfg(feature = "smp")]
    pub(crate) loops: Loops,
    /// Whether the fibers that are held belong to it too: the caller holds them.
    #[cfg(feature = "smp")]
    pub(crate) has_held: bool,
    /// A fiber that runs, of a loop that is not owned, or null.
    #[cfg(feature = "smp")]
    pub(crate) runs: *const Header,
    /// The number of fibers that have not ended.
    pub(crate) live: usize,
    /// A fiber that still runs but is about to wait, if there is one, and the record of its wait.
    pub(crate) about_to_wait: Option<(*const Header, &'a Wait)>,
}

/// Some of the loops of a scheduler, which are an array.
#[cfg(feature = "smp")]
#[derive(Clone, Copy)]
pub(crate) struct Loops {
    /// The address of the first loop.
    pub(crate) first: usize,
    /// The size of a loop.
    pub(crate) stride: usize,
    /// The number of loops.
    pub(crate) count: usize,
    /// A bit for each loop that is meant.
    pub(crate) set: u64,
}

#[cfg(feature = "smp")]
impl Loops {
    fn has(self, run_loop: *const ()) -> bool {
        let index = run_loop.addr().wrapping_sub(self.first) / self.stride;
        index < 64 && self.set >> index & 1 != 0
    }

    fn is_of_team(self, run_loop: *const ()) -> bool {
        run_loop.addr().wrapping_sub(self.first) / self.stride < self.count
    }
}

impl<'a> Waits<'a> {
    /// Returns the fibers of the loop that have not ended.
    pub(crate) fn fibers(self) -> Fibers<'a> {
        Fibers {
            waits: self,
            rest: self.all.iter(),
        }
    }

    /// Returns whether a fiber of the scheduler belongs to a loop that is owned.
    #[cfg(feature = "smp")]
    #[inline(always)]
    fn owns_loop_of(self, fiber: *const Header) -> bool {
        // SAFETY: headers stay readable for good.
        self.loops.has(unsafe { Header::loop_address(fiber) })
            // SAFETY: as above.
            || self.has_held && unsafe { (*fiber).state.is_held() }
            || ptr::eq(fiber, self.runs)
    }

    #[cfg(not(feature = "smp"))]
    #[inline(always)]
    const fn owns_loop_of(self, _fiber: *const Header) -> bool {
        true
    }

    /// Returns the wait of a fiber of the loop, or `None` if the fiber can run.
    ///
    /// A fiber counts as waiting if it was woken but will find that it has to wait further.
    pub(crate) fn wait_of(self, fiber: *const Header) -> Option<&'a Wait> {
        if let Some((about_to, wait)) = self.about_to_wait
            && ptr::eq(fiber, about_to)
        {
            return Some(wait);
        }
        #[cfg(feature = "smp")]
        if ptr::eq(fiber, self.runs) {
            return None;
        }
        // SAFETY: G1.
        let header = unsafe { &*fiber };
        // SAFETY: the record is on the fiber's stack until it runs again, and the owner of the loop
        // looks, so it stays there.
        let wait = unsafe { header.waits_for() }?;
        // One that is held waited when the look began. It may be woken meanwhile, but does not go on.
        #[cfg(feature = "smp")]
        if self.has_held && header.state.is_held() {
            return Some(wait);
        }
        let waits = header.state.is_parked() || self.waits_on(fiber, wait);
        waits.then_some(wait)
    }

    /// Returns whether this is the fiber that is about to wait.
    pub(crate) fn is_about_to_wait(self, fiber: *const Header) -> bool {
        let about_to = self.about_to_wait;
        about_to.is_some_and(|(about_to, _wait)| ptr::eq(fiber, about_to))
    }

    /// Returns whether a woken fiber will find that another fiber has not yet provided what it
    /// needs.
    fn waits_on(self, fiber: *const Header, wait: &Wait) -> bool {
        // A cancellation does not end the other waits for a certain fiber.
        let is_to_end = wait.reason() == WaitReason::Join && is_cancelled(fiber);
        let needs_a_fiber = match self.need_of(fiber, wait) {
            Need::Fiber(_) | Need::Ended(_) => true,
            Need::All(all) => self.in_all(all).next().is_some(),
            Need::Fibers | Need::Clock | Need::Anybody => false,
            #[cfg(feature = "smp")]
            Need::Elsewhere(_) => true,
        };
        needs_a_fiber && !is_to_end
    }

    /// Returns what can end the wait of this fiber.
    pub(crate) fn need_of(self, fiber: *const Header, wait: &Wait) -> Need {
        if wait.has_deadline() {
            return Need::Clock;
        }
        match wait.kind().giver {
            Giver::Anybody => Need::Anybody,
            Giver::Fibers => Need::Fibers,
            // The fiber was alive when the wait began. If it has ended since, the waiter was woken.
            Giver::Joined => self
                .need_of_fiber(wait.object.cast())
                .unwrap_or(Need::Anybody),
            Giver::Scope => Need::All(All::Scope(wait.object.cast())),
            Giver::Holder(holder_of) => {
                Self::twice_if_ended(|| self.need_of_holder(fiber, wait, holder_of))
            }
        }
    }

    /// Looks again if a holder has ended: on another core it may have given up what it held, and
    /// ended, between the two things that a look reads. One that is still the holder after its end
    /// will always be.
    fn twice_if_ended(look: impl Fn() -> Need) -> Need {
        let mut need = look();
        while cfg!(any(target_os = "linux", feature = "smp"))
            && let Need::Ended(first) = need
        {
            need = look();
            if matches!(need, Need::Ended(second) if second == first) {
                break;
            }
        }
        need
    }

    #[inline(always)]
    fn need_of_holder(self, fiber: *const Header, wait: &Wait, holder_of: HolderOf) -> Need {
        let is_about_to_wait = self.is_about_to_wait(fiber);
        // SAFETY: its fiber waits, or is about to, so it is alive.
        match unsafe { holder_of(wait.object, fiber, is_about_to_wait) } {
            HeldBy::Nobody => Need::Anybody, // it is about to be served
            HeldBy::Fiber(owner) => self.need_of_owner(owner),
            HeldBy::Readers(readers) => self.need_of_readers(readers),
        }
    }

    fn need_of_owner(self, owner: OwnerWord) -> Need {
        if !owner.is_alive() {
            return owner.id().map_or(Need::Anybody, Need::Ended);
        }
        self.need_of_fiber(owner.fiber()).unwrap_or(Need::Anybody)
    }

    fn need_of_readers(self, readers: Readers) -> Need {
        if let Some(ended) = readers.known().find(|reader| !reader.is_alive()) {
            return ended.id().map_or(Need::Anybody, Need::Ended);
        }
        let all = All::Readers(readers);
        if self.in_all(all).next().is_none() {
            return Need::Fibers;
        }
        Need::All(all)
    }

    /// Returns the need of a fiber, unless that fiber has ended.
    fn need_of_fiber(self, fiber: *const Header) -> Option<Need> {
        #[cfg(not(feature = "smp"))]
        // SAFETY: it was alive when the wait began, so it is in a cell, which stays readable for
        // good.
        if !ptr::eq(unsafe { Header::loop_address(fiber) }, self.run_loop) {
            return Some(Need::Fibers);
        }
        #[cfg(feature = "smp")]
        if !self.owns_loop_of(fiber) {
            return Some(self.need_of_fiber_elsewhere(fiber));
        }
        // SAFETY: as above.
        (!unsafe { (*fiber).state.is_finished() }).then_some(Need::Fiber(fiber))
    }

    /// Returns the need of a fiber of a loop that is not owned.
    #[cfg(feature = "smp")]
    fn need_of_fiber_elsewhere(self, fiber: *const Header) -> Need {
        // SAFETY: headers stay readable for good.
        let its_loop = unsafe { Header::loop_address(fiber) };
        // SAFETY: as above.
        if !self.loops.is_of_team(its_loop) || unsafe { (*fiber).state.is_finished() } {
            return Need::Fibers;
        }
        Need::Elsewhere(fiber)
    }

    /// Returns those of several fibers that belong to this loop and have not ended.
    pub(crate) fn in_all(self, all: All) -> impl Iterator<Item = *const Header> {
        self.fibers().filter(move |fiber| match all {
            All::Scope(scope) => ptr::eq(extra(*fiber).scope.get(), scope),
            All::Readers(readers) => readers
                .known()
                .any(|reader| ptr::eq(reader.fiber(), *fiber)),
        })
    }

    /// Returns whether a wait for read access is a wait for `other`, which waits for write access
    /// in front of it.
    pub(crate) fn is_writer_in_front(self, other: *const Header, wait: &Wait) -> bool {
        let its = self.wait_of(other);
        wait.reason() == WaitReason::Read
            && its.is_some_and(|its| {
                its.reason() == WaitReason::Write && ptr::eq(its.object, wait.object)
            })
    }
}

/// The fibers of a look, which have not ended.
pub(crate) struct Fibers<'a> {
    waits: Waits<'a>,
    rest: Headers,
}

impl Iterator for Fibers<'_> {
    type Item = *const Header;

    /// Looks go through the fibers in many ways, so this is one function for all.
    #[inline(never)]
    fn next(&mut self) -> Option<*const Header> {
        // SAFETY: G1.
        let is_alive = |fiber: *const Header| unsafe { !(*fiber).state.is_finished() };
        // In this order: a cell whose fiber has ended may get one of another loop meanwhile. One that has
        // not ended stays in a loop that is owned.
        loop {
            let fiber = self.rest.next()?;
            if is_alive(fiber) && self.waits.owns_loop_of(fiber) {
                return Some(fiber);
            }
        }
    }
}

/// Returns the other half of a fiber's control block.
pub(super) const fn extra<'a>(fiber: *const Header) -> &'a Extra {
    // SAFETY: G1.
    unsafe { Extra::of(fiber) }
}
