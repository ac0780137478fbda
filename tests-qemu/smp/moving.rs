//! Fibers move: to cores that have nothing to do, and where they want to be. What is on their stacks goes along.

use core::{
    array,
    hint::black_box,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use kfiber::{
    platform::Core,
    scheduler::{JoinHandle, Unparker, move_to, park, sleep, unparker, yield_now},
    sync::{IrqMutex, Mutex},
};
use tests_qemu::{command_line, cores, cpu::Random, kernel_test, println};

use crate::team;

/// Fibers that move at the same time.
const FIBERS: usize = 12;
/// How often each of them does.
const ROUNDS: u64 = 1_000;

static SEEN: [AtomicUsize; cores::MOST] = [const { AtomicUsize::new(0) }; cores::MOST];
/// Fibers that have begun, or are done.
static BEGUN: AtomicUsize = AtomicUsize::new(0);
static NUMBER: Mutex<[u64; 2]> = Mutex::new([0; 2]);

kernel_test! {
    /// All of them begin on one core, and none ends before each core has run one. If none moves, this is a hang.
    fn fibers_of_one_busy_core_spread_to_all() cores(4) timeout(60) {
        team::start();
        spread();
    }

    fn fibers_of_one_busy_core_spread_to_eight() cores(8) timeout(120) {
        team::start();
        spread();
    }

    /// The other cores are busy until all fibers have begun on the first one. They then have nothing to do, and ask for some.
    fn a_core_that_runs_dry_is_given_fibers() cores(4) timeout(60) {
        let count = team::start();
        for core in 1..count {
            team::spawn_on(core, || {
                while BEGUN.load(Ordering::Acquire) < 16 {
                    core::hint::spin_loop();
                }
            }).detach();
        }
        team::spawn_on(0, move || {
            // Nobody sleeps now: all cores have their fiber.
            for _ in 0..16 {
                team::spawn(move || {
                    BEGUN.fetch_add(1, Ordering::AcqRel);
                    run_until_all_cores_were_seen(count);
                }).detach();
            }
        }).detach();
        team::run();
    }

    /// Two cores wake the same fibers all the time, which move and wait again. One that gets into the wrong core's hands runs
    /// twice, or never again.
    fn two_wakers_and_a_mover_lose_no_fiber() cores(4) timeout(120) {
        team::start();
        wake_movers();
    }

    fn a_fiber_goes_where_it_wants() cores(4) timeout(60) {
        let count = team::start();
        let fiber = team::spawn_on(0, move || {
            let mut mine = black_box([0_u64; 64]);
            for round in 0..rounds() {
                let core = usize::try_from(round).expect("64 bits") % count;
                move_to(Core(core)).expect("there is such a core");
                assert_eq!(cores::this(), core);
                mine.iter_mut().for_each(|word| *word += round);
            }
            mine
        });
        team::run();
        let sum = rounds() * (rounds() - 1) / 2;
        assert_eq!(fiber.try_join().expect("it has ended"), [sum; 64]);
    }

    /// It stays there until it moves again.
    fn a_pinned_fiber_moves_and_is_pinned_where_it_goes() cores(4) timeout(60) {
        let count = team::start();
        let fiber = team::spawn_on(1, move || {
            for round in 0..100 {
                let core = round % count;
                move_to(Core(core)).expect("there is such a core");
                for _ in 0..20 {
                    assert_eq!(cores::this(), core);
                    yield_now();
                }
            }
        });
        team::run();
        fiber.try_join().expect("it has ended");
    }

    fn a_fiber_cannot_move_to_a_core_that_there_is_not() cores(2) timeout(60) {
        team::start();
        let fiber = team::spawn(|| move_to(Core(2)).is_err());
        team::run();
        assert_eq!(fiber.try_join().ok(), Some(true));
    }

    /// All at once, at random, with sleeps, and with a lock that some hold while they move.
    fn many_fibers_move_at_random_and_lose_nothing() cores(4) timeout(120) {
        team::start();
        move_at_random();
    }

    fn many_fibers_move_at_random_between_eight_cores() cores(8) timeout(120) {
        team::start();
        move_at_random();
    }
}

fn rounds() -> u64 {
    command_line::rounds(ROUNDS)
}

fn spread() {
    let count = cores::count();
    let maker = team::spawn(move || {
        let fibers: [JoinHandle<()>; 16] = array::from_fn(|_| {
            team::spawn(move || {
                run_until_all_cores_were_seen(count);
            })
        });
        for fiber in fibers {
            fiber.join().expect("nobody cancels it");
        }
    });
    team::run();
    maker.try_join().expect("it has ended");
    println!(
        "turns by core: {:?}",
        SEEN.each_ref().map(|seen| seen.load(Ordering::Relaxed))
    );
}

fn run_until_all_cores_were_seen(count: usize) {
    loop {
        SEEN[cores::this()].fetch_add(1, Ordering::Relaxed);
        if SEEN[..count]
            .iter()
            .all(|seen| seen.load(Ordering::Relaxed) > 0)
        {
            return;
        }
        yield_now();
    }
}

fn wake_movers() {
    const MOVERS: usize = 4;
    static UNPARKERS: IrqMutex<[Option<Unparker>; MOVERS]> = IrqMutex::new([None; MOVERS]);
    let movers: [JoinHandle<()>; MOVERS] = array::from_fn(|index| {
        team::spawn_on(index % cores::count(), move || {
            UNPARKERS.lock()[index] = unparker();
            let mut random = Random::new(command_line::seed() + index as u64);
            for _ in 0..rounds() / 2 {
                let to = usize::try_from(random.below(cores::count() as u64)).expect("small");
                move_to(Core(to)).expect("there is such a core");
                assert_eq!(cores::this(), to);
                park().expect("nobody cancels it");
                assert_eq!(cores::this(), to, "woken on another core");
            }
            BEGUN.fetch_add(1, Ordering::AcqRel);
        })
    });
    for core in 0..cores::count() {
        team::spawn_on(core, || {
            while BEGUN.load(Ordering::Acquire) < MOVERS {
                let unparkers = *UNPARKERS.lock();
                for unparker in unparkers.into_iter().flatten() {
                    unparker.unpark();
                }
                yield_now();
            }
        })
        .detach();
    }
    team::run();
    for mover in movers {
        mover.try_join().expect("all have ended");
    }
}

fn move_at_random() {
    let count = cores::count() as u64;
    let fibers: [JoinHandle<u64>; FIBERS] = array::from_fn(|index| {
        team::spawn_on(index % cores::count(), move || {
            let mut random = Random::new(command_line::seed() + index as u64);
            let mut mine = black_box([index as u64; 32]);
            let mut locked = 0;
            for round in 0..rounds() {
                let to = Core(usize::try_from(random.below(count)).expect("small"));
                match random.below(8) {
                    0 => {
                        let mut number = NUMBER.lock();
                        number[0] += 1;
                        move_to(to).expect("there is such a core");
                        assert_eq!(cores::this(), to.0);
                        number[1] += 1;
                        assert_eq!(number[0], number[1]);
                        locked += 1;
                    }
                    1 => {
                        sleep(Duration::from_micros(random.below(100))).expect("nobody cancels it");
                    }
                    2 | 3 => yield_now(),
                    _ => move_to(to).expect("there is such a core"),
                }
                mine.iter_mut().for_each(|word| *word += round);
            }
            let sum = rounds() * (rounds() - 1) / 2;
            assert_eq!(mine, [index as u64 + sum; 32], "a stack was changed");
            locked
        })
    });
    team::run();
    let locked: u64 = fibers
        .into_iter()
        .map(|fiber| fiber.try_join().expect("all have ended"))
        .sum();
    assert_eq!(team::ask(|| *NUMBER.lock()), [locked; 2]);
}
