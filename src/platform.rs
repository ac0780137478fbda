//! The platform that a kernel supplies to a scheduler: a clock, a timer, a way to sleep, and with
//! several cores the number of each and a way to wake one.
//!
//! `BareX86_64` is the platform of a kernel on one core of the bare machine, and needs a clock and a
//! timer. `hardware::ApicCores` is that of several cores.
//! `Host` is the platform of `cargo test` on Linux. Its clock jumps, so a test that sleeps for an
//! hour takes no time.

pub(crate) mod any;
#[cfg(not(target_os = "linux"))]
mod bare;
#[cfg(target_os = "linux")]
mod host;

#[cfg(all(feature = "x86_64", not(target_os = "linux")))]
pub(crate) use bare::sleep_until_interrupt;
#[cfg(not(target_os = "linux"))]
pub use bare::{BareX86_64, Timer};
#[cfg(target_os = "linux")]
pub use host::Host;

/// A time in nanoseconds since some moment that stays the same while the kernel runs.
pub type Nanoseconds = u64;

/// The largest time: a deadline that never comes.
pub const NEVER: Nanoseconds = Nanoseconds::MAX;

/// The number of a core in its scheduler. A `Scheduler<P, 4>` has the cores 0 to 3.
///
/// The kernel numbers its cores. The numbers need not be those of the local APICs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Core(pub usize);

/// A function that is called before a switch. `prev` is an address within the stack that is left,
/// and `next` is one within the stack that is entered. A null pointer stands for the scheduler's
/// own stack.
pub type SwitchHook = fn(prev: *const u8, next: *const u8);

/// The services that a kernel provides to a [`Scheduler`](crate::scheduler::Scheduler).
///
/// # Safety
///
/// - [`idle`](Self::idle) loses no interrupt, as its documentation says.
/// - **P1**: code that runs with interrupts on, and calls functions of this crate, is not in an
///   interrupt handler. A handler may turn interrupts on again, but turns them off before it calls
///   this crate, which would take it for the fiber that it has interrupted. This applies to functions
///   that are callable from an interrupt too.
/// - **P2**: on the bare machine, without the feature `smp`, one core alone runs code of this crate,
///   and uses what this crate's types protect. A kernel that starts other cores and lets them call
///   this crate needs the feature.
pub unsafe trait Platform: Sync {
    /// Returns the current time, which never goes back.
    ///
    /// # Context
    ///
    /// Called from: fiber, scheduler, with interrupts on or off.
    fn now(&self) -> Nanoseconds;

    /// Requests an interrupt at `deadline`, or at once if the deadline has passed. [`NEVER`]
    /// requests none. Each call replaces the previous request. The handler of the interrupt must
    /// call [`timer_interrupt`](crate::scheduler::Scheduler::timer_interrupt).
    ///
    /// # Context
    ///
    /// Called from: fiber, scheduler, with interrupts on or off.
    fn set_timer(&self, deadline: Nanoseconds);

    /// Sleeps until an interrupt arrives.
    ///
    /// The scheduler calls this with interrupts off when no fiber is ready. The function must turn
    /// interrupts on and sleep in one step (`sti; hlt`), so that an interrupt that arrived after
    /// the scheduler looked for ready fibers ends the sleep. It returns with interrupts on. It may
    /// return without a reason.
    ///
    /// # Context
    ///
    /// Called from: scheduler.
    fn idle(&self);

    /// Returns the number of the core on which the caller runs. It is the same in all code that
    /// runs on that core, and less than the number of the scheduler's cores where
    /// [`run`](crate::scheduler::Scheduler::run) is called.
    ///
    /// The default is `Core(0)`, for a scheduler with one core.
    ///
    /// # Context
    ///
    /// Called from: fiber, interrupt, scheduler, any core.
    fn core(&self) -> Core {
        Core(0)
    }

    /// Ends [`idle`](Self::idle) on a core of this scheduler, if the caller runs on another core or
    /// on another thread: it sends an interrupt to that core, whose handler need not do anything.
    /// An interrupt on the core itself ends `idle` anyway, so there is nothing to do with one core. On
    /// the bare machine without the feature `smp`, this is never called.
    ///
    /// # Context
    ///
    /// Called from: fiber, interrupt, scheduler, any core; with interrupts on or off.
    fn kick(&self, core: Core) {
        let _one_core = core;
    }

    /// Returns the time after a deadline at which the scheduler considers the timer dead, if
    /// [`timer_interrupt`](crate::scheduler::Scheduler::timer_interrupt) was not called by then.
    /// See [`LateTimer`](crate::scheduler::LateTimer).
    ///
    /// [`NEVER`] turns the check off, for platforms whose timer does not interrupt.
    ///
    /// # Context
    ///
    /// Called from: fiber, interrupt, scheduler.
    fn late_timer_limit(&self) -> Nanoseconds {
        100_000_000
    }

    /// Returns the function that is called before each switch, if there is one. It is the place to
    /// change CR3, TSS.rsp0, or the FS and GS bases.
    ///
    /// Without such a function a switch has no extra cost.
    fn switch_hook(&self) -> Option<SwitchHook> {
        None
    }
}

/// The interrupt flag of the current core. It is the processor's flag on the bare machine, and a
/// flag of the thread on a host.
pub(crate) mod interrupts {
    #[cfg(target_os = "linux")]
    pub(crate) use super::host::{are_enabled, disable, enable};
    #[cfg(not(target_os = "linux"))]
    pub(crate) use crate::instructions::{are_enabled, disable, enable};

    /// The bit in the [`flags`] that is set while interrupts are on.
    pub(crate) const FLAG: u32 = 1 << 9;

    /// Returns the processor's flags.
    #[cfg(not(target_os = "linux"))]
    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the upper half is reserved"
    )]
    pub(crate) fn flags() -> u32 {
        crate::instructions::flags() as u32
    }

    /// Returns the only flag that a thread has.
    #[cfg(target_os = "linux")]
    #[inline(always)]
    pub(crate) fn flags() -> u32 {
        if are_enabled() { FLAG } else { 0 }
    }
}
