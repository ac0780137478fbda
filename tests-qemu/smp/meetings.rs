//! Fibers of different cores wait for each other: messages, flags, meetings, parking, joins, cancellation, scopes.

use core::{
    array,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use kfiber::{
    platform::Core,
    scheduler::{
        self, FiberPool, JoinErrorKind, JoinHandle, Unparker, WaitError, park, scope, sleep,
        yield_now,
    },
    sync::{Barrier, Channel, Event, IrqMutex, RecvError, WaitQueue, Wanted, bitflags::bitflags},
};
use tests_qemu::{command_line, cores, kernel_test};

use crate::team::{self, STACK, team};

/// How often the fibers of a test meet.
const ROUNDS: u64 = 1_000;

bitflags! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Flags: u32 { const _ = !0; }
}

static POST: Channel<u64, 2> = Channel::new();
static FLAGS: Event<Flags> = Event::new(Flags::empty());
static MEETING: Barrier = Barrier::new(4);
static QUEUE: WaitQueue = WaitQueue::new();
static TURN: AtomicU64 = AtomicU64::new(0);
static SUM: AtomicU64 = AtomicU64::new(0);
static LEADERS: AtomicU64 = AtomicU64::new(0);
static PARKED: IrqMutex<[Option<Unparker>; 2]> = IrqMutex::new([None; 2]);
static SHARED: FiberPool<STACK, 4> = FiberPool::new();
static BEGUN: AtomicUsize = AtomicUsize::new(0);

kernel_test! {
    /// Two senders and two receivers on four cores, with room for two messages: each waits for the others.
    fn a_full_channel_loses_no_message_between_cores() cores(4) timeout(120) {
        team::start();
        let rounds = rounds();
        for core in 0..2 {
            team::spawn_on(core, move || {
                for number in 0..rounds {
                    POST.send(number).expect("nobody closes it before");
                }
                if BEGUN.fetch_add(1, Ordering::AcqRel) == 1 {
                    POST.close();
                }
            }).detach();
        }
        let receivers = [2, 3].map(|core| team::spawn_on(core, || {
            let mut sum = 0;
            while let Ok(number) = POST.recv() {
                sum += number;
            }
            sum
        }));
        team::run();
        let sum: u64 = receivers.into_iter().map(|fiber| fiber.try_join().expect("it has ended")).sum();
        assert_eq!(sum, rounds * (rounds - 1));
    }

    fn a_message_that_does_not_come_times_out_on_every_core() cores(4) timeout(120) {
        let count = team::start();
        let fibers: [JoinHandle<RecvError>; 4] = array::from_fn(|index| team::spawn_on(index % count, || {
            POST.recv_timeout(Duration::from_millis(3)).expect_err("nobody sends")
        }));
        team::run();
        for fiber in fibers {
            assert_eq!(fiber.try_join().expect("it has ended"), RecvError::TimedOut);
        }
    }

    fn flags_go_to_and_fro_between_cores() cores(2) timeout(120) {
        team::start();
        for core in 0..2_u32 {
            team::spawn_on(core as usize, move || {
                let (mine, others) = (Flags::from_bits_retain(1 << core), Flags::from_bits_retain(2 >> core));
                for _ in 0..rounds() {
                    if core == 0 {
                        FLAGS.set(others);
                    }
                    FLAGS.wait(Wanted::all(mine).and_clear()).expect("nobody cancels it");
                    if core == 1 {
                        FLAGS.set(others);
                    }
                }
            }).detach();
        }
        team::run();
        assert_eq!(FLAGS.get(), Flags::empty());
    }

    /// Nobody is a meeting ahead of the others.
    fn a_barrier_lets_all_cores_on_together() cores(4) timeout(120) {
        let count = team::start();
        for core in 0..count {
            team::spawn_on(core, || {
                for round in 0..rounds() {
                    SUM.fetch_add(1, Ordering::AcqRel);
                    let turn = MEETING.wait().expect("nobody cancels it");
                    let arrived = SUM.load(Ordering::Acquire);
                    assert!((4 * round + 4..4 * round + 8).contains(&arrived), "{arrived} arrivals in round {round}");
                    LEADERS.fetch_add(u64::from(turn.is_leader()), Ordering::Relaxed);
                }
            }).detach();
        }
        team::run();
        assert_eq!(LEADERS.load(Ordering::Relaxed), rounds());
    }

    /// Each waits for its turn; all are woken each time.
    fn a_wait_queue_passes_the_turn_round_all_cores() cores(4) timeout(120) {
        let count = team::start();
        for core in 0..count {
            team::spawn_on(core, move || {
                for round in 0..rounds() / 4 {
                    let mine = 4 * round + core as u64;
                    QUEUE.wait_while(|| TURN.load(Ordering::Acquire) != mine).expect("nobody cancels it");
                    TURN.store(mine + 1, Ordering::Release);
                    QUEUE.wake_all();
                }
            }).detach();
        }
        team::run();
        assert_eq!(TURN.load(Ordering::Relaxed), rounds() / 4 * 4);
    }

    /// A wake-up that is lost is a hang.
    fn two_cores_park_and_unpark_each_other() cores(2) timeout(120) {
        team::start();
        for core in 0..2 {
            team::spawn_on(core, move || {
                PARKED.lock()[core] = scheduler::unparker();
                while PARKED.lock()[1 - core].is_none() {
                    yield_now();
                }
                let other = PARKED.lock()[1 - core].expect("it was there");
                for round in 0..rounds() {
                    let mine = 2 * round + core as u64;
                    while TURN.load(Ordering::Acquire) != mine {
                        park().expect("nobody cancels it");
                    }
                    TURN.store(mine + 1, Ordering::Release);
                    other.unpark();
                }
            }).detach();
        }
        team::run();
        assert_eq!(TURN.load(Ordering::Relaxed), 2 * rounds());
    }

    fn a_join_waits_for_a_fiber_of_another_core() cores(2) timeout(120) {
        team::start();
        let outer = team::spawn_on(0, || {
            let mut sum = 0;
            for round in 0..rounds() {
                let inner = team::spawn_on(1, move || {
                    assert_eq!(cores::this(), 1);
                    if round % 2 == 0 {
                        yield_now();
                    }
                    round
                });
                sum += inner.join().expect("nobody cancels it");
                assert_eq!(cores::this(), 0);
            }
            sum
        });
        team::run();
        assert_eq!(outer.try_join().expect("it has ended"), rounds() * (rounds() - 1) / 2);
    }

    fn a_fiber_is_cancelled_from_another_core() cores(2) timeout(120) {
        team::start();
        let outer = team::spawn_on(0, || {
            for round in 0..200_u64 {
                let inner = team::spawn_on(1, move || match round % 3 {
                    0 => park(),
                    1 => sleep(Duration::from_secs(3_600)),
                    _ => POST.recv().map(|_| ()).map_err(|error| {
                        assert_eq!(error, RecvError::Cancelled);
                        WaitError::Cancelled
                    }),
                });
                if round % 2 == 0 {
                    yield_now();
                }
                inner.cancel();
                assert_eq!(inner.join().expect("it ends"), Err(WaitError::Cancelled));
            }
        });
        team::run();
        outer.try_join().expect("it has ended");
    }

    /// The timer is that of the core that waits, the fiber that of another.
    fn a_join_of_a_fiber_of_another_core_times_out() cores(2) timeout(120) {
        team::start();
        let outer = team::spawn_on(0, || {
            let inner = team::spawn_on(1, park);
            let late = inner.join_timeout(Duration::from_millis(3)).expect_err("it parks");
            assert_eq!(late.kind, JoinErrorKind::TimedOut);
            late.handle.unparker().unpark();
            late.handle.join().expect("it ends")
        });
        team::run();
        assert_eq!(outer.try_join().expect("it has ended"), Ok(()));
    }

    /// They change what lies on the stack of a fiber that cannot leave before them, wherever they run.
    fn fibers_of_a_scope_borrow_on_whatever_core() cores(4) timeout(120) {
        team::start();
        let outer = team::spawn_on(0, || {
            for round in 0..100 {
                let mut numbers = [1, 2, 3, 4, 5, 6, 7, 8];
                scope(|scope| {
                    for pair in numbers.chunks_mut(2) {
                        let worker = scope.spawn(&SHARED, || {
                            for number in pair {
                                *number *= round;
                                yield_now();
                            }
                        });
                        worker.expect("a cell is free").detach();
                    }
                });
                assert_eq!(numbers, array::from_fn(|index| (index + 1) * round));
            }
        });
        team::run();
        outer.try_join().expect("it has ended");
    }

    /// A fiber's own fibers without a scheduler stay within it.
    fn asymmetric_fibers_run_on_every_core() cores(4) timeout(120) {
        use kfiber::{fiber::{Fiber, Resumed, Yielder}, stack::StackPool};
        static STACKS: StackPool<STACK, 8> = StackPool::new();
        let count = team::start();
        let fibers: [JoinHandle<u64>; 8] = array::from_fn(|index| {
            let builder = team().builder().on(Core(index % count));
            let body = || {
                let mut sum = 0;
                for round in 0..50 {
                    let stack = STACKS.take().expect("one for each fiber");
                    let mut inner = Fiber::new(stack, move |yielder: &Yielder<(), u64>, ()| {
                        yielder.suspend(round);
                        round
                    }).expect("a closure this small fits");
                    yield_now();
                    while let Resumed::Yielded(number) = inner.resume(()) {
                        sum += number;
                    }
                }
                sum
            };
            builder.spawn(&team::CELLS, body).expect("a cell is free")
        });
        team::run();
        for fiber in fibers {
            assert_eq!(fiber.try_join().expect("it has ended"), 50 * 49 / 2);
        }
    }
}

fn rounds() -> u64 {
    command_line::rounds(ROUNDS)
}
