//! The kernel around the scene: it contains panics, and one stop is in the handler of an interrupt.

use crate::scene;
use kfiber::scheduler::{Scheduler, fiber_panicked};
use tests_qemu::platform::{self, Bare};
use tests_qemu::{exit, interrupts, panic, println};

static SCHEDULER: Scheduler<Bare> = Scheduler::new(platform::bare());

pub(crate) fn main() -> ! {
    interrupts::on_tick(|_| {
        SCHEDULER.timer_interrupt();
        if scene::IS_INTERRUPT_AWAITED.swap(false, core::sync::atomic::Ordering::Relaxed) {
            scene::kfiber_debugged_stop(scene::IN_INTERRUPT);
        }
    });
    SCHEDULER.set_hooks(&scene::Silent).expect("the first");
    panic::first(|info| println!("fatal: {}", fiber_panicked(info)));
    scene::play(SCHEDULER.builder());
    SCHEDULER.run();
    exit::pass()
}
