//! A fiber that fails while it waits leaves its line, and what it was given there goes to the next.

use core::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use kfiber::{
    context::ControlBlock,
    scheduler::{FiberPool, JoinHandle, Priority, WaitError, sleep, yield_now},
    stack::{FLOOR_BYTES, Storage},
    sync::{
        Barrier, Channel, Condvar, Event, Mutex, Once, RwLock, Semaphore, WaitQueue, Wanted,
        bitflags::bitflags,
    },
};
use tests_qemu::{interrupts::on_tick, kernel_test, println};
use x86_64::instructions::interrupts;

use super::{SCHEDULER, STACK, contain, reports, run_all, spawn};

static POOL: FiberPool<STACK, 4> = FiberPool::new();

static PERMITS: Semaphore = Semaphore::new(0);
static TICKETS: AtomicU32 = AtomicU32::new(0);
static QUEUE: WaitQueue = WaitQueue::new();
static VALUE: Mutex<()> = Mutex::new(());
static CHANGED: Condvar = Condvar::new();
static FLAGS: Event<Flags> = Event::new(Flags::SERVED);
static MESSAGES: Channel<u32, 1> = Channel::new();
static FULL: Channel<u32, 0> = Channel::new();

bitflags! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Flags: u32 {
        const NEVER_SET = 1;
        const SERVED = 2;
    }
}

/// Something to wait for.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    wait: fn() -> Result<(), WaitError>,
    /// Ends the wait of one.
    serve: fn(),
}

const KINDS: [Kind; 6] = [
    Kind {
        name: "semaphore",
        wait: || PERMITS.acquire(),
        serve: || PERMITS.release(1).expect("there is room"),
    },
    Kind {
        name: "wait queue",
        wait: || {
            QUEUE.wait_while(|| {
                TICKETS
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tickets| {
                        tickets.checked_sub(1)
                    })
                    .is_err()
            })
        },
        serve: || {
            TICKETS.fetch_add(1, Ordering::Relaxed);
            QUEUE.wake_one();
        },
    },
    Kind {
        name: "condition variable",
        wait: || CHANGED.wait(&mut VALUE.lock()),
        serve: || {
            CHANGED.notify_one();
        },
    },
    Kind {
        name: "event",
        wait: || {
            FLAGS
                .wait(Wanted::any(Flags::all()).and_clear())
                .map(|found| assert_eq!(found, Flags::SERVED))
        },
        serve: || {
            FLAGS.set(Flags::SERVED);
        },
    },
    Kind {
        name: "receiver",
        wait: || {
            MESSAGES
                .recv()
                .map(|message| assert_eq!(message, 5))
                .map_err(|_| WaitError::Cancelled)
        },
        serve: || MESSAGES.try_send(5).expect("there is room"),
    },
    Kind {
        name: "sender",
        wait: || FULL.send(7).map_err(|_| WaitError::Cancelled),
        serve: || assert_eq!(FULL.try_recv(), Ok(7)),
    },
];

/// Takes away what the event began with, so that fibers wait for it.
fn clear_flags() {
    assert_eq!(FLAGS.clear(Flags::all()), Flags::SERVED);
}

/// Spawns a fiber in this slot.
pub(super) fn spawn_in<T: Send + 'static>(
    slot: usize,
    closure: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    SCHEDULER
        .spawn(&POOL.stacks()[slot], closure)
        .expect("it is free")
}

/// Writes over the last byte of the stack in this slot, which is noticed when the fiber there leaves it.
pub(super) fn overflow(slot: usize) {
    let bottom = POOL.stacks()[slot].storage_bounds().bottom();
    // SAFETY: this is the damage.
    unsafe { bottom.wrapping_add(FLOOR_BYTES - 1).write_volatile(0) };
}

/// Writes over the stored stack pointer of the fiber in this slot, which waits: it is noticed before that goes on.
pub(super) fn write_over_the_stack_pointer(slot: usize) {
    let block = POOL.stacks()[slot].storage_bounds().top();
    let block: *mut ControlBlock = core::ptr::with_exposed_provenance_mut(block.addr());
    // SAFETY: its own context is the second, and the stack pointer its third word; this is the damage.
    unsafe {
        block
            .cast::<usize>()
            .wrapping_add(4 + 2)
            .write_volatile(0x10);
    };
}

pub(super) fn settle() {
    on_tick(|_| SCHEDULER.timer_interrupt());
    interrupts::enable();
    SCHEDULER.run_until_idle();
    interrupts::disable();
}

/// Three wait; the second fails when it begins to. Two are served: the others.
fn the_second_of_three_fails(kind: Kind) {
    contain();
    let waiters = [0, 1, 2].map(|slot| {
        spawn_in(slot, move || {
            if slot == 1 {
                overflow(slot);
            }
            (kind.wait)()
        })
    });
    settle();
    (kind.serve)();
    settle();
    let [first, second, third] = waiters;
    assert!(first.is_finished(), "{}: the first", kind.name);
    assert!(second.try_join().is_err(), "{}: it failed", kind.name);
    assert!(
        !third.is_finished(),
        "{}: it has to wait for the second",
        kind.name
    );
    (kind.serve)();
    settle();
    assert!(
        third.is_finished(),
        "{}: what the failed one left went to nobody",
        kind.name
    );
    assert_eq!(third.try_join().expect("ended"), Ok(()));
}

/// The first of two was served, and fails before it runs: the second gets it.
fn one_that_was_served_fails(kind: Kind) {
    contain();
    let waiters = [0, 1].map(|slot| spawn_in(slot, move || (kind.wait)()));
    settle();
    write_over_the_stack_pointer(0);
    (kind.serve)();
    settle();
    let [first, second] = waiters;
    assert!(first.try_join().is_err(), "{}: it failed", kind.name);
    assert!(
        second.is_finished(),
        "{}: what it was given went to nobody",
        kind.name
    );
    assert_eq!(second.try_join().expect("ended"), Ok(()));
}

kernel_test! {
    fn a_semaphores_waiter_fails_in_line() { the_second_of_three_fails(KINDS[0]); }
    fn a_wait_queues_waiter_fails_in_line() { the_second_of_three_fails(KINDS[1]); }
    fn a_condition_variables_waiter_fails_in_line() { the_second_of_three_fails(KINDS[2]); }
    fn an_events_waiter_fails_in_line() {
        clear_flags();
        the_second_of_three_fails(KINDS[3]);
    }

    fn a_receiver_fails_in_line() { the_second_of_three_fails(KINDS[4]); }
    fn a_sender_fails_in_line() { the_second_of_three_fails(KINDS[5]); }

    fn a_permit_of_one_that_fails_goes_to_the_next() { one_that_was_served_fails(KINDS[0]); }
    fn a_wake_of_one_that_fails_goes_to_the_next() { one_that_was_served_fails(KINDS[1]); }
    fn a_notification_of_one_that_fails_goes_to_the_next() { one_that_was_served_fails(KINDS[2]); }
    fn flags_of_one_that_fails_go_to_the_next() {
        clear_flags();
        one_that_was_served_fails(KINDS[3]);
        assert!(FLAGS.get().is_empty(), "they were given twice");
    }

    fn a_message_of_one_that_fails_goes_to_the_next() { one_that_was_served_fails(KINDS[4]); }

    /// With nobody else in line.
    fn what_the_only_waiter_was_given_stays_for_whoever_comes() {
        clear_flags();
        for (index, kind) in [KINDS[0], KINDS[1], KINDS[3], KINDS[4]].into_iter().enumerate() {
            if index == 0 {
                contain();
            }
            let fails = spawn_in(index, move || (kind.wait)());
            settle();
            write_over_the_stack_pointer(index);
            (kind.serve)();
            settle();
            assert!(fails.try_join().is_err(), "{}: it failed", kind.name);
            let comes = spawn(move || (kind.wait)());
            settle();
            assert!(comes.is_finished(), "{}: lost", kind.name);
        }
    }

    fn one_that_fails_in_line_with_a_deadline_is_in_no_queue_any_more() {
        contain();
        let fails = spawn_in(0, || {
            overflow(0);
            PERMITS.acquire_timeout(Duration::from_micros(100))
        });
        let waits = spawn_in(1, || PERMITS.acquire_timeout(Duration::from_secs(1000)));
        let sleeps = spawn_in(2, || sleep(Duration::from_micros(500)));
        spawn_in(3, || {
            sleep(Duration::from_micros(1000)).expect("not cancelled");
            PERMITS.release(1).expect("there is room");
        })
        .detach();
        run_all();
        assert!(fails.try_join().is_err());
        assert_eq!(waits.try_join().expect("ended"), Ok(()));
        assert_eq!(sleeps.try_join().expect("ended"), Ok(()));
    }

    fn one_that_fails_when_its_deadline_has_passed_leaves_the_line() {
        contain();
        let fails = spawn_in(0, || PERMITS.acquire_timeout(Duration::from_millis(50)));
        let waits = spawn_in(1, || PERMITS.acquire());
        settle();
        write_over_the_stack_pointer(0);
        spawn_in(2, || {
            sleep(Duration::from_millis(60)).expect("not cancelled");
            PERMITS.release(1).expect("there is room");
        })
        .detach();
        run_all();
        assert!(fails.try_join().is_err());
        assert_eq!(waits.try_join().expect("ended"), Ok(()));
    }

    fn one_that_fails_at_a_barrier_does_not_count() {
        static BARRIER: Barrier = Barrier::new(2);
        contain();
        let fails = spawn_in(0, || { overflow(0); BARRIER.wait() });
        let second = spawn_in(1, || BARRIER.wait());
        settle();
        assert!(fails.try_join().is_err());
        assert!(!second.is_finished(), "there is nobody else");
        let third = spawn_in(2, || BARRIER.wait());
        run_all();
        for waiter in [second, third] {
            waiter.try_join().expect("ended").expect("not cancelled");
        }
    }

    fn what_one_that_fails_lent_to_the_holder_of_a_mutex_is_taken_back() {
        static LOCK: Mutex<u32> = Mutex::new(0);
        static ORDER: AtomicU32 = AtomicU32::new(0);
        contain();
        let builder = SCHEDULER.builder().name("holder").priority(Priority::LOWEST);
        let holder = builder.spawn(&POOL.stacks()[0], || {
            let mut value = LOCK.lock();
            // Lent to: by the time that it runs again the other has failed.
            SCHEDULER.builder().priority(Priority::HIGHEST).spawn(&POOL.stacks()[1], || {
                overflow(1);
                *LOCK.lock() += 1;
            }).expect("it is free").detach();
            yield_now();
            spawn_in(2, || ORDER.store(1, Ordering::Relaxed)).detach();
            yield_now();
            *value = ORDER.load(Ordering::Relaxed);
        }).expect("it is free");
        run_all();
        holder.try_join().expect("ended");
        let value = spawn(|| *LOCK.lock());
        run_all();
        assert_eq!(value.try_join().expect("ended"), 1, "it ran above its own priority");
    }

    fn locks_and_values_go_past_one_that_failed_in_line() {
        static LOCK: Mutex<u32> = Mutex::new(0);
        static SHARED: RwLock<u32> = RwLock::new(0);
        static MADE: Once<u32> = Once::new();
        static GO: Semaphore = Semaphore::new(0);
        contain();
        let work = [
            || *LOCK.lock() += 1,
            || *SHARED.write() += 1,
            || assert_eq!(*MADE.call_once(|| 3), 3),
        ];
        let holds = spawn(|| {
            let _guards = (LOCK.lock(), SHARED.write());
            MADE.call_once(|| { GO.acquire().expect("not cancelled"); 3 });
        });
        settle();
        for (slot, work) in work.into_iter().enumerate() {
            spawn_in(slot, move || { overflow(slot); work() }).detach();
        }
        let others = work.map(spawn);
        settle();
        GO.release(1).expect("there is room");
        settle();
        assert!(holds.is_finished());
        for (number, other) in others.into_iter().enumerate() {
            println!("other {number}");
            assert!(other.is_finished(), "it went to the one that failed");
            other.try_join().expect("ended");
        }
    }

    fn a_wake_is_not_lost_to_one_that_fails_in_its_condition() {
        static READY: AtomicU32 = AtomicU32::new(0);
        static LINE: WaitQueue = WaitQueue::new();
        contain();
        spawn(|| {
            let mut asked = 0;
            let _never = LINE.wait_while(|| { asked += 1; assert!(asked < 2, "in the condition"); true });
        })
        .detach();
        let others = [1, 2].map(|_| spawn(|| LINE.wait_while(|| READY.load(Ordering::Relaxed) == 0)));
        settle();
        READY.store(1, Ordering::Relaxed);
        assert!(LINE.wake_one());
        settle();
        assert_eq!(reports(), 1);
        for other in others {
            assert!(other.is_finished(), "the wake was lost");
        }
    }

    fn one_that_fails_in_its_condition_before_it_waits_takes_no_wake() {
        static READY: AtomicU32 = AtomicU32::new(0);
        static LINE: WaitQueue = WaitQueue::new();
        contain();
        spawn(|| LINE.wait_while(|| panic!("in the condition"))).detach();
        let good = spawn(|| LINE.wait_while(|| READY.load(Ordering::Relaxed) == 0));
        settle();
        READY.store(1, Ordering::Relaxed);
        assert!(LINE.wake_one());
        settle();
        assert!(good.is_finished(), "the wake was lost");
    }
}
