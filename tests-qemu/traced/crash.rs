//! What is left of the events when something fails.

use core::fmt::{self, Write};

use kfiber::scheduler::{self, FiberCell, Hooks, PrintReports, Report, Scheduler, fiber_panicked};
use kfiber::trace::{Label, Recorder};
use tests_qemu::platform::{self, Bare};
use tests_qemu::{panic, println, run};

use crate::events::Text;

static SCHEDULER: Scheduler<Bare> = Scheduler::new(platform::bare());
static RECORDER: Recorder<64> = Recorder::new();
static ANN: FiberCell<32768> = FiberCell::new();
static BOB: FiberCell<16384> = FiberCell::new();
static ABOUT: Label = Label::new("about to fail");

static REPORT: Text<8192> = Text::new();

struct ToText;

impl Write for ToText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        (&REPORT).write_str(text)
    }
}

static REPORTS: PrintReports<ToText> = PrintReports::new(ToText);

struct Log;

impl Hooks for Log {
    fn report(&self, report: &Report<'_>) {
        REPORTS.report(report);
    }
}

tests_qemu::kernel_test! {
    fn the_report_of_a_failed_fiber_has_its_last_events() {
        SCHEDULER.set_hooks(&Log).expect("the first");
        panic::first(|info| println!("fatal: {}", fiber_panicked(info)));
        RECORDER.start(&SCHEDULER);
        let ann = SCHEDULER.builder().name("ann").spawn(&ANN, || {
            // More than the report shows.
            for _ in 0..20 {
                scheduler::yield_now();
            }
            scheduler::park().expect("nobody cancels it");
            ABOUT.mark(42);
            panic!("on purpose");
        });
        let ann = ann.expect("the cell is free");
        let unparker = ann.unparker();
        let bob = SCHEDULER.builder().name("bob").spawn(&BOB, move || {
            for _ in 0..30 {
                scheduler::yield_now();
            }
            unparker.unpark();
        });
        bob.expect("the cell is free").detach();
        SCHEDULER.run();
        let report = REPORT.get();
        println!("{report}");
        let (_, events) = report.split_once("its last events:").expect("it has some");
        let wanted = [
            "\"ann\": waits: Park at",
            "\"ann\": switches to \"bob\"",
            "\"bob\": wakes \"ann\"",
            "switches to \"ann\"",
            "\"ann\": mark about to fail 42",
            "\"ann\": fails",
        ];
        let lines = events.trim().lines().count();
        assert_eq!(lines, 8, "as many as a report shows");
        let mut rest = events;
        for wanted in wanted {
            rest = rest
                .split_once(wanted)
                .unwrap_or_else(|| panic!("`{wanted}` is missing, or in another order"))
                .1;
        }
        // The events of others do not belong to it.
        assert!(!events.contains("\"bob\": ends"));
    }

    fn a_panic_handler_finds_the_newest_events() panics("the kernel's own") {
        panic::first(|_info| {
            static LINES: Text<4096> = Text::new();
            write!(&LINES, "{}", RECORDER.last(3)).expect("there is room");
            println!("{}", LINES.get());
            if !LINES.get().contains("mark about to fail 99") || LINES.get().lines().count() != 3 {
                run::fail(format_args!("the newest events are not there"));
            }
        });
        RECORDER.start(&SCHEDULER);
        for number in 0..100 {
            ABOUT.mark(number);
        }
        panic!("the kernel's own");
    }
}
