//! The count and the hook of leaked stacks. A stack is leaked, with everything on it, when a
//! suspended fiber is dropped.

use crate::stack::StackBounds;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// A stack that was leaked because the fiber on it was dropped while suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leak {
    /// The bounds of the stack, which is never reused.
    pub stack: StackBounds,
}

static COUNT: AtomicUsize = AtomicUsize::new(0);
static HOOK: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Sets the function that is called for every leak from now on. It replaces any hook that was set
/// before. Without a hook, leaks only appear in the [count](leaked_stacks).
///
/// The hook runs where the fiber is dropped. It may print or panic.
///
/// ```
/// use kfiber::fiber::{Fiber, Yielder, leaked_stacks, on_leak};
/// # use kfiber::stack::{Stack, Storage};
/// # static STACK: Stack<{ 64 * 1024 }> = Stack::new();
/// # let stack = STACK.take().expect("first use");
///
/// on_leak(|leak| println!("a fiber was dropped while suspended on {:?}", leak.stack));
/// let mut fiber = Fiber::new(stack, |yielder: &Yielder<(), ()>, ()| yielder.suspend(())).expect("fits");
/// let _ = fiber.resume(());
/// drop(fiber);
/// assert_eq!(leaked_stacks(), 1);
/// assert!(STACK.take().is_err(), "kept for ever");
/// ```
///
/// # Context
///
/// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
pub fn on_leak(hook: fn(Leak)) {
    HOOK.store(hook as *mut (), Ordering::Release);
}

/// Returns the number of stacks that were leaked since the kernel started. Each version of the
/// crate has its own count.
///
/// # Context
///
/// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
#[must_use]
pub fn leaked_stacks() -> usize {
    COUNT.load(Ordering::Relaxed)
}

/// Counts a leak and calls the hook.
#[cold]
#[inline(never)]
pub(super) fn report(leak: Leak) {
    COUNT.fetch_add(1, Ordering::Relaxed);
    let hook = HOOK.load(Ordering::Acquire);
    if !hook.is_null() {
        // SAFETY: only `on_leak` stores there, and it stores an `fn(Leak)`.
        let hook = unsafe { core::mem::transmute::<*mut (), fn(Leak)>(hook) };
        hook(leak);
    }
}
