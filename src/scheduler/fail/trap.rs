//! Decides what an exception means: an overflow of a fiber's stack, or something else.

use crate::instructions::{self, INTERRUPT_FLAG};
use crate::scheduler::cpu::current;
use crate::scheduler::report::neighbour::Part;
use crate::scheduler::report::overflow::{Detector, Overflow};
use crate::scheduler::report::registers::Registers;
use crate::scheduler::run_loop::RunLoop;
use crate::scheduler::run_loop::suspicion::finds_its_stack;
use crate::scheduler::task::header::Header;
use crate::stack::{StackBounds, canary_address};
use crate::trap::TrapFrame;

/// Vectors of exceptions (Intel SDM, volume 3, table 6-1).
const DEBUG: u64 = 1;
pub(crate) const DOUBLE_FAULT: u64 = 8;
pub(crate) const PAGE_FAULT: u64 = 14;
/// The bit in the error code of a page fault that says that the page was present, but did not
/// permit the access (Intel SDM, volume 3, 4.7).
const IS_PRESENT: u64 = 1;
/// How far from the stack pointer code that uses its stack may fault. This is one page, which is
/// the step of the compiler's probes.
const REACH: usize = crate::stack::PAGE_SIZE;

/// Returns the address that an exception is about: what CR2 holds for `#PF` and `#DF`, and the address
/// of the watchpoint that was hit for `#DB`. It is 0 for all others.
pub(crate) fn address_of(frame: &TrapFrame) -> u64 {
    match frame.vector {
        #[cfg(feature = "x86_64")]
        DEBUG => super::watch::hit(),
        DOUBLE_FAULT | PAGE_FAULT => instructions::page_fault_address(),
        _ => 0,
    }
}

impl RunLoop {
    /// Returns the overflow if the running fiber of this loop overflowed its stack. Writes nothing
    /// and takes no lock.
    ///
    /// It reads only control blocks and the fiber's own stack, whatever the exception says. In
    /// particular it does not read where the stack pointer is, because memory may be missing there.
    pub(crate) fn classify(&self, trap: &TrapFrame, address: u64) -> Option<Overflow> {
        let fiber = current::get();
        // User code has a stack of its own, which is not the fiber's.
        if fiber.is_null() || !self.is_entered() || trap.is_from_user_mode() {
            return None;
        }
        // SAFETY: the fiber that runs is alive; cells stay for good.
        let header = unsafe { &*fiber };
        // SAFETY: it has a fiber.
        let stack = unsafe { Header::stack(header) };
        let address = usize::try_from(address).ok()?;
        let sp = usize::try_from(trap.rsp).ok()?;
        let bottom = stack.bottom().addr();
        let (detector, address, damaged) = match trap.vector {
            DEBUG if address == canary_address(stack) => {
                let lowest = sp.min(address);
                let damaged = (lowest < bottom)
                    .then(|| self.team().all.neighbour_below(lowest..bottom, fiber))
                    .flatten();
                (Detector::Watchpoint, lowest, damaged)
            }
            // SAFETY: it has a fiber.
            _ if !stack.contains(sp) && !unsafe { finds_its_stack(fiber) } => {
                (Detector::SavedStackPointer, sp, None)
            }
            PAGE_FAULT if trap.error_code & IS_PRESENT != 0 => return None,
            PAGE_FAULT | DOUBLE_FAULT if stack.guard().contains(&address) => {
                (Detector::Guard, address, None)
            }
            PAGE_FAULT | DOUBLE_FAULT => {
                let at = self.team().all.neighbour_at(address, fiber);
                if let Some(of_another) = at.filter(|at| at.part == Part::Guard) {
                    (Detector::GuardOfAnother, address, Some(of_another))
                } else if sp < bottom
                    && address.abs_diff(sp) <= REACH
                    && self.is_where_an_overflow_leads(sp, stack, fiber)
                {
                    (
                        Detector::StackPointer,
                        sp,
                        self.team().all.neighbour_below(sp..bottom, fiber),
                    )
                } else {
                    return None;
                }
            }
            _ => return None,
        };
        let registers = Registers {
            rip: trap.rip,
            rsp: trap.rsp,
            rbp: trap.rbp,
        };
        // SAFETY: it has a fiber, which runs on this core.
        let overflow = unsafe { Overflow::new(header, detector, address, registers) };
        Some(Overflow {
            with_interrupts_off: trap.rflags & INTERRUPT_FLAG == 0,
            damaged,
            ..overflow
        })
    }

    /// Returns whether a stack pointer that faulted below the fiber's stack is there because of an
    /// overflow: it is in the memory of another fiber, or next to its own stack. Further away it
    /// may be on the stack of a [`Fiber`](crate::fiber::Fiber) that the scheduled fiber has
    /// resumed.
    fn is_where_an_overflow_leads(
        &self,
        sp: usize,
        stack: StackBounds,
        fiber: *const Header,
    ) -> bool {
        let neighbour = self.team().all.neighbour_at(sp, fiber);
        neighbour.is_some_and(|at| at.part != Part::Guard)
            || stack.guard().start.saturating_sub(sp) <= REACH
    }
}
