//! Locks between cores: whoever is inside is alone, and everybody gets in.

use core::{
    array,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use kfiber::{
    scheduler::{JoinHandle, sleep, yield_now},
    sync::{Condvar, IrqMutex, Mutex, Once, RwLock, Semaphore},
};
use tests_qemu::{
    command_line, cores, cpu::Random, interrupts::on_tick, interrupts::start_timer, kernel_test,
};

use crate::team::{self, team};

/// Fibers, as many on each core as on any other.
const FIBERS: usize = 12;
/// How often each of them locks.
const ROUNDS: u64 = 500;

/// A number that is changed in two steps, which nobody must see.
static NUMBER: Mutex<[u64; 2]> = Mutex::new([0; 2]);
static TABLE: RwLock<[u64; 2]> = RwLock::new([0; 2]);
static PERMITS: Semaphore = Semaphore::new(3);
static INSIDE: AtomicUsize = AtomicUsize::new(0);
static MOST_INSIDE: AtomicUsize = AtomicUsize::new(0);
static STOCK: Mutex<u64> = Mutex::new(0);
static HAS_STOCK: Condvar = Condvar::new();
static TICKS: IrqMutex<[u64; 2]> = IrqMutex::new([0; 2]);
static EXPECTED: AtomicU64 = AtomicU64::new(0);

kernel_test! {
    fn a_mutex_lets_one_fiber_of_all_cores_in() cores(4) timeout(120) {
        everywhere(|random| {
            let mut number = NUMBER.lock();
            assert_eq!(number[0], number[1]);
            number[0] += 1;
            if random.below(4) == 0 {
                yield_now();
            }
            number[1] += 1;
        });
        assert_eq!(team::ask(|| *NUMBER.lock()), [FIBERS as u64 * rounds(); 2]);
    }

    /// Waits that end by their deadline, and those that do not, leave the lock as it should be.
    fn a_mutex_with_deadlines_loses_nobody() cores(4) timeout(120) {
        everywhere(|random| {
            match NUMBER.lock_timeout(Duration::from_micros(random.below(50))) {
                Ok(mut number) => {
                    assert_eq!(number[0], number[1]);
                    number[0] += 1;
                    if random.below(4) == 0 {
                        yield_now();
                    }
                    number[1] += 1;
                    EXPECTED.fetch_add(1, Ordering::Relaxed);
                }
                Err(_timed_out) => yield_now(),
            }
        });
        let got_in = EXPECTED.load(Ordering::Relaxed);
        assert!(got_in > 0);
        assert_eq!(team::ask(|| *NUMBER.lock()), [got_in; 2]);
    }

    fn readers_of_all_cores_never_see_half_a_change() cores(4) timeout(120) {
        everywhere(|random| {
            if random.below(3) == 0 {
                let mut table = TABLE.write();
                table[0] += 1;
                yield_now();
                table[1] += 1;
                EXPECTED.fetch_add(1, Ordering::Relaxed);
            } else {
                let table = TABLE.read();
                if random.below(4) == 0 {
                    yield_now();
                }
                assert_eq!(table[0], table[1]);
            }
        });
        assert_eq!(team::ask(|| *TABLE.read()), [EXPECTED.load(Ordering::Relaxed); 2]);
    }

    fn a_semaphore_lets_as_many_in_as_it_has_permits() cores(4) timeout(120) {
        everywhere(|random| {
            PERMITS.acquire().expect("nobody cancels it");
            let inside = INSIDE.fetch_add(1, Ordering::AcqRel) + 1;
            assert!(inside <= 3, "{inside} fibers with 3 permits");
            MOST_INSIDE.fetch_max(inside, Ordering::Relaxed);
            if random.below(2) == 0 {
                yield_now();
            }
            INSIDE.fetch_sub(1, Ordering::AcqRel);
            PERMITS.release(1).expect("it was taken before");
        });
        assert_eq!(PERMITS.available(), 3);
        assert_eq!(MOST_INSIDE.load(Ordering::Relaxed), 3);
    }

    /// Half of the fibers make what the others take. A notice that is lost is a hang.
    fn a_condition_variable_loses_no_notice() cores(4) timeout(120) {
        let fibers = start_everywhere(|index, _random| {
            let mut stock = STOCK.lock();
            if index % 2 == 0 {
                *stock += 1;
                HAS_STOCK.notify_one();
            } else {
                HAS_STOCK.wait_while(&mut stock, |stock| *stock == 0).expect("nobody cancels it");
                *stock -= 1;
            }
        });
        finish(fibers);
        assert_eq!(team::ask(|| *STOCK.lock()), 0);
    }

    /// Each core's timer locks it too.
    fn a_lock_with_interrupts_off_keeps_other_cores_out() cores(4) timeout(120) {
        team::start();
        on_tick(|_| {
            add_to_ticks();
            team().timer_interrupt();
        });
        cores::on_all(|core| start_timer(60_000 + 1_000 * u32::try_from(core).expect("small")));
        everywhere_started(|_| {
            add_to_ticks();
            yield_now();
        });
        let ticks = TICKS.try_lock().expect("nobody holds it");
        assert_eq!(ticks[0], ticks[1]);
        assert_eq!(ticks[0], EXPECTED.load(Ordering::Relaxed));
        assert!(ticks[0] >= FIBERS as u64 * rounds());
    }

    /// All cores ask for it at the same time, round after round.
    fn a_value_is_made_once_for_all_cores() cores(4) timeout(120) {
        static VALUES: [Once<u64>; 64] = [const { Once::new() }; 64];
        let fibers = start_everywhere(|_, random| {
            let index = usize::try_from(random.below(64)).expect("small");
            let value = VALUES[index].call_once(|| {
                yield_now();
                EXPECTED.fetch_add(1, Ordering::Relaxed);
                index as u64
            });
            assert_eq!(*value, index as u64);
        });
        finish(fibers);
        let made = VALUES.iter().filter(|value| value.get().is_some()).count();
        assert_eq!(EXPECTED.load(Ordering::Relaxed), made as u64, "values that were made");
    }

    /// Each core has its own timer: sleepers of all of them wake, none of them early.
    fn fibers_sleep_on_every_core() cores(4) timeout(120) {
        team::start();
        let fibers: [JoinHandle<()>; FIBERS] = array::from_fn(|index| {
            team::spawn_on(index % cores::count(), move || {
                let mut random = Random::new(command_line::seed() + index as u64);
                for _ in 0..20 {
                    let length = Duration::from_micros(100 + random.below(2_000));
                    let due = kfiber::scheduler::after(length);
                    sleep(length).expect("nobody cancels it");
                    assert!(kfiber::scheduler::now() >= due);
                }
            })
        });
        team::run();
        finish_run(fibers);
    }
}

fn add_to_ticks() {
    let mut ticks = TICKS.lock();
    assert_eq!(ticks[0], ticks[1]);
    ticks[0] += 1;
    core::hint::spin_loop();
    ticks[1] += 1;
    EXPECTED.fetch_add(1, Ordering::Relaxed);
}

fn rounds() -> u64 {
    command_line::rounds(ROUNDS)
}

/// Starts the cores, and has each fiber do the same again and again.
fn everywhere(f: fn(&mut Random)) {
    team::start();
    everywhere_started(f);
}

fn everywhere_started(f: fn(&mut Random)) {
    finish(spawn_everywhere(move |_, random| f(random)));
}

/// Starts the cores, and makes fibers that do the same again and again, told their number.
fn start_everywhere(
    f: impl Fn(usize, &mut Random) + Copy + Send + 'static,
) -> [JoinHandle<()>; FIBERS] {
    team::start();
    spawn_everywhere(f)
}

fn spawn_everywhere(
    f: impl Fn(usize, &mut Random) + Copy + Send + 'static,
) -> [JoinHandle<()>; FIBERS] {
    array::from_fn(|index| {
        team::spawn_on(index % cores::count(), move || {
            let mut random = Random::new(command_line::seed() + index as u64);
            for _ in 0..rounds() {
                f(index, &mut random);
            }
        })
    })
}

fn finish(fibers: [JoinHandle<()>; FIBERS]) {
    team::run();
    finish_run(fibers);
}

fn finish_run(fibers: [JoinHandle<()>; FIBERS]) {
    for fiber in fibers {
        fiber.try_join().expect("all have ended");
    }
}
