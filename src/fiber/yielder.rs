//! The fiber's own side of a switch: suspending, and the function that calls the closure.

use super::payload;
use super::slot::Slot;
use crate::context::flags::Flags;
use crate::context::{self, ControlBlock, Payload};
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;

/// The handle with which a closure suspends its fiber. The closure gets it by reference and cannot
/// keep it.
///
/// ```compile_fail
/// use kfiber::fiber::{Fiber, Yielder};
/// # use kfiber::stack::{Stack, Storage};
/// # static STACK: Stack<4096> = Stack::new();
/// // It cannot leave the closure, not even as its result.
/// let _ = Fiber::<(), (), &Yielder<(), ()>, _>::new(STACK.take().unwrap(), |yielder, ()| yielder);
/// ```
// A reference to it is a pointer to the fiber's block (F2).
#[repr(transparent)]
pub struct Yielder<I, Y> {
    block: UnsafeCell<ControlBlock>,
    types: PhantomData<*mut (I, Y)>,
}

impl<I, Y> Yielder<I, Y> {
    /// Suspends the fiber, passes `value` to the resumer, and returns the value of the next resume.
    ///
    /// ```
    /// use kfiber::fiber::{Fiber, Resumed, Yielder};
    /// # use kfiber::stack::{Stack, Storage};
    /// # static STACK: Stack<{ 64 * 1024 }> = Stack::new();
    /// # let stack = STACK.take().expect("first use");
    ///
    /// /// Suspends from within a call, as deep as you like.
    /// fn ask(yielder: &Yielder<u32, &'static str>) -> u32 {
    ///     yielder.suspend("a number, please")
    /// }
    ///
    /// let mut asking = Fiber::new(stack, |yielder: &Yielder<_, _>, first| first + ask(yielder)).expect("fits");
    /// assert_eq!(asking.resume(40), Resumed::Yielded("a number, please"));
    /// assert_eq!(asking.resume(2), Resumed::Returned(42));
    /// ```
    ///
    /// # Panics
    ///
    /// With debug assertions on, panics if a rule for the processor's
    /// [flags](crate::context::flags) is broken.
    ///
    /// # Context
    ///
    /// Callable from: the fiber itself, at any depth of calls; also from a destructor or a panic
    /// handler, as long as the fiber will be resumed again. Not callable from an interrupt handler.
    /// Blocks: the fiber.
    #[inline(always)]
    #[track_caller]
    pub fn suspend(&self, value: Y) -> I {
        if cfg!(debug_assertions) {
            let _checked = Flags::check();
        }
        let value = ManuallyDrop::new(value);
        let block = self.block.get();
        // SAFETY: `value` is not dropped here, and stays in place until we are resumed.
        let word = unsafe { payload::pack(&raw const value) };
        // SAFETY: F2: we run on the fiber of this block, so its parent can be continued (C1, C2).
        let word = unsafe { context::suspend(block, word) };
        // SAFETY: F1: a fiber is resumed by `try_resume` of its own types, which packs an `I`; we unpack it once.
        unsafe { payload::unpack(word) }
    }
}

impl<I, Y> fmt::Debug for Yielder<I, Y> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yielder").finish_non_exhaustive()
    }
}

/// Runs the body of every fiber: calls the closure and leaves its result in the slot.
///
/// # Safety
///
/// **F1** holds, and this function is called once, by the first switch to the fiber, with a packed
/// `I`.
pub(super) unsafe extern "sysv64" fn run<I, Y, R, F>(
    word: Payload,
    block: *mut ControlBlock,
) -> Payload
where
    F: FnOnce(&Yielder<I, Y>, I) -> R,
{
    // SAFETY: F1: the closure is there until this first, and only, call.
    let closure = unsafe { Slot::<F, R>::take_closure(block) };
    // SAFETY: the caller packed an `I`; we unpack it once.
    let value = unsafe { payload::unpack(word) };
    // SAFETY: F1: the block is valid while the fiber runs. `Yielder` has its layout; its contents
    // are only touched by switches, through pointers of the same origin.
    let yielder = unsafe { &*block.cast::<Yielder<I, Y>>() };
    let result = closure(yielder, value);
    // SAFETY: F1, and the closure was moved out above.
    let result = unsafe { Slot::<F, R>::put_result(block, result) };
    // SAFETY: the result stays in its slot; nobody but the resumer touches it.
    unsafe { payload::pack(result) }
}
