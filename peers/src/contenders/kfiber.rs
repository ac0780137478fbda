//! kfiber, in two builds: without and with the control words of the floating-point units.

/// The same code for both copies of the library.
macro_rules! contender {
    ($type:ident, $library:ident, $name:literal) => {
        /// kfiber's asymmetric fibers.
        pub(crate) struct $type;

        const _: () = {
            use $crate::contender::{Body, Contender, unexpected};
            use $crate::memory::{STACK_BYTES, Stack};
            use $library::fiber::{Fiber, Resumed, Yielder};
            use $library::stack::{StackBounds, StackMemory};

            /// The harness's memory as kfiber wants it.
            pub(crate) struct Memory(StackBounds);

            // SAFETY: `start` and `keep` ask for memory that nobody else uses; it is never unmapped, and has this size.
            unsafe impl StackMemory for Memory {
                const SIZE_BYTES: usize = STACK_BYTES;

                #[inline]
                fn bounds(&self) -> StackBounds {
                    self.0
                }
            }

            fn memory(stack: Stack) -> Memory {
                let bounds = StackBounds::new(stack.bottom(), STACK_BYTES, 0);
                Memory(bounds.expect("aligned and large enough"))
            }

            impl Contender for $type {
                const NAME: &'static str = $name;
                type Fiber = Fiber<usize, usize, usize, Memory>;
                type Way = *const Yielder<usize, usize>;
                type Kept = StackBounds;

                unsafe fn start<B: Body<Self>>(stack: Stack) -> Self::Fiber {
                    let body = |way: &Yielder<usize, usize>, first| {
                        // SAFETY: the running fiber's own.
                        unsafe { B::run(way, first) }
                    };
                    Fiber::new(memory(stack), body).expect("the stack is large enough")
                }

                #[inline(always)]
                fn resume(fiber: &mut Self::Fiber, word: usize) -> usize {
                    match fiber.resume(word) {
                        Resumed::Yielded(word) => word,
                        Resumed::Returned(_) => unexpected(),
                    }
                }

                fn end(mut fiber: Self::Fiber, word: usize) -> usize {
                    match fiber.resume(word) {
                        Resumed::Returned(word) => word,
                        Resumed::Yielded(_) => unexpected(),
                    }
                }

                #[inline(always)]
                unsafe fn suspend(way: Self::Way, word: usize) -> usize {
                    // SAFETY: the caller's promise.
                    unsafe { &*way }.suspend(word)
                }

                unsafe fn keep(stack: Stack) -> StackBounds {
                    memory(stack).bounds()
                }

                #[inline(always)]
                fn create(kept: &mut StackBounds, word: usize) -> usize {
                    let body = |_: &Yielder<usize, usize>, word: usize| word + 1;
                    let fiber = Fiber::<_, usize, _, _>::new(Memory(*kept), body);
                    match fiber.expect("the stack is large enough").resume(word) {
                        Resumed::Returned(word) => word,
                        Resumed::Yielded(_) => unexpected(),
                    }
                }
            }
        };
    };
}

contender!(Kfiber, kfiber, "kfiber");
contender!(KfiberWithFpControl, kfiber_with_fp_control, "kfiber-fp");
