//! Waking: by another fiber among few and many that are ready, and from an interrupt.

use core::arch::{asm, naked_asm};
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};

use kfiber::scheduler::{FiberCell, JoinHandle, Priority, Unparker, park, yield_now};
use tests_qemu::exceptions;

use crate::counter::{self, start, stop};
use crate::scheduler::SCHEDULER;
use crate::yields::with_others;

/// A vector that no device uses.
const VECTOR: u8 = 40;

static WOKEN: FiberCell<4096> = FiberCell::new();
static TICKS: AtomicU64 = AtomicU64::new(0);

/// Whom the interrupt wakes.
struct Wakes(Cell<Option<Unparker>>);

// SAFETY: it is set before the first interrupt, and not changed afterwards.
unsafe impl Sync for Wakes {}

static WAKES: Wakes = Wakes(Cell::new(None));

pub(crate) fn measure() {
    among(2, "make_ready_2", "remove_2");
    among(5, "make_ready_5", "remove_5");
    among(20, "make_ready_20", "remove_20");
    among(100, "make_ready_100", "remove_100");
    with_others(0, from_interrupt);
}

/// The fiber that is woken becomes ready as the last of `fibers + 1` of the same priority, and waits again.
fn among(fibers: usize, make_ready: &'static str, remove: &'static str) {
    with_others(fibers - 1, move || {
        let woken = parks_again_and_again(|| ());
        let unparker = woken.unparker();
        // From before the wake until the waker goes on.
        counter::measure(make_ready, 1, || {
            start();
            unparker.unpark();
            let ticks = stop();
            yield_now();
            ticks
        });
        end(woken);

        // From before the wait until the next fiber in the ring, which is the waker, goes on.
        let woken = parks_again_and_again(start);
        let unparker = woken.unparker();
        counter::measure(remove, 1, || {
            unparker.unpark();
            yield_now();
            stop()
        });
        end(woken);
    });
}

/// A fiber of the same priority that parks, and calls `before` each time before it does.
fn parks_again_and_again(before: impl Fn() + Send + 'static) -> JoinHandle<()> {
    let fiber = SCHEDULER.spawn(&WOKEN, move || {
        loop {
            before();
            if park().is_err() {
                return;
            }
        }
    });
    yield_now();
    fiber.expect("nobody else uses the cell")
}

fn end(fiber: JoinHandle<()>) {
    fiber.cancel();
    assert!(fiber.join().is_ok(), "it ends when asked to");
}

/// An interrupt's entry as a kernel has it: what a function may change is saved, a handler called.
#[unsafe(naked)]
unsafe extern "sysv64" fn entry() {
    naked_asm!(
        "push rax", "push rcx", "push rdx", "push rsi", "push rdi", "push r8", "push r9", "push r10", "push r11",
        "cld",
        "call {handler}", // five words by the processor, nine here: the stack is aligned
        "pop r11", "pop r10", "pop r9", "pop r8", "pop rdi", "pop rsi", "pop rdx", "pop rcx", "pop rax",
        "iretq",
        handler = sym handler,
    )
}

extern "sysv64" fn handler() {
    if let Some(unparker) = WAKES.0.get() {
        unparker.unpark();
    }
}

/// A fiber of high priority parks. The running one is interrupted, the handler wakes the other, and the running one
/// yields as its first act afterwards. From before the interrupt until the woken fiber runs, the interrupt's entry and exit
/// included.
fn from_interrupt() {
    let builder = SCHEDULER.builder().priority(Priority::HIGHEST);
    let woken = builder.spawn(&WOKEN, || {
        while park().is_ok() {
            TICKS.store(stop(), Ordering::Relaxed);
        }
    });
    let woken = woken.expect("nobody else uses the cell");
    WAKES.0.set(Some(woken.unparker()));
    // SAFETY: the entry is one for a vector without an error code.
    unsafe { exceptions::set_entry(VECTOR, entry) };
    yield_now();
    counter::measure("interrupt_to_fiber", 1, || {
        start();
        // SAFETY: the vector has a handler, which returns.
        unsafe { asm!("int {vector}", vector = const VECTOR) };
        yield_now();
        TICKS.load(Ordering::Relaxed)
    });
    end(woken);
}
