//! An interrupt that wakes, at every instruction of a wait: of the look before it, of the park, of going to sleep.
//!
//! With `-icount shift=0` the delay of the timer is a number of instructions. Each offset is tried once; a second
//! interrupt, long after the first, finds out whether the fiber ran in between.

mod planted;

use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};

use kfiber::{
    platform::{BareX86_64, Nanoseconds, Platform, Timer},
    scheduler::{
        FiberPool, Priority, Scheduler, Unparker, now, park, sleep_until, without_waiting,
        yield_now,
    },
};
use tests_qemu::{
    command_line,
    cpu::cycles,
    exceptions::TrapFrame,
    interrupts::{on_tick, start_one_shot, stop_timer},
    kernel_test, println,
};
use x86_64::instructions::interrupts;

/// How many consecutive offsets are tried: in a debug build, enough to reach the `hlt`.
const OFFSETS: u64 = if cfg!(debug_assertions) {
    12_000
} else {
    2_000
};
/// When a wake is called lost: much longer than any way from the handler to the fiber.
const WATCHDOG_NS: u32 = 500_000;

/// The interrupt is to come.
const ARMED: u32 = 1;
/// It came, and the fiber has not run since.
const WATCHED: u32 = 2;
/// The watchdog came, too. It ended the processor's sleep, if it did sleep.
const LOST: u32 = 3;

type Exact = BareX86_64<ExactTimer>;

/// Nanoseconds, which are instructions.
pub(crate) struct ExactTimer;

const fn exact() -> Exact {
    // SAFETY: the harness enters every interrupt with interrupts off, and no hook turns them on.
    unsafe { BareX86_64::new(ExactTimer) }
}

impl Timer for ExactTimer {
    fn now(&self) -> Nanoseconds {
        cycles()
    }

    fn interrupt_at(&self, deadline: Nanoseconds) {
        let delay = deadline.saturating_sub(self.now()).max(1);
        start_one_shot(u32::try_from(delay).unwrap_or(u32::MAX));
    }
}

static SCHEDULER: Scheduler<Exact> = Scheduler::new(exact());
static CELLS: FiberPool<{ 16 * 1024 }, 4> = FiberPool::new();

static PHASE: AtomicU32 = AtomicU32::new(0);
static ARMED_AT: AtomicU64 = AtomicU64::new(0);
static STRUCK_AT: AtomicU64 = AtomicU64::new(0);
static OFFSET: AtomicU64 = AtomicU64::new(0);
static IS_OVER: AtomicBool = AtomicBool::new(false);

/// What the handler counts.
#[derive(Default)]
struct Sweep {
    waker: Option<Unparker>,
    lost: u64,
    asleep: u64,
    /// Instructions from arming to the handler beyond the offset, the fewest and the most while the processor was awake.
    latency: Option<(u64, u64)>,
}

struct Shared(UnsafeCell<Sweep>);

// SAFETY: one core; the handler alone uses it while interrupts are on.
unsafe impl Sync for Shared {}

static SWEEP: Shared = Shared(UnsafeCell::new(Sweep {
    waker: None,
    lost: 0,
    asleep: 0,
    latency: None,
}));

fn sweep() -> &'static mut Sweep {
    // SAFETY: interrupts are off.
    unsafe { &mut *SWEEP.0.get() }
}

/// The interrupt of an offset, or its watchdog.
fn strike(frame: &TrapFrame, wake: impl FnOnce(&Sweep)) {
    let at = cycles();
    let sweep = sweep();
    match PHASE.load(Ordering::Relaxed) {
        ARMED => {
            /// `hlt`
            const HLT: u8 = 0xf4;
            // SAFETY: the byte before the interrupted instruction; code begins with something else than the function.
            if unsafe { (frame.rip as *const u8).wrapping_sub(1).read() } == HLT {
                sweep.asleep += 1;
            } else {
                let taken = at - ARMED_AT.load(Ordering::Relaxed);
                let latency = taken - OFFSET.load(Ordering::Relaxed);
                let (least, most) = sweep.latency.unwrap_or((latency, latency));
                sweep.latency = Some((least.min(latency), most.max(latency)));
            }
            PHASE.store(WATCHED, Ordering::Relaxed);
            STRUCK_AT.store(at, Ordering::Relaxed);
            wake(sweep);
            start_one_shot(WATCHDOG_NS);
        }
        // The scheduler looked at the clock just before, and asked for another interrupt.
        WATCHED if at - STRUCK_AT.load(Ordering::Relaxed) < u64::from(WATCHDOG_NS) => {
            wake(sweep);
            start_one_shot(WATCHDOG_NS);
        }
        WATCHED => {
            sweep.lost += 1;
            PHASE.store(LOST, Ordering::Relaxed);
            start_one_shot(WATCHDOG_NS);
        }
        LOST => panic!(
            "the wake at offset {} was lost for good",
            OFFSET.load(Ordering::Relaxed)
        ),
        _ => {}
    }
}

fn strike_for_the_timer(frame: &mut TrapFrame) {
    strike(frame, |_| SCHEDULER.timer_interrupt());
}

fn strike_and_unpark(frame: &mut TrapFrame) {
    strike(frame, |sweep| {
        assert!(sweep.waker.expect("set before the run").unpark());
    });
}

/// Has the fiber wait at each offset.
fn wait_at_each_offset(wait: impl Fn(u64)) {
    for offset in 1..=command_line::rounds(OFFSETS) {
        OFFSET.store(offset, Ordering::Relaxed);
        PHASE.store(ARMED, Ordering::Relaxed);
        ARMED_AT.store(cycles(), Ordering::Relaxed);
        wait(offset);
        PHASE.store(0, Ordering::Relaxed);
        stop_timer();
    }
    IS_OVER.store(true, Ordering::Relaxed);
}

/// Is woken by the interrupt itself.
fn park_until_woken(offset: u64) {
    start_one_shot(u32::try_from(offset).expect("few"));
    park().expect("nobody cancels it");
}

/// Is woken by the scheduler once the interrupt has come.
fn sleep_until_expiry(offset: u64) {
    sleep_until(now() + offset).expect("nobody cancels it");
}

/// As [`sleep_until_expiry`], after a request, much too early, to look at the clock: the timer comes during that look.
fn look_too_early_and_sleep(offset: u64) {
    SCHEDULER.timer_interrupt();
    sleep_until_expiry(offset);
}

/// Runs the fiber beside `others` that yield all the time, and returns what the handler counted.
fn run<P: Platform>(
    scheduler: &'static Scheduler<P>,
    handler: fn(&mut TrapFrame),
    wait: fn(u64),
    others: u64,
) -> &'static Sweep {
    run_beside(scheduler, handler, wait, others, || ())
}

/// As [`run`]; each of the others calls `before_yield` before it yields.
fn run_beside<P: Platform>(
    scheduler: &'static Scheduler<P>,
    handler: fn(&mut TrapFrame),
    wait: fn(u64),
    others: u64,
    before_yield: fn(),
) -> &'static Sweep {
    let fiber = scheduler.spawn(&CELLS, move || wait_at_each_offset(wait));
    let fiber = fiber.expect("four are enough");
    for _ in 0..others {
        let other = scheduler.spawn(&CELLS, move || {
            while !IS_OVER.load(Ordering::Relaxed) {
                before_yield();
                yield_now();
            }
        });
        other.expect("four are enough").detach();
    }
    sweep().waker = Some(fiber.unparker());
    on_tick(handler);
    interrupts::enable();
    scheduler.run();
    interrupts::disable();
    assert!(fiber.is_finished());
    let Sweep {
        lost,
        asleep,
        latency,
        ..
    } = sweep();
    println!("{lost} lost, {asleep} found the processor asleep; latency of the others {latency:?}");
    sweep()
}

/// That no offset was left out: interrupts that find the processor awake all take equally long.
#[track_caller]
fn assert_consecutive(sweep: &Sweep) {
    let (least, most) = sweep.latency.expect("some came before the sleep");
    assert!(
        most - least <= 1,
        "offsets were skipped: the latency was {least} to {most} instructions"
    );
}

kernel_test! {
    /// From the look whether it was woken already to the sleep of the processor.
    fn no_wake_is_lost_at_any_instruction_of_parking_and_going_to_sleep() icount timeout(60) {
        let sweep = run(&SCHEDULER, strike_and_unpark, park_until_woken, 0);
        assert_eq!(sweep.lost, 0);
        assert!(sweep.asleep > 0, "too few offsets: none reached the sleep");
        assert_consecutive(sweep);
    }

    /// The processor never sleeps; the wake is found by one that yields.
    fn no_wake_is_lost_at_any_instruction_of_parking_and_of_others_that_yield() icount timeout(60) {
        let sweep = run(&SCHEDULER, strike_and_unpark, park_until_woken, 2);
        assert_eq!((sweep.lost, sweep.asleep), (0, 0));
        assert_consecutive(sweep);
    }

    /// Yields are not fast where waiting is forbidden, and are so again afterwards, but not if a wake came in between.
    fn no_wake_is_lost_at_any_instruction_where_waiting_is_forbidden() icount timeout(60) {
        let others_forbid = || without_waiting(|| ());
        let sweep = run_beside(&SCHEDULER, strike_and_unpark, park_until_woken, 2, others_forbid);
        assert_eq!((sweep.lost, sweep.asleep), (0, 0));
        assert_consecutive(sweep);
    }

    /// The interrupt comes while another fiber of high priority, which was woken before, is put in place of the one that
    /// yields. From then on only that one runs, so only its yields can find the wake.
    fn no_wake_is_lost_at_any_instruction_of_a_yield_to_one_of_a_higher_level() icount timeout(60) {
        let urgent = SCHEDULER.builder().priority(Priority::HIGHEST);
        let urgent = urgent.spawn(&CELLS, || {
            while park().is_ok() {
                while PHASE.load(Ordering::Relaxed) == WATCHED {
                    yield_now();
                }
            }
        });
        let urgent = urgent.expect("four are enough");
        let fiber = SCHEDULER.builder().priority(Priority::HIGHEST);
        let fiber = fiber.spawn(&CELLS, || wait_at_each_offset(park_until_woken));
        let fiber = fiber.expect("four are enough");
        let other = SCHEDULER.spawn(&CELLS, move || {
            while !IS_OVER.load(Ordering::Relaxed) {
                interrupts::without_interrupts(|| assert!(urgent.unparker().unpark()));
                yield_now();
            }
            urgent.cancel();
        });
        other.expect("four are enough").detach();
        sweep().waker = Some(fiber.unparker());
        on_tick(strike_and_unpark);
        interrupts::enable();
        SCHEDULER.run();
        interrupts::disable();
        assert_eq!((sweep().lost, sweep().asleep), (0, 0));
    }

    /// The timer asks the scheduler to look at the clock, and the scheduler wakes the sleeper.
    fn no_expiry_is_lost_at_any_instruction_of_falling_asleep() icount timeout(60) {
        let sweep = run(&SCHEDULER, strike_for_the_timer, sleep_until_expiry, 0);
        assert_eq!(sweep.lost, 0);
        assert!(sweep.asleep > 0, "too few offsets: none reached the sleep");
    }

    /// The look finds nothing and asks for the interrupt again, which comes before, during or after that.
    fn no_expiry_is_lost_at_any_instruction_of_a_look_at_the_clock() icount timeout(60) {
        let sweep = run(&SCHEDULER, strike_for_the_timer, look_too_early_and_sleep, 0);
        assert_eq!(sweep.lost, 0);
        assert!(sweep.asleep > 0, "too few offsets: none reached the sleep");
    }

    /// The loop looks at the clock itself before the processor sleeps; among those that yield nobody else does.
    fn no_expiry_is_lost_at_any_instruction_of_a_look_by_one_that_yields() icount timeout(60) {
        let sweep = run(&SCHEDULER, strike_for_the_timer, look_too_early_and_sleep, 2);
        assert_eq!((sweep.lost, sweep.asleep), (0, 0));
    }

    fn no_expiry_is_lost_at_any_instruction_of_others_that_yield() icount timeout(60) {
        let sweep = run(&SCHEDULER, strike_for_the_timer, sleep_until_expiry, 2);
        assert_eq!((sweep.lost, sweep.asleep), (0, 0));
    }

    /// One instruction too many between `sti` and `hlt`: what came while interrupts were off comes there.
    fn an_idle_that_is_not_one_step_is_found_out() icount timeout(60) {
        let sweep = run(&planted::LEAKY, strike_and_unpark, park_until_woken, 0);
        assert!(sweep.lost > 0, "the sweep is blind");
        assert!(sweep.lost < sweep.asleep, "most came when it was asleep, and ended its sleep");
    }
}
