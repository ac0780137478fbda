//! The kernel itself: one scheduler, two interrupts, and a shell.

use crate::machine;
use crate::scheduler::SCHEDULER;
use crate::{console, ends, shell, trouble};
use kfiber::scheduler::{FiberCell, Priority};
use tests_qemu::exceptions::{self, TIMER_VECTOR, TrapFrame};
use tests_qemu::{command_line, exit, println, stacks};

static SHELL: FiberCell<{ 64 * 1024 }> = FiberCell::new();

/// Called by the boot code.
pub(crate) fn main() -> ! {
    exceptions::hook(TIMER_VECTOR, on_timer);
    SCHEDULER.set_hooks(&trouble::Kernel).expect("the first");
    ends::init();
    console::init();

    // Whoever types is served before whoever computes.
    let builder = SCHEDULER
        .builder()
        .name("shell")
        .priority(Priority::HIGHEST);
    let shell = builder.spawn(&SHELL, shell::run).expect("the cell is free");

    // Until all fibers have ended, or can never run again. While all wait, the processor sleeps.
    machine::run();
    if command_line::value("stacks").is_some() {
        stacks::print(&SCHEDULER); // for `cargo xtask stacks`
    }

    #[cfg(feature = "trace")]
    if command_line::value("trace").is_some() {
        crate::scheduler::RECORDER.stop();
        // A serial port that does not take the text is noticed by the reader.
        let _is_written = crate::scheduler::RECORDER.export(&mut Serial);
    }

    if shell.try_join().expect("`run` returned, so it has ended") {
        exit::pass()
    }
    println!("Something is not as it should be.");
    exit::fail()
}

/// The serial port, which takes what is exported.
#[cfg(feature = "trace")]
struct Serial;

#[cfg(feature = "trace")]
impl core::fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        tests_qemu::print!("{text}");
        Ok(())
    }
}

/// The timer's handler. It only says that the time has come; sleepers are woken by the scheduler.
fn on_timer(frame: &mut TrapFrame) {
    trouble::on_tick(frame);
    machine::end_of_timer_interrupt();
}
