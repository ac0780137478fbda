//! How an interrupt or an exception enters and leaves: the frame, the stub that fills it, and the
//! stub's unwind rules.

mod entry;
mod short;
mod unwind;

#[cfg(feature = "x86_64")]
pub(crate) use entry::interrupt_entry;

use core::fmt;
use core::mem::offset_of;

/// The registers of the code that an interrupt or an exception has interrupted.
///
/// [`interrupt_entry!`](crate::interrupt_entry) makes functions that fill this frame, pass it to a
/// handler, and return with what it contains then. What a handler changes here is therefore what
/// the interrupted code continues with.
///
/// The segment registers other than `cs` and `ss`, the floating-point registers and CR2 are not in
/// the frame.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of registers say what they are")]
pub struct TrapFrame {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rax: u64,
    /// The vector of the entry, as it was given to [`interrupt_entry!`](crate::interrupt_entry), or
    /// [`NO_VECTOR`](Self::NO_VECTOR).
    pub vector: u64,
    /// The error code that the processor pushed, or 0 for vectors without one.
    pub error_code: u64,
    pub rip: u64,
    /// The code segment. Its low two bits are the privilege level.
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

// The stub pushes the registers in this order, and its unwind rules depend on the offsets.
const _: () = assert!(offset_of!(TrapFrame, rax) == 14 * 8);
const _: () = assert!(offset_of!(TrapFrame, vector) == 15 * 8);
const _: () = assert!(offset_of!(TrapFrame, rip) == 17 * 8);
// The processor aligns the stack before it pushes, so the handler's stack is aligned as well.
const _: () = assert!(size_of::<TrapFrame>() == 22 * 8 && size_of::<TrapFrame>() & 15 == 0);

impl TrapFrame {
    /// The `vector` of an entry that was given none.
    pub const NO_VECTOR: u64 = 256;

    /// Returns whether user code was interrupted, that is, code with less privilege than the
    /// kernel's.
    #[must_use]
    pub const fn is_from_user_mode(&self) -> bool {
        self.cs & 3 != 0
    }
}

impl fmt::Display for TrapFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            [
                ("rax", self.rax),
                ("rbx", self.rbx),
                ("rcx", self.rcx),
                ("rdx", self.rdx),
            ],
            [
                ("rsi", self.rsi),
                ("rdi", self.rdi),
                ("rbp", self.rbp),
                ("rsp", self.rsp),
            ],
            [
                ("r8 ", self.r8),
                ("r9 ", self.r9),
                ("r10", self.r10),
                ("r11", self.r11),
            ],
            [
                ("r12", self.r12),
                ("r13", self.r13),
                ("r14", self.r14),
                ("r15", self.r15),
            ],
        ];
        for [a, b, c, d] in named {
            writeln!(
                f,
                "{}={:016x} {}={:016x} {}={:016x} {}={:016x}",
                a.0, a.1, b.0, b.1, c.0, c.1, d.0, d.1
            )?;
        }
        let Self {
            rip,
            rflags,
            cs,
            ss,
            error_code,
            ..
        } = self;
        write!(
            f,
            "rip={rip:016x} rflags={rflags:08x} cs={cs:04x} ss={ss:04x} error={error_code:x}"
        )
    }
}

/// Returns whether the processor pushes an error code for this vector (Intel SDM, volume 3, table
/// 6-1; AMD APM, volume 2, 8.2).
///
/// Only for [`interrupt_entry!`](crate::interrupt_entry).
#[doc(hidden)]
#[must_use]
pub const fn has_error_code(vector: u64) -> bool {
    matches!(vector, 8 | 10..=14 | 17 | 21 | 29 | 30)
}

/// Returns 0, and does not compile for a vector with an error code.
///
/// Only for [`interrupt_entry!`](crate::interrupt_entry).
#[doc(hidden)]
#[must_use]
pub const fn no_error_code(vector: u64) -> u8 {
    assert!(
        !has_error_code(vector),
        "the processor pushes an error code for this vector, so the handler must take the frame"
    );
    0
}
