//! The policy for RFLAGS: no flag belongs to a fiber, and none may differ from one side of a switch to the other.
//!
//! A switch neither saves nor restores RFLAGS: that costs as much as the switch itself, and a fiber that came back with
//! interrupts off because it once left that way is a bug that hides. Instead, for the fiber layer a resume and the
//! suspension that answers it are like a call and its return:
//!
//! | flag | rule at a switch | why |
//! |---|---|---|
//! | DF, direction | clear | the ABI has it clear at every call and return; string instructions rely on it |
//! | AC, alignment check | as the resumer had it | with SMAP it opens user memory to the kernel: it must not leak |
//! | IF, interrupts | as the resumer had it | the next fiber would run deaf for ever, or interruptible where it must not be |
//! | NT, nested task | clear | `iret` faults when it is set |
//! | TF, trap | free | a debugger steps through switches |
//! | status flags | lost | no code may rely on them across a call |
//!
//! A fiber's first entry clears DF. With debug assertions on, every resume and every suspend checks the rules and
//! panics with the name of the flag; without them the check is gone, and a fiber that breaks a rule leaks the flag
//! into whoever runs next.

use x86_64::registers::rflags::{self, RFlags};

/// The flags that must be the same before a resume and after the suspension that answers it.
const KEPT: RFlags = RFlags::INTERRUPT_FLAG.union(RFlags::ALIGNMENT_CHECK);

/// The flags as they were when a resume began. See the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct Flags(RFlags);

impl Flags {
    /// Reads the flags and checks those that must be clear at a switch.
    ///
    /// # Panics
    ///
    /// Panics if the direction flag or the nested-task flag is set. The direction flag is cleared first, because
    /// the code that prints the message relies on it.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler. Blocks: nothing.
    #[track_caller]
    #[must_use]
    pub fn check() -> Self {
        if cfg!(miri) {
            return Self(RFlags::empty()); // an interpreter has none
        }
        let flags = rflags::read();
        if flags.contains(RFlags::DIRECTION_FLAG) {
            // SAFETY: clearing DF restores what the ABI says holds here anyway; nothing else is touched.
            unsafe { core::arch::asm!("cld", options(nomem, nostack)) };
            panic!(
                "switch with the direction flag set: clear it (`cld`) before you suspend or resume"
            );
        }
        assert!(
            !flags.contains(RFlags::NESTED_TASK),
            "switch with the nested-task flag set: the next `iret` would fault"
        );
        Self(flags & KEPT)
    }

    /// Checks that the flags are again as they were when the resume began.
    ///
    /// # Panics
    ///
    /// Panics if the interrupt flag or the alignment-check flag differs.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler. Blocks: nothing.
    #[track_caller]
    pub fn check_unchanged(self) {
        let changed = Self::check().0 ^ self.0;
        assert!(
            !changed.contains(RFlags::INTERRUPT_FLAG),
            "the fiber came back with interrupts {}: it must leave them as it found them",
            if self.0.contains(RFlags::INTERRUPT_FLAG) {
                "off"
            } else {
                "on"
            }
        );
        assert!(
            !changed.contains(RFlags::ALIGNMENT_CHECK),
            "the fiber came back with the alignment-check flag changed: it must leave it as it found it"
        );
    }
}
