//! Overflows of guarded stacks: each is a page fault at the guard, handled on a stack of its own.

use core::{
    hint::black_box,
    ptr,
    sync::atomic::{AtomicPtr, AtomicU64, Ordering},
};

use kfiber::{
    context::{self, ControlBlock, Payload},
    fiber::{Fiber, leaked_stacks},
    stack::{GuardedStack, GuardedStackPool, PAGE_SIZE, StackBounds, StackMemory, Storage},
};
use tests_qemu::{
    exceptions::{self, TrapFrame},
    interrupts::{on_tick, start_one_shot},
    kernel_test,
    paging::{self, FramePool},
};
use x86_64::{VirtAddr, registers::control::Cr2};

const PAGE_FAULT: u8 = 14;
const SIZE: usize = 16 * 1024;

static STACK: GuardedStack<SIZE> = GuardedStack::new();

/// The guard that the next fault must hit.
static GUARD_START: AtomicU64 = AtomicU64::new(0);

fn arm(bounds: StackBounds) {
    // SAFETY: No other table is in use during this call.
    let mut table = unsafe { paging::table() };
    let level_4 = table.level_4_table_mut();
    // SAFETY: The tables in use, memory mapped one to one, one core, and nobody uses the guard.
    unsafe { kfiber::stack::guard::unmap(bounds, level_4, VirtAddr::zero(), &mut FramePool) }
        .expect("guard page");
    GUARD_START.store(bounds.guard().start as u64, Ordering::Relaxed);
}

/// The fault is in the guard, and it is handled elsewhere.
#[track_caller]
fn check(frame: &TrapFrame) {
    let guard = GUARD_START.load(Ordering::Relaxed);
    let guard = guard..guard + PAGE_SIZE as u64;
    let address = Cr2::read_raw();
    assert!(
        guard.contains(&address),
        "#PF at {address:#x}, the guard is {guard:#x?}"
    );
    let here = &raw const *frame as u64;
    assert!(
        !(guard.start..guard.start + (PAGE_SIZE + SIZE) as u64).contains(&here),
        "handled on the stack that ended"
    );
}

/// Expects the one overflow of a test, and ends the test.
fn expect_overflow(bounds: StackBounds) {
    arm(bounds);
    exceptions::hook(PAGE_FAULT, |frame| {
        check(frame);
        exceptions::report(frame);
    });
}

/// Uses some stack with each call, for ever.
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 16]);
    if black_box(false) {
        return depth;
    }
    recurse(depth + 1) + black_box(frame[3])
}

#[inline(never)]
const fn use_20_kilobytes_at_once() {
    let mut frame = [0x5a_u8; 20_000];
    black_box(&mut frame);
}

kernel_test! {
    fn recursion_ends_at_the_guard_and_is_handled_on_another_stack() faults("#PF") {
        let mut fiber = Fiber::<(), (), u64, _>::new(STACK.take().expect("first use"), |_, ()| recurse(0))
            .expect("a small closure");
        expect_overflow(fiber.stack_bounds());
        let _ = fiber.resume(());
    }

    /// The compiler touches each page of a large frame, so that it cannot jump over the guard.
    fn a_frame_larger_than_stack_and_guard_hits_the_guard() faults("#PF") {
        let mut fiber = Fiber::<(), (), (), _>::new(STACK.take().expect("first use"), |_, ()| use_20_kilobytes_at_once())
            .expect("a small closure");
        expect_overflow(fiber.stack_bounds());
        let _ = fiber.resume(());
    }

    fn an_interrupt_handler_that_overflows_the_fibers_stack_hits_the_guard() faults("#PF") {
        let mut fiber = Fiber::<(), (), (), _>::new(STACK.take().expect("first use"), |_, ()| {
            start_one_shot(1_000);
            x86_64::instructions::interrupts::enable();
            loop {
                core::hint::spin_loop();
            }
        })
        .expect("a small closure");
        expect_overflow(fiber.stack_bounds());
        on_tick(|_| {
            black_box(recurse(0));
        });
        let _ = fiber.resume(());
    }

    /// First, middle, last and all others; each neighbour keeps every byte.
    fn an_overflow_of_any_slot_is_caught_and_harms_no_neighbour() {
        const COUNT: usize = 8;
        static POOL: GuardedStackPool<SIZE, COUNT> = GuardedStackPool::new();
        static CAUGHT: AtomicU64 = AtomicU64::new(0);
        exceptions::hook(PAGE_FAULT, |frame| {
            check(frame);
            CAUGHT.fetch_add(1, Ordering::Relaxed);
            escape(frame);
        });
        let mut stacks: [_; COUNT] = core::array::from_fn(|_| Some(POOL.take().expect("not exhausted")));
        for stack in stacks.iter_mut().flatten() {
            arm(stack.bounds());
            stack.paint();
        }
        for slot in (0..COUNT).rev() {
            let stack = stacks[slot].take().expect("each once");
            let bounds = stack.bounds();
            GUARD_START.store(bounds.guard().start as u64, Ordering::Relaxed);
            let fiber = Fiber::<(), (), u64, _>::new(stack, |_, ()| recurse(0)).expect("a small closure");
            OVERFLOWN.store(fiber.control_block(), Ordering::Relaxed);
            // Not by `resume`, which would see that the last bytes above the guard were used.
            // SAFETY: C1 to C3: the fiber is new, and stays in place.
            unsafe { context::resume(fiber.control_block(), Payload::uninit()) };
            assert_eq!(CAUGHT.load(Ordering::Relaxed), (COUNT - slot) as u64);
            drop(fiber);
            assert_eq!(leaked_stacks(), COUNT - slot, "a stack that overflowed is not used again");
            for neighbour in stacks.iter().flatten() {
                assert_eq!(neighbour.usage().used_bytes, 0, "{:?}", neighbour.bounds());
                assert!(neighbour.is_canary_intact());
            }
        }
    }
}

/// The fiber that overflows next.
static OVERFLOWN: AtomicPtr<ControlBlock> = AtomicPtr::new(ptr::null_mut());

/// Leaves the fiber that overflowed for good: it goes on at the other end of its stack, and suspends itself there.
fn escape(frame: &mut TrapFrame) {
    let block = OVERFLOWN.load(Ordering::Relaxed);
    frame.rsp = (block as u64 - 2048) & !15;
    frame.rip = leave as *const () as u64;
}

extern "sysv64" fn leave() -> ! {
    let block = OVERFLOWN.load(Ordering::Relaxed);
    // SAFETY: We run on the fiber of this block, whose resumer waits; nobody resumes the fiber again.
    unsafe { context::suspend(block, Payload::uninit()) };
    unreachable!("resumed a fiber that overflowed");
}
