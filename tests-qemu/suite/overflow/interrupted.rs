//! An interrupt handler that wakes a fiber while a fiber that overflowed its stack is ended.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kfiber::{
    scheduler::{Failure, FiberCell, GuardedFiberPool, JoinErrorKind, Unparker, park},
    stack::{PAGE_SIZE, Storage, guard},
    sync::IrqMutex,
};
use tests_qemu::{
    exceptions::{self, TrapFrame},
    kernel_test,
    paging::{FramePool, table},
};
use x86_64::VirtAddr;

use super::{DEBUG, PAGE_FAULT, on_exception, watch_out, ways};
use crate::scheduler::{SCHEDULER, run_until_idle};

/// The trap flag in RFLAGS: an exception after each instruction.
const SINGLE_STEP: u64 = 1 << 8;
const INTERRUPTS_ON: u64 = 1 << 9;

/// Each fiber that overflows takes its cell along.
static POOL: GuardedFiberPool<{ 4 * PAGE_SIZE }, 24> = GuardedFiberPool::new();
static SLEEPER: FiberCell<{ 16 * 1024 }> = FiberCell::new();

/// At which instruction after the overflow the interrupt comes, if interrupts are on there.
static AT: AtomicU64 = AtomicU64::new(0);
static INSTRUCTIONS: AtomicU64 = AtomicU64::new(0);
/// Whether nothing more is to be counted before the next overflow.
static IS_COUNTED: AtomicBool = AtomicBool::new(false);
static INTERRUPTS: AtomicU64 = AtomicU64::new(0);
static SLEEPER_WAITS: IrqMutex<Option<Unparker>> = IrqMutex::new(None);
static IS_OVER: AtomicBool = AtomicBool::new(false);

fn overflowed(frame: &mut TrapFrame) {
    on_exception(frame);
    INSTRUCTIONS.store(0, Ordering::Relaxed);
    IS_COUNTED.store(false, Ordering::Relaxed);
    frame.rflags |= SINGLE_STEP;
}

fn after_instruction(frame: &mut TrapFrame) {
    if IS_COUNTED.load(Ordering::Relaxed) {
        frame.rflags &= !SINGLE_STEP;
        return;
    }
    let is_late = INSTRUCTIONS.fetch_add(1, Ordering::Relaxed) >= AT.load(Ordering::Relaxed);
    if is_late && frame.rflags & INTERRUPTS_ON != 0 {
        frame.rflags &= !SINGLE_STEP;
        INTERRUPTS.fetch_add(1, Ordering::Relaxed);
        let sleeper = SLEEPER_WAITS.lock().expect("it waits");
        sleeper.unpark();
    }
}

kernel_test! {
    /// The sleeper is made ready in the middle of whatever the scheduler does to end the other one.
    fn a_wake_up_at_any_instruction_while_a_fiber_ends_by_overflow_harms_nobody() {
        watch_out();
        exceptions::hook(PAGE_FAULT, overflowed);
        exceptions::hook(DEBUG, after_instruction);
        for cell in POOL.stacks() {
            // SAFETY: the only use of the table in this call.
            let mut table = unsafe { table() };
            let level_4 = table.level_4_table_mut();
            // SAFETY: all memory is mapped one to one; nobody uses a guard's memory.
            let unmapped = unsafe {
                guard::unmap(cell.storage_bounds(), level_4, VirtAddr::zero(), &mut FramePool)
            };
            unmapped.expect("frames are left");
        }
        let sleeper = SCHEDULER.builder().name("sleeper").spawn(&SLEEPER, || {
            let mut wake_ups = 0;
            while !IS_OVER.load(Ordering::Relaxed) {
                park().expect("nobody cancels it");
                wake_ups += 1;
            }
            wake_ups
        });
        let sleeper = sleeper.expect("free");
        *SLEEPER_WAITS.lock() = Some(sleeper.unparker());
        // Nothing interrupts the first, so that it tells how many instructions an end takes. The
        // others are interrupted at places that are spread evenly over these.
        let interrupted = POOL.stacks().len() as u64 - 1;
        let mut instructions = 0;
        for round in 0..=interrupted {
            let at = round.checked_sub(1).map(|before| instructions * before / interrupted);
            AT.store(at.unwrap_or(u64::MAX), Ordering::Relaxed);
            IS_OVER.store(round == interrupted, Ordering::Relaxed);
            let deep = SCHEDULER.builder().name("deep").spawn(&POOL, || {
                ways::recurse(0);
            });
            let deep = deep.expect("a cell is free");
            run_until_idle();
            if round == 0 {
                instructions = INSTRUCTIONS.load(Ordering::Relaxed);
                IS_COUNTED.store(true, Ordering::Relaxed);
            }
            let error = deep.try_join().map(|()| "returned").expect_err("it did not return");
            assert!(
                matches!(error.kind, JoinErrorKind::Failed(Failure::Overflowed(_))),
                "interrupted at instruction {}: {error}", AT.load(Ordering::Relaxed)
            );
        }
        let interrupts = INTERRUPTS.load(Ordering::Relaxed);
        assert_eq!(sleeper.try_join().expect("it has ended"), interrupts);
        assert_eq!(interrupts, interrupted);
    }
}
