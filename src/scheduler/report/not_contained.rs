//! Why a panic or a fault ends the kernel and not just a fiber.

use core::fmt;

/// Why a panic or a fault cannot end one fiber alone. The kernel should print it, and stop.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotContained {
    /// No fiber was running: boot code, the scheduler's own loop, or another mode of the processor.
    NotInFiber,
    /// The fiber was just yielding, waiting or ending: the queues are half-changed.
    InsideScheduler,
    /// Interrupts were off: an interrupt handler, an [`IrqMutex`](crate::sync::IrqMutex), or a critical section.
    InterruptsOff,
    /// In [`without_waiting`](crate::scheduler::without_waiting): others may spin on a lock for ever.
    WaitingForbidden,
    /// The fiber was being ended already, because of an earlier panic or fault.
    FailedTwice,
    /// The stack pointer is in the stack of another fiber, which is damaged.
    StackOfAnother,
    /// The exception does not come from an instruction of the fiber's, so it is none of its doing.
    NotByTheFiber,
    /// The scheduler has no hooks, so nobody would be told.
    NoHooks,
}

debug_is_display!(NotContained);

impl fmt::Display for NotContained {
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

impl core::error::Error for NotContained {}
