//! `yield_now` of kfiber's scheduler on a host: with its priorities and its checks, one way.

/// The same code for both copies of the library.
macro_rules! scheduler {
    ($module:ident, $library:ident, $name:literal) => {
        pub(crate) mod $module {
            use core::ptr;
            use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
            use std::time::{Duration, Instant};

            use $library::platform::Host;
            use $library::scheduler::{self, FiberCell, Scheduler, Unparker};

            use $crate::bench::{Bench, Plan};
            use $crate::memory;

            static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());

            type Cell = FiberCell<2048>;

            /// What the fibers of a ring have in common.
            struct Ring {
                count: usize,
                laps: AtomicUsize,
                elapsed: AtomicUsize,
                /// Yields of the fibers that have finished their laps.
                yields: AtomicUsize,
                /// Whose turn it is, while the order is checked.
                turn: AtomicUsize,
                is_checking: AtomicBool,
            }

            /// Before the clock is started all fibers are under way.
            const LAPS_BEFORE: usize = 2;

            /// What a fiber does, for good: waits, then yields as often as it is told. The first of the ring has the
            /// clock: between two of its turns everybody else has one.
            fn work(ring: &'static Ring, index: usize) {
                loop {
                    let laps = ring.laps.load(Relaxed);
                    if ring.is_checking.load(Relaxed) {
                        take_turns(ring, index, laps + LAPS_BEFORE);
                    } else if index == 0 {
                        go_round(LAPS_BEFORE);
                        let start = Instant::now();
                        go_round(laps);
                        let time = usize::try_from(start.elapsed().as_nanos());
                        ring.elapsed.store(time.expect("a short time"), Relaxed);
                    } else {
                        go_round(LAPS_BEFORE + laps);
                    }
                    ring.yields.fetch_add(laps + LAPS_BEFORE, Relaxed);
                    scheduler::park().expect("nobody cancels it");
                }
            }

            #[inline(never)]
            fn go_round(laps: usize) {
                for _ in 0..laps {
                    scheduler::yield_now();
                }
            }

            fn take_turns(ring: &Ring, index: usize, laps: usize) {
                for _ in 0..laps {
                    let turn = ring.turn.fetch_add(1, Relaxed) % ring.count;
                    assert_eq!(turn, index, "another fiber's turn: {}", $name);
                    scheduler::yield_now();
                }
            }

            struct Yielding {
                ring: &'static Ring,
                workers: Vec<Unparker>,
            }

            impl Yielding {
                fn go(&self, laps: usize) {
                    self.ring.laps.store(laps, Relaxed);
                    self.ring.yields.store(0, Relaxed);
                    for worker in &self.workers {
                        assert!(worker.unpark(), "it waits");
                    }
                    SCHEDULER.run_until_idle();
                    let yields = self.ring.yields.load(Relaxed);
                    let expected = (laps + LAPS_BEFORE) * self.ring.count;
                    assert_eq!(yields, expected, "a yield was lost: {}", $name);
                }
            }

            impl Bench for Yielding {
                fn run(&mut self, laps: usize) -> Duration {
                    self.go(laps);
                    let elapsed = self.ring.elapsed.load(Relaxed);
                    Duration::from_nanos(elapsed as u64)
                }

                fn finish(self: Box<Self>) {
                    self.ring.turn.store(0, Relaxed);
                    self.ring.is_checking.store(true, Relaxed);
                    self.go(3);
                    assert_eq!(
                        self.ring.turn.load(Relaxed),
                        (3 + LAPS_BEFORE) * self.ring.count
                    );
                }
            }

            fn set_up(count: usize, map: fn(usize) -> *mut u8) -> Yielding {
                let ring: &'static Ring = Box::leak(Box::new(Ring {
                    count,
                    laps: AtomicUsize::new(0),
                    elapsed: AtomicUsize::new(0),
                    yields: AtomicUsize::new(0),
                    turn: AtomicUsize::new(0),
                    is_checking: AtomicBool::new(false),
                }));
                let cells: *mut Cell = map(count * size_of::<Cell>()).cast();
                let workers = (0..count).map(|index| {
                    let cell = cells.wrapping_add(index);
                    // SAFETY: within the mapping, which is large enough and page-aligned.
                    unsafe { ptr::write(cell, Cell::new()) };
                    // SAFETY: it was just written, is never unmapped, and nobody refers to it otherwise.
                    let cell: &'static Cell = unsafe { &*cell };
                    let worker = SCHEDULER.spawn(cell, move || work(ring, index));
                    worker.expect("a new cell").unparker()
                });
                let workers = workers.collect();
                SCHEDULER.run_until_idle();
                Yielding { ring, workers }
            }

            /// All rings.
            pub(crate) fn plans() -> Vec<Plan> {
                let plan = |shape, count, map| {
                    Plan::new($name, shape, move || set_up(count, map)).laps_of(count)
                };
                let mut plans = vec![
                    plan("yield_now_64", 64, memory::map as fn(usize) -> *mut u8),
                    plan("yield_now_1000", 1000, memory::map),
                    plan("yield_now_100000", 100_000, memory::map),
                ];
                if memory::has_large_pages() {
                    plans.push(plan("yield_now_100000_large", 100_000, memory::map_large));
                }
                plans
            }
        }
    };
}

scheduler!(plain, kfiber, "kfiber");
scheduler!(with_fp_control, kfiber_with_fp_control, "kfiber-fp");
