//! kfiber beside other switches of its kind, in one process, interleaved.
//!
//! `cargo xtask bench --peers` builds this in several ways, runs it several times, and makes tables of what it prints.

#![expect(
    clippy::std_instead_of_core,
    reason = "a program of the host, where `std` is the one place to look"
)]

mod affinity;
mod bench;
mod check;
mod contender;
mod contenders;
mod context_only;
mod cores;
mod creation;
mod identity;
mod live;
mod lock_prefix;
mod measure;
mod memory;
mod operations;
mod pair;
mod random;
mod ring;
mod sampling;
mod scheduler;
mod sleepers;

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use bench::{Entry, Plan};
use contender::Contender;
#[cfg(feature = "c-compiler")]
use contenders::boost::Boost;
use contenders::corosensei::Corosensei;
#[cfg(feature = "c-compiler")]
use contenders::generator::Generator;
use contenders::kfiber::{Kfiber, KfiberWithFpControl};
use contenders::ucontext::Ucontext;
use contenders::wasmtime::Wasmtime;
use random::Random;

const USAGE: &str = "\
usage: peers check                         verify every contender in every shape, measure nothing
       peers measure REPETITIONS MICROSECONDS SEED [SHAPE...]
                                           print samples of about so many microseconds each
       peers schedulers REPETITIONS MICROSECONDS SEED [SHAPE...]
                                           the same of what schedulers do, on one core and on two";

fn main() -> ExitCode {
    let words: Vec<_> = env::args().skip(1).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match *words {
        ["check"] => check::check(),
        [
            what @ ("measure" | "schedulers"),
            repetitions,
            microseconds,
            seed,
            ref shapes @ ..,
        ] => {
            let number = |word: &str| word.parse::<u64>().ok();
            let (Some(repetitions), Some(microseconds), Some(seed)) =
                (number(repetitions), number(microseconds), number(seed))
            else {
                return usage();
            };
            let effort = measure::Effort {
                repetitions,
                sample: Duration::from_micros(microseconds),
                seed,
            };
            if what == "schedulers" {
                measure::measure(of_schedulers(seed, shapes), &effort);
                sleepers::print_bytes();
            } else {
                affinity::stay_on(*affinity::allowed_cores().last().expect("we run on one"));
                measure::measure(of_switches(seed, shapes), &effort);
            }
            println!("verified");
        }
        _ => return usage(),
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

/// Everybody who switches in every shape whose name is among these, or in all if there are none. The shape that all others
/// are relative to is always there.
fn of_switches(seed: u64, shapes: &[&str]) -> Vec<Entry> {
    let mut plans = of::<Corosensei>(seed);
    plans.extend(of::<Kfiber>(seed));
    plans.extend(of::<KfiberWithFpControl>(seed));
    plans.extend(of::<Wasmtime>(seed));
    #[cfg(feature = "c-compiler")]
    {
        plans.extend(of::<Boost>(seed));
        plans.extend(of::<Generator>(seed));
    }
    plans.extend(of::<Ucontext>(seed));
    plans.extend(scheduler::plain::plans());
    plans.extend(scheduler::with_fp_control::plans());
    plans.extend(context_only::plans());
    set_up(plans, seed, shapes)
}

/// Schedulers, and single instructions that they are made of. What needs two cores is left out where there is one.
fn of_schedulers(seed: u64, shapes: &[&str]) -> Vec<Entry> {
    let mut plans = cores::plans(seed);
    plans.extend(operations::plans());
    plans.extend(lock_prefix::plans());
    plans.extend(sleepers::plans());
    set_up(plans, seed, shapes)
}

/// Those plans that are wanted, set up.
fn set_up(mut plans: Vec<Plan>, seed: u64, shapes: &[&str]) -> Vec<Entry> {
    let is_wanted =
        |shape: &str| shapes.is_empty() || shape == "inlined" || shapes.contains(&shape);
    plans.retain(|plan| is_wanted(plan.shape));
    // Whoever is first to map a hundred thousand stacks is slower than who comes later.
    Random::new(seed).shuffle(&mut plans);
    plans.into_iter().map(Plan::set_up).collect()
}

/// The same orders for everybody.
fn of<C: Contender>(seed: u64) -> Vec<Plan> {
    let mut plans = pair::plans::<C>();
    plans.push(identity::plan::<C>());
    plans.push(creation::plan::<C>());
    plans.extend(ring::plans::<C>(&mut Random::new(seed)));
    plans
}
