//! The run loop: which fiber runs, which is next, and the switch between them.
//!
//! ```text
//!   fiber A ──yield, block, exit──► fiber B         directly, using no other stack
//!   fiber A ──nothing is ready────► root ──idle──► fiber C
//! ```
//!
//! *Root* is the context that called `run`. It reads the inbox and the clock, and lets the
//! processor sleep. What can only be done when nobody is on a fiber's stack any more, such as
//! reaping the fiber, is done on the stack of the next fiber, before that continues.
//!
//! # Invariants
//!
//! - **R1**: everything but the inbox, and the list of `lending`, is used by the owner alone. The
//!   owner is the core (on a host, the thread) that runs the loop, outside of interrupt handlers. By
//!   **P1**, code that runs in a fiber of the loop with interrupts on is the owner.
//! - **R2**: a header in a ring, an inbox or the list of all is alive.
//! - **R3**: the running fiber is the first of the ring of its level. A fiber that waits is in no
//!   ring.
//! - **R4**: `fast` has no ring, or that of the running fiber, which is then the highest and not
//!   empty, and there is no hook. Fast yields are allowed only while there is one. They are
//!   forbidden, or about to be, when the inbox is not empty.

pub(crate) mod announce;
mod blocking;
#[cfg(feature = "smp")]
pub(crate) mod cycles;
pub(crate) mod deadlock;
#[cfg(feature = "smp")]
mod debt;
#[cfg(feature = "smp")]
pub(crate) mod emigrate;
pub(crate) mod enqueue;
#[cfg(feature = "smp")]
pub(crate) mod hold;
pub(crate) mod hooks;
#[cfg(feature = "smp")]
pub(crate) mod lending;
pub(crate) mod level;
pub(crate) mod ownership;
#[cfg(feature = "smp")]
pub(crate) mod place;
pub(crate) mod post;
// What a yield does that cannot be fast, in Rust or as one piece of assembly. It is chosen here alone.
#[cfg(any(
    target_os = "linux",
    feature = "smp",
    feature = "trace",
    all(feature = "fp-control", target_feature = "sse")
))]
mod preempt;
#[cfg(not(any(
    target_os = "linux",
    feature = "smp",
    feature = "trace",
    all(feature = "fp-control", target_feature = "sse")
)))]
mod preempt_at_once;
#[cfg(feature = "smp")]
pub(crate) mod rest;
pub(crate) mod running;
#[cfg(feature = "smp")]
pub(crate) mod share;
pub(crate) mod stack_check;
pub(crate) mod stall;
pub(crate) mod suspicion;
pub(crate) mod switching;
pub(crate) mod team;
pub(crate) mod timer;
pub(crate) mod unparker;
pub(crate) mod waiting;
pub(crate) mod wake;
mod yielding;

pub(crate) use wake::{deadline_after, wake, wake_by_fiber};

use crate::atomic::AtomicBool;
#[cfg(not(feature = "smp"))]
use crate::atomic::Count as _;
#[cfg(feature = "smp")]
use crate::atomic::NextLine;
use crate::platform::{Core, NEVER, SwitchHook};
use crate::scheduler::cpu::current::Place;
use crate::scheduler::cpu::fast::FastYields;
use crate::scheduler::lock_free::inbox::Inbox;
#[cfg(not(feature = "smp"))]
use crate::scheduler::lock_free::inbox::PLACE_IN_LOOP;
use crate::scheduler::queue::ready::Ready;
use crate::scheduler::queue::sleepers::Sleepers;
use crate::scheduler::task::header::Header;
use core::cell::Cell;
use core::mem::offset_of;
use core::ptr;
#[cfg(feature = "smp")]
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use team::Team;

#[cfg(all(feature = "gdb-script", not(target_os = "uefi")))]
crate::debugger::gdb_script!();

/// The run loop. See the [module documentation](self).
///
/// With several cores, what others touch when they post a fiber lies in a cache line of its own.
#[repr(C)] // The rings come first, so that the address of one takes the fewest instructions.
pub(crate) struct RunLoop {
    pub(crate) ready: Ready,
    #[cfg(feature = "smp")]
    others_line: NextLine,
    #[cfg(feature = "smp")]
    pub(super) inbox: Inbox<Header>,
    #[cfg(feature = "smp")]
    pub(super) fast: FastYields,
    /// What the loops of the scheduler share, or null before the scheduler is used.
    #[cfg(feature = "smp")]
    team: AtomicPtr<Team>,
    /// The number of the loop's core.
    #[cfg(feature = "smp")]
    pub(crate) index: usize,
    /// Whether another loop sleeps that could run some of the ready fibers.
    #[cfg(feature = "smp")]
    pub(super) is_asked: AtomicBool,
    #[cfg(feature = "smp")]
    own_line: NextLine,
    #[cfg(not(feature = "smp"))]
    pub(super) inbox: Inbox<Header>,
    #[cfg(not(feature = "smp"))]
    pub(super) fast: FastYields,
    /// The time when the loop last read the clock.
    pub(super) last_look: AtomicU64,
    pub(super) hook: Cell<Option<SwitchHook>>,
    /// The deadline to which the timer was last set.
    pub(super) timer: AtomicU64,
    /// When the timer was first found to be late. It is 0 if it was not, and [`NEVER`] if that was
    /// reported.
    pub(super) late_since: AtomicU64,
    /// The core that sleeps in the platform's `idle`, or 0.
    pub(super) idle_on: AtomicUsize,
    pub(super) root: Header,
    pub(crate) sleepers: Sleepers,
    /// What is done when a deadline may have passed. See [`may_be_due`](Self::may_be_due).
    when_due: Cell<fn(&RunLoop)>,
    /// What all fibers waited for when the waits were last found hopeless.
    #[cfg(not(feature = "smp"))]
    pub(super) last_stall: Cell<u64>,
    pub(crate) is_running: AtomicBool,
    /// What the loops of the scheduler share.
    #[cfg(not(feature = "smp"))]
    team: Team,
    /// Whether a fiber of another loop looks at this one, which nobody runs.
    #[cfg(feature = "smp")]
    is_visited: AtomicBool,
    /// The fibers that it has yet to give to loops that asked.
    #[cfg(feature = "smp")]
    debt: Cell<debt::Debt>,
    /// The fiber that moves to another core of its own will, and the number of that core.
    #[cfg(feature = "smp")]
    pub(super) emigrant: Cell<(*const Header, usize)>,
    /// The first of the fibers whose level has changed, or null: see [`lending`].
    #[cfg(feature = "smp")]
    changed: Cell<*const Header>,
    /// Whether `run_until_idle` runs the loop.
    #[cfg(feature = "smp")]
    pub(super) is_until_idle: AtomicBool,
    /// The overflow that ends the fiber that runs: see
    /// [`overflow`](crate::scheduler::fail::overflow).
    #[cfg(feature = "smp")]
    pub(crate) last_overflow: [AtomicU64; 6],
    /// Where the loop's fibers began to run. What they hold may not be sent elsewhere.
    place: Cell<Option<Place>>,
}

#[cfg(not(feature = "smp"))]
const _: () = assert!(offset_of!(RunLoop, inbox) == PLACE_IN_LOOP);

// SAFETY: R1; the inbox is made to be shared, and so is `Once`.
unsafe impl Sync for RunLoop {}

impl RunLoop {
    /// The offset in a loop of the stack pointer of its own context while a fiber runs.
    pub(super) const ROOT_SP_AT: usize = offset_of!(Self, root) + Header::SP_AT;

    /// Returns the loop in which a fiber runs.
    ///
    /// # Safety
    ///
    /// The fiber is alive, or was once, so that its header stays readable.
    #[inline(always)]
    pub(crate) unsafe fn of(fiber: *const Header) -> &'static Self {
        // SAFETY: the caller's promise.
        let run_loop = unsafe { Header::loop_address(fiber) };
        // SAFETY: loops are statics, and a cell's header names one from its first fiber on: `spawn`
        // gave it the address.
        unsafe { &*run_loop.cast() }
    }

    /// Returns the address by which headers and cores know the loop.
    #[inline(always)]
    pub(crate) const fn address(&self) -> *const () {
        ptr::from_ref(self).cast()
    }

    /// Creates the loop of a core.
    pub(crate) const fn new(Core(index): Core, #[cfg(not(feature = "smp"))] team: Team) -> Self {
        #[cfg(not(feature = "smp"))]
        let _one_core = index;
        Self {
            ready: Ready::new(),
            inbox: Inbox::new(),
            fast: FastYields::new(),
            sleepers: Sleepers::new(),
            when_due: Cell::new(Self::nobody_sleeps),
            last_look: AtomicU64::new(0),
            #[cfg(not(feature = "smp"))]
            last_stall: Cell::new(0),
            timer: AtomicU64::new(NEVER),
            late_since: AtomicU64::new(0),
            idle_on: AtomicUsize::new(0),
            root: Header::root(),
            is_running: AtomicBool::new(false),
            #[cfg(not(feature = "smp"))]
            team,
            #[cfg(feature = "smp")]
            team: AtomicPtr::new(ptr::null_mut()),
            #[cfg(feature = "smp")]
            index,
            #[cfg(feature = "smp")]
            others_line: NextLine,
            #[cfg(feature = "smp")]
            own_line: NextLine,
            #[cfg(feature = "smp")]
            is_visited: AtomicBool::new(false),
            #[cfg(feature = "smp")]
            is_asked: AtomicBool::new(false),
            #[cfg(feature = "smp")]
            debt: Cell::new(debt::Debt::NONE),
            #[cfg(feature = "smp")]
            emigrant: Cell::new((ptr::null(), 0)),
            #[cfg(feature = "smp")]
            changed: Cell::new(ptr::null()),
            #[cfg(feature = "smp")]
            is_until_idle: AtomicBool::new(false),
            #[cfg(feature = "smp")]
            last_overflow: [const { AtomicU64::new(0) }; 6],
            hook: Cell::new(None),
            place: Cell::new(None),
        }
    }

    /// Returns an aligned address on the stack of the loop's own context, below everything that is
    /// there while a fiber runs.
    pub(super) fn below_root(&self) -> *mut u8 {
        /// The space for what root itself may need before it leaves, if root is what runs.
        const ROOM: usize = 4096;
        let mut here = 0_u8;
        // SAFETY: the header's own block.
        let root = unsafe { (*Header::block(&raw const self.root)).own() };
        let root = root.stack_pointer();
        // If root never left, it runs, and we are on its stack.
        let sp = if root.is_null() { &raw mut here } else { root };
        sp.wrapping_sub(ROOM).map_addr(|address| address & !15)
    }

    /// Returns what the loops of the scheduler share.
    #[cfg(not(feature = "smp"))]
    #[inline(always)]
    pub(crate) const fn team(&self) -> &Team {
        &self.team
    }

    /// Returns what the loops of the scheduler share.
    #[cfg(feature = "smp")]
    #[inline(always)]
    pub(crate) fn team(&self) -> &'static Team {
        let team = self.team.load(Ordering::Relaxed);
        debug_assert!(!team.is_null(), "the scheduler unites its loops first");
        // SAFETY: every function of a scheduler unites its loops before it uses one of them, and
        // the team is as static as they are.
        unsafe { &*team }
    }

    #[cfg(feature = "smp")]
    pub(super) fn join_team(&self, team: &'static Team) {
        self.team
            .store(ptr::from_ref(team).cast_mut(), Ordering::Release);
    }

    /// Returns the number of the loop's core.
    pub(crate) const fn core(&self) -> Core {
        #[cfg(not(feature = "smp"))]
        return Core(0);
        #[cfg(feature = "smp")]
        return Core(self.index);
    }

    /// Returns the number of the scheduler's cores.
    #[cfg(not(feature = "smp"))]
    pub(crate) const fn cores(&self) -> usize {
        1
    }

    /// Returns the number of the scheduler's cores.
    #[cfg(feature = "smp")]
    pub(crate) fn cores(&self) -> usize {
        self.team().loops().len()
    }

    /// Returns the number of fibers of the scheduler that have failed.
    #[cfg(not(feature = "smp"))]
    pub(crate) const fn failures(&self) -> u32 {
        self.team.failures.get()
    }

    /// Returns the number of fibers of the scheduler that have failed.
    #[cfg(feature = "smp")]
    pub(crate) fn failures(&self) -> u32 {
        self.team().failures.load(Ordering::Acquire)
    }

    /// Records that a fiber has failed.
    pub(crate) fn count_failure(&self) {
        #[cfg(not(feature = "smp"))]
        self.team
            .failures
            .set(self.team.failures.get().wrapping_add(1));
        #[cfg(feature = "smp")]
        self.team().failures.fetch_add(1, Ordering::AcqRel);
    }

    /// One loop gives no fibers away.
    #[cfg(not(feature = "smp"))]
    #[inline(always)]
    pub(super) const fn is_asked(&self) -> bool {
        false
    }

    /// Records that the running fiber ends. With several cores this is done later: see
    /// [`team`].
    #[cfg(not(feature = "smp"))]
    #[inline(always)]
    pub(crate) fn count_end(&self) {
        self.team.live.decrement(Ordering::Relaxed);
    }
}
