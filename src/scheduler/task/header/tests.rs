//! A header before its first fiber, and a name that is read while the cell gets its next fiber.

use super::Header;
use core::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::vec::Vec;

extern crate std;

/// Makes a cell's next fiber, as far as its name is concerned.
fn begin(header: &Header, name: &'static str) {
    header.set_name(name);
    #[cfg(not(feature = "smp"))]
    let _generation = header.state.begin(true);
    #[cfg(feature = "smp")]
    let _generation = header.state.begin_as(true, false);
}

#[test]
fn a_header_that_had_no_fiber_yet_is_one_without_a_fiber() {
    let header = Header::root();
    header.found((&raw const header).cast(), core::ptr::null_mut(), 0);
    assert!(header.state.is_finished(), "nobody runs");
    assert!(!header.state.begin_look(), "and there is no result");
    assert_eq!((header.state.generation(), header.name()), (0, ""));
    begin(&header, "first");
    assert!(!header.state.is_finished());
    assert_eq!((header.state.generation(), header.name()), (1, "first"));
}

#[test]
fn a_run_that_a_watchdog_saw_is_that_of_one_fiber() {
    let header = Header::root();
    begin(&header, "first");
    for (run, longest) in [(3, 3), (2, 3), (9, 9)] {
        header.note_run(run);
        assert_eq!(header.longest_run(), longest);
    }
    begin(&header, "next");
    assert_eq!(header.longest_run(), 0);
    header.note_run(4);
    assert_eq!(header.longest_run(), 4);
}

#[test]
fn a_name_is_not_mixed_with_the_next_one_in_its_cell() {
    const LOOKS: usize = if cfg!(miri) { 200 } else { 1_000_000 };
    // What lies behind the short name is no part of it, but is there to be read.
    const TEXT: &str = "short, and what lies behind it, which is no part of the name";
    let names = [&TEXT[..5], "a name that is longer than the other one"];

    let header = Header::root();
    let has_ended = AtomicBool::new(false);
    thread::scope(|threads| {
        let reader = threads.spawn(|| {
            let names: Vec<_> = (0..LOOKS).map(|_| header.name()).collect();
            has_ended.store(true, Ordering::Relaxed);
            names
        });
        let mut rounds = 0;
        while !has_ended.load(Ordering::Relaxed) {
            begin(&header, names[rounds % 2]);
            rounds += 1;
        }
        for name in reader.join().expect("it asserts nothing") {
            assert!(name.is_empty() || names.contains(&name), "{name:?}");
        }
    });
    begin(&header, names[1]);
    assert_eq!(header.name(), names[1]);
}
