//! One clock for all cores: the time-stamp counters agree, so that a time that was read before is not later.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use kfiber::platform::Timer as _;
use tests_qemu::{cores, cpu, kernel_test, platform::LapicTimer};

use super::start_cores;

/// How often each core reads.
const ROUNDS: usize = 20_000;

/// The latest reading of any core.
static LATEST: AtomicU64 = AtomicU64::new(0);
/// How often a core read less than another before it.
static BACK: AtomicUsize = AtomicUsize::new(0);
/// Number of cores that have begun, so that all of them read at the same time.
static BEGUN: AtomicUsize = AtomicUsize::new(0);

kernel_test! {
    fn no_core_reads_less_than_another_before_it() cores(4) timeout(60) {
        start_cores();
        cores::on_all(|_| compare(cpu::cycles));
        assert_eq!(BACK.load(Ordering::Relaxed), 0, "readings that went back");
    }

    fn time_does_not_go_back_from_core_to_core() cores(4) timeout(60) {
        start_cores();
        // The first core sets the clock.
        LapicTimer.now();
        cores::on_all(|_| compare(|| LapicTimer.now()));
        assert_eq!(BACK.load(Ordering::Relaxed), 0, "times that went back");
    }

    /// A clock that is ahead on one core, planted.
    fn a_clock_that_differs_is_found_out() cores(2) timeout(60) {
        start_cores();
        cores::on_all(|core| compare(|| cpu::cycles() + (u64::from(core == 0) << 40)));
        assert!(BACK.load(Ordering::Relaxed) > 0, "the test is blind");
    }
}

fn compare(read: impl Fn() -> u64) {
    BEGUN.fetch_add(1, Ordering::Relaxed);
    while BEGUN.load(Ordering::Relaxed) < cores::count() {
        core::hint::spin_loop();
    }
    for _ in 0..ROUNDS {
        // Whoever stored this has read it before.
        let before = LATEST.load(Ordering::Acquire);
        let now = read();
        if now < before {
            BACK.fetch_add(1, Ordering::Relaxed);
        }
        LATEST.fetch_max(now, Ordering::Release);
    }
}
