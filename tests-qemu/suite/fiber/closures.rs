//! Closures that capture by move: whatever their size and alignment, they lie on the fiber's own stack.

use core::{
    hint::black_box,
    sync::atomic::{AtomicUsize, Ordering},
};

use kfiber::{
    fiber::{Fiber, NewFiberErrorKind, Resumed},
    stack::{ForeignStack, StackMemory},
};
use tests_qemu::kernel_test;

use super::stack;

kernel_test! {
    fn closures_of_every_size_keep_what_they_captured() {
        fn check<const SIZE: usize>() {
            let mut captured = [0_u8; SIZE];
            for (byte, number) in captured.iter_mut().zip(0_usize..) {
                *byte = number.to_le_bytes()[0] ^ 0x5a;
            }
            let stack = stack();
            let bounds = stack.bounds();
            let mut fiber = Fiber::<(), usize, usize, _>::new(stack, move |yielder, ()| {
                let captured = captured;
                yielder.suspend((&raw const captured).addr());
                // By reference: an unoptimised build copies a large array with each step that takes it by value.
                let bytes = (0_usize..).zip(black_box(&captured));
                bytes.filter(|(number, byte)| **byte == number.to_le_bytes()[0] ^ 0x5a).count()
            })
            .expect("it fits");
            let Resumed::Yielded(address) = fiber.resume(()) else { panic!("it suspends once") };
            assert!(SIZE == 0 || bounds.contains(address), "{address:#x} for {SIZE} bytes is not in {bounds:x?}");
            assert_eq!(fiber.resume(()), Resumed::Returned(SIZE));
            assert!(fiber.is_canary_intact());
        }
        check::<0>();
        check::<1>();
        check::<7>();
        check::<8>();
        check::<9>();
        check::<15>();
        check::<16>();
        check::<17>();
        check::<63>();
        check::<64>();
        check::<65>();
        check::<511>();
        check::<1000>();
        check::<4096>();
        check::<5000>();
    }

    /// Seen by the destructor of a closure that never ran, which is dropped in its place.
    fn a_closure_waits_at_its_own_alignment_on_the_fibers_stack() {
        static DROPPED_AT: AtomicUsize = AtomicUsize::new(0);
        macro_rules! check_aligned {
            ($($align:literal)*) => {$({
                #[repr(align($align))]
                struct Aligned(u8);
                impl Drop for Aligned {
                    fn drop(&mut self) {
                        DROPPED_AT.store((&raw const self.0).addr(), Ordering::Relaxed);
                    }
                }
                let captured = Aligned(1);
                let fiber = Fiber::<(), (), u8, _>::new(stack(), move |_, ()| {
                    let captured = captured;
                    captured.0
                })
                .expect("it fits");
                let bounds = fiber.stack_bounds();
                drop(fiber);
                let address = DROPPED_AT.load(Ordering::Relaxed);
                assert!(bounds.contains(address), "{address:#x} is not in {bounds:x?}");
                assert!(address.is_multiple_of($align), "{address:#x} for an alignment of {}", $align);
            })*};
        }
        check_aligned!(1 2 4 8 16 32 64 128 256 512 1024 2048 4096);
    }

    fn a_closure_too_large_for_the_kernels_memory_is_given_back() {
        let memory = crate::stack::free_memory();
        // SAFETY: Nothing else uses the memory above the kernel.
        let small = unsafe { ForeignStack::new(memory, 4096, 0) }.expect("aligned");
        let bounds = small.bounds();
        let captured = [7_u8; 4096];
        let closure = move |_: &kfiber::fiber::Yielder<(), ()>, ()| usize::from(captured[4095]);
        let error = Fiber::<(), (), usize, _>::new(small, closure).expect_err("it cannot fit");
        let NewFiberErrorKind::StackTooSmall { needed_bytes, size_bytes } = error.kind else {
            panic!("{error:?}");
        };
        assert!(needed_bytes > 4096 && size_bytes == 4096, "{error:?}");
        assert_eq!(error.stack.bounds(), bounds);
        // Both can still be used: the closure on a stack that is large enough.
        let mut fiber = Fiber::<(), (), usize, _>::new(stack(), error.closure).expect("it fits");
        assert_eq!(fiber.resume(()), Resumed::Returned(7));
    }
}
