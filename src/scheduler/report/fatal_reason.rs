//! The reasons why a panic or a fault ends the kernel and not just a fiber.

use core::fmt;

/// The reason why a panic or a fault cannot end one fiber alone. The kernel should print it and
/// stop.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FatalReason {
    /// No fiber was running, but boot code, the scheduler's own loop, or code at another privilege
    /// level.
    NotInFiber,
    /// The fiber was yielding, waiting or ending at that moment, so the queues are half-changed.
    InsideScheduler,
    /// Interrupts were off, as in an interrupt handler, under an
    /// [`IrqMutex`](crate::sync::IrqMutex), or in a critical section.
    InterruptsOff,
    /// The fiber was in [`without_waiting`](crate::scheduler::without_waiting), so others may spin
    /// on a lock for ever.
    WaitingForbidden,
    /// The fiber was being ended already, because of an earlier panic or fault.
    FailedTwice,
    /// The stack pointer is in the stack of another fiber, which is damaged.
    StackOfAnother,
    /// The exception was not caused by an instruction of the fiber.
    NotByTheFiber,
    /// The scheduler has no hooks, so nobody would be told.
    NoHooks,
}

debug_is_display!(FatalReason);

impl fmt::Display for FatalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotInFiber => "no fiber was running that could be ended instead of the kernel",
            Self::InsideScheduler => {
                "it came from inside the scheduler: look at the platform's functions and at stack sizes"
            }
            Self::InterruptsOff => {
                "interrupts were off: it came from an interrupt handler, or the fiber held what others would wait for"
            }
            Self::WaitingForbidden => {
                "it came from within `without_waiting`: a lock may be held that others spin on"
            }
            Self::FailedTwice => {
                "the fiber was being ended already: a hook, or the `Display` of the panic's message, failed"
            }
            Self::StackOfAnother => {
                "the stack pointer is in another fiber's stack, which is damaged: give the fiber a larger stack, and a guard"
            }
            Self::NotByTheFiber => "the exception was not caused by an instruction of the fiber",
            Self::NoHooks => {
                "call `Scheduler::set_hooks` first: without hooks a failing fiber ends the kernel"
            }
        })
    }
}

impl core::error::Error for FatalReason {}
