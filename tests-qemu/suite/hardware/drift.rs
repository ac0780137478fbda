//! The timers against each other: the clock beside the HPET, which had no part in measuring it, and sleeps of all lengths,
//! none of which may end early by either.

use core::time::Duration;

use kfiber::{
    hardware::{Hpet, Reference, TscClock},
    platform::{BareX86_64, Timer},
    scheduler::{self, FiberPool, Scheduler},
};
use tests_qemu::{command_line::rounds, cpu::Random, kernel_test, println};
use x86_64::instructions::interrupts;

use super::{BY_APIC, BY_PIT, HPET_AT, start_apic_timer, start_pit_one_shot, start_pit_ticking};

static CELLS: FiberPool<{ 16 * 1024 }, 2> = FiberPool::new();

/// The aim is 0.1 %; a measurement that took 25 ms of the PIT's ticks is ten times as good.
const MOST_DRIFT_PPM: u64 = 100;
/// On a machine that is stopped again and again, while the clock was measured and since.
pub(super) const MOST_DRIFT_WHEN_BUSY_PPM: u64 = 1000;

fn hpet() -> Hpet {
    // SAFETY: the page is mapped one to one.
    unsafe { Hpet::at(HPET_AT) }.expect("the usual machine has one")
}

/// A moment, by the clock and by the HPET.
#[derive(Clone, Copy)]
struct Moment {
    clock_ns: u64,
    hpet_ns: u64,
}

impl Moment {
    fn now(hpet: Hpet) -> Self {
        let ticks = u128::from(hpet.counter());
        let hpet_ns = ticks * 1_000_000_000 / u128::from(hpet.hz());
        Self {
            clock_ns: scheduler::now(),
            hpet_ns: u64::try_from(hpet_ns).expect("centuries"),
        }
    }

    /// Returns by how many parts in a million the clocks differ since `start`.
    fn drift_since(self, start: Self) -> u64 {
        let by_clock = self.clock_ns - start.clock_ns;
        let by_hpet = self.hpet_ns - start.hpet_ns;
        println!("{by_clock} ns by the clock, {by_hpet} ns by the HPET");
        by_clock.abs_diff(by_hpet) * 1_000_000 / by_hpet.max(1)
    }
}

/// Sleeps for times of all sizes, `total` in all, and returns the drift and the largest delay.
pub(super) fn sleep_for<T: Timer>(
    scheduler: &'static Scheduler<BareX86_64<T>>,
    total: Duration,
) -> (u64, u64) {
    let hpet = hpet();
    let fiber = scheduler.spawn(&CELLS, move || {
        let mut random = Random::from_command_line();
        let mut latest = 0;
        let start = Moment::now(hpet);
        let end = start.clock_ns + u64::try_from(total.as_nanos()).expect("centuries");
        while scheduler::now() < end {
            // From 0 ns to a second, with as many short ones as long ones.
            let most = 2 << random.below(30);
            let length = random.below(most);
            let before = Moment::now(hpet);
            scheduler::sleep(Duration::from_nanos(length)).expect("nobody cancels it");
            let after = Moment::now(hpet);
            assert!(
                after.clock_ns >= before.clock_ns + length,
                "{length} ns were short by the clock"
            );
            // The HPET has ticks of 10 ns, and was read before the clock.
            let by_hpet = after.hpet_ns + 20 - before.hpet_ns;
            let least = length - length * MOST_DRIFT_WHEN_BUSY_PPM / 1_000_000;
            assert!(
                by_hpet >= least,
                "{length} ns were {by_hpet} ns by the HPET"
            );
            latest = latest.max(after.clock_ns - before.clock_ns - length);
        }
        (Moment::now(hpet).drift_since(start), latest)
    });
    let fiber = fiber.expect("a cell is free");
    interrupts::enable();
    scheduler.run();
    interrupts::disable();
    let (drift_ppm, latest) = fiber.try_join().expect("it has ended");
    println!("drift {drift_ppm} ppm, latest by {latest} ns");
    (drift_ppm, latest)
}

/// A minute, in which the machine sleeps most of the time, and takes a second of the host's.
fn a_minute() -> Duration {
    Duration::from_secs(rounds(60))
}

/// Of the host's time, too.
fn a_while() -> Duration {
    Duration::from_millis(rounds(400))
}

kernel_test! {
    /// Each instruction takes a nanosecond, and sleeping takes none of the host's time.
    fn the_local_apics_timer_keeps_time_for_a_minute() icount timeout(120) {
        start_apic_timer().expect("every machine has it");
        let (drift_ppm, latest) = sleep_for(&BY_APIC, a_minute());
        assert!(drift_ppm <= MOST_DRIFT_PPM);
        assert!(latest < 200_000, "late by {latest} instructions");
    }

    fn the_pit_as_one_shot_keeps_time_for_a_minute() icount timeout(120) {
        start_pit_one_shot().expect("every machine has it");
        let (drift_ppm, latest) = sleep_for(&BY_PIT, a_minute());
        assert!(drift_ppm <= MOST_DRIFT_PPM);
        assert!(latest < 200_000, "late by {latest} instructions");
    }

    /// What sleeps is woken by the tick after its deadline.
    fn the_pit_as_a_tick_keeps_time_for_a_minute() icount timeout(120) {
        start_pit_ticking(200).expect("every machine has it");
        let (drift_ppm, latest) = sleep_for(&BY_PIT, a_minute());
        assert!(drift_ppm <= MOST_DRIFT_PPM);
        assert!(latest < 5_200_000, "a tick is 5 ms, late by {latest} ns");
        assert!(latest > 1_000_000, "it did not wait for a tick");
    }

    fn the_local_apics_timer_keeps_time_on_a_machine_that_is_stopped_at_times() timeout(120) {
        start_apic_timer().expect("every machine has it");
        assert!(sleep_for(&BY_APIC, a_while()).0 <= MOST_DRIFT_WHEN_BUSY_PPM);
    }

    fn the_pit_keeps_time_on_a_machine_that_is_stopped_at_times() timeout(120) {
        start_pit_one_shot().expect("every machine has it");
        assert!(sleep_for(&BY_PIT, a_while()).0 <= MOST_DRIFT_WHEN_BUSY_PPM);
    }

    fn the_pit_and_the_hpet_measure_the_same_frequency() icount {
        // SAFETY: nobody else uses the PIT.
        let by_pit = unsafe { TscClock::measure_hz(Reference::Pit) }.expect("it ticks");
        // SAFETY: the PIT is not used.
        let by_hpet = unsafe { TscClock::measure_hz(Reference::Hpet(&hpet())) }.expect("it ticks");
        println!("{by_pit} Hz by the PIT, {by_hpet} Hz by the HPET");
        // An instruction takes a nanosecond.
        for hz in [by_pit, by_hpet] {
            assert!(hz.abs_diff(1_000_000_000) < 50_000);
        }
    }
}
