//! A name that is read while the cell gets its next fiber.

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
