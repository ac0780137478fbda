//! What only your kernel has and a scheduler needs: a clock, a timer, and a way to sleep.
//!
//! `BareX86_64` serves a kernel on the bare machine, given a clock and a timer; `Host` serves `cargo test` on Linux,
//! with a clock that jumps, so that a test of an hour's sleep takes no time.

#[cfg(target_os = "none")]
mod bare;
#[cfg(not(target_os = "none"))]
mod host;

#[cfg(target_os = "none")]
pub use bare::{BareX86_64, Timer};
#[cfg(not(target_os = "none"))]
pub use host::Host;

/// Nanoseconds since some moment that stays the same while the kernel runs.
pub type Nanoseconds = u64;

/// The end of time: a deadline that never comes.
pub const NEVER: Nanoseconds = Nanoseconds::MAX;

/// Called before a switch, with an address within the stack that is left and one within the stack that is entered; null is
/// the scheduler's own.
pub type SwitchHook = fn(prev: *const u8, next: *const u8);

/// What a kernel lends to a [`Scheduler`](crate::scheduler::Scheduler).
///
/// # Safety
///
/// - [`idle`](Self::idle) loses no interrupt: see there.
/// - **P1**: code that runs with interrupts on is not in an interrupt handler, as far as it calls functions of this crate
///   that are not marked as callable from one. (A handler may turn interrupts on for others, but not call those.)
pub unsafe trait Platform: Sync {
    /// Returns the time. It never goes back.
    ///
    /// # Context
    ///
    /// Called from: fiber, scheduler, with interrupts on or off.
    fn now(&self) -> Nanoseconds;

    /// Asks for an interrupt at `deadline`, or at once if that has passed; [`NEVER`] asks for none. It replaces what was
    /// asked for before. The handler then calls [`timer_interrupt`](crate::scheduler::Scheduler::timer_interrupt).
    ///
    /// # Context
    ///
    /// Called from: fiber, scheduler, with interrupts on or off.
    fn set_timer(&self, deadline: Nanoseconds);

    /// Sleeps until an interrupt came. Called with interrupts off by a scheduler that found nothing to do; turns them on
    /// and sleeps as one step (`sti; hlt`), so that one which arrived since the scheduler looked ends the sleep; returns
    /// with them on. It may return for no reason.
    ///
    /// # Context
    ///
    /// Called from: scheduler.
    fn idle(&self);

    /// Ends [`idle`](Self::idle) on the core that runs this scheduler, if the caller is elsewhere: on another core, another
    /// thread. An interrupt on that core ends it anyway, so with one core there is nothing to do.
    ///
    /// # Context
    ///
    /// Called from: fiber, interrupt, any core.
    fn kick(&self) {}

    /// How long after a deadline the scheduler takes the timer for dead, if
    /// [`timer_interrupt`](crate::scheduler::Scheduler::timer_interrupt) was not called: see
    /// [`LateTimer`](crate::scheduler::LateTimer). [`NEVER`] turns this off, for platforms whose timer does not interrupt.
    ///
    /// # Context
    ///
    /// Called from: fiber, interrupt, scheduler.
    fn late_timer_limit(&self) -> Nanoseconds {
        100_000_000
    }

    /// What is called before each switch, if anything: the place to change CR3, TSS.rsp0, or the FS and GS bases.
    ///
    /// Without one, a switch costs nothing for it.
    fn switch_hook(&self) -> Option<SwitchHook> {
        None
    }
}

/// The interrupt flag of this core: the processor's on the bare machine, a thread's own stand-in on a host.
pub(crate) mod interrupts {
    #[cfg(not(target_os = "none"))]
    pub(crate) use super::host::{are_enabled, disable, enable};
    #[cfg(target_os = "none")]
    pub(crate) use x86_64::instructions::interrupts::{are_enabled, disable, enable};
}
