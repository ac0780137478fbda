//! Loads for one core and for two: the same code for both copies of the library.

macro_rules! loads {
    ($module:ident, $library:ident) => {
        pub(crate) mod $module {
            use std::collections::VecDeque;
            use std::time::{Duration, Instant};

            use $library::platform::Host;
            use $library::scheduler::{self, Builder, FiberPool, JoinHandle, Scheduler};

            use $crate::cores::crew::STACK_BYTES;
            use $crate::cores::lengths::{FIBERS, Length};
            use $crate::cores::work::{MICROSECOND, work};
            use $crate::cores::{JOB_STEPS, JOBS, WORKERS, YIELD_STEPS};

            /// Cells of jobs, and jobs that are under way at once.
            const IN_USE: usize = 256;

            /// Where fibers of a load live.
            pub(crate) struct Cells {
                workers: FiberPool<STACK_BYTES, { 2 * WORKERS }>,
                jobs: FiberPool<STACK_BYTES, IN_USE>,
                uneven: FiberPool<STACK_BYTES, FIBERS>,
            }

            impl Cells {
                const fn new() -> Self {
                    Self {
                        workers: FiberPool::new(),
                        jobs: FiberPool::new(),
                        uneven: FiberPool::new(),
                    }
                }
            }

            pub(crate) static CELLS: Cells = Cells::new();

            /// Fibers that have nothing to do with each other compute and yield. Returns the time that it took.
            pub(crate) fn independent<const CORES: usize>(
                scheduler: &'static Scheduler<Host, CORES>,
                cells: &'static Cells,
                laps: usize,
                place: impl Fn(Builder, usize) -> Builder,
            ) -> Duration {
                let start = Instant::now();
                let spawn = |index| {
                    let fiber = move || {
                        let mut number = index as u64;
                        for _ in 0..laps {
                            number = work(number, YIELD_STEPS);
                            scheduler::yield_now();
                        }
                        number
                    };
                    let builder = place(scheduler.builder(), index);
                    builder.spawn(&cells.workers, fiber).expect("a free cell")
                };
                let fibers: Vec<_> = (0..WORKERS * CORES).map(spawn).collect();
                let join = |fiber: JoinHandle<u64>| fiber.join().expect("it does not fail");
                let numbers: Vec<_> = fibers.into_iter().map(join).collect();
                let time = start.elapsed();
                $crate::cores::check_independent(&numbers, laps);
                time
            }

            /// A fiber for each of many short jobs. Returns the time that it took.
            pub(crate) fn jobs<const CORES: usize>(
                scheduler: &'static Scheduler<Host, CORES>,
                cells: &'static Cells,
                laps: usize,
            ) -> Duration {
                let start = Instant::now();
                let mut fibers = VecDeque::with_capacity(IN_USE);
                let mut sum = 0_u64;
                let join = |fiber: JoinHandle<u64>| fiber.join().expect("it does not fail");
                for job in 0..laps * JOBS {
                    if fibers.len() == IN_USE {
                        sum = fibers
                            .drain(..IN_USE / 2)
                            .map(join)
                            .fold(sum, u64::wrapping_add);
                    }
                    let first = (job % JOBS) as u64;
                    let fiber = scheduler.spawn(&cells.jobs, move || work(first, JOB_STEPS));
                    fibers.push_back(fiber.expect("a free cell"));
                }
                sum = fibers.into_iter().map(join).fold(sum, u64::wrapping_add);
                let time = start.elapsed();
                $crate::cores::check_jobs(sum, laps);
                time
            }

            /// Fibers of very different lengths, all spawned by one. Returns the time that it took.
            pub(crate) fn uneven<const CORES: usize>(
                scheduler: &'static Scheduler<Host, CORES>,
                cells: &'static Cells,
                lengths: &[Length],
                place: impl Fn(Builder, &Length) -> Builder,
            ) -> Duration {
                let start = Instant::now();
                let spawn = |length: &Length| {
                    let slices = length.slices;
                    let fiber = move || {
                        let mut number = u64::from(slices);
                        for _ in 0..slices {
                            number = work(number, MICROSECOND);
                            scheduler::yield_now();
                        }
                        number
                    };
                    let builder = place(scheduler.builder(), length);
                    builder.spawn(&cells.uneven, fiber).expect("a free cell")
                };
                let fibers: Vec<_> = lengths.iter().map(spawn).collect();
                let mut sum = 0_u64;
                for fiber in fibers {
                    sum = sum.wrapping_add(fiber.join().expect("it does not fail"));
                }
                let time = start.elapsed();
                $crate::cores::lengths::check(sum, lengths);
                time
            }
        }
    };
}

loads!(one, kfiber);
loads!(two, kfiber_with_smp);
