//! The kernel around the scene on four cores: the scene on core 0, a fiber that computes on core 1, one that is inside of a
//! `Fiber` with a stack of its own on core 2, and nothing on core 3.

use crate::scene;
use core::arch::asm;
use core::sync::atomic::{AtomicUsize, Ordering};
use kfiber::fiber::{Fiber, Resumed, Yielder};
use kfiber::platform::Core;
use kfiber::scheduler::{self, FiberCell, Scheduler, fiber_panicked};
use kfiber::stack::{Stack, Storage as _};
use tests_qemu::platform::Cores;
use tests_qemu::{cores, exit, interrupts, panic, println};

static SCHEDULER: Scheduler<Cores, 4> = Scheduler::new(Cores::new());
static CELLS: [FiberCell<{ 64 * 1024 }>; 3] = [const { FiberCell::new() }; 3];
static INNER: Stack<{ 64 * 1024 }> = Stack::new();

/// The number of fibers that are where the debugger is to find them.
static IN_PLACE: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn main() -> ! {
    interrupts::on_tick(|_| {
        SCHEDULER.timer_interrupt();
        if scene::IS_INTERRUPT_AWAITED.swap(false, Ordering::Relaxed) {
            scene::kfiber_debugged_stop(scene::IN_INTERRUPT);
        }
    });
    SCHEDULER.set_hooks(&scene::Silent).expect("the first");
    panic::first(|info| println!("fatal: {}", fiber_panicked(info)));
    cores::start().expect("all cores start");
    let spawn = |name, core, closure: fn()| {
        let builder = SCHEDULER.builder().name(name).on(Core(core));
        let spawned = builder.spawn(&CELLS[core], closure);
        spawned.expect("each has a cell of its own").detach();
    };
    spawn("computes", 1, computes);
    spawn("has a Fiber", 2, has_a_fiber);
    spawn("opener", 0, || {
        while IN_PLACE.load(Ordering::Acquire) < 2 {
            scheduler::yield_now();
        }
        scene::play(SCHEDULER.builder().on(Core(0)));
    });
    cores::on_all(|_| {
        x86_64::instructions::interrupts::enable();
        SCHEDULER.run();
    });
    exit::pass()
}

#[inline(never)]
fn computes() {
    IN_PLACE.fetch_add(1, Ordering::Release);
    // Wherever it is stopped, it is in this line.
    // SAFETY: The two instructions touch neither registers nor memory.
    unsafe { asm!("2: pause", "jmp 2b", options(noreturn)) };
}

#[inline(never)]
fn has_a_fiber() {
    let stack = INNER.take().expect("it is free");
    let inner = Fiber::new(stack, |_: &Yielder<(), ()>, ()| computes());
    let mut inner = inner.expect("there is room");
    // It computes for ever.
    let _never: Resumed<(), ()> = inner.resume(());
}
