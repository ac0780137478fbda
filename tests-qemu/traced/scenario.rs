//! A scenario of which every event is known: what is recorded is compared line by line.

use core::fmt::Write as _;
use core::time::Duration;

use kfiber::scheduler::{self, FiberCell, Scheduler};
use kfiber::sync::Mutex;
use kfiber::trace::{Label, Recorder};
use tests_qemu::platform::{self, Bare};
use tests_qemu::{interrupts, println};

use crate::events::{Text, without_time};

static SCHEDULER: Scheduler<Bare> = Scheduler::new(platform::bare());
static RECORDER: Recorder<2048> = Recorder::new();
static ANN: FiberCell<16384> = FiberCell::new();
static BOB: FiberCell<16384> = FiberCell::new();
static LOCK: Mutex<u32> = Mutex::new(0);
static STEP: Label = Label::new("step");
static COUNTED: Label = Label::new("counted");

/// What happens, in this order.
const EXPECTED: &[&str] = &[
    "core 0 ?: spawns \"ann\"",
    "core 0 ?: wakes \"ann\"",
    "core 0 ?: spawns \"bob\"",
    "core 0 ?: wakes \"bob\"",
    "core 0 ?: switches to \"ann\"",
    "core 0 \"ann\": begins step",
    "core 0 \"ann\": switches to \"bob\"",
    "core 0 \"bob\": waits: Mutex",
    "core 0 \"bob\": switches to \"ann\"",
    "core 0 \"ann\": wakes \"bob\"",
    "core 0 \"ann\": has done step",
    "core 0 \"ann\": waits: Park",
    "core 0 \"ann\": switches to \"bob\"",
    "core 0 \"bob\": mark counted 7",
    "core 0 \"bob\": wakes \"ann\"",
    "core 0 \"bob\": waits: Join",
    "core 0 \"bob\": switches to \"ann\"",
    "core 0 \"ann\": waits: Sleep",
    "core 0 \"ann\": sleeps until",
    "core 0 \"ann\": switches to the scheduler",
    "core 0 the scheduler: wakes \"ann\"",
    "core 0 the scheduler: switches to \"ann\"",
    "core 0 \"ann\": wakes \"bob\"",
    "core 0 \"ann\": ends",
    "core 0 \"ann\": switches to \"bob\"",
    "core 0 \"bob\": ends",
    "core 0 \"bob\": switches to the scheduler",
];

/// The time for which Ann sleeps: long enough that the processor sleeps by then, on a busy machine too. (QEMU's timer
/// interrupts some hundred times too early meanwhile.)
const LONG: Duration = Duration::from_millis(300);

/// Plays it.
fn play() {
    interrupts::on_tick(|_| SCHEDULER.timer_interrupt());
    RECORDER.start(&SCHEDULER);
    let ann = SCHEDULER.builder().name("ann").spawn(&ANN, || {
        let step = STEP.span();
        let guard = LOCK.lock();
        scheduler::yield_now();
        drop(guard);
        drop(step);
        scheduler::park().expect("nobody cancels it");
        scheduler::sleep(LONG).expect("nobody cancels it");
    });
    let ann = ann.expect("the cell is free");
    let bob = SCHEDULER.builder().name("bob").spawn(&BOB, move || {
        *LOCK.lock() += 1;
        COUNTED.mark(7);
        ann.unparker().unpark();
        ann.join().expect("nobody cancels it");
    });
    let bob = bob.expect("the cell is free");
    SCHEDULER.run();
    RECORDER.stop();
    assert!(bob.is_finished());
}

tests_qemu::kernel_test! {
    fn each_event_of_a_scenario_is_recorded_in_its_order() {
        static LINES: Text<{ 1 << 18 }> = Text::new();
        play();
        write!(&LINES, "{}", RECORDER.last(2048)).expect("there is room");
        println!("{}", LINES.get());
        let mut expected = EXPECTED.iter();
        let lines = LINES.get().lines().map(without_time);
        // A timer may interrupt once more before the deadline, on a machine that is itself interrupted.
        for line in lines.clone().filter(|line| !line.contains("interrupt")) {
            let wanted = *expected.next().unwrap_or(&"nothing more");
            assert!(line.starts_with(wanted), "expected `{wanted}`, and not `{line}`");
        }
        let mut interrupts = lines.filter(|line| line.contains("interrupt"));
        for wanted in [
            "core 0 the scheduler: interrupt 32 begins",
            "core 0 interrupt of the scheduler: timer",
            "core 0 interrupt of the scheduler: interrupt ends",
        ] {
            assert_eq!(interrupts.next(), Some(wanted));
        }
        assert_eq!(expected.next(), None, "this is missing");
    }

    /// The runner's side, `cargo xtask test trace`, reads the lines.
    fn the_events_of_a_scenario_are_exported() {
        play();
        let mut serial = Serial;
        RECORDER.export(&mut serial).expect("it is written");
    }

    fn a_fiber_has_the_statistics_that_its_events_say() {
        static TURNS: FiberCell<16384> = FiberCell::new();
        static OTHER: FiberCell<16384> = FiberCell::new();
        RECORDER.start(&SCHEDULER);
        let ten = || for _ in 0..10 { scheduler::yield_now() };
        let turns = SCHEDULER.spawn(&TURNS, ten).expect("the cell is free");
        let other = SCHEDULER.spawn(&OTHER, ten).expect("the cell is free");
        SCHEDULER.run();
        RECORDER.stop();
        for fiber in [turns.id(), other.id()] {
            let statistics = RECORDER.statistics(fiber).expect("it was started");
            println!("{statistics:?}");
            let info = SCHEDULER.fibers().find(|info| info.id == fiber).expect("nobody joined it");
            assert_eq!(u64::from(statistics.turns), info.switches);
            assert_eq!(statistics.latency.count, 1, "it was spawned, and never waited");
            assert_eq!(statistics.wait, 0);
            assert!(statistics.run > 0 && statistics.ready > 0);
            assert_eq!(statistics.latency.median, statistics.latency.worst);
        }
    }
}

struct Serial;

impl core::fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        tests_qemu::print!("{text}");
        Ok(())
    }
}
