//! Fibers of several cores that wait for each other, and a fiber that keeps others waiting, are found
//! while other cores run.

use crate::cores::{Cells, run, scheduler};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use kfiber::platform::{Core, Host};
use kfiber::scheduler::{
    self, AfterDeadlock, AfterStall, Deadlock, FiberState, Hooks, JoinErrorKind, JoinHandle,
    Priority, Registers, Report, Scheduler, Stall, WaitReason, Watchdog,
};
use kfiber::sync::Mutex;
use std::sync::Mutex as HostMutex;

/// Remembers what it is told, and ends the run at a stall.
#[derive(Default)]
struct Log {
    reports: HostMutex<Vec<String>>,
    deadlocks: HostMutex<Vec<Vec<&'static str>>>,
    /// How many of both there are.
    count: AtomicUsize,
}

impl Hooks for Log {
    fn report(&self, report: &Report<'_>) {
        self.reports.lock().unwrap().push(report.to_string());
        self.count.fetch_add(1, Ordering::Release);
    }

    fn deadlocked(&self, deadlock: &Deadlock<'_>) -> AfterDeadlock {
        let names = deadlock.fibers().map(|fiber| fiber.name).collect();
        self.deadlocks.lock().unwrap().push(names);
        self.count.fetch_add(1, Ordering::Release);
        AfterDeadlock::Panic
    }

    fn stalled(&self, _: &Stall<'_>) -> AfterStall {
        AfterStall::Return
    }
}

impl Log {
    fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }
}

fn log() -> &'static Log {
    Box::leak(Box::default())
}

const REGISTERS: Registers = Registers {
    rip: 0,
    rsp: 0,
    rbp: 0,
};

/// Lets others run until this many fibers of other cores wait for something of this kind.
fn await_waiting<const CORES: usize>(
    scheduler: &'static Scheduler<Host, CORES>,
    reason: WaitReason,
    count: usize,
) {
    let waits = |state| matches!(state, FiberState::Waiting { reason: it, .. } if it == reason);
    while scheduler.fibers().filter(|it| waits(it.state)).count() < count {
        scheduler::yield_now();
    }
}

/// Has a fiber of core 1 lock the second lock, and wait for the first, which the caller has.
fn spawn_opponent(
    scheduler: &'static Scheduler<Host, 3>,
    cells: &'static Cells<3>,
    locks: &'static [Mutex<()>; 2],
) -> JoinHandle<()> {
    let opponent = scheduler.builder().name("opponent").on(Core(1));
    let lock_both = || {
        let _second = locks[1].lock();
        let _first = locks[0].lock();
    };
    opponent.spawn(cells, lock_both).unwrap()
}

/// Has a fiber of core 2 run, and let nobody else run, until something is told.
fn spawn_hog(scheduler: &'static Scheduler<Host, 3>, cells: &'static Cells<3>, log: &'static Log) {
    let hog = scheduler.builder().name("hog").on(Core(2));
    let run_on = || {
        while log.count() == 0 {
            core::hint::spin_loop();
        }
    };
    hog.spawn(cells, run_on).unwrap().detach();
}

#[test]
fn a_deadlock_across_cores_is_found_where_it_closes() {
    static CELLS: Cells<3> = Cells::new();
    static LOCKS: [Mutex<()>; 2] = [const { Mutex::new(()) }; 2];
    let (scheduler, log) = (scheduler::<3>(), log());
    scheduler.set_hooks(log).unwrap();
    spawn_hog(scheduler, &CELLS, log);
    let close = move || {
        let _first = LOCKS[0].lock();
        spawn_opponent(scheduler, &CELLS, &LOCKS).detach();
        await_waiting(scheduler, WaitReason::Mutex, 1);
        let _second = LOCKS[1].lock();
    };
    let builder = scheduler.builder().name("closer").on(Core(0));
    let closer = builder.spawn(&CELLS, close).unwrap();
    run(scheduler);
    let deadlocks = log.deadlocks.lock().unwrap();
    assert_eq!(*deadlocks, [["closer", "opponent"]]);
    let error = closer.try_join().unwrap_err().to_string();
    assert!(
        error.contains("deadlock: 2 fibers wait for each other"),
        "{error}"
    );
}

#[test]
fn a_join_that_would_close_a_cycle_across_cores_is_refused() {
    static CELLS: Cells<3> = Cells::new();
    static LOCKS: [Mutex<()>; 2] = [const { Mutex::new(()) }; 2];
    let (scheduler, log) = (scheduler::<3>(), log());
    spawn_hog(scheduler, &CELLS, log);
    let close = move || {
        let guard = LOCKS[0].lock();
        let opponent = spawn_opponent(scheduler, &CELLS, &LOCKS);
        await_waiting(scheduler, WaitReason::Mutex, 1);
        let refused = opponent.join().unwrap_err();
        drop(guard);
        log.count.store(1, Ordering::Release);
        refused.handle.join().unwrap();
        refused.kind
    };
    let builder = scheduler.builder().name("closer").on(Core(0));
    let closer = builder.spawn(&CELLS, close).unwrap();
    run(scheduler);
    assert_eq!(closer.try_join().unwrap(), JoinErrorKind::Deadlock);
}

#[test]
fn a_chain_that_leads_to_a_fiber_that_can_go_on_is_no_deadlock() {
    static CELLS: Cells<3> = Cells::new();
    static LOCKS: [Mutex<()>; 2] = [const { Mutex::new(()) }; 2];
    static MAY_GO_ON: AtomicBool = AtomicBool::new(false);
    let (scheduler, log) = (scheduler::<3>(), log());
    scheduler.set_hooks(log).unwrap();
    let last = scheduler.builder().on(Core(2));
    let hold_first = || {
        let _first = LOCKS[0].lock();
        while !MAY_GO_ON.load(Ordering::Acquire) {
            scheduler::yield_now();
        }
    };
    last.spawn(&CELLS, hold_first).unwrap().detach();
    let close = move || {
        while LOCKS[0].try_lock().is_some() {
            scheduler::yield_now();
        }
        let opponent = spawn_opponent(scheduler, &CELLS, &LOCKS);
        await_waiting(scheduler, WaitReason::Mutex, 1);
        MAY_GO_ON.store(true, Ordering::Release);
        drop(LOCKS[1].lock());
        opponent.join().unwrap();
    };
    let builder = scheduler.builder().name("closer").on(Core(0));
    let closer = builder.spawn(&CELLS, close).unwrap();
    run(scheduler);
    closer.try_join().unwrap();
    assert_eq!(log.count(), 0);
}

#[test]
fn a_watchdog_reports_a_cycle_across_cores_that_closed_unseen() {
    static CELLS: Cells<3> = Cells::new();
    static LOCK: Mutex<()> = Mutex::new(());
    static WATCHDOG: Watchdog = Watchdog::new(Duration::from_nanos(10));
    let (scheduler, log) = (scheduler::<3>(), log());
    scheduler.set_hooks(log).unwrap();
    let owner = scheduler.builder().name("owner").on(Core(0));
    let lend = move || {
        let guard = LOCK.lock();
        scheduler::scope(|scope| {
            // Its priority keeps it from running on this core, so it goes to core 1.
            let lock = || drop(LOCK.lock());
            let child = scope.spawn_as(&CELLS, "child", Priority::LOWEST, lock);
            child.unwrap().detach();
            await_waiting(scheduler, WaitReason::Mutex, 1);
            // It is the scope that closes the cycle. It does not look at fibers of other cores.
        });
        drop(guard);
    };
    owner.spawn(&CELLS, lend).unwrap().detach();
    let watcher = scheduler.builder().name("watcher").on(Core(2));
    let watch = move || {
        await_waiting(scheduler, WaitReason::Scope, 1);
        // It never lets others run from here on.
        for now in (0..1000).step_by(10) {
            Host::interrupt(|| WATCHDOG.tick(scheduler, now, REGISTERS));
        }
    };
    watcher.spawn(&CELLS, watch).unwrap().detach();
    run(scheduler);
    let reports = log.reports.lock().unwrap();
    let deadlocks: Vec<&String> = reports
        .iter()
        .filter(|it| it.starts_with("deadlock"))
        .collect();
    let [text] = deadlocks.as_slice() else {
        panic!("{reports:?}");
    };
    assert!(text.contains("2 fibers wait for each other"), "{text}");
    for name in ["owner", "child"] {
        assert!(text.contains(&format!("\n  \"{name}\"")), "{text}");
    }
}

#[test]
fn a_hog_is_reported_with_those_of_all_cores_that_wait_for_it() {
    static CELLS: Cells<5> = Cells::new();
    static LOCK: Mutex<()> = Mutex::new(());
    static WATCHDOG: Watchdog = Watchdog::new(Duration::from_nanos(100));
    static TURNS: AtomicU64 = AtomicU64::new(0);
    let (scheduler, log) = (scheduler::<3>(), log());
    scheduler.set_hooks(log).unwrap();
    let hog = scheduler.builder().name("hog").on(Core(1));
    let run_on = move || {
        let _guard = LOCK.lock();
        let waiter = scheduler.builder().name("waiter").on(Core(0));
        let waiter = waiter.spawn(&CELLS, || drop(LOCK.lock())).unwrap();
        let joiner = scheduler.builder().name("joiner").on(Core(2));
        let join = move || waiter.join().unwrap();
        joiner.spawn(&CELLS, join).unwrap().detach();
        let worker = scheduler.builder().name("worker").on(Core(2));
        let work = || {
            while TURNS.fetch_add(1, Ordering::Relaxed) < 1000 {
                scheduler::yield_now();
            }
        };
        worker.spawn(&CELLS, work).unwrap().detach();
        await_waiting(scheduler, WaitReason::Join, 1);
        await_waiting(scheduler, WaitReason::Mutex, 1);
        let behind = scheduler.builder().name("behind").on(Core(1));
        behind.spawn(&CELLS, || ()).unwrap().detach();
        let mut now = 0;
        // The fibers of the other cores do their work meanwhile.
        while log.count() == 0 || TURNS.load(Ordering::Relaxed) < 1000 {
            now += 10;
            Host::interrupt(|| WATCHDOG.tick(scheduler, now, REGISTERS));
        }
    };
    hog.spawn(&CELLS, run_on).unwrap().detach();
    run(scheduler);
    let reports = log.reports.lock().unwrap();
    let [text] = reports.as_slice() else {
        panic!("{reports:?}");
    };
    assert!(text.starts_with("soft lockup: \"hog\""), "{text}");
    let ends = |name, end: &str| {
        let mut lines = text.lines();
        lines.any(|line| line.starts_with(&format!("  \"{name}\"")) && line.ends_with(end))
    };
    assert!(ends("waiter", "on core 0 waits for it"), "{text}");
    assert!(ends("joiner", "on core 2 waits for it"), "{text}");
    assert!(ends("behind", "on core 1 is ready behind it"), "{text}");
    assert!(!text.contains("worker"), "{text}");
}
