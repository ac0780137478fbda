//! The list of fibers, while other threads take results and use cells again.

use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
use kfiber::platform::Host;
use kfiber::scheduler::{self, FiberCell, Scheduler};
use std::thread;

const ROUNDS: usize = if cfg!(any(miri, kfiber_threads)) {
    15
} else {
    4000
};

#[test]
fn a_list_shows_no_fiber_with_half_the_name_of_another() {
    static S: Scheduler<Host> = Scheduler::new(Host::new());
    static LISTS: FiberCell<65536> = FiberCell::new();
    static CELL: FiberCell<65536> = FiberCell::new();
    static IS_OVER: AtomicBool = AtomicBool::new(false);
    const NAMES: [&str; 2] = ["a", "one with a longer name"];
    let lists = S.builder().name("lists").spawn(&LISTS, || {
        while !IS_OVER.load(SeqCst) {
            for info in S.fibers() {
                let is_whole = NAMES.contains(&info.name) || info.name == "lists";
                assert!(is_whole, "{:?}", info.name);
            }
            scheduler::yield_now();
        }
    });
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..ROUNDS {
                let builder = S.builder().name(NAMES[round % 2]);
                let mut handle = builder.spawn(&CELL, move || round).unwrap();
                let result = loop {
                    match handle.try_join() {
                        Ok(result) => break result,
                        Err(error) => handle = error.handle,
                    }
                    thread::yield_now();
                };
                assert_eq!(result, round);
            }
            IS_OVER.store(true, SeqCst);
        });
        S.run();
    });
    lists.unwrap().try_join().unwrap();
}
