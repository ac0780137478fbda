//! A clock or a timer that fails while a fiber with a deadline stands in a line: the fiber leaves the line as it ends, and the
//! next one is served.

use core::sync::atomic::{AtomicUsize, Ordering};

use kfiber::{
    platform::{BareX86_64, NEVER, Nanoseconds, Timer},
    scheduler::{FatalReason, FiberPool, JoinHandle, Scheduler, park, sleep_until, yield_now},
    sync::{Channel, Mutex, RwLock, Semaphore},
};
use tests_qemu::kernel_test;

use super::{Log, STACK, expect_fatal, failure_of, handle, kinds::Kind, reports};

/// What fails next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Nothing,
    Clock(Kind),
    Timer,
}

/// A clock that stands still, and a timer that never interrupts.
struct Fragile;

static NEXT: AtomicUsize = AtomicUsize::new(0);
const ALL: [Next; 4] = [
    Next::Nothing,
    Next::Clock(Kind::Panic),
    Next::Clock(Kind::InvalidInstruction),
    Next::Timer,
];

/// Fails if this is what is to fail next.
fn fail_in(is_due: fn(Next) -> Option<Kind>) {
    if let Some(kind) = is_due(ALL[NEXT.load(Ordering::Relaxed)]) {
        NEXT.store(0, Ordering::Relaxed);
        kind.fail();
    }
}

impl Timer for Fragile {
    fn now(&self) -> Nanoseconds {
        fail_in(|next| match next {
            Next::Clock(kind) => Some(kind),
            _ => None,
        });
        1
    }

    fn interrupt_at(&self, _deadline: Nanoseconds) {
        fail_in(|next| (next == Next::Timer).then_some(Kind::Panic));
    }
}

static SCHEDULER: Scheduler<BareX86_64<Fragile>> =
    // SAFETY: the harness enters every interrupt with interrupts off, and no hook turns them on.
    Scheduler::new(unsafe { BareX86_64::new(Fragile) });
static CELLS: FiberPool<STACK, 12> = FiberPool::new();

const LATE: Nanoseconds = NEVER - 1;

fn spawn(body: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    SCHEDULER.spawn(&CELLS, body).expect("a cell is free")
}

/// One fiber waits until a deadline, and what it asks for the time fails. Another waits behind it, and a third one serves.
fn leaves_the_line(waits_until: fn(Nanoseconds), waits: fn(), serves: fn()) {
    handle();
    SCHEDULER.set_hooks(&Log).expect("the first");
    for (next, fails) in ALL.into_iter().enumerate().skip(1) {
        let server = spawn(serves);
        let first = spawn(move || {
            NEXT.store(next, Ordering::Relaxed);
            waits_until(LATE);
        });
        let second = spawn(waits);
        SCHEDULER.run_until_idle();
        let kind = match fails {
            Next::Clock(kind) => kind,
            _ => Kind::Panic,
        };
        kind.check(failure_of(first.try_join()));
        assert_eq!(reports(), next);
        second.try_join().expect("it was served");
        server.try_join().expect("it has ended");
    }
}

/// The clock fails when a yield empties the inbox, in which a fiber is that was woken.
fn fails_in_a_yield(kind: usize, why: FatalReason) {
    handle();
    SCHEDULER.set_hooks(&Log).expect("the first");
    expect_fatal(why);
    let waits = spawn(|| park().expect("not cancelled"));
    let waiter = waits.unparker();
    spawn(move || {
        yield_now();
        SCHEDULER.timer_interrupt();
        waiter.unpark();
        NEXT.store(kind, Ordering::Relaxed);
        yield_now();
    })
    .detach();
    SCHEDULER.run_until_idle();
    waits.try_join().expect("it was woken");
    panic!("survived");
}

static PERMITS: Semaphore = Semaphore::new(0);
static LOCK: Mutex<()> = Mutex::new(());
static SHARED: RwLock<()> = RwLock::new(());
static MESSAGES: Channel<u32, 1> = Channel::new();

kernel_test! {
    fn a_clock_that_panics_when_the_inbox_is_emptied_loses_no_fiber() {
        fails_in_a_yield(1, FatalReason::WaitingForbidden);
    }

    fn a_clock_that_faults_when_the_inbox_is_emptied_loses_no_fiber() {
        fails_in_a_yield(2, FatalReason::InsideScheduler);
    }

    fn a_clock_that_fails_takes_no_permit_along() {
        leaves_the_line(
            |deadline| PERMITS.acquire_until(deadline).expect("not reached"),
            || PERMITS.acquire().expect("not cancelled"),
            || {
                (0..3).for_each(|_| yield_now());
                PERMITS.release(1).expect("there is room");
            },
        );
    }

    fn a_clock_that_fails_takes_no_message_along() {
        leaves_the_line(
            |deadline| assert_eq!(MESSAGES.recv_until(deadline), Ok(0)),
            || assert_eq!(MESSAGES.recv(), Ok(3)),
            || {
                (0..3).for_each(|_| yield_now());
                MESSAGES.send(3).expect("it is open");
            },
        );
    }

    fn a_clock_that_fails_poisons_no_mutex_that_was_waited_for() {
        leaves_the_line(
            |deadline| drop(LOCK.lock_until(deadline)),
            || drop(LOCK.lock()),
            || {
                let _guard = LOCK.lock();
                (0..3).for_each(|_| yield_now());
            },
        );
    }

    fn a_clock_that_fails_poisons_no_reader_writer_lock_that_was_waited_for() {
        leaves_the_line(
            |deadline| drop(SHARED.write_until(deadline)),
            || drop(SHARED.read()),
            || {
                let _guard = SHARED.write();
                (0..3).for_each(|_| yield_now());
            },
        );
    }

    fn a_clock_that_fails_ends_the_sleep_of_nobody_else() {
        leaves_the_line(
            |deadline| sleep_until(deadline).expect("not reached"),
            || PERMITS.acquire_until(LATE).expect("not cancelled"),
            || {
                (0..3).for_each(|_| yield_now());
                PERMITS.release(1).expect("there is room");
            },
        );
    }
}
