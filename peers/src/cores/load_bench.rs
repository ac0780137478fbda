//! The loads as benches: on one core, and on both.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use kfiber::platform::Host;
use kfiber::scheduler::Scheduler;
use kfiber_with_smp::platform::Core;

use super::crew::{Crew, STACK_BYTES};
use super::lengths::{Length, lengths};
use super::work::work;
use super::{YIELD_STEPS, loads};
use crate::affinity;
use crate::bench::Bench;

/// What is done.
#[derive(Clone)]
pub(crate) enum Load {
    Independent,
    Jobs,
    /// All fibers are spawned by one, anywhere.
    Uneven(Vec<Length>),
    /// All fibers are spawned by one, each on the core on which a person would put it.
    ByHand(Vec<Length>),
}

impl Load {
    pub(crate) fn uneven(seed: u64) -> Self {
        Self::Uneven(lengths(seed))
    }

    pub(crate) fn by_hand(seed: u64) -> Self {
        Self::ByHand(lengths(seed))
    }
}

/// On one core, in the library as it is without the feature `smp`.
pub(crate) struct OnOne(pub(crate) Load);

static ONE: Scheduler<Host> = Scheduler::new(Host::new());
static DRIVER: kfiber::scheduler::FiberCell<STACK_BYTES> = kfiber::scheduler::FiberCell::new();

impl Bench for OnOne {
    fn run(&mut self, laps: usize) -> Duration {
        let load = self.0.clone();
        let cells = &loads::one::CELLS;
        let time = ONE.spawn(&DRIVER, move || match load {
            Load::Independent => loads::one::independent(&ONE, cells, laps, |builder, _| builder),
            Load::Jobs => loads::one::jobs(&ONE, cells, laps),
            Load::Uneven(lengths) | Load::ByHand(lengths) => {
                let once = || loads::one::uneven(&ONE, cells, &lengths, |builder, _| builder);
                (0..laps).map(|_| once()).sum()
            }
        });
        ONE.run();
        let time = time.expect("a free cell").try_join();
        time.expect("it does not fail")
    }

    fn finish(self: Box<Self>) {}
}

/// On both cores of a crew.
pub(crate) struct OnBoth {
    pub(crate) crew: &'static Crew,
    pub(crate) load: Load,
}

impl Bench for OnBoth {
    fn run(&mut self, laps: usize) -> Duration {
        let (scheduler, load) = (self.crew.scheduler(), self.load.clone());
        let cells = &loads::two::CELLS;
        self.crew.call(move || match load {
            Load::Independent => {
                loads::two::independent(scheduler, cells, laps, |builder, index| {
                    builder.on(Core(index % 2))
                })
            }
            Load::Jobs => loads::two::jobs(scheduler, cells, laps),
            Load::Uneven(lengths) => {
                let once = || loads::two::uneven(scheduler, cells, &lengths, |builder, _| builder);
                (0..laps).map(|_| once()).sum()
            }
            Load::ByHand(lengths) => {
                let place = |builder: kfiber_with_smp::scheduler::Builder, length: &Length| {
                    builder.on(Core(length.core))
                };
                let once = || loads::two::uneven(scheduler, cells, &lengths, place);
                (0..laps).map(|_| once()).sum()
            }
        })
    }

    fn finish(self: Box<Self>) {}
}

/// What the machine itself gives: one thread computes, or one on each of these cores.
pub(crate) struct Threads {
    laps: Vec<Sender<usize>>,
    numbers: Receiver<u64>,
}

impl Threads {
    pub(crate) fn new(cores: Vec<usize>) -> Self {
        let (send, numbers) = channel();
        let start = |core| {
            let (laps, received) = channel::<usize>();
            let send = send.clone();
            thread::spawn(move || {
                affinity::stay_on(core);
                for laps in received {
                    let number = (0..laps).fold(1, |number, _| work(number, YIELD_STEPS));
                    send.send(number).expect("somebody receives");
                }
            });
            laps
        };
        let laps = cores.into_iter().map(start).collect();
        Self { laps, numbers }
    }
}

impl Bench for Threads {
    fn run(&mut self, laps: usize) -> Duration {
        let start = Instant::now();
        for thread in &self.laps {
            thread.send(laps).expect("it receives");
        }
        let numbers: Vec<_> = self.numbers.iter().take(self.laps.len()).collect();
        let time = start.elapsed();
        assert!(
            numbers.iter().all(|number| *number == numbers[0]),
            "a step was lost"
        );
        time
    }

    fn finish(self: Box<Self>) {}
}
