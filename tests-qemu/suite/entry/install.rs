//! The table of handlers that a kernel gets by one call: what it contains, what is fatal, and on which stacks.

use core::{
    arch::asm,
    sync::atomic::{AtomicU64, Ordering},
};

use kfiber::exceptions::{self, ExceptionStacks, TrapFrame};
use kfiber::scheduler::{Failure, FatalReason, without_waiting};
use kfiber::stack::guard;
use kfiber::sync::IrqMutex;
use tests_qemu::{kernel_test, println, run};
use x86_64::structures::idt::InterruptDescriptorTable;

use super::{
    BYTES, GUARDED, REPORTS, SCHEDULER, failure_among_others, run, unmap_guards, use_up_the_stack,
};

/// The table of these tests: the harness' own stays behind it for what is to end the run.
static IDT: IrqMutex<InterruptDescriptorTable> = IrqMutex::new(InterruptDescriptorTable::new());
static EXPECTED: IrqMutex<Option<FatalReason>> = IrqMutex::new(None);
/// The vector for which it is expected.
static VECTOR: AtomicU64 = AtomicU64::new(0);

/// Stacks of the harness: for `#DF`, `#PF`, `#DB`, others.
const STACKS: ExceptionStacks = ExceptionStacks::new(0, 4, 3);
const OTHERS: u16 = 5;

/// Loads a table with handlers of kfiber's, and nothing else.
pub(super) fn with_handlers(has_stack: bool) {
    SCHEDULER.set_hooks(&REPORTS).expect("they are the first");
    load(if has_stack {
        STACKS.with_others(OTHERS)
    } else {
        STACKS
    });
}

fn load(stacks: ExceptionStacks) {
    let mut idt = IDT.lock();
    // SAFETY: the harness' task state segment has these stacks; the hooks lock nothing that is held here.
    unsafe { exceptions::install(&mut idt, stacks, on_fatal) };
    // SAFETY: the table is in a static, and is changed only here.
    unsafe { idt.load_unsafe() };
}

fn on_fatal(frame: &TrapFrame, why: FatalReason) -> ! {
    println!("fatal: {why}\n{frame}");
    let expected = EXPECTED.try_lock().and_then(|expected| *expected);
    if (expected, VECTOR.load(Ordering::Relaxed)) == (Some(why), frame.vector) {
        run::pass();
    }
    run::fail(format_args!("vector {} was fatal: {why}", frame.vector));
}

fn expect_fatal(vector: u64, why: FatalReason) {
    VECTOR.store(vector, Ordering::Relaxed);
    *EXPECTED.lock() = Some(why);
}

fn invalid_opcode() {
    // SAFETY: the exception is what is wanted.
    unsafe { asm!("ud2") };
}

/// Has a fiber use up its stack, which has a guard.
fn overflow() {
    unmap_guards();
    let fiber = SCHEDULER.builder().name("deep").spawn(&GUARDED, || {
        use_up_the_stack();
    });
    let failure = failure_among_others(invalid_opcode);
    assert!(matches!(failure, Failure::Faulted(_)), "{failure}");
    let told = fiber
        .expect("a cell is free")
        .try_join()
        .expect_err("it did not return");
    println!("{told}");
    assert!(matches!(
        told.kind,
        kfiber::scheduler::JoinErrorKind::Failed(Failure::Overflowed(_))
    ));
}

kernel_test! {
    fn two_calls_contain_a_fault_and_name_an_overflow() {
        with_handlers(false);
        // SAFETY: the table that was just loaded.
        assert_eq!(unsafe { guard::check_exception_stacks(&[1, 8, 14]) }, Ok(()));
        overflow();
        assert!(BYTES.load(Ordering::Relaxed) > 200, "both were printed");
    }

    /// The page fault cannot be pushed, so that a double fault comes, and that has a stack.
    fn an_overflow_is_contained_by_a_double_fault_as_well() {
        with_handlers(false);
        {
            let mut idt = IDT.lock();
            let handler = idt.page_fault.handler_addr();
            // SAFETY: the same handler, without a stack of its own.
            unsafe { idt.page_fault.set_handler_addr(handler) };
        }
        overflow();
    }

    fn a_fault_outside_of_fibers_is_fatal() {
        with_handlers(false);
        expect_fatal(6, FatalReason::NotInFiber);
        invalid_opcode();
    }

    fn a_fault_with_interrupts_off_is_fatal() {
        with_handlers(false);
        expect_fatal(6, FatalReason::InterruptsOff);
        let fiber = SCHEDULER.spawn(&super::CELLS, || {
            x86_64::instructions::interrupts::disable();
            invalid_opcode();
        });
        fiber.expect("a cell is free").detach();
        run();
        run::fail(format_args!("survived"));
    }

    fn a_fault_where_waiting_is_forbidden_is_fatal() {
        with_handlers(false);
        expect_fatal(6, FatalReason::WaitingForbidden);
        let fiber = SCHEDULER.spawn(&super::CELLS, || without_waiting(invalid_opcode));
        fiber.expect("a cell is free").detach();
        run();
        run::fail(format_args!("survived"));
    }

    fn an_overflow_with_interrupts_off_is_named_and_fatal() {
        with_handlers(false);
        unmap_guards();
        expect_fatal(14, FatalReason::InterruptsOff);
        let fiber = SCHEDULER.spawn(&GUARDED, || {
            x86_64::instructions::interrupts::disable();
            use_up_the_stack();
        });
        fiber.expect("a cell is free").detach();
        run();
        run::fail(format_args!("survived"));
    }

    fn a_fault_without_hooks_is_fatal() {
        load(STACKS);
        expect_fatal(6, FatalReason::NoHooks);
        SCHEDULER.spawn(&super::CELLS, invalid_opcode).expect("a cell is free").detach();
        run();
        run::fail(format_args!("survived"));
    }

    fn an_overflow_without_hooks_is_fatal() {
        load(STACKS);
        unmap_guards();
        expect_fatal(14, FatalReason::NoHooks);
        let fiber = SCHEDULER.spawn(&GUARDED, use_up_the_stack);
        fiber.expect("a cell is free").detach();
        run();
        run::fail(format_args!("survived"));
    }

    /// An interrupt whose gate is not present cannot be delivered, and neither can the `#NP` that says so.
    fn a_double_fault_that_is_no_overflow_is_fatal() {
        with_handlers(false);
        expect_fatal(8, FatalReason::NotByTheFiber);
        let fiber = SCHEDULER.spawn(&super::CELLS, || {
            IDT.lock().segment_not_present = x86_64::structures::idt::Entry::missing();
            // SAFETY: the exception is what is wanted.
            unsafe { asm!("int 40") };
        });
        fiber.expect("a cell is free").detach();
        run();
        run::fail(format_args!("survived"));
    }

    fn a_double_fault_shares_its_stack_with_nobody() panics("a stack that no other exception uses") {
        load(ExceptionStacks::new(0, 0, 3));
    }
}
