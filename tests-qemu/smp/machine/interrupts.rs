//! Interrupts between cores arrive, once each, and each core has a timer of its own.

use core::sync::atomic::{AtomicUsize, Ordering};

use tests_qemu::{
    cores, cpu,
    interrupts::{on_tick, start_one_shot, start_timer},
    kernel_test,
};
use x86_64::instructions::interrupts::{self, enable_and_hlt};

use super::start_cores;

static TICKS: [AtomicUsize; cores::MOST] = [const { AtomicUsize::new(0) }; cores::MOST];
/// How often the turn went on.
static TURN: AtomicUsize = AtomicUsize::new(0);
/// Number of cores that are done.
static DONE: AtomicUsize = AtomicUsize::new(0);

/// Laps of the ring in which each core wakes the next one.
const LAPS: usize = 2_000;

kernel_test! {
    /// Each core sleeps until the one before kicks it. A kick that is lost is a hang.
    fn a_kick_goes_round_all_cores() cores(4) timeout(60) {
        let count = start_cores();
        cores::on_all(|core| {
            let count = cores::count();
            for lap in 0..LAPS {
                let turn = lap * count + core;
                while TURN.load(Ordering::Acquire) != turn {
                    enable_and_hlt();
                    interrupts::disable();
                }
                TURN.store(turn + 1, Ordering::Release);
                cores::kick((core + 1) % count);
            }
        });
        for core in 0..count {
            let kicks = cores::kicks(core);
            // A core that looks before its kick arrives does not sleep, and two kicks may become one.
            assert!((1..=LAPS).contains(&kicks), "core {core} took {kicks} kicks");
        }
    }

    fn a_core_kicks_itself() cores(2) {
        start_cores();
        cores::on_all(|core| {
            cores::kick(core);
            assert_eq!(cores::kicks(core), 0, "interrupts are off");
            interrupts::enable();
            while cores::kicks(core) == 0 {
                core::hint::spin_loop();
            }
            assert_eq!(cores::kicks(core), 1);
        });
    }

    /// Several kicks that arrive while interrupts are off are one interrupt, which is not lost.
    fn kicks_of_a_core_with_interrupts_off_are_one() cores(2) {
        start_cores();
        cores::on_all(|core| {
            if core == 0 {
                // Only now its interrupts are off: it slept with them on.
                wait_for_turn(1);
                for _ in 0..10 {
                    cores::kick(1);
                }
                TURN.store(2, Ordering::Release);
                return;
            }
            TURN.store(1, Ordering::Release);
            wait_for_turn(2);
            assert_eq!(cores::kicks(1), 0);
            interrupts::enable();
            while cores::kicks(1) == 0 {
                core::hint::spin_loop();
            }
        });
        assert_eq!(cores::kicks(1), 1);
    }

    fn each_core_has_its_own_timer() cores(4) timeout(60) {
        start_cores();
        on_tick(|_| {
            TICKS[cores::this()].fetch_add(1, Ordering::Relaxed);
        });
        cores::on_all(|core| {
            let ticks = || TICKS[core].load(Ordering::Relaxed);
            // Periodic on even cores, one by one on odd ones; as many as the number says.
            let wanted = 10 + core;
            if core.is_multiple_of(2) {
                start_timer(500_000);
            }
            while ticks() < wanted {
                if !core.is_multiple_of(2) {
                    start_one_shot(500_000);
                }
                enable_and_hlt();
                interrupts::disable();
            }
        });
        for odd in [1, 3] {
            assert_eq!(TICKS[odd].load(Ordering::Relaxed), 10 + odd, "ticks of core {odd}");
        }
    }

    /// Timers and kicks in all directions, on all cores at once; each core computes meanwhile and must not notice.
    fn all_cores_compute_in_a_storm_of_interrupts() cores(4) timeout(120) {
        storm();
    }

    fn eight_cores_compute_in_a_storm_of_interrupts() cores(8) timeout(120) {
        storm();
    }
}

/// Waits without sleeping.
fn wait_for_turn(turn: usize) {
    while TURN.load(Ordering::Acquire) != turn {
        core::hint::spin_loop();
    }
}

/// Interrupts of the timer that each core takes.
const STORM: usize = 500;

fn storm() {
    let count = start_cores();
    on_tick(|_| {
        let this = cores::this();
        let ticks = TICKS[this].fetch_add(1, Ordering::Relaxed);
        cores::kick((this + 1 + ticks % (cores::count() - 1)) % cores::count());
    });
    cores::on_all(|core| {
        start_timer(50_000 + 1_000 * u32::try_from(core).expect("small"));
        interrupts::enable();
        let mut random = cpu::Random::new(1 + core as u64);
        let mut again = random.clone();
        let mut sum = 0_u64;
        let mut rounds = 0_u64;
        while TICKS[core].load(Ordering::Relaxed) < STORM {
            sum = sum.wrapping_add(random.next());
            rounds += 1;
        }
        DONE.fetch_add(1, Ordering::Relaxed);
        // Interrupts go on until all have had enough of them.
        while DONE.load(Ordering::Relaxed) < cores::count() {
            core::hint::spin_loop();
        }
        interrupts::disable();
        for _ in 0..rounds {
            sum = sum.wrapping_sub(again.next());
        }
        assert_eq!(
            sum, 0,
            "core {core} computed something else under interrupts"
        );
    });
    for core in 0..count {
        assert!(cores::kicks(core) > 0, "core {core} was never kicked");
    }
}
