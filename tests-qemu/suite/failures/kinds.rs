//! The ways in which a fiber fails.

use core::{arch::asm, hint::black_box};

use kfiber::scheduler::Failure;

/// A way to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Panic,
    Division,
    InvalidInstruction,
    /// Handled on the fiber's own stack; the others have one for them.
    Breakpoint,
    GeneralProtection,
    PageFault,
    JumpToNowhere,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Panic,
        Self::Division,
        Self::InvalidInstruction,
        Self::Breakpoint,
        Self::GeneralProtection,
        Self::PageFault,
        Self::JumpToNowhere,
    ];

    /// Fails.
    #[inline(never)]
    pub(crate) fn fail(self) -> ! {
        const NOT_CANONICAL: u64 = 1 << 63;
        match self {
            Self::Panic => panic!("out of cheese, {} times", black_box(3)),
            // SAFETY: the exceptions are what is wanted; whoever handles them does not come back.
            Self::Division => unsafe {
                asm!("xor ecx, ecx", "div ecx", out("ecx") _, inout("eax") 1 => _, inout("edx") 0 => _);
            },
            // SAFETY: as above.
            Self::InvalidInstruction => unsafe { asm!("ud2") },
            // SAFETY: as above.
            Self::Breakpoint => unsafe { asm!("int3") },
            // SAFETY: as above.
            Self::GeneralProtection => unsafe {
                asm!("mov {0}, [{0}]", inout(reg) NOT_CANONICAL => _);
            },
            // SAFETY: as above.
            Self::PageFault => unsafe { asm!("mov {0}, [{0}]", inout(reg) 8_u64 => _) },
            // SAFETY: as above.
            Self::JumpToNowhere => unsafe { asm!("jmp {}", in(reg) 16_u64) },
        }
        unreachable!("{self:?} was survived")
    }

    /// What is to be known of it.
    #[track_caller]
    pub(crate) fn check(self, failure: &Failure) {
        let fault = match failure {
            Failure::Panicked(panic) => {
                assert_eq!(self, Self::Panic);
                assert_eq!(panic.message, "out of cheese, 3 times");
                let place = panic.place.expect("known");
                assert!(place.file().ends_with("failures/kinds.rs"), "{place}");
                return;
            }
            Failure::Faulted(fault) => fault,
            other => panic!("{other:?}"),
        };
        let (vector, address) = match self {
            Self::Panic => panic!("a panic was taken for {failure}"),
            Self::Division => (0, 0),
            Self::InvalidInstruction => (6, 0),
            Self::Breakpoint => (3, 0),
            Self::GeneralProtection => (13, 0),
            Self::PageFault => (14, 8),
            Self::JumpToNowhere => (14, 16),
        };
        assert_eq!(
            (fault.vector, fault.address),
            (vector, address),
            "{failure}"
        );
        if self == Self::JumpToNowhere {
            assert_eq!(fault.instruction, 16);
        } else {
            let function = Self::fail as *const () as u64;
            assert!(
                (function..function + 0x1000).contains(&fault.instruction),
                "{failure}, but the function is at {function:#x}"
            );
        }
    }
}
