//! Stacks as a kernel has them: where the linker puts them, who owns them, what was used of them.

mod guard;
mod overflow;
mod pool;
mod probe;

use core::{cell::UnsafeCell, hint::black_box, mem, slice};

use kfiber::{
    fiber::Fiber,
    stack::{
        FLOOR_BYTES, ForeignStack, GuardedStack, MIN_SIZE_BYTES, PAGE_SIZE, STACK_ALIGN, Stack,
        StackBounds, StackError, StackInUse, StackMemory, Storage, TOP_ALIGN,
    },
};
use tests_qemu::kernel_test;

static DENSE: Stack<{ 16 * 1024 }> = Stack::new();
static GUARDED: GuardedStack<{ 16 * 1024 }> = GuardedStack::new();

#[unsafe(link_section = ".bss.kfiber_stacks")]
static COLLECTED: Stack<4096> = Stack::new();
#[unsafe(link_section = ".bss.kfiber_stacks")]
static COLLECTED_TOO: GuardedStack<8192> = GuardedStack::new();

unsafe extern "C" {
    static __bss_start: u8;
    static __bss_stop: u8;
    static __kernel_end: u8;
    static __kfiber_stacks_start: u8;
    static __kfiber_stacks_end: u8;
}

/// Free memory above the kernel, the first huge page that nothing else lies in.
pub(crate) fn free_memory() -> *mut u8 {
    const HUGE: usize = 2 << 20;
    let end = (&raw const __kernel_end).addr();
    core::ptr::with_exposed_provenance_mut(end.next_multiple_of(HUGE))
}

const fn bytes(bounds: StackBounds) -> &'static [u8] {
    // SAFETY: The callers pass static or free memory in which nothing runs while they look.
    unsafe { slice::from_raw_parts(bounds.bottom(), bounds.size_bytes()) }
}

kernel_test! {
    fn a_static_stack_is_zero_and_lies_in_bss() {
        let bss = (&raw const __bss_start).addr()..(&raw const __bss_stop).addr();
        for bounds in [DENSE.storage_bounds(), GUARDED.storage_bounds()] {
            assert!(bss.contains(&bounds.bottom().addr()) && bss.contains(&(bounds.top().addr() - 1)), "{bounds:?}");
            assert!(bytes(bounds).iter().all(|&byte| byte == 0), "{bounds:?}");
        }
    }

    fn tops_and_bottoms_are_aligned() {
        let dense = DENSE.storage_bounds();
        let guarded = GUARDED.storage_bounds();
        for bounds in [dense, guarded, COLLECTED.storage_bounds()] {
            assert!(bounds.top().addr().is_multiple_of(TOP_ALIGN), "{bounds:?}");
            assert!(bounds.bottom().addr().is_multiple_of(STACK_ALIGN), "{bounds:?}");
        }
        assert!(guarded.bottom().addr().is_multiple_of(PAGE_SIZE));
        assert_eq!(guarded.guard().len(), PAGE_SIZE);
        assert!(dense.guard().is_empty());
    }

    /// `linker/kfiber.ld` is passed to the linker of this kernel.
    fn the_linker_fragment_collects_stacks_between_its_symbols() {
        let range = (&raw const __kfiber_stacks_start).addr()..(&raw const __kfiber_stacks_end).addr();
        assert!(range.start.is_multiple_of(PAGE_SIZE) && range.end.is_multiple_of(PAGE_SIZE), "{range:x?}");
        for bounds in [COLLECTED.storage_bounds(), COLLECTED_TOO.storage_bounds()] {
            assert!(range.contains(&bounds.guard().start) && range.contains(&(bounds.top().addr() - 1)), "{bounds:?}");
            assert!(bytes(bounds).iter().all(|&byte| byte == 0), "{bounds:?}");
        }
        assert!(!range.contains(&DENSE.storage_bounds().bottom().addr()));
    }

    fn a_static_stack_has_one_owner_at_a_time() {
        let first = DENSE.take().expect("first use");
        assert_eq!(DENSE.take().err(), Some(StackInUse));
        drop(first);
        let second = DENSE.take().expect("given back");
        #[expect(clippy::mem_forget, reason = "this is the case under test")]
        mem::forget(second);
        assert_eq!(DENSE.take().err(), Some(StackInUse), "a forgotten stack is never handed out again");
    }

    fn usage_grows_with_the_depth_of_calls_on_zeros_and_on_paint() {
        for is_painted in [false, true] {
            let mut stack = GUARDED.take().expect("one at a time");
            if is_painted {
                stack.paint();
            }
            assert_eq!(stack.usage().used_bytes, 0);
            let mut fiber = Fiber::<usize, (), (), _>::new(stack, |yielder, mut depth| {
                loop {
                    descend(depth);
                    depth = yielder.suspend(());
                }
            })
            .expect("a small closure");
            let mut previous = 0;
            for depth in 1..12 {
                let _ = fiber.resume(depth);
                let usage = fiber.stack_usage();
                assert!(usage.used_bytes >= depth * FRAME, "{usage:?} at depth {depth}");
                assert!(usage.used_bytes > previous, "{usage:?} at depth {depth}");
                assert_eq!(usage.used_bytes + usage.free_bytes(), usage.size_bytes);
                previous = usage.used_bytes;
            }
            let _ = fiber.resume(1);
            assert_eq!(fiber.stack_usage().used_bytes, previous, "the mark stays at its highest");
            assert!(fiber.is_canary_intact());
            if is_painted {
                return;
            }
            // The static is not zero any more, so the second round has to paint; it gets the memory back by force.
            let bounds = fiber.stack_bounds();
            drop(fiber);
            // SAFETY: The fiber was leaked and nobody resumes it: the owner word is ours to clear, in this test only.
            unsafe { bounds.bottom().write_bytes(0, FLOOR_BYTES) };
        }
    }

    /// The memory below the stack belongs to the test, so that the overflow does no harm.
    fn the_canary_of_a_dense_stack_detects_an_overflow() panics("a `Fiber` overflowed its stack at 0x") {
        #[repr(C, align(64))]
        struct Exposed {
            below: UnsafeCell<[u8; 64 * 1024]>,
            stack: Stack<2048>,
        }
        // SAFETY: Only the overflow of this test writes to it.
        unsafe impl Sync for Exposed {}
        static EXPOSED: Exposed = Exposed { below: UnsafeCell::new([0; 64 * 1024]), stack: Stack::new() };

        let stack = EXPOSED.stack.take().expect("first use");
        let bounds = stack.bounds();
        let mut fiber = Fiber::<(), (), (), _>::new(stack, |yielder, ()| {
            yielder.suspend(());
            descend(2048 / FRAME + 2);
        })
        .expect("a small closure");
        let _ = fiber.resume(());
        assert!(fiber.is_canary_intact());
        assert!(EXPOSED.below.get().addr() < bounds.bottom().addr());
        let _ = fiber.resume(());
    }

    fn a_fiber_runs_on_memory_that_the_kernel_brings() {
        let bottom = free_memory();
        // SAFETY: Nothing else uses the memory above the kernel.
        let stack = unsafe { ForeignStack::new(bottom, 32 * 1024, 0) }.expect("aligned and canonical");
        let bounds = stack.bounds();
        let mut fiber = Fiber::<usize, usize, (), _>::new(stack, |yielder, mut value| {
            loop {
                let local = black_box(value);
                value = yielder.suspend((&raw const local).addr());
            }
        })
        .expect("a small closure");
        for value in 0..100 {
            match fiber.resume(value) {
                kfiber::fiber::Resumed::Yielded(address) => assert!(bounds.contains(address), "{address:#x}"),
                kfiber::fiber::Resumed::Returned(()) => panic!("the loop has no end"),
            }
        }
    }

    fn memory_that_cannot_be_a_stack_is_refused_and_left_alone() {
        let bottom = free_memory();
        // SAFETY: Nothing else uses the memory above the kernel.
        unsafe { bottom.write_bytes(0xa5, 64 * 1024) };
        let address = bottom.addr();
        for (offset, size_bytes, guard_bytes, expected) in [
            (0, 0, 0, StackError::TooSmall { size_bytes: 0 }),
            (0, MIN_SIZE_BYTES - 1, 0, StackError::TooSmall { size_bytes: MIN_SIZE_BYTES - 1 }),
            (8, 4096, 0, StackError::BottomMisaligned { bottom: address + 8 }),
            (0, 4096 + 16, 0, StackError::TopMisaligned { top: address + 4096 + 16 }),
            (0, usize::MAX - 63, 0, StackError::Wraps),
            (0, 4096, usize::MAX - 63, StackError::Wraps),
            (0, 1 << 60, 0, StackError::NonCanonical),
        ] {
            let bottom = bottom.wrapping_add(offset);
            // SAFETY: Each of them is refused before anything is written.
            let result = unsafe { ForeignStack::new(bottom, size_bytes, guard_bytes) };
            assert_eq!(result.err(), Some(expected));
        }
        // SAFETY: As above.
        let result = unsafe { ForeignStack::new(core::ptr::null_mut(), 4096, 0) };
        assert_eq!(result.err(), Some(StackError::Null));
        let whole = StackBounds::new(bottom, 64 * 1024, 0).expect("aligned");
        assert!(bytes(whole).iter().all(|&byte| byte == 0xa5));
    }
}

/// What each call of [`descend`] takes of the stack, at least.
const FRAME: usize = 512;

/// Calls itself `depth` times, and uses [`FRAME`] bytes and more for each call.
#[inline(never)]
fn descend(depth: usize) {
    let mut frame = [depth.to_le_bytes()[0] | 1; FRAME];
    black_box(&mut frame);
    if depth > 1 {
        descend(depth - 1);
    }
    black_box(&frame);
}
