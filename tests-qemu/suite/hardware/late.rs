//! Kernels that forget half of the timer: the scheduler says so.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use kfiber::{
    hardware::pic,
    platform::{BareX86_64, Platform as _, Timer},
    scheduler::{self, FiberPool, Hooks, Report, Scheduler},
};
use tests_qemu::{
    exceptions::{self, TIMER_VECTOR},
    kernel_test, println,
};
use x86_64::instructions::interrupts;

use super::{BY_APIC, BY_PIT, start_apic_timer, start_pit_one_shot};

static CELLS: FiberPool<{ 16 * 1024 }, 2> = FiberPool::new();
static LATE: AtomicU64 = AtomicU64::new(0);

struct Told;

impl Hooks for Told {
    fn report(&self, report: &Report<'_>) {
        println!("{report}");
        if let Report::LateTimer(_) = report {
            LATE.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One fiber sleeps while another is busy, and returns how often the timer was called late.
fn late_timers<T: Timer>(scheduler: &'static Scheduler<BareX86_64<T>>) -> u64 {
    scheduler.set_hooks(&Told).expect("first");
    let sleeper = scheduler.spawn(&CELLS, || {
        scheduler::sleep(Duration::from_millis(20)).expect("nobody cancels it");
    });
    sleeper.expect("a cell is free").detach();
    let busy = scheduler.spawn(&CELLS, || {
        let end = scheduler::now() + 300_000_000;
        while scheduler::now() < end {
            scheduler::yield_now();
        }
    });
    busy.expect("a cell is free").detach();
    interrupts::enable();
    scheduler.run();
    interrupts::disable();
    LATE.load(Ordering::Relaxed)
}

/// Everybody sleeps, and returns how often the timer was called late, and how late they were woken.
fn late_timers_asleep<T: Timer>(scheduler: &'static Scheduler<BareX86_64<T>>) -> (u64, u64) {
    scheduler.set_hooks(&Told).expect("first");
    let sleeper = scheduler.spawn(&CELLS, || {
        let deadline = scheduler::now() + 50_000_000;
        scheduler::sleep_until(deadline).expect("nobody cancels it");
        let first = scheduler::now() - deadline;
        scheduler::sleep(Duration::from_millis(50)).expect("nobody cancels it");
        first
    });
    let sleeper = sleeper.expect("a cell is free");
    interrupts::enable();
    scheduler.run();
    interrupts::disable();
    let late_ns = sleeper.try_join().expect("it has ended");
    (LATE.load(Ordering::Relaxed), late_ns)
}

kernel_test! {
    fn a_masked_line_is_reported_though_all_fibers_sleep() icount {
        start_pit_one_shot().expect("every machine has it");
        pic::mask(0);
        let (late, late_ns) = late_timers_asleep(&BY_PIT);
        assert_eq!(late, 1);
        assert!((100_000_000..110_000_000).contains(&late_ns), "late by {late_ns} ns");
    }

    fn an_interrupt_at_another_vector_is_reported_though_all_fibers_sleep() icount {
        start_apic_timer().expect("every machine has it");
        exceptions::hook(TIMER_VECTOR, |_| super::local_apic().expect("it is there").end_of_interrupt());
        assert_eq!(late_timers_asleep(&BY_APIC).0, 1);
    }

    fn the_first_interrupt_comes_soon_though_the_first_deadline_is_far_away() icount {
        static FIRST: AtomicU64 = AtomicU64::new(u64::MAX);
        start_apic_timer().expect("every machine has it");
        exceptions::hook(TIMER_VECTOR, |_| {
            let timer = BY_APIC.platform().timer();
            FIRST.fetch_min(timer.now(), Ordering::Relaxed);
            BY_APIC.timer_interrupt();
            timer.end_of_interrupt();
        });
        let start = BY_APIC.platform().now();
        let sleeper = BY_APIC.spawn(&CELLS, || {
            scheduler::sleep(Duration::from_secs(2)).expect("nobody cancels it");
        });
        sleeper.expect("a cell is free").detach();
        interrupts::enable();
        BY_APIC.run();
        interrupts::disable();
        let first_ns = FIRST.load(Ordering::Relaxed) - start;
        assert!(first_ns < 11_000_000, "after {first_ns} ns");
    }

    /// An interrupt that comes early is followed by another, and costs time.
    fn a_sleep_takes_one_interrupt() icount {
        static INTERRUPTS: AtomicU64 = AtomicU64::new(0);
        start_apic_timer().expect("every machine has it");
        exceptions::hook(TIMER_VECTOR, |_| {
            INTERRUPTS.fetch_add(1, Ordering::Relaxed);
            BY_APIC.timer_interrupt();
            BY_APIC.platform().timer().end_of_interrupt();
        });
        let sleeper = BY_APIC.spawn(&CELLS, || {
            for _ in 0..100 {
                scheduler::sleep(Duration::from_millis(10)).expect("nobody cancels it");
            }
        });
        sleeper.expect("a cell is free").detach();
        interrupts::enable();
        BY_APIC.run();
        interrupts::disable();
        let interrupts = INTERRUPTS.load(Ordering::Relaxed);
        assert!((100..=102).contains(&interrupts), "{interrupts} interrupts");
    }

    fn a_timer_that_interrupts_lets_the_processor_sleep() icount {
        start_apic_timer().expect("every machine has it");
        let (late, late_ns) = late_timers_asleep(&BY_APIC);
        assert_eq!(late, 0);
        assert!(late_ns < 1_000_000, "late by {late_ns} ns");
        assert_eq!(BY_APIC.platform().timer().deadline_before_first_interrupt(), None);
    }

    fn a_kernel_that_does_all_is_told_nothing() icount {
        start_apic_timer().expect("every machine has it");
        assert_eq!(late_timers(&BY_APIC), 0);
    }

    fn a_pit_that_does_all_is_told_nothing() icount {
        start_pit_one_shot().expect("every machine has it");
        assert_eq!(late_timers(&BY_PIT), 0);
    }

    fn a_handler_that_forgets_the_scheduler_is_reported() icount {
        start_apic_timer().expect("every machine has it");
        exceptions::hook(TIMER_VECTOR, |_| BY_APIC.platform().timer().end_of_interrupt());
        assert_eq!(late_timers(&BY_APIC), 1);
    }

    fn a_handler_that_forgets_the_end_of_interrupt_is_reported() icount {
        start_apic_timer().expect("every machine has it");
        exceptions::hook(TIMER_VECTOR, |_| BY_APIC.timer_interrupt());
        // The first interrupt is the last. It wakes the first sleeper, so a second one is needed.
        let sleeper = BY_APIC.spawn(&AGAIN, || {
            for _ in 0..2 {
                scheduler::sleep(Duration::from_millis(5)).expect("nobody cancels it");
            }
        });
        sleeper.expect("a cell is free").detach();
        assert_eq!(late_timers(&BY_APIC), 1);
    }

    fn a_line_that_is_masked_at_the_pic_is_reported() icount {
        start_pit_one_shot().expect("every machine has it");
        pic::mask(0);
        assert_eq!(late_timers(&BY_PIT), 1);
    }
}

static AGAIN: FiberPool<{ 16 * 1024 }, 1> = FiberPool::new();
