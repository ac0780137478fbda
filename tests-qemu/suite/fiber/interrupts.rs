//! Fibers and interrupts: a tick in a fiber uses the fiber's stack, and a handler may resume fibers of its own.

use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicU64, Ordering},
};

use kfiber::{
    fiber::{Fiber, Resumed},
    stack::StackMemory,
};
use tests_qemu::{
    interrupts::{on_tick, start_timer, stop_timer, ticks},
    kernel_test,
};
use x86_64::instructions::interrupts;

use super::{DenseStack, stack};

static BOTTOM: AtomicU64 = AtomicU64::new(0);
static TOP: AtomicU64 = AtomicU64::new(0);
static ON_THE_FIBER: AtomicU64 = AtomicU64::new(0);

/// A fiber that only the handler uses.
struct Handlers(UnsafeCell<Option<Fiber<u64, u64, (), DenseStack>>>);

// SAFETY: One core; filled before interrupts are on, and used by the handler alone, which is not interrupted.
unsafe impl Sync for Handlers {}

static HANDLERS: Handlers = Handlers(UnsafeCell::new(None));
static SUM: AtomicU64 = AtomicU64::new(0);

/// Adds up what it is given.
fn summing() -> Fiber<u64, u64, (), DenseStack> {
    Fiber::new(stack(), |yielder, mut number| {
        let mut sum = 0_u64;
        loop {
            sum += number;
            number = yielder.suspend(sum);
        }
    })
    .expect("a small closure")
}

kernel_test! {
    fn an_interrupt_in_a_fiber_uses_the_fibers_stack() {
        on_tick(|frame| {
            let stack = BOTTOM.load(Ordering::Relaxed)..TOP.load(Ordering::Relaxed);
            if stack.contains(&frame.rsp) {
                assert!(stack.contains(&(&raw const *frame as u64)));
                ON_THE_FIBER.fetch_add(1, Ordering::Relaxed);
            }
        });
        let stack = stack();
        BOTTOM.store(stack.bounds().bottom().addr() as u64, Ordering::Relaxed);
        TOP.store(stack.bounds().top().addr() as u64, Ordering::Relaxed);
        let mut fiber = Fiber::<(), (), u64, _>::new(stack, |yielder, ()| {
            while ON_THE_FIBER.load(Ordering::Relaxed) < 100 {
                for _ in 0..1_000 {
                    core::hint::spin_loop();
                }
                yielder.suspend(());
            }
            ON_THE_FIBER.load(Ordering::Relaxed)
        })
        .expect("a small closure");
        start_timer(50_000);
        interrupts::enable();
        let count = loop {
            if let Resumed::Returned(count) = fiber.resume(()) {
                break count;
            }
        };
        assert!(count >= 100 && fiber.is_canary_intact());
    }

    fn a_handler_resumes_a_fiber_that_nobody_else_resumes() {
        // SAFETY: Interrupts are off.
        unsafe { *HANDLERS.0.get() = Some(summing()) };
        on_tick(|_| {
            // SAFETY: The handler is not interrupted, and nobody else uses it.
            let fiber = unsafe { &mut *HANDLERS.0.get() }.as_mut().expect("filled by the test");
            match fiber.resume(ticks()) {
                Resumed::Yielded(sum) => SUM.store(sum, Ordering::Relaxed),
                Resumed::Returned(()) => panic!("it has no end"),
            }
        });
        let mut below = summing();
        start_timer(20_000);
        interrupts::enable();
        // Meanwhile the interrupted code switches too, so that ticks arrive on both stacks and in switches.
        let mut expected = 0;
        while ticks() < 1_000 {
            for number in 0..100 {
                expected += number;
                assert_eq!(below.resume(number), Resumed::Yielded(expected));
            }
        }
        interrupts::disable();
        stop_timer();
        let count = ticks();
        assert_eq!(SUM.load(Ordering::Relaxed), count * (count + 1) / 2, "each tick resumed it once");
    }
}
