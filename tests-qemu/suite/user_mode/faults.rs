//! A fault in user mode ends the process, which is the fiber, and not the kernel.

use core::sync::atomic::{AtomicU64, Ordering};

use kfiber::scheduler::{Failure, Fault, JoinErrorKind, yield_now};
use tests_qemu::kernel_test;

use super::enter::assert_kernel_gs;
use super::{CELLS, DATA, Exit, PROGRAM, SCHEDULER, prepare, programs, run, spawn};

/// Runs a program that faults, between one that does not and a fiber of the kernel.
#[track_caller]
fn fault_of(program: &'static [u8], number: u64) -> Fault {
    let good = spawn("good", programs::keeps_what_is_its_own(), 5);
    let bad = spawn("bad", program, number);
    let other = SCHEDULER.spawn(&CELLS, || {
        for _ in 0..60 {
            assert_kernel_gs();
            yield_now();
        }
    });
    run();
    assert_eq!(good.try_join().expect("it goes on"), Exit(50));
    other
        .expect("a cell is free")
        .try_join()
        .expect("it goes on");
    match bad.try_join().map_err(|error| error.kind) {
        Err(JoinErrorKind::Failed(Failure::Faulted(fault))) => {
            assert!(fault.is_in_user_mode);
            assert!((PROGRAM..DATA).contains(&fault.instruction), "{fault}");
            *fault
        }
        other => panic!("{other:?}"),
    }
}

kernel_test! {
    fn a_fault_in_user_mode_ends_the_process_and_not_the_kernel() {
        prepare();
        for (program, vector, error_code, address) in [
            (programs::reads_where_nothing_is(), 14, 0b100, 0x10),
            (programs::writes_to_the_kernel(), 14, 0b111, 0x10_0000),
            (programs::halts(), 13, 0, 0),
            (programs::executes_nonsense(), 6, 0, 0),
            (programs::divides_by_zero_without_a_stack(), 0, 0, 0),
        ] {
            let fault = fault_of(program, 6);
            assert_eq!((fault.vector, fault.error_code, fault.address), (vector, error_code, address));
        }
    }

    fn a_stack_pointer_of_user_code_that_points_into_the_kernel_is_only_that_process_s() {
        static ELSEWHERE: AtomicU64 = AtomicU64::new(0);
        prepare();
        let waits = SCHEDULER.spawn(&CELLS, || {
            let here = 0_u8;
            ELSEWHERE.store((&raw const here).addr() as u64, Ordering::Relaxed);
            for _ in 0..100 {
                yield_now();
            }
        });
        let after = SCHEDULER.spawn(&CELLS, || spawn("bad", programs::points_into_the_kernel(), ELSEWHERE.load(Ordering::Relaxed)).join());
        run();
        waits.expect("a cell is free").try_join().expect("it goes on");
        let told = after.expect("a cell is free").try_join().expect("it goes on").expect_err("it faulted");
        let JoinErrorKind::Failed(Failure::Faulted(fault)) = told.kind else {
            panic!("{told}");
        };
        assert_eq!((fault.vector, fault.stack_pointer), (6, ELSEWHERE.load(Ordering::Relaxed)));
    }
}
