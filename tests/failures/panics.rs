//! A panic in a fiber, which on a host unwinds to where the fiber began.

use kfiber::platform::Host;
use kfiber::scheduler::{
    self, Failure, FiberCell, FiberPool, FiberState, Hooks, JoinError, JoinErrorKind, Report,
    Scheduler, SpawnErrorKind, scope, yield_now,
};
use kfiber::sync::{IrqMutex, Mutex};
use std::sync::Mutex as HostMutex;

type Cells = FiberPool<65536, 4>;

/// Remembers the reports.
#[derive(Default)]
struct Log(HostMutex<Vec<String>>);

impl Hooks for Log {
    fn report(&self, report: &Report<'_>) {
        self.0.lock().unwrap().push(report.to_string());
    }
}

impl Log {
    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

fn world() -> (&'static Scheduler<Host>, &'static Cells, &'static Log) {
    let scheduler = Box::leak(Box::new(Scheduler::new(Host::new())));
    let log = Box::leak(Box::new(Log::default()));
    scheduler.set_hooks(log).unwrap();
    (scheduler, Box::leak(Box::new(Cells::new())), log)
}

#[track_caller]
fn message_of<T>(joined: Result<T, JoinError<T>>) -> &'static str {
    match joined.map(|_| ()).map_err(|error| error.kind) {
        Err(JoinErrorKind::Failed(Failure::Panicked(panic))) => panic.message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_panics_and_the_others_go_on() {
    let (s, cells, log) = world();
    let bad = s.builder().name("bad").spawn(cells, || -> u8 {
        yield_now();
        panic!("number {}", 7)
    });
    let bad = bad.unwrap();
    let id = bad.id();
    let joiner = s.spawn(cells, move || message_of(bad.join())).unwrap();
    let good = s.spawn(cells, || {
        (0..9).for_each(|_| yield_now());
        9
    });
    s.run();
    assert_eq!(joiner.try_join().unwrap(), "number 7");
    assert_eq!(good.unwrap().try_join().unwrap(), 9);
    let lines = log.lines();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("fiber \"bad\" ("), "{}", lines[0]);
    assert!(lines[0].contains(") panicked: number 7\n"), "{}", lines[0]);
    let infos: Vec<_> = s.fibers().filter(|info| info.id == id).collect();
    assert!(matches!(
        infos[0].state,
        FiberState::Failed(Failure::Panicked(_))
    ));
    assert_eq!(cells.lost_cells(), 1);
}

#[test]
fn joining_it_again_by_any_way_gives_the_same_answer() {
    let (s, cells, _) = world();
    let bad = s.spawn(cells, || -> u8 { panic!("once") }).unwrap();
    s.run();
    assert!(bad.is_finished());
    let error = bad.try_join().unwrap_err();
    assert_eq!(error.to_string(), "the fiber panicked: once");
    let joiner = s.spawn(cells, move || {
        let error = error.handle.join().unwrap_err();
        let mut handle = error.handle;
        let first = scheduler::block_on(&mut handle).unwrap_err();
        let second = scheduler::block_on(&mut handle).unwrap_err();
        assert_eq!(first, second);
        first.to_string()
    });
    s.run();
    assert_eq!(joiner.unwrap().try_join().unwrap(), "panicked: once");
}

#[test]
fn its_cell_is_never_used_again() {
    static CELL: FiberCell<65536> = FiberCell::new();
    let (s, cells, _) = world();
    s.spawn(&CELL, || panic!("gone")).unwrap().detach();
    s.run();
    let error = s.spawn(&CELL, || ()).unwrap_err();
    assert_eq!(error.kind, SpawnErrorKind::CellLost);
    assert!(error.to_string().contains("the cell is lost"), "{error}");
    s.spawn(cells, || panic!("gone too")).unwrap().detach();
    s.run();
    let taken = [(); 3].map(|()| s.spawn(cells, || ()).unwrap());
    let error = s.spawn(cells, || ()).unwrap_err();
    assert_eq!(
        error.kind,
        SpawnErrorKind::PoolDiminished { count: 4, lost: 1 }
    );
    assert!(error.to_string().contains("1 of them lost"), "{error}");
    s.run();
    for handle in taken {
        handle.try_join().unwrap();
    }
}

#[test]
fn its_cell_is_never_used_again_when_the_handle_is_dropped_after_the_end() {
    static CELL: FiberCell<65536> = FiberCell::new();
    let (s, ..) = world();
    let handle = s.spawn(&CELL, || panic!("gone")).unwrap();
    s.run();
    drop(handle);
    let error = s.spawn(&CELL, || ()).unwrap_err();
    assert_eq!(error.kind, SpawnErrorKind::CellLost);
    let failed = s.fibers().map(|info| info.state).collect::<Vec<_>>();
    assert!(matches!(failed[..], [FiberState::Failed(_)]), "{failed:?}");
}

#[test]
fn the_owner_of_a_scope_fails_at_its_end_with_its_fiber() {
    let (s, cells, log) = world();
    let owner = s.spawn(cells, move || {
        let mut number = 1;
        scope(|scope| {
            let handle = scope.spawn(cells, || {
                number += 1;
                panic!("inside")
            });
            assert_eq!(message_of(handle.unwrap().join()), "inside");
        });
        number
    });
    s.run();
    let message = message_of(owner.unwrap().try_join());
    assert!(
        message.contains("a fiber of this scope failed"),
        "{message}"
    );
    assert_eq!(log.lines().len(), 2);
}

#[test]
fn guards_unlock_as_it_unwinds() {
    static LOCK: Mutex<u8> = Mutex::new(0);
    static BRIEF: IrqMutex<u8> = IrqMutex::new(0);
    let (s, cells, _) = world();
    let bad = s.spawn(cells, || {
        let _guards = (LOCK.lock(), BRIEF.lock());
        panic!("with guards")
    });
    s.run();
    assert_eq!(message_of(bad.unwrap().try_join()), "with guards");
    assert!(!LOCK.is_locked() && BRIEF.try_lock().is_some());
}

#[test]
fn a_mutex_whose_guard_was_leaked_is_poisoned_by_the_end_of_one_that_panics() {
    static LOCK: Mutex<u8> = Mutex::new(0);
    let (s, cells, _) = world();
    s.spawn(cells, || {
        let _leaked = core::mem::ManuallyDrop::new(LOCK.lock());
        panic!("leaked")
    })
    .unwrap()
    .detach();
    let waiter = s.spawn(cells, || *LOCK.lock()).unwrap();
    s.run();
    let message = message_of(waiter.try_join());
    assert!(
        message.ends_with("which held it, panicked: leaked"),
        "{message}"
    );
    assert!(LOCK.is_poisoned());
}

#[test]
fn a_long_message_is_cut_at_the_end_of_a_character() {
    let (s, cells, _) = world();
    let bad = s.spawn(cells, || panic!("{}", "€".repeat(100))).unwrap();
    s.run();
    assert_eq!(message_of(bad.try_join()), "€".repeat(85));
}
