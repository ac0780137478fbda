//! The registers with which a backtrace begins, of code that was interrupted or that failed.

use core::fmt;

/// The three registers that say where code is executing and in which frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Registers {
    /// The address of the instruction that failed, or of the next one to be executed.
    pub rip: u64,
    /// The stack pointer.
    pub rsp: u64,
    /// The frame pointer, if the code has one.
    pub rbp: u64,
}

impl fmt::Display for Registers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rip, rsp, rbp } = self;
        write!(f, "rip={rip:#x} rsp={rsp:#x} rbp={rbp:#x}")
    }
}

debug_is_display!(Registers);
