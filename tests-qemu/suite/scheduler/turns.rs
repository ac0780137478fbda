//! Whose turn it is: round robin among equals, the more urgent before the less urgent.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kfiber::scheduler::{
    FiberInfo, FiberPool, JoinHandle, Priority, Unparker, current, park, yield_now,
};
use tests_qemu::{command_line, cpu::Random, kernel_test};
use x86_64::instructions::interrupts::without_interrupts;

use super::{CELLS, Log, Place, SCHEDULER, STACK, in_a_fiber, run, spawn};

const fn level(level: u8) -> Priority {
    Priority::new(level).expect("levels are below 32")
}

/// How often the running fiber was switched to.
fn my_switches() -> u64 {
    let me = current();
    let mut all = SCHEDULER.fibers();
    all.find(|fiber: &FiberInfo| Some(fiber.id) == me)
        .expect("it is listed")
        .switches
}

kernel_test! {
    fn equals_take_turns_in_the_order_in_which_they_were_made() {
        static LOG: Log = Log::new();
        for number in 1..=3 {
            spawn(move || {
                for round in 0..3 {
                    LOG.note(round * 10 + number);
                    yield_now();
                }
            })
            .detach();
        }
        run();
        LOG.assert_is(&[1, 2, 3, 11, 12, 13, 21, 22, 23]);
    }

    fn the_thirty_two_priorities_run_from_the_highest_to_the_lowest() {
        static ALL: FiberPool<STACK, 32> = FiberPool::new();
        static LOG: Log = Log::new();
        // In an order that is neither: 5 has no divisor in common with 32.
        for number in 0..32_u8 {
            let number = number * 5 % 32;
            let builder = SCHEDULER.builder().priority(level(number));
            builder.spawn(&ALL, move || LOG.note(number.into())).expect("one for each").detach();
        }
        run();
        LOG.assert_is(&core::array::from_fn::<u64, 32, _>(|index| 31 - index as u64));
    }

    fn a_yield_after_a_handler_s_wakes_goes_to_the_most_urgent() {
        static LOG: Log = Log::new();
        let made = [2, 5, 8, 9].map(|number| {
            let builder = SCHEDULER.builder().priority(level(number));
            let fiber = builder.spawn(&CELLS, move || {
                while park().is_ok() {
                    LOG.note(number.into());
                }
            });
            fiber.expect("a cell is free")
        });
        let yields = SCHEDULER.builder().priority(level(5)).spawn(&CELLS, move || {
            let [below, equal, above, highest] = made;
            yield_now();
            for woken in [&[&highest][..], &[&above, &highest], &[&equal], &[&below]] {
                // As in a handler: whoever wakes with interrupts off does so from elsewhere.
                without_interrupts(|| woken.iter().for_each(|fiber| assert!(fiber.unparker().unpark())));
                yield_now();
            }
            LOG.note(0);
            // This one is ready already, so the one that is woken from elsewhere must not come first.
            let builder = SCHEDULER.builder().priority(level(9));
            builder.spawn(&CELLS, || LOG.note(7)).expect("a cell is free").detach();
            without_interrupts(|| assert!(above.unparker().unpark()));
            yield_now();
            [below, equal, above, highest].iter().for_each(JoinHandle::cancel);
        });
        yields.expect("a cell is free").detach();
        run();
        LOG.assert_is(&[9, 9, 8, 5, 0, 7, 8, 2]);
    }

    fn the_less_urgent_run_only_while_all_more_urgent_wait() {
        static LOG: Log = Log::new();
        let urgent = SCHEDULER.builder().priority(Priority::HIGHEST).spawn(&CELLS, || {
            LOG.note(1);
            park().expect("nobody cancels it");
            LOG.note(4);
            yield_now();
            LOG.note(5);
        });
        let waker = urgent.expect("a cell is free").unparker();
        spawn(move || {
            LOG.note(2);
            assert!(waker.unpark());
            LOG.note(3); // waking is not yielding
            yield_now();
            LOG.note(6);
        })
        .detach();
        run();
        LOG.assert_is(&[1, 2, 3, 4, 5, 6]);
    }

    fn a_more_urgent_fiber_that_was_made_runs_at_the_next_yield() {
        static LOG: Log = Log::new();
        spawn(|| {
            let urgent = SCHEDULER.builder().priority(Priority::HIGHEST);
            let idle = SCHEDULER.builder().priority(Priority::LOWEST);
            idle.spawn(&CELLS, || LOG.note(4)).expect("a cell is free").detach();
            urgent.spawn(&CELLS, || LOG.note(2)).expect("a cell is free").detach();
            LOG.note(1);
            yield_now();
            LOG.note(3);
        })
        .detach();
        run();
        LOG.assert_is(&[1, 2, 3, 4]);
    }

    fn a_yield_without_others_comes_back_without_a_switch() {
        in_a_fiber(|| {
            let before = my_switches();
            (0..1_000).for_each(|_| yield_now());
            assert_eq!(my_switches(), before);
        });
    }

    fn every_switch_to_a_fiber_is_counted() {
        let counts = [(); 4].map(|()| spawn(|| {
            (0..100).for_each(|_| yield_now());
            my_switches()
        }));
        run();
        assert_eq!(counts.map(|fiber| fiber.try_join().expect("all have ended")), [101; 4]);
    }

    fn a_yield_leaves_the_interrupt_flag_and_all_others_alone() {
        use x86_64::registers::rflags::{RFlags, read};
        static OTHER_RUNS: AtomicBool = AtomicBool::new(true);
        spawn(|| while OTHER_RUNS.load(Ordering::Relaxed) { yield_now() }).detach();
        in_a_fiber(|| {
            let kept = RFlags::INTERRUPT_FLAG | RFlags::DIRECTION_FLAG | RFlags::ALIGNMENT_CHECK | RFlags::NESTED_TASK;
            let before = read() & kept;
            for _ in 0..100 {
                yield_now();
                assert_eq!(read() & kept, before);
            }
            assert_eq!(before, RFlags::INTERRUPT_FLAG);
            OTHER_RUNS.store(false, Ordering::Relaxed);
        });
    }

    /// The bound that the documentation of `Priority` states, with fibers that come and go.
    fn a_ready_fiber_waits_for_no_more_turns_than_it_has_equals() {
        static TURN: AtomicU64 = AtomicU64::new(0);
        static WOKEN_AT: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];
        static WAKERS: [Place<Unparker>; 8] = [const { Place::new() }; 8];
        static LONGEST: AtomicU64 = AtomicU64::new(0);
        let rounds = command_line::rounds(20_000);
        for index in 0..8 {
            let fiber = spawn(move || {
                let mut random = Random::new(command_line::seed() + index as u64);
                while TURN.fetch_add(1, Ordering::Relaxed) < rounds {
                    let turn = TURN.load(Ordering::Relaxed);
                    let waited = turn - WOKEN_AT[index].load(Ordering::Relaxed);
                    LONGEST.fetch_max(waited, Ordering::Relaxed);
                    // One turn in two, park, unless all others do; the first never parks and wakes the rest.
                    let parks = index > 0 && random.below(2) == 0;
                    if index == 0 {
                        for (other, place) in WAKERS.iter().enumerate().skip(1) {
                            if WOKEN_AT[other].load(Ordering::Relaxed) == u64::MAX {
                                WOKEN_AT[other].store(turn, Ordering::Relaxed);
                                place.get().unpark();
                            }
                        }
                    }
                    if parks {
                        WOKEN_AT[index].store(u64::MAX, Ordering::Relaxed);
                        park().expect("nobody cancels it");
                    } else {
                        WOKEN_AT[index].store(turn, Ordering::Relaxed);
                        yield_now();
                    }
                }
                WAKERS.iter().for_each(|place| {
                    place.get().unpark();
                });
            });
            WAKERS[index].put(fiber.unparker());
            fiber.detach();
        }
        run();
        let longest = LONGEST.load(Ordering::Relaxed);
        assert!((2..=8).contains(&longest), "one had to wait for {longest} turns of eight fibers");
    }
}
