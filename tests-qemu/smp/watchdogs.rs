//! Watchdogs of all cores interrupt whatever runs, and look at the fibers of all cores.

use core::{
    array,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use kfiber::{
    platform::{Core, Platform as _},
    scheduler::{
        AfterDeadlock, AfterStall, Deadlock, FiberPool, Hooks, JoinHandle, Priority, Registers,
        Report, Scheduler, Stall, Watchdog, park_timeout, scope, yield_now,
    },
    sync::{Mutex, RwLock},
};
use tests_qemu::{
    command_line, cores,
    cpu::Random,
    interrupts::{on_tick, start_timer},
    kernel_test,
    platform::Cores,
    println,
};
use x86_64::instructions::interrupts;

use crate::{machine::start_cores, team::STACK};

const FIBERS: usize = 12;
/// How often each of them waits for others.
const ROUNDS: u64 = 300;

static SCHEDULER: Scheduler<Cores, 4> = Scheduler::new(Cores::new());
static CELLS: FiberPool<STACK, { 2 * FIBERS }> = FiberPool::new();
static MUTEXES: [Mutex<u64>; 3] = [const { Mutex::new(0) }; 3];
static LOCK: RwLock<u64> = RwLock::new(0);
/// They look at each tick.
static WATCHDOGS: [Watchdog; 4] = [const { Watchdog::new(Duration::from_nanos(1)) }; 4];

static TICKS: AtomicUsize = AtomicUsize::new(0);
static DEADLOCKS: AtomicUsize = AtomicUsize::new(0);
static DELAYED: AtomicUsize = AtomicUsize::new(0);
static WAITING: AtomicUsize = AtomicUsize::new(0);

struct Told;

impl Hooks for Told {
    fn report(&self, report: &Report<'_>) {
        match report {
            Report::Deadlock(deadlock) => {
                println!("{report}");
                assert_eq!(deadlock.fibers().count(), 2);
                assert!(
                    deadlock
                        .fibers()
                        .all(|it| ["lends", "borrows"].contains(&it.name))
                );
                DEADLOCKS.fetch_add(1, Ordering::AcqRel);
            }
            // With such a limit every fiber is one that does not let others run.
            Report::SoftLockup(lockup) => {
                DELAYED.fetch_add(lockup.delayed().count(), Ordering::Relaxed);
            }
            _ => println!("{report}"),
        }
    }

    fn deadlocked(&self, deadlock: &Deadlock<'_>) -> AfterDeadlock {
        panic!("it should not have closed where it was seen: {deadlock}");
    }

    fn stalled(&self, stall: &Stall<'_>) -> AfterStall {
        println!("{stall}");
        AfterStall::Return
    }
}

kernel_test! {
    /// Locks are taken in one order, so there is never a cycle. A look that sees what is not true of one moment finds some.
    fn ticks_find_no_cycle_where_there_is_none() cores(4) timeout(240) {
        start();
        let fibers: [JoinHandle<()>; FIBERS] = array::from_fn(|index| {
            let builder = SCHEDULER.builder().name("works");
            let builder = if index % 2 == 0 { builder } else { builder.on(Core(index % 4)) };
            builder.spawn(&CELLS, move || work(index)).expect("a cell is free")
        });
        run();
        for fiber in fibers {
            fiber.try_join().expect("all have ended");
        }
        let (ticks, delayed) = (TICKS.load(Ordering::Relaxed), DELAYED.load(Ordering::Relaxed));
        println!("{ticks} ticks, {delayed} delayed fibers named");
        assert!(ticks > 100, "too few looks");
        assert_eq!(DEADLOCKS.load(Ordering::Acquire), 0);
    }

    /// The scope is the last to wait, and does not look at other cores. A third core has a fiber that runs until it is told.
    fn a_tick_reports_a_cycle_of_two_cores_beside_a_hog() cores(4) timeout(60) {
        start();
        let hog = SCHEDULER.builder().name("hog").on(Core(2));
        hog.spawn(&CELLS, || {
            start_timer(150_000);
            while DEADLOCKS.load(Ordering::Acquire) == 0 {
                core::hint::spin_loop();
            }
            // Time for a second report.
            let ticks = TICKS.load(Ordering::Relaxed);
            while TICKS.load(Ordering::Relaxed) < ticks + 40 {
                core::hint::spin_loop();
            }
        }).expect("a cell is free").detach();
        let lends = SCHEDULER.builder().name("lends").on(Core(0));
        lends.spawn(&CELLS, || {
            let _guard = MUTEXES[0].lock();
            scope(|scope| {
                // The level of this one keeps the other from running here.
                let borrows = scope.spawn_as(&CELLS, "borrows", Priority::LOWEST, || {
                    WAITING.fetch_add(1, Ordering::AcqRel);
                    drop(MUTEXES[0].lock());
                });
                borrows.expect("a cell is free").detach();
                while WAITING.load(Ordering::Acquire) == 0 || !is_waiting("borrows") {
                    yield_now();
                }
            });
        }).expect("a cell is free").detach();
        run();
        assert_eq!(DEADLOCKS.load(Ordering::Acquire), 1);
    }
}

fn start() {
    start_cores();
    SCHEDULER.set_hooks(&Told).expect("the first");
    on_tick(|frame| {
        let interrupted = Registers {
            rip: frame.rip,
            rsp: frame.rsp,
            rbp: frame.rbp,
        };
        let now = SCHEDULER.platform().now();
        WATCHDOGS[cores::this()].tick(&SCHEDULER, now, interrupted);
        SCHEDULER.timer_interrupt();
        TICKS.fetch_add(1, Ordering::Relaxed);
    });
}

/// Runs with a timer on each core, whatever the scheduler asks for.
fn run() {
    cores::on_all(|core| {
        let builder = SCHEDULER.builder().name("timer").on(Core(core));
        let start = move || start_timer(150_000 + 7_000 * u32::try_from(core).expect("small"));
        builder
            .spawn(&CELLS, start)
            .expect("a cell is free")
            .detach();
        interrupts::enable();
        SCHEDULER.run();
    });
}

fn is_waiting(name: &str) -> bool {
    let graph = SCHEDULER.wait_graph(|graph| graph.fibers().any(|it| it.name == name));
    graph.expect("it runs in a fiber")
}

fn work(index: usize) {
    let mut random = Random::new(command_line::seed() + index as u64);
    for _ in 0..command_line::rounds(ROUNDS) {
        match random.below(6) {
            0 | 1 => {
                let mut first = MUTEXES[0].lock();
                *first += 1;
                yield_now();
                let mut second = MUTEXES[1].lock();
                *second += *first;
                yield_now();
                *MUTEXES[2].lock() += 1;
            }
            2 => {
                let _last = MUTEXES[2].lock();
                yield_now();
                *LOCK.write() += 1;
            }
            3 => {
                let _read = LOCK.read();
                yield_now();
            }
            4 => {
                let child = SCHEDULER.builder().name("child").spawn(&CELLS, || {
                    yield_now();
                    *MUTEXES[1].lock() += 1;
                });
                if let Ok(child) = child {
                    child.join().expect("nobody cancels it");
                }
            }
            _ => {
                let _timed_out = park_timeout(Duration::from_micros(random.below(200)));
                yield_now();
            }
        }
    }
}
