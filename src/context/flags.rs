//! The policy for RFLAGS: no flag belongs to a fiber, and the flags that matter are the same on
//! both sides of a switch.
//!
//! A switch neither saves nor restores RFLAGS. Saving them would cost as much as the switch itself.
//! Restoring them would also hide a bug: a fiber that once suspended with interrupts off would come
//! back with interrupts off. Instead, a resume and the suspension that answers it follow the same
//! rules as a call and its return:
//!
//! | flag | rule at a switch | why |
//! |---|---|---|
//! | DF, direction | clear | the ABI has it clear at every call and return; string instructions rely on it |
//! | AC, alignment check | as the resumer had it | with SMAP it lets the kernel access user memory, so it must not leak |
//! | IF, interrupts | as the resumer had it | otherwise the next fiber would run with interrupts off for ever, or with interrupts on where they must be off |
//! | NT, nested task | clear | `iret` faults when it is set |
//! | TF, trap | unrestricted | a debugger single-steps through switches |
//! | status flags | lost | no code may rely on them across a call |
//!
//! The first entry of a fiber clears DF. With debug assertions on, every resume and every suspend
//! checks the rules and panics with the name of the flag. Without debug assertions there is no
//! check, and a fiber that breaks a rule leaks the flag into the code that runs next.

use crate::instructions::{self, ALIGNMENT_CHECK, DIRECTION_FLAG, INTERRUPT_FLAG, NESTED_TASK};

/// The flags that must be the same before a resume and after the suspension that answers it.
const KEPT: u64 = INTERRUPT_FLAG | ALIGNMENT_CHECK;

/// The flags at the start of a resume. See the [module documentation](self).
#[derive(Clone, Copy, Debug)]
pub struct Flags(u64);

impl Flags {
    /// Reads the flags and checks those that must be clear at a switch.
    ///
    /// # Panics
    ///
    /// Panics if the direction flag or the nested-task flag is set. The direction flag is cleared
    /// before the panic, because the code that prints the message relies on it.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler. Blocks: nothing.
    #[track_caller]
    #[must_use]
    pub fn check() -> Self {
        if cfg!(miri) {
            return Self(0); // an interpreter has none
        }
        let flags = instructions::flags();
        if flags & DIRECTION_FLAG != 0 {
            // SAFETY: clearing DF restores what the ABI says holds here anyway; nothing else is touched.
            unsafe { core::arch::asm!("cld", options(nomem, nostack)) };
            panic!(
                "switch with the direction flag set: clear it (`cld`) before you suspend or resume"
            );
        }
        assert!(
            flags & NESTED_TASK == 0,
            "switch with the nested-task flag set: the next `iret` would fault"
        );
        Self(flags & KEPT)
    }

    /// Checks that the flags are the same as at the start of the resume.
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
            changed & INTERRUPT_FLAG == 0,
            "the fiber came back with interrupts {}: it must leave them as it found them",
            if self.0 & INTERRUPT_FLAG != 0 {
                "off"
            } else {
                "on"
            }
        );
        assert!(
            changed & ALIGNMENT_CHECK == 0,
            "the fiber came back with the alignment-check flag changed: it must leave it as it found it"
        );
    }
}
