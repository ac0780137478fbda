//! Two cores: what two give of what one does, and how fast a word goes from one to the other.

mod crew;
mod lengths;
mod load_bench;
mod loads;
pub(crate) mod ping_pong;
mod tokio;
pub(crate) mod work;

use std::sync::{Arc, OnceLock};

use kfiber_with_smp::platform::Host;

use crate::affinity;
use crate::bench::Plan;

use crew::Crew;
use load_bench::{Load, OnBoth, OnOne};
use work::{MICROSECOND, Thought, work};

/// Fibers on each core that have nothing to do with each other.
const WORKERS: usize = 8;
/// What each of them computes between two yields: about a tenth of a microsecond.
const YIELD_STEPS: u32 = MICROSECOND / 10;
/// Short jobs of a lap, and how long each is: about three microseconds.
const JOBS: usize = 10_000;
const JOB_STEPS: u32 = 3 * MICROSECOND;
/// How often who waits looks, before it sleeps, where it looks at all.
const LOOKS: u32 = 10_000;

/// Everything on the first two cores on which this program may run. The main thread stays on the first of them.
///
/// If there is only one, there is nothing.
pub(crate) fn plans(seed: u64) -> Vec<Plan> {
    let [first, second, ..] = *affinity::allowed_cores() else {
        eprintln!("there is only one core: what needs two is left out");
        return Vec::new();
    };
    let cores = [first, second];
    let crew = Crew::start(Host::new(), cores);
    affinity::stay_on(first);
    let workers = Arc::new(tokio::workers(&cores));
    let also_workers = Arc::clone(&workers);
    let worker = Arc::new(tokio::workers(&cores[..1]));
    let mut plans = vec![
        of_threads("threads-one", vec![first]),
        of_threads("threads", cores.to_vec()),
        on_one("cores_independent", Load::Independent),
        on_one("cores_jobs", Load::Jobs),
        on_one("cores_uneven", Load::uneven(seed)),
        Plan::new("tokio-one", "cores_jobs", move || tokio::Jobs::new(worker)).laps_of(JOBS),
    ];
    let on_both = |shape, load: Load| {
        let operations = operations(&load, 2);
        Plan::new("kfiber-smp", shape, move || OnBoth { crew, load }).laps_of(operations)
    };
    plans.extend([
        on_both("cores_independent", Load::Independent),
        on_both("cores_jobs", Load::Jobs),
        on_both("cores_uneven", Load::uneven(seed)),
        on_both("cores_by_hand", Load::by_hand(seed)),
        Plan::new("tokio", "cores_jobs", || tokio::Jobs::new(also_workers)).laps_of(JOBS),
        Plan::new("kfiber-smp", "cores_message", || {
            ping_pong::Channels::new(crew)
        }),
        Plan::new("crossbeam", "cores_message", move || {
            ping_pong::Crossbeam::new(second)
        }),
        Plan::new("flume", "cores_message", move || {
            ping_pong::Flume::new(second)
        }),
        Plan::new("threads-spin", "cores_semaphore", move || {
            ping_pong::Threads::new(second, LOOKS, Thought::NONE)
        }),
    ]);
    for (shape, thought) in [
        ("cores_semaphore", Thought::NONE),
        ("cores_asleep", Thought::LONG),
    ] {
        let apart = tokio::Place::Apart(second);
        plans.extend([
            Plan::new("kfiber-smp", shape, move || {
                ping_pong::Semaphores::new(crew, thought)
            }),
            Plan::new("threads", shape, move || {
                ping_pong::Threads::new(second, 0, thought)
            }),
            Plan::new("tokio-apart", shape, move || {
                tokio::Semaphores::new(apart, thought)
            }),
        ]);
    }
    let places = [
        ("tokio", tokio::Place::Workers(workers)),
        ("tokio-apart", tokio::Place::Apart(second)),
    ];
    for (name, place) in places {
        let also = place.clone();
        plans.push(Plan::new(name, "cores_message", || {
            tokio::Channels::new(place)
        }));
        if name == "tokio" {
            let semaphores = || tokio::Semaphores::new(also, Thought::NONE);
            plans.push(Plan::new(name, "cores_semaphore", semaphores));
        }
    }
    plans
}

fn operations(load: &Load, cores: usize) -> usize {
    match load {
        Load::Independent => WORKERS * cores,
        Load::Jobs => JOBS,
        Load::Uneven(lengths) | Load::ByHand(lengths) => lengths::slices(lengths),
    }
}

fn on_one(shape: &'static str, load: Load) -> Plan {
    let operations = operations(&load, 1);
    Plan::new("kfiber", shape, move || OnOne(load)).laps_of(operations)
}

fn of_threads(name: &'static str, cores: Vec<usize>) -> Plan {
    let operations = cores.len();
    Plan::new(name, "cores_independent", move || {
        load_bench::Threads::new(cores)
    })
    .laps_of(operations)
}

/// Compares what independent fibers have computed. For many laps that would take as long as the fibers took.
fn check_independent(numbers: &[u64], laps: usize) {
    if laps > 1000 {
        return;
    }
    for (index, number) in numbers.iter().enumerate() {
        let steps = YIELD_STEPS * u32::try_from(laps).expect("few");
        assert_eq!(*number, work(index as u64, steps), "a step was lost");
    }
}

/// Compares the sum of all jobs.
fn check_jobs(sum: u64, laps: usize) {
    static OF_A_LAP: OnceLock<u64> = OnceLock::new();
    let of_a_lap = OF_A_LAP.get_or_init(|| {
        let jobs = (0..JOBS as u64).map(|first| work(first, JOB_STEPS));
        jobs.fold(0, u64::wrapping_add)
    });
    let expected = of_a_lap.wrapping_mul(laps as u64);
    assert_eq!(sum, expected, "a job was lost or done twice");
}
