//! Descriptor tables for kernels that have none: a core that loads them contains what goes wrong.

use core::sync::atomic::{AtomicU64, Ordering};
use core::{arch::asm, ptr};

use kfiber::exceptions::{Tables, TrapFrame};
use kfiber::scheduler::{Failure, FatalReason, JoinErrorKind, yield_now};
use kfiber::stack::guard;
use tests_qemu::{kernel_test, println, run};
use x86_64::instructions::tables::{sgdt, sidt};
use x86_64::structures::DescriptorTablePointer;

use super::{GUARDED, REPORTS, SCHEDULER, failure_among_others, unmap_guards, use_up_the_stack};

const INTERRUPT: u8 = 77;
const STACK_BYTES: usize = 64 * 1024;

static TABLES: Tables<STACK_BYTES> = Tables::new();
static INTERRUPTS: AtomicU64 = AtomicU64::new(0);
static IS_FATAL_EXPECTED: AtomicU64 = AtomicU64::new(0);

kfiber::interrupt_entry! {
    fn on_interrupt(frame: &mut TrapFrame) vector(INTERRUPT) {
        INTERRUPTS.fetch_add(frame.vector, Ordering::Relaxed);
    }
}

fn on_fatal(frame: &TrapFrame, why: FatalReason) -> ! {
    println!("fatal: {why}\n{frame}");
    if (frame.vector, why) == (6, FatalReason::NotInFiber)
        && IS_FATAL_EXPECTED.load(Ordering::Relaxed) == 1
        && is_in_tables(&raw const why as usize)
    {
        run::pass();
    }
    run::fail(format_args!("vector {} was fatal: {why}", frame.vector));
}

/// Whether this is an address within the tables, where the stacks are.
fn is_in_tables(address: usize) -> bool {
    let start = (&raw const TABLES).addr();
    (start..start + size_of_val(&TABLES)).contains(&address)
}

fn load(interrupts: &[(u8, unsafe extern "sysv64" fn())]) {
    SCHEDULER.set_hooks(&REPORTS).expect("they are the first");
    // SAFETY: nothing of the harness' own tables is needed in these tests, and the entry is that of its vector.
    unsafe { TABLES.load(on_fatal, interrupts) };
}

fn is_ours(table: &DescriptorTablePointer) -> bool {
    is_in_tables(usize::try_from(table.base.as_u64()).expect("64 bits"))
}

kernel_test! {
    fn a_core_that_loads_the_tables_contains_what_goes_wrong_and_takes_interrupts() {
        unmap_guards();
        load(&[(INTERRUPT, on_interrupt)]);
        assert!(is_ours(&sgdt()) && is_ours(&sidt()));
        // SAFETY: the tables stay loaded and nobody changes them.
        unsafe { guard::check_exception_stacks(&[1, 6, 8, 13, 14]) }.expect("each has a stack");

        let failure = failure_among_others(|| {
            // SAFETY: the fault ends the fiber.
            unsafe { asm!("ud2") };
        });
        assert!(matches!(failure, Failure::Faulted(fault) if fault.vector == 6), "{failure}");
        let failure = failure_among_others(|| {
            // SAFETY: nothing is mapped there; the fault ends the fiber.
            unsafe { ptr::without_provenance_mut::<u8>(0x0123_4567_8000).write_volatile(1) };
        });
        assert!(matches!(failure, Failure::Faulted(fault) if fault.vector == 14), "{failure}");
        let deep = SCHEDULER.spawn(&GUARDED, use_up_the_stack).expect("a cell is free");
        let other = SCHEDULER.spawn(&GUARDED, yield_now).expect("a cell is free");
        super::run();
        let error = deep.try_join().expect_err("it overflows");
        assert!(matches!(error.kind, JoinErrorKind::Failed(Failure::Overflowed(_))), "{error}");
        other.try_join().expect("it goes on");

        // SAFETY: the vector has an entry.
        unsafe { asm!("int 77") };
        assert_eq!(INTERRUPTS.load(Ordering::Relaxed), u64::from(INTERRUPT));
    }

    /// On a stack of the tables', after all that the kernel itself has done.
    fn what_is_no_fiber_s_reaches_the_kernel_on_a_stack_of_its_own() {
        load(&[]);
        IS_FATAL_EXPECTED.store(1, Ordering::Relaxed);
        // SAFETY: `on_fatal` ends the run.
        unsafe { asm!("ud2") };
    }

    fn tables_are_loaded_once() panics("these tables are in use already") {
        load(&[]);
        // SAFETY: as in `load`.
        unsafe { TABLES.load(on_fatal, &[]) };
    }

    fn the_vector_of_an_exception_is_refused() panics("vector 14 is an exception's") {
        load(&[(14, on_interrupt)]);
    }
}
