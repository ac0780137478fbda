//! What the loops of one scheduler share: the list of all fibers, how many live, the platform, the
//! hooks; and with several cores, who of them sleeps.
//!
//! # One loop a core
//!
//! A scheduler has a loop for each core. Each loop has its own ready rings, sleep queue and inbox,
//! and is its own owner (**R1**), so a yield takes no lock and no atomic, whatever other cores do.
//! Apart from priorities that are lent, loops meet in three places only:
//!
//! ```text
//!            ┌──────────── team: live fibers, list of all, roster ────────────┐
//!   core 0   │ rings ◄─ inbox ◄──┐ wake: bit first, then which loop, then push │
//!            │   │               │                                             │
//!            │   └─ a ready fiber, not the running one, is unlinked and pushed │
//!   core 1   │ rings ◄─ inbox ◄──┘ into the inbox of a core that sleeps        │
//!            └────────────────────────────────────────────────────────────────┘
//! ```
//!
//! - *Waking*: whoever wakes a fiber first sets the bit in its state word. If that says that the
//!   fiber is to be enqueued, it is parked and woken, so it is in no ring, and nobody moves it. Only
//!   then is it asked which loop it belongs to, and put into that loop's inbox. (Before, it may have
//!   been woken by another, moved, and parked elsewhere.)
//! - *Sleeping*: see `lock_free::roster`.
//! - *Levels*: a wait on one core may change the level of a fiber of another: see `lending`.
//! - *Moving*: only the owner of a loop gives its fibers away, at its scheduling points, and only
//!   fibers in its rings that do not run. Their registers are stored by construction. See
//!   `share`.
//! - *The end*: `live` counts the fibers of all loops. The count falls when a fiber has left its
//!   stack for good, or keeps it since it failed, and its result may be taken. Whoever brings it to zero wakes all loops, and each
//!   of them returns from `run`.
//! - *Looking*: when all loops sleep, the last of them owns them all for a while (**T1**), and finds
//!   deadlocks across cores.
//!
//! Without the feature `smp` a loop contains all this itself, and pays for none of it.

use super::RunLoop;
use crate::atomic::AtomicUsize;
#[cfg(feature = "smp")]
use crate::atomic::NextLine;
use crate::atomic::SetOnce;
use crate::platform::Platform;
use crate::platform::any::AnyPlatform;
#[cfg(feature = "smp")]
use crate::scheduler::lock_free::roster::Roster;
use crate::scheduler::queue::all::AllFibers;
use crate::scheduler::report::hooks::Hooks;
#[cfg(not(feature = "smp"))]
use core::cell::Cell;
#[cfg(feature = "smp")]
use core::ptr;
#[cfg(feature = "smp")]
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// What the loops of one scheduler share; see the [module](self). With several cores, what changes
/// with each fiber lies in a cache line of its own.
#[cfg_attr(feature = "smp", repr(C))]
pub(crate) struct Team {
    /// All headers that ever had a fiber of this scheduler.
    pub(crate) all: AllFibers,
    /// The number of fibers that have not ended.
    pub(crate) live: AtomicUsize,
    #[cfg(feature = "smp")]
    next_line: NextLine,
    /// The number of fibers that have failed.
    #[cfg(not(feature = "smp"))]
    pub(super) failures: Cell<u32>,
    #[cfg(feature = "smp")]
    pub(super) failures: AtomicU32,
    pub(super) platform: AnyPlatform,
    pub(super) hooks: SetOnce<&'static dyn Hooks>,
    /// The first of the loops, which are an array, or null before the scheduler is used.
    #[cfg(feature = "smp")]
    first: AtomicPtr<RunLoop>,
    #[cfg(feature = "smp")]
    cores: AtomicUsize,
    #[cfg(feature = "smp")]
    pub(crate) roster: Roster,
    /// The loops that have found nothing, and look at their inbox before they sleep; a bit for each.
    #[cfg(feature = "smp")]
    pub(super) lookers: AtomicU64,
    /// How many times all loops were found to be idle.
    #[cfg(feature = "smp")]
    pub(super) idle_times: AtomicU32,
    /// How many times all loops were told to return although fibers are left.
    #[cfg(feature = "smp")]
    pub(super) stops: AtomicU32,
    /// What all fibers waited for when the waits were last found hopeless.
    #[cfg(feature = "smp")]
    pub(super) last_stall: AtomicU64,
    /// The core that reports, or 0.
    #[cfg(feature = "smp")]
    pub(super) reporter: AtomicUsize,
    /// Whether it holds fibers: see [`hold`](super::hold).
    #[cfg(feature = "smp")]
    pub(super) is_holding: AtomicBool,
}

impl Team {
    /// Returns what the loops of a scheduler with a platform of this type share.
    pub(crate) const fn new<P: Platform>() -> Self {
        Self {
            all: AllFibers::new(),
            live: AtomicUsize::new(0),
            #[cfg(feature = "smp")]
            next_line: NextLine,
            #[cfg(not(feature = "smp"))]
            failures: Cell::new(0),
            #[cfg(feature = "smp")]
            failures: AtomicU32::new(0),
            platform: AnyPlatform::new::<P>(),
            hooks: SetOnce::new(),
            #[cfg(feature = "smp")]
            first: AtomicPtr::new(ptr::null_mut()),
            #[cfg(feature = "smp")]
            cores: AtomicUsize::new(0),
            #[cfg(feature = "smp")]
            roster: Roster::new(),
            #[cfg(feature = "smp")]
            lookers: AtomicU64::new(0),
            #[cfg(feature = "smp")]
            idle_times: AtomicU32::new(0),
            #[cfg(feature = "smp")]
            stops: AtomicU32::new(0),
            #[cfg(feature = "smp")]
            last_stall: AtomicU64::new(0),
            #[cfg(feature = "smp")]
            reporter: AtomicUsize::new(0),
            #[cfg(feature = "smp")]
            is_holding: AtomicBool::new(false),
        }
    }
}

#[cfg(feature = "smp")]
impl Team {
    /// Tells the loops of a scheduler that they belong together. Further calls do nothing.
    pub(crate) fn unite(&'static self, loops: &'static [RunLoop]) {
        if !self.first.load(Ordering::Acquire).is_null() {
            return;
        }
        for run_loop in loops {
            run_loop.join_team(self);
        }
        self.cores.store(loops.len(), Ordering::Relaxed);
        self.first
            .store(loops.as_ptr().cast_mut(), Ordering::Release);
    }

    /// Returns the loops, of which there are none before the scheduler is used.
    pub(crate) fn loops(&self) -> &'static [RunLoop] {
        let first = self.first.load(Ordering::Acquire);
        if first.is_null() {
            return &[];
        }
        // SAFETY: `unite` took both from such a slice.
        unsafe { core::slice::from_raw_parts(first, self.cores.load(Ordering::Relaxed)) }
    }

    /// Returns the loops that have nothing to do: they sleep, or are about to.
    #[inline(always)]
    pub(super) fn hungry_ones(&self) -> u64 {
        self.roster.sleepers() | self.lookers.load(Ordering::Relaxed)
    }

    /// Returns whether a loop is one of these.
    pub(crate) fn has(&self, run_loop: *const ()) -> bool {
        let range = self.loops().as_ptr_range();
        (range.start.addr()..range.end.addr()).contains(&run_loop.addr())
    }

    /// Records that a fiber has ended, and has left its stack or keeps it. If it was the last one, all
    /// loops return from `run`.
    pub(crate) fn one_has_ended(&self) {
        if self.live.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.rouse_all();
        }
    }

    /// Wakes all loops that sleep.
    pub(super) fn rouse_all(&self) {
        for run_loop in self.loops() {
            run_loop.rouse();
        }
    }
}

impl RunLoop {
    /// Stores where the platform is.
    ///
    /// # Safety
    ///
    /// It must be the platform of the scheduler of this loop.
    #[inline(always)]
    #[cfg_attr(feature = "smp", track_caller)]
    pub(crate) unsafe fn set_platform<P: Platform>(&self, platform: &'static P) {
        #[cfg(feature = "smp")]
        if cfg!(debug_assertions) || !self.team().platform.is_set() {
            crate::scheduler::cpu::current::check_words();
        }
        // SAFETY: A1: a scheduler has one platform, and its team was made for one of that type.
        unsafe { self.team().platform.set(platform) };
    }

    /// Returns the platform, whose address is set before the loop runs (**A1**).
    #[inline(always)]
    #[cfg_attr(
        not(feature = "smp"),
        expect(clippy::missing_const_for_fn, reason = "with the feature it is none")
    )]
    pub(crate) fn platform(&self) -> &AnyPlatform {
        &self.team().platform
    }
}
