//! Processes that end as they should: by either way out, beside each other, and with interrupts in between.

use core::sync::atomic::Ordering;

use kfiber::scheduler::yield_now;
use tests_qemu::interrupts::{start_timer, stop_timer};
use tests_qemu::{kernel_test, println};

use super::enter::{TICK_WRITES_TO, USER_TICKS, assert_kernel_gs};
use super::{CELLS, Exit, SCHEDULER, prepare, programs, run, spawn, spawn_with};

kernel_test! {
    fn a_fiber_enters_user_mode_and_comes_back_by_an_interrupt() {
        prepare();
        let process = spawn("one", programs::exits_by_interrupt(), 2);
        run();
        assert_eq!(process.try_join().expect("it ended"), Exit(42));
    }

    fn a_fiber_enters_user_mode_and_comes_back_by_syscall() {
        prepare();
        let process = spawn("one", programs::exits_by_syscall(), 3);
        run();
        assert_eq!(process.try_join().expect("it ended"), Exit(43));
    }

    /// CR3, the FS and GS bases, `rsp0` and the SSE registers, with other processes and fibers of the kernel in between.
    fn processes_keep_what_is_their_own_while_they_let_others_run() {
        prepare();
        let processes = [11, 22, 33].map(|number| spawn("one of three", programs::keeps_what_is_its_own(), number));
        let other = SCHEDULER.spawn(&CELLS, || for _ in 0..200 {
            assert_kernel_gs();
            yield_now();
        });
        run();
        for process in processes {
            assert_eq!(process.try_join().expect("it ended"), Exit(50));
        }
        other.expect("a cell is free").try_join().expect("it ended");
    }

    fn an_interrupt_of_user_mode_finds_the_kernel_s_gs_base_and_returns() {
        prepare();
        let process = spawn_with("spins", programs::spins(), 7, |data| {
            TICK_WRITES_TO.store(data.wrapping_add(1), Ordering::Relaxed);
            // Here, because the scheduler stops the timer while nobody sleeps.
            start_timer(200_000);
        });
        run();
        stop_timer();
        println!("{USER_TICKS:?} ticks in user mode");
        assert!(USER_TICKS.load(Ordering::Relaxed) >= 3);
        assert_eq!(process.try_join().expect("it ended"), Exit(1000 + 0x200));
    }
}
