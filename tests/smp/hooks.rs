//! A switch hook that locks and unlocks what another core waits for.

use crate::cores::Cells;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use kfiber::platform::{Core, Host, Nanoseconds, Platform, SwitchHook};
use kfiber::scheduler::{JoinHandle, Priority, Scheduler, current_name, yield_now};
use kfiber::sync::{Mutex, Semaphore};
use std::thread;

/// A host whose hook locks once, and unlocks when a fiber of core 1 waits for the lock.
struct Hooked(Host);

static LOCK: Mutex<()> = Mutex::new(());
static MAY_LOCK: AtomicBool = AtomicBool::new(false);
/// 1 when the hook has locked, and 2 when all fibers of core 1 wait that are to wait.
static STAGE: AtomicU32 = AtomicU32::new(0);

fn lock_and_unlock(_prev: *const u8, next: *const u8) {
    if next.is_null() || current_name() != "prev" || !MAY_LOCK.swap(false, Ordering::Relaxed) {
        return;
    }
    let guard = LOCK.try_lock().expect("nobody else locks it before");
    STAGE.store(1, Ordering::Release);
    while STAGE.load(Ordering::Acquire) < 2 {
        thread::yield_now();
    }
    drop(guard);
}

// SAFETY: it does what the host does, and the hook does not wait for fibers of its core.
unsafe impl Platform for Hooked {
    fn now(&self) -> Nanoseconds {
        self.0.now()
    }

    fn set_timer(&self, deadline: Nanoseconds) {
        self.0.set_timer(deadline);
    }

    fn idle(&self) {
        self.0.idle();
    }

    fn late_timer_limit(&self) -> Nanoseconds {
        self.0.late_timer_limit()
    }

    fn core(&self) -> Core {
        self.0.core()
    }

    fn kick(&self, core: Core) {
        self.0.kick(core);
    }

    fn switch_hook(&self) -> Option<SwitchHook> {
        Some(lock_and_unlock)
    }
}

static SCHEDULER: Scheduler<Hooked, 2> = Scheduler::new(Hooked(Host::new()));
static CELLS: Cells<8> = Cells::new();

fn spawn(core: usize, name: &'static str, priority: Priority, body: fn()) -> JoinHandle<()> {
    let builder = SCHEDULER.builder().on(Core(core)).name(name);
    builder.priority(priority).spawn(&CELLS, body).unwrap()
}

/// Two fibers of core 0 are lent a level while a third one leaves its stack. Both are ready, and one of them is the next.
#[test]
fn levels_that_are_lent_during_a_switch_do_not_change_who_runs_next() {
    static HELD: [Mutex<()>; 2] = [const { Mutex::new(()) }; 2];
    static HOLDERS: AtomicU32 = AtomicU32::new(0);
    static MAY_END: Semaphore = Semaphore::new(0);
    static HAS_LOCKED: Semaphore = Semaphore::new(0);
    fn hold(index: usize) {
        let _guard = HELD[index].lock();
        HOLDERS.fetch_add(1, Ordering::Relaxed);
        while STAGE.load(Ordering::Acquire) < 2 {
            yield_now();
        }
        MAY_END.acquire().unwrap();
    }
    fn wait_for(lock: &Mutex<()>) {
        HAS_LOCKED.acquire().unwrap();
        drop(lock.lock());
    }
    let (normal, high) = (Priority::NORMAL, Priority::HIGHEST);
    let fibers = [
        spawn(0, "prev", normal, || {
            while HOLDERS.load(Ordering::Relaxed) < 2 {
                yield_now();
            }
            MAY_LOCK.store(true, Ordering::Relaxed);
            yield_now();
            MAY_END.release(2).unwrap();
        }),
        spawn(0, "next", normal, || hold(0)),
        spawn(0, "behind", normal, || hold(1)),
        spawn(1, "needs the next", high, || wait_for(&HELD[0])),
        spawn(1, "needs the one behind", high, || wait_for(&HELD[1])),
        spawn(1, "needs the hook", high, || wait_for(&LOCK)),
        spawn(1, "sees that they wait", Priority::LOWEST, || {
            while STAGE.load(Ordering::Acquire) < 1 {
                yield_now();
            }
            HAS_LOCKED.release(3).unwrap();
            yield_now();
            STAGE.store(2, Ordering::Release);
        }),
    ];
    thread::scope(|threads| {
        for core in 0..2 {
            let run = move || SCHEDULER.run();
            threads.spawn(move || SCHEDULER.platform().0.as_core(Core(core), run));
        }
    });
    for fiber in fibers {
        fiber.try_join().unwrap();
    }
}
