//! The hooks that print: every report, whole, and none while the writer is in the middle of one.

use core::fmt::{self, Write};
use kfiber::platform::Host;
use kfiber::scheduler::{FiberCell, PrintReports, Scheduler, yield_now};
use std::panic::catch_unwind;
use std::sync::{Mutex, OnceLock};

/// Keeps what is written, and calls a function in the middle of it.
struct Kept {
    text: &'static Mutex<String>,
    in_between: fn(),
}

impl Write for Kept {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text.lock().expect("nobody panics").push_str(text);
        (self.in_between)();
        Ok(())
    }
}

fn kept(text: &Mutex<String>) -> String {
    text.lock().expect("nobody panics").clone()
}

#[test]
#[cfg_attr(
    miri,
    ignore = "there a fiber is a thread, which Miri would have to unwind"
)]
fn a_failure_is_printed_with_the_name_of_the_fiber() {
    static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
    static CELL: FiberCell<65536> = FiberCell::new();
    static TEXT: Mutex<String> = Mutex::new(String::new());
    static REPORTS: PrintReports<Kept> = PrintReports::new(Kept {
        text: &TEXT,
        in_between: || (),
    });
    SCHEDULER.set_hooks(&REPORTS).expect("they are the first");
    let fiber = SCHEDULER
        .builder()
        .name("clumsy")
        .spawn(&CELL, || panic!("on purpose"));
    let fiber = fiber.expect("the cell is free");
    SCHEDULER.run();
    fiber.try_join().expect_err("it panicked");
    let text = kept(&TEXT);
    assert!(text.contains("fiber \"clumsy\""), "{text}");
    assert!(text.contains("panicked: on purpose"), "{text}");
    assert!(text.ends_with('\n'), "{text}");
}

#[test]
#[cfg_attr(
    miri,
    ignore = "the inner report waits for the writer for a while, which takes Miri minutes"
)]
fn what_comes_while_the_writer_is_in_use_is_counted_and_not_written() {
    static TEXT: Mutex<String> = Mutex::new(String::new());
    static REPORTS: OnceLock<PrintReports<Kept>> = OnceLock::new();
    static DEPTH: Mutex<u32> = Mutex::new(0);
    let reports = REPORTS.get_or_init(|| {
        PrintReports::new(Kept {
            text: &TEXT,
            in_between: || {
                let mut depth = DEPTH.lock().expect("nobody panics");
                *depth += 1;
                let is_outer = *depth == 1;
                drop(depth);
                if is_outer {
                    let reports = REPORTS.get().expect("they are printing");
                    assert!(!reports.print(format_args!("inner")));
                }
            },
        })
    });
    assert!(reports.print(format_args!("outer")));
    assert!(reports.print(format_args!("next")));
    assert_eq!(
        kept(&TEXT),
        "outer\n(reports missing here, since the writer was in use: 1)\nnext\n"
    );
}

#[test]
#[cfg_attr(
    miri,
    ignore = "there a fiber is a thread, which Miri would have to unwind"
)]
fn a_line_that_panics_in_the_middle_leaves_interrupts_on() {
    static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
    static CELL: FiberCell<65536> = FiberCell::new();
    static TEXT: Mutex<String> = Mutex::new(String::new());
    static REPORTS: PrintReports<Kept> = PrintReports::new(Kept {
        text: &TEXT,
        in_between: || (),
    });
    struct Panics;
    impl fmt::Display for Panics {
        fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("on purpose")
        }
    }
    let fiber = SCHEDULER.spawn(&CELL, || {
        let print = || REPORTS.print(format_args!("a line, {Panics}"));
        let is_caught = catch_unwind(print).is_err();
        yield_now(); // panics with interrupts off
        is_caught && REPORTS.print(format_args!("the next one"))
    });
    SCHEDULER.run();
    let is_printed = fiber.expect("the cell is free").try_join();
    assert!(is_printed.expect("it goes on"));
    assert!(kept(&TEXT).ends_with("the next one\n"));
}
