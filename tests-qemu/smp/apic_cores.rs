//! The ready-made platform of cores with local APICs: what it knows, how it wakes, and what it notices.

mod absent;
mod with_kvm;

use core::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use kfiber::{
    hardware::{ApicCores, ApicVectors, HardwareError, LocalApic},
    platform::{Core, Platform as _},
    scheduler::{self, FiberPool, Hooks, Report, Scheduler},
    x86_64::VirtAddr,
};
use tests_qemu::{
    cores,
    exceptions::{self, SPURIOUS_VECTOR, TIMER_VECTOR},
    kernel_test, println,
};
use x86_64::instructions::interrupts;

use crate::{machine::start_cores, team::STACK};

const VECTORS: ApicVectors = ApicVectors {
    timer: TIMER_VECTOR,
    kick: 40,
};

static SCHEDULER: Scheduler<ApicCores<4>, 4> = Scheduler::new(platform());
static CELLS: FiberPool<STACK, 16> = FiberPool::new();

/// Interrupts on each core: of the timer, and of kicks.
static TICKS: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];
static KICKS: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];
/// How often the timer of each core was called late.
static LATE: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];

const fn platform<const CORES: usize>() -> ApicCores<CORES> {
    // SAFETY: the harness enters every interrupt with interrupts off, and no hook turns them on.
    unsafe { ApicCores::new() }
}

/// Returns the local APIC of this core, in the mode in which it is, or will be.
fn local_apic() -> LocalApic {
    // SAFETY: all memory is mapped one to one, and the harness has a handler for the vector.
    unsafe { LocalApic::enable(VirtAddr::zero(), SPURIOUS_VECTOR) }.expect("each core has one")
}

fn hook() {
    exceptions::hook(VECTORS.timer, |_| {
        TICKS[cores::this()].fetch_add(1, Ordering::Relaxed);
        SCHEDULER.timer_interrupt();
        SCHEDULER.platform().end_of_timer_interrupt();
    });
    exceptions::hook(VECTORS.kick, |_| {
        KICKS[cores::this()].fetch_add(1, Ordering::Relaxed);
        SCHEDULER.platform().end_of_interrupt();
    });
}

fn start_first() -> Result<(), HardwareError> {
    // SAFETY: `hook` has hooked both vectors, and nobody else uses the timers or the PIT.
    unsafe { SCHEDULER.platform().start(local_apic(), VECTORS) }
}

fn start_this() -> Result<(), HardwareError> {
    // SAFETY: as above, and the clocks of QEMU's cores agree.
    unsafe { SCHEDULER.platform().start_on_this_core(local_apic()) }
}

/// Starts all cores and the platform, and runs all fibers that `spawn` has made.
fn run(spawn: impl FnOnce(usize)) {
    let count = start_cores();
    hook();
    start_first().expect("the machine has a PIT");
    spawn(count);
    cores::on_all(|core| {
        if core > 0 {
            start_this().expect("its mode is that of the first");
        }
        interrupts::enable();
        SCHEDULER.run();
    });
}

/// Makes a fiber that stays on one core.
fn on(core: usize, body: impl FnOnce() + Send + 'static) {
    let spawned = SCHEDULER.builder().on(Core(core)).spawn(&CELLS, body);
    spawned.expect("a cell is free").detach();
}

fn sleep(milliseconds: u64) {
    scheduler::sleep(Duration::from_millis(milliseconds)).expect("nobody cancels it");
}

fn load(count: &AtomicUsize) -> usize {
    count.load(Ordering::Acquire)
}

/// Each core sleeps by its own timer, and knows its number. A timer that never interrupts is a hang.
fn all_cores_sleep() {
    static RAN: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];
    run(|count| {
        for (core, ran) in RAN.iter().enumerate().take(count) {
            on(core, move || {
                while load(ran) < 5 || load(&TICKS[core]) == 0 {
                    let deadline = scheduler::now() + 5_000_000;
                    sleep(5);
                    assert!(scheduler::now() >= deadline, "core {core} woke too early");
                    assert_eq!(SCHEDULER.platform().core(), Core(core));
                    assert_eq!(cores::this(), core);
                    ran.fetch_add(1, Ordering::Release);
                }
            });
        }
    });
    for core in 0..cores::count() {
        let apic_id = SCHEDULER.platform().apic_id(Core(core));
        assert_eq!(apic_id, Some(cores::apic_id(core)));
    }
}

/// Fibers of two cores wake each other, while their cores sleep in between. A kick that never comes is a hang.
fn cores_wake_each_other() {
    const ROUNDS: usize = 200;
    const END: usize = usize::MAX;
    static TURNS: kfiber::sync::Channel<usize, 1> = kfiber::sync::Channel::new();
    static ANSWERS: kfiber::sync::Channel<usize, 1> = kfiber::sync::Channel::new();
    run(|_| {
        on(0, || {
            let all_are_kicked = || KICKS[..2].iter().all(|kicks| load(kicks) > 0);
            for round in (0..).take_while(|round| *round < ROUNDS || !all_are_kicked()) {
                TURNS.send(round).expect("the other one receives");
                assert_eq!(ANSWERS.recv(), Ok(round));
            }
            TURNS.send(END).expect("the other one receives");
        });
        on(1, || {
            for expected in 0.. {
                let round = TURNS.recv().expect("the other one sends");
                if round == END {
                    break;
                }
                assert_eq!(round, expected);
                ANSWERS.send(round).expect("the other one receives");
            }
        });
    });
}

kernel_test! {
    fn each_core_sleeps_by_its_own_timer() cores(4) timeout(120) {
        all_cores_sleep();
    }

    fn each_core_ends_the_sleep_of_another() cores(2) timeout(120) {
        cores_wake_each_other();
    }

    fn a_kick_is_one_interrupt_of_one_core() cores(4) timeout(120) {
        start_cores();
        hook();
        start_first().expect("the machine has a PIT");
        cores::on_all(|core| {
            if core > 0 {
                start_this().expect("its mode is that of the first");
            }
        });
        for core in [3, 1] {
            SCHEDULER.platform().kick(Core(core));
        }
        // Each of them takes it before it takes the next call.
        cores::on_all(|_| interrupts::enable());
        assert_eq!(KICKS.each_ref().map(load), [0, 1, 0, 1]);
        assert_eq!(TICKS.each_ref().map(load), [0; 4]);
    }

    /// The first core's timer works, which says nothing of the other one's.
    fn a_timer_of_another_core_that_never_interrupts_is_reported() cores(2) timeout(120) {
        SCHEDULER.set_hooks(&Told).expect("first");
        start_cores();
        hook();
        start_first().expect("the machine has a PIT");
        on(0, || sleep(20));
        // The scheduler finds a deadline that has passed by itself, if the host holds this core up just before.
        on(1, || {
            while load(&LATE[1]) == 0 {
                sleep(20);
            }
        });
        cores::on_all(|core| {
            if core == 1 {
                start_this().expect("its mode is that of the first");
                mask_timer();
            }
            interrupts::enable();
            SCHEDULER.run();
        });
        assert_eq!(load(&TICKS[1]), 0, "it is masked");
        assert!(load(&TICKS[0]) > 0);
    }

    fn a_core_that_was_not_started_says_so() cores(2) panics("core 1 was not started: call `ApicCores::start` on the first") {
        start_cores();
        hook();
        start_first().expect("the machine has a PIT");
        on(1, || sleep(20));
        cores::on_all(|_| {
            interrupts::enable();
            SCHEDULER.run();
        });
    }
}

/// Masks the timer of this core behind the platform's back.
fn mask_timer() {
    const TIMER: *mut u32 = 0xfee0_0320 as *mut u32;
    // SAFETY: the register of the timer, in memory on this machine; a timer that is masked harms nobody.
    unsafe { TIMER.write_volatile(1 << 16 | u32::from(VECTORS.timer)) };
}

struct Told;

impl Hooks for Told {
    fn report(&self, report: &Report<'_>) {
        println!("{report}");
        if let Report::LateTimer(_) = report {
            LATE[cores::this()].fetch_add(1, Ordering::Relaxed);
        }
    }
}
