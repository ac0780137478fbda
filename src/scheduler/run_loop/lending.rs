//! Levels that change on one core because of a wait on another: the lock in which they are computed,
//! and how a loop learns of them.
//!
//! ```text
//!   core 0, inside the lock                            core 1
//!   1. the level that is due to a fiber of core 1
//!   2. the fiber into the list of its loop
//!   3. outside of the lock: a request to its root ───► 4. at its next scheduling point: takes the
//!                                                        fiber out, and changes its ring
//! ```
//!
//! Anybody may compute which level is due to a fiber, but only the owner of a loop may change the
//! level at which its fibers are scheduled. Between the two lies a list, which goes through the
//! control blocks. It says only which fibers to look at. The level is read when the fiber is taken
//! out, so it does not matter how often it has changed before. A fiber that has left the loop goes
//! into the list of the loop where it is now, and a fiber that has ended is forgotten.
//!
//! - **N1**: the lists of changed fibers, the levels that are due, and what is waited for
//!   ([`Lending`](crate::scheduler::task::control::Lending)), as well as the lists of awaited
//!   mutexes, are accessed only inside one lock, which all schedulers share. (`spawn` sets those of
//!   a new fiber, whose cell nobody else can [hold](Pin).) Code inside the lock neither waits, nor
//!   wakes, nor calls foreign code. It may lock the line of a mutex, but not the other way round.
//! - **N2**: a fiber that does not wait is accessed inside the lock only while it is held, so that
//!   its cell is not used again, and only if it has not ended.
//! - **N3**: a loop takes its list out before it returns from `run`. A fiber in the list of a loop
//!   that nobody runs is therefore a fiber of that loop, and does not run either.

use super::RunLoop;
use super::team::Team;
use crate::platform::interrupts;
use crate::scheduler::cpu::current;
use crate::scheduler::task::control::{Extra, Lending};
use crate::scheduler::task::header::Header;
use crate::scheduler::task::owner::OwnerWord;
use core::ptr;
use core::sync::atomic::Ordering;

/// What is behind the last fiber of a list of changed fibers.
const END: *const Header = ptr::without_provenance(1);

static LOCK: spin::mutex::SpinMutex<(), crate::atomic::Spin> = spin::mutex::SpinMutex::new(());

/// Calls `f` inside the lock, with interrupts off.
fn locked<R>(f: impl FnOnce() -> R) -> R {
    let were_enabled = interrupts::are_enabled();
    interrupts::disable();
    let result = {
        let _locked = LOCK.lock();
        f()
    };
    if were_enabled {
        interrupts::enable();
    }
    result
}

/// The inside of the lock, for a fiber of one scheduler.
pub(crate) struct Inside {
    pub(crate) team: &'static Team,
    /// The loops, a bit for each, in whose lists fibers are.
    told: u64,
}

/// Calls `f` inside the lock. Afterwards the running fiber and all others of its loop whose levels
/// `f` has changed are scheduled at those, and other loops are told to look. In the middle of a switch
/// the loop itself is told to look, too.
///
/// # Safety
///
/// `fiber` must run, and the caller must be the owner of its loop.
pub(crate) unsafe fn inside<R>(fiber: *const Header, f: impl FnOnce(&mut Inside) -> R) -> R {
    // SAFETY: it runs.
    let run_loop = unsafe { RunLoop::of(fiber) };
    let mut inside = Inside {
        team: run_loop.team(),
        told: 0,
    };
    let result = locked(|| f(&mut inside));
    let own = 1 << run_loop.index;
    if current::Word::read().is_in_switch_hook() {
        // The rings stay as they are: who runs next was chosen already, and must be the first (R3).
        inside.team.tell(inside.told);
        return result;
    }
    inside.team.tell(inside.told & !own);
    if inside.told & own != 0 {
        // SAFETY: the caller's promise.
        unsafe { run_loop.take_changed() };
    }
    // If it has moved, it may still be in the list of the loop that it has left.
    // SAFETY: it runs.
    let level = unsafe { Lending::of(fiber) }.level.load(Ordering::Relaxed);
    // SAFETY: it runs in this loop, of which we are the owner.
    unsafe { run_loop.schedule_at(fiber, level) };
    result
}

impl Inside {
    /// Makes `level` the one that is due to a fiber of this scheduler. Returns whether it was another
    /// one before.
    ///
    /// # Safety
    ///
    /// **N2**.
    pub(crate) unsafe fn set_level(&mut self, fiber: *const Header, level: u8) -> bool {
        // SAFETY: the caller's promise.
        let due = unsafe { &Lending::of(fiber).level };
        if due.load(Ordering::Relaxed) == level {
            return false;
        }
        due.store(level, Ordering::Relaxed);
        // SAFETY: as above.
        self.told |= unsafe { enlist(fiber) };
        true
    }
}

/// Puts a fiber into the list of its loop. Returns the bit of the loop.
///
/// # Safety
///
/// **N1**, **N2**.
unsafe fn enlist(fiber: *const Header) -> u64 {
    // SAFETY: the caller's promise.
    let run_loop = unsafe { RunLoop::of(fiber) };
    // SAFETY: as above.
    let next = unsafe { &Lending::of(fiber).next_changed };
    // If it is in a list already, that may be the one of a loop that it has left, which has been told
    // before.
    if next.get().is_null() {
        let first = run_loop.changed.replace(fiber);
        next.set(if first.is_null() { END } else { first });
    }
    1 << run_loop.index
}

impl Lending {
    /// Returns this part of a fiber's control block.
    ///
    /// # Safety
    ///
    /// The header must belong to a cell.
    pub(crate) const unsafe fn of<'a>(fiber: *const Header) -> &'a Self {
        // SAFETY: the caller's promise.
        unsafe { &Extra::of(fiber).lending }
    }

    /// Prepares it for a new fiber. If the last one is in a list of changed fibers, the new one stays
    /// there.
    #[inline(always)]
    pub(crate) fn begin(&self, level: u8) {
        self.waits_on.set(ptr::null());
        self.level.store(level, Ordering::Relaxed);
    }
}

/// A fiber that has not ended, whose cell is not used again while this exists. Inside the lock at
/// most one exists at a time.
pub(crate) struct Pin(*const Header);

impl Pin {
    /// Holds a fiber of this scheduler that has not ended. Interrupts must be off.
    pub(crate) fn new(team: &Team, owner: OwnerWord) -> Option<Self> {
        // SAFETY: headers stay readable for good.
        let pin = unsafe { Self::hold(owner.fiber()) }?;
        // SAFETY: as above.
        let is_ours = team.has(unsafe { Header::loop_address(pin.0) });
        (is_ours && owner.is_alive()).then_some(pin)
    }

    /// # Safety
    ///
    /// The pointer is null, or that of a cell's header.
    unsafe fn hold(fiber: *const Header) -> Option<Self> {
        // SAFETY: the caller's promise.
        let header = unsafe { fiber.as_ref() }?;
        header.state.hold().then_some(Self(fiber))
    }

    /// Returns the fiber.
    pub(crate) const fn fiber(&self) -> *const Header {
        self.0
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        // SAFETY: headers stay readable for good.
        unsafe { &*self.0 }.state.end_look();
    }
}

impl Team {
    /// Tells loops that the levels of some of their fibers have changed.
    fn tell(&self, told: u64) {
        if told == 0 {
            return;
        }
        for run_loop in self.loops() {
            if told & 1 << run_loop.index != 0 {
                run_loop.request_levels();
            }
        }
    }
}

impl RunLoop {
    /// Gives all fibers of this loop the levels that are due to them.
    ///
    /// # Safety
    ///
    /// The caller must be the owner.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn take_changed(&self) {
        let mut told = 0;
        while let Some((fiber, level)) = locked(|| self.next_changed(&mut told)) {
            // SAFETY: it is alive, and of this loop, of which we are the owner.
            unsafe { self.schedule_at(fiber, level) };
        }
        self.team().tell(told);
    }

    /// Takes fibers out of the list until one is of this loop. Returns it, and the level that is due
    /// to it. Those of other loops go there.
    fn next_changed(&self, told: &mut u64) -> Option<(*const Header, u8)> {
        loop {
            let fiber = self.changed.get();
            if fiber.is_null() {
                return None;
            }
            // SAFETY: it was put into the list, and headers stay for good.
            let lending = unsafe { Lending::of(fiber) };
            let next = lending.next_changed.replace(ptr::null());
            self.changed.set(if ptr::eq(next, END) {
                ptr::null()
            } else {
                next
            });
            // SAFETY: as above.
            let header = unsafe { &*fiber };
            // If the cell is free, or free soon, there is nothing to do.
            // SAFETY: as above.
            let pin = unsafe { Pin::hold(fiber) };
            if pin.is_none() || header.state.is_finished() {
                continue;
            }
            // SAFETY: as above.
            if !ptr::eq(unsafe { Self::of(fiber) }, self) {
                // SAFETY: N1; N2: it is held, and has not ended.
                *told |= unsafe { enlist(fiber) };
                continue;
            }
            // It is ours and has not ended, so it will not end before we let it run.
            let level = lending.level.load(Ordering::Relaxed);
            return Some((fiber, level));
        }
    }

    /// Changes the level of a fiber, if that is another one.
    ///
    /// # Safety
    ///
    /// The fiber must be alive, must not have ended, and must belong to this loop. The caller must be
    /// the owner.
    #[inline]
    unsafe fn schedule_at(&self, fiber: *const Header, level: u8) {
        // SAFETY: it is alive.
        if unsafe { (*fiber).level.get() } != level && !self.is_gone(fiber) {
            // SAFETY: the caller's promise.
            unsafe { self.set_level(fiber, level) };
        }
    }

    /// Returns whether a fiber of this loop, which has not finished, has run for the last time. It is
    /// in no ring any more.
    fn is_gone(&self, fiber: *const Header) -> bool {
        // SAFETY: it is alive.
        let is_waiting = unsafe { (*fiber).state.is_waiting() };
        ptr::eq(fiber, current::get()) && !is_waiting && !self.ready.has(fiber)
    }
}
