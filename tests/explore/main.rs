//! Random schedules of the whole scheduler and of all that fibers wait for: where interrupts come, who yields, what time it is.
//!
//! Every schedule comes from a seed. One that fails is made small, printed, and kept in a file with the line that plays it
//! again: `KFIBER_SEED` is the seed, `KFIBER_CALM` says which of the choices are nothing special. `KFIBER_SCHEDULES` is
//! how many are played, `KFIBER_PROGRAM` plays one program alone. The seeds of a run are the same every time, so that a
//! failure is the same for everybody, unless `KFIBER_START` is another number to draw them from, or `random`.

mod baton;
mod child;
mod dice;
mod machine;
#[cfg(kfiber_steps)]
mod mistakes;
mod players;
mod programs;
mod schedule;
mod shrink;
mod stage;

use child::Task;
use schedule::Way;
use std::env;
use std::thread;

/// How many schedules there are if nobody says otherwise. `cargo xtask test explore` plays a hundred times as many.
const SCHEDULES: u64 = if cfg!(miri) {
    4
} else if cfg!(kfiber_threads) {
    100
} else {
    1000
};

#[test]
fn random_schedules_keep_every_promise() {
    let way = Way {
        program: env::var("KFIBER_PROGRAM").ok(),
        ..Way::default()
    };
    explore("random_schedules_keep_every_promise", &way, schedules());
}

#[test]
fn schedules_with_other_threads_keep_every_promise() {
    let way = Way {
        has_threads: true,
        program: env::var("KFIBER_PROGRAM").ok(),
        ..Way::default()
    };
    let name = "schedules_with_other_threads_keep_every_promise";
    explore(name, &way, schedules().div_ceil(10));
}

#[test]
#[cfg(kfiber_steps)]
fn schedules_of_several_cores_keep_every_promise() {
    kfiber::steps::set(baton::step);
    let way = Way {
        has_cores: true,
        program: env::var("KFIBER_PROGRAM").ok(),
        ..Way::default()
    };
    let name = "schedules_of_several_cores_keep_every_promise";
    explore(name, &way, schedules());
}

fn schedules() -> u64 {
    let said = env::var("KFIBER_SCHEDULES").ok();
    said.map_or(SCHEDULES, |text| {
        text.parse().expect("KFIBER_SCHEDULES is a number")
    })
}

/// What the seeds are drawn from.
fn start() -> u64 {
    match env::var("KFIBER_START").as_deref() {
        Ok("random") => {
            let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            u64::try_from(time.expect("after 1970").as_nanos()).unwrap_or(0)
        }
        Ok(text) => child::hexadecimal(text),
        Err(_) => 1,
    }
}

/// Plays so many schedules, in one process for each processor.
fn explore(test: &'static str, way: &Way, count: u64) {
    if cfg!(miri) {
        return (0..count).for_each(|index| schedule::play(dice::seed_at(1, index), way));
    }
    if child::played(way) {
        return;
    }
    if let Ok(seed) = env::var(child::SEED) {
        let seed = child::hexadecimal(&seed);
        let calm = child::ranges(&env::var(child::CALM).unwrap_or_default());
        let played = child::run(test, &Task::One { seed, calm });
        return played.unwrap_or_else(|failure| panic!("{}", failure.output));
    }
    let start = start();
    let children = thread::available_parallelism().map_or(1, |number| number.get() as u64);
    let share = count.div_ceil(children);
    let children: Vec<_> = (0..children)
        .map(|number| {
            let start = dice::start_at(start, number * share);
            thread::spawn(move || {
                child::run(
                    test,
                    &Task::Many {
                        start,
                        count: share,
                    },
                )
            })
        })
        .collect();
    let played = share * children.len() as u64;
    for child in children {
        if let Err(failure) = child.join().expect("a child says how it ended") {
            panic!("{}", shrink::report(test, failure));
        }
    }
    println!("{played} schedules, from seed {start:#x}");
}

#[test]
fn the_schedules_are_the_same_however_many_processes_share_them() {
    let alone: Vec<_> = (0..12).map(|index| dice::seed_at(7, index)).collect();
    for share in [3, 4, 6] {
        let shared = (0..12).map(|index| {
            let start = dice::start_at(7, index / share * share);
            dice::seed_at(start, index % share)
        });
        assert_eq!(shared.collect::<Vec<_>>(), alone, "shares of {share}");
    }
}

#[test]
#[cfg(not(miri))]
fn a_lost_wake_up_is_found_and_its_schedule_is_made_small() {
    const NAME: &str = "a_lost_wake_up_is_found_and_its_schedule_is_made_small";
    let way = Way {
        program: Some("broken".to_owned()),
        ..Way::default()
    };
    if child::played(&way) {
        return;
    }
    let task = Task::Many {
        start: 1,
        count: 1000,
    };
    let failure = child::run(NAME, &task).expect_err("the mistake is found");
    let report = shrink::report(NAME, failure);
    assert!(report.contains("fibers wait for ever"), "{report}");
    assert!(report.contains("who looks too early"), "{report}");
    let (_, rest) = report.split_once("choices ").expect("counts them");
    let needed = rest.split_whitespace().next().expect("a number");
    let needed: usize = needed.parse().expect("a number");
    assert!(needed <= 8, "{report}");
}
