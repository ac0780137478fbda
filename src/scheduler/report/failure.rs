//! What is known about a fiber that failed, for joiners, hooks and the list of fibers.

use super::registers::Registers;
use crate::scheduler::task::id::FiberId;
use core::fmt;
use core::panic::Location;

/// The reason why a fiber failed.
///
/// The data that it refers to lies on the fiber's stack, which is never used again and stays
/// readable permanently.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The fiber panicked.
    Panicked(Panic),
    /// The processor raised an exception at one of the fiber's instructions.
    Faulted(Fault),
    /// The fiber overflowed its stack, or its control block was overwritten. Its
    /// [`Overflow`](super::overflow::Overflow) was reported. The registers say where it was
    /// noticed.
    Overflowed(Registers),
}

/// What is kept of a panic.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Panic {
    /// The message. At most [`LENGTH`](Self::LENGTH) bytes of it are kept, up to the end of a
    /// character.
    pub message: &'static str,
    /// Where in the source the fiber panicked. On a host this is `None`, since only the panic hook
    /// is told the place.
    pub place: Option<Location<'static>>,
}

impl Panic {
    /// The number of bytes of a message that are kept.
    pub const LENGTH: usize = 256;
}

/// An exception as the processor raised it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The vector of the exception: 14 is a page fault.
    pub vector: u8,
    /// The error code that the processor pushed, or 0 for exceptions without one.
    pub error_code: u64,
    /// For a page fault, the address that was accessed, which is in CR2. Otherwise 0.
    pub address: u64,
    /// The address of the instruction.
    pub instruction: u64,
    /// The stack pointer at the instruction.
    pub stack_pointer: u64,
    /// Whether the instruction was one of user code, which the fiber had entered.
    pub is_in_user_mode: bool,
}

impl Fault {
    /// Returns the name of the exception in the manuals, and what it means.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.vector {
            0 => "#DE (division by zero, or its result is too large)",
            1 => "#DB (debug)",
            3 => "#BP (breakpoint)",
            4 => "#OF (overflow)",
            5 => "#BR (bound range exceeded)",
            6 => "#UD (invalid instruction)",
            7 => "#NM (no floating-point unit)",
            8 => "#DF (double fault)",
            10 => "#TS (invalid task state)",
            11 => "#NP (segment not present)",
            12 => "#SS (stack segment, or an address on the stack that is not canonical)",
            13 => "#GP (general protection, or an address that is not canonical)",
            14 => "#PF (page fault)",
            16 => "#MF (x87 floating point)",
            17 => "#AC (alignment check)",
            18 => "#MC (machine check)",
            19 => "#XM (SIMD floating point)",
            21 => "#CP (control protection)",
            _ => "an exception",
        }
    }
}

/// The report that a fiber failed.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct FiberFailed {
    /// The id of the fiber.
    pub id: FiberId,
    /// The name of the fiber, or an empty string if it has none.
    pub name: &'static str,
    /// What happened to the fiber.
    pub failure: Failure,
}

debug_is_display!(Failure);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(panic) => panic.fmt(f),
            Self::Faulted(fault) => fault.fmt(f),
            Self::Overflowed(Registers { rip, rsp, .. }) => {
                write!(f, "overflowed its stack at {rip:#x}, rsp {rsp:#x}")
            }
        }
    }
}

debug_is_display!(Panic);

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.message;
        match self.place {
            Some(place) => write!(f, "panicked at {place}: {message}"),
            None => write!(f, "panicked: {message}"),
        }
    }
}

debug_is_display!(Fault);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "faulted {}at {:#x}: {}, error code {:#x}",
            if self.is_in_user_mode {
                "in user mode "
            } else {
                ""
            },
            self.instruction,
            self.name(),
            self.error_code,
        )?;
        if self.vector == 14 {
            write!(f, ", address {:#x}", self.address)?;
        }
        write!(f, ", rsp {:#x}", self.stack_pointer)
    }
}

debug_is_display!(FiberFailed);

impl fmt::Display for FiberFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, failure } = self;
        writeln!(f, "fiber \"{name}\" ({id:?}) {failure}")?;
        write!(
            f,
            "  it has ended, and the others go on; its stack is never used again, and what it had locked to write is poisoned"
        )?;
        #[cfg(feature = "trace")]
        super::last_events::write_for_report(f, *id)?;
        Ok(())
    }
}
