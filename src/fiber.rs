//! The asymmetric fiber: a closure with its own stack that runs until it suspends or returns.
//!
//! The code that resumes a fiber is its *resumer*. A fiber needs a stack, but no scheduler, no heap
//! and no set-up:
//!
//! ```
//! use kfiber::fiber::{Fiber, Resumed};
//! use kfiber::stack::{Stack, Storage};
//!
//! static STACK: Stack<{ 64 * 1024 }> = Stack::new();
//!
//! // Takes a number, yields the running sum, and returns how many it saw once it is given a zero.
//! let mut summing = Fiber::new(STACK.take()?, |yielder, mut number: u64| {
//!     let (mut sum, mut count) = (0, 0_u32);
//!     while number != 0 {
//!         (sum, count) = (sum + number, count + 1);
//!         number = yielder.suspend(sum);
//!     }
//!     count
//! })
//! .expect("a closure this small fits");
//!
//! assert_eq!(summing.resume(40), Resumed::Yielded(40));
//! assert_eq!(summing.resume(2), Resumed::Yielded(42));
//! assert_eq!(summing.resume(0), Resumed::Returned(2));
//! # Ok::<(), kfiber::stack::StackInUse>(())
//! ```
//!
//! # What happens to the destructors
//!
//! | the fiber is dropped | its closure | its locals | its stack |
//! |---|---|---|---|
//! | before its first resume | dropped | – | given back |
//! | after it returned | was consumed by the call | were dropped when it returned | given back |
//! | while suspended | leaked | leaked | leaked, never reused, and [`on_leak`]'s hook is called |
//!
//! Only unwinding could remove the frames of a suspended fiber, and other code may refer to them.
//! Its memory is therefore kept. To end a fiber properly, resume it with a value that tells it to
//! return.
//!
//! # Who may resume it
//!
//! A [`Fiber`] belongs to the scheduled fiber that made it, or to the thread or core if it was made
//! outside of all scheduled fibers. It is not `Send` and can only be resumed there, since its
//! frames may hold a value that must not move to another fiber, such as the guard of a lock. Code
//! inside it that asks for the current fiber always gets the scheduled fiber around it. On a host,
//! a `std::thread_local` can carry a `Fiber` to another scheduled fiber of the thread; a resume
//! there panics. [The model](crate::model) has the rules.
//!
//! # Invariants
//!
//! - **F1**: `block` lies in the memory of `stack`, and [`Fiber::new`] initialised it for exactly
//!   the types of this fiber. The slot below it holds the closure until the first resume, and the
//!   result after the last.
//! - **F2**: a [`Yielder`] is reachable only from the closure's call, on the fiber of its block.

mod error;
mod leak;
mod payload;
mod slot;
mod yielder;

use crate::context::flags::Flags;
use crate::context::{self, ControlBlock};
use crate::scheduler::made_by::MadeBy;
use crate::stack::{StackBounds, StackMemory, StackUsage};
#[cfg(all(feature = "stack-check", not(any(miri, kfiber_threads))))]
use crate::stack::{is_canary_top_intact, plant_first_canary};
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use slot::Slot;

pub use error::{FiberFinished, NewFiberError, NewFiberErrorKind};
pub use leak::{Leak, leaked_stacks, on_leak};
pub use yielder::Yielder;

/// The outcome of a resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the fiber may have yielded a value, or returned"]
pub enum Resumed<Y, R> {
    /// The fiber suspended itself with this value and can be resumed.
    Yielded(Y),
    /// The fiber's closure returned this value; the fiber has finished.
    Returned(R),
}

/// A closure that runs on its own stack. See the [module documentation](self).
///
/// Each resume passes an `I` in, each suspension passes a `Y` out, and the closure returns an `R`.
/// `S` is the type of the stack.
pub struct Fiber<I, Y, R, S: StackMemory> {
    block: *mut ControlBlock,
    drop_closure: unsafe fn(*mut ControlBlock),
    is_finished: bool,
    made_by: MadeBy,
    stack: ManuallyDrop<S>,
    // Values go in and out, and the frames of the fiber may hold anything: neither `Send` nor `Sync`.
    types: PhantomData<*mut (I, Y, R)>,
}

impl<I, Y, R, S: StackMemory> Fiber<I, Y, R, S> {
    /// Makes a fiber that will run `closure` on `stack`. The closure does not run yet.
    ///
    /// The closure is moved onto the fiber's stack, whatever its size and alignment. If the size of
    /// the stack is known at compile time, a closure, result or resume value that is too large for
    /// it does not compile.
    ///
    /// # Errors
    ///
    /// Returns the stack and the closure in an error if the closure, its result, or the value that
    /// a resume passes in is too large for a [`ForeignStack`](crate::stack::ForeignStack).
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler. Blocks: nothing.
    #[inline(always)]
    pub fn new<F>(stack: S, closure: F) -> Result<Self, NewFiberError<S, F>>
    where
        F: FnOnce(&Yielder<I, Y>, I) -> R + 'static,
        I: 'static,
        Y: 'static,
        R: 'static,
    {
        const {
            assert!(
                S::SIZE_BYTES == 0 || Slot::<F, R>::needed_bytes::<I>() <= S::SIZE_BYTES,
                "the closure, its result, or the value it takes is too large for this stack: use a larger stack, or pass references"
            );
        }
        let bounds = stack.bounds();
        if S::SIZE_BYTES == 0 && Slot::<F, R>::needed_bytes::<I>() > bounds.size_bytes() {
            let kind = NewFiberErrorKind::StackTooSmall {
                needed_bytes: Slot::<F, R>::needed_bytes::<I>(),
                size_bytes: bounds.size_bytes(),
            };
            return Err(NewFiberError {
                stack,
                closure,
                kind,
            });
        }
        #[cfg(all(feature = "stack-check", not(any(miri, kfiber_threads))))]
        // SAFETY: S1. Only memory that does not come from this crate has none yet.
        if unsafe { !is_canary_top_intact(bounds) } {
            // SAFETY: S1.
            unsafe { plant_first_canary(bounds) };
        }
        let block: *mut ControlBlock = bounds.top().wrapping_sub(size_of::<ControlBlock>()).cast();
        let slot = Slot::<F, R>::below(block);
        // SAFETY: S1, and the checks above show that the slot lies within the stack; it is aligned by construction.
        unsafe { slot.write(Slot::new(closure)) };
        // SAFETY: the block is aligned (the top is, and its size is a multiple) and within the stack, which outlives the
        // fiber (S1); the slot's start is 16-byte aligned; `run` does not unwind (it is `extern "sysv64"`).
        unsafe { ControlBlock::init(block, slot.cast(), yielder::run::<I, Y, R, F>) };
        Ok(Self {
            block,
            drop_closure: Slot::<F, R>::drop_closure,
            is_finished: false,
            made_by: MadeBy::current(),
            stack: ManuallyDrop::new(stack),
            types: PhantomData,
        })
    }

    /// Runs the fiber until it suspends itself or returns. The first resume starts the closure.
    ///
    /// # Panics
    ///
    /// Panics if the fiber has finished; [`try_resume`](Self::try_resume) gives the value back
    /// instead. On a host, panics if a thread local carried the fiber to another scheduled fiber
    /// than the one that made it. With the feature `stack-check`, panics if the fiber came back and
    /// has written over the canary of its stack. With debug assertions on, panics if a rule for the
    /// processor's [flags](crate::context::flags) is broken.
    ///
    /// # Context
    ///
    /// Callable from: fiber (to any depth), scheduler; from an interrupt handler only for fibers
    /// that nobody else resumes. Blocks: nothing.
    #[inline(always)]
    #[track_caller]
    pub fn resume(&mut self, value: I) -> Resumed<Y, R> {
        match self.try_resume(value) {
            Ok(resumed) => resumed,
            Err(_) => error::resumed_after_end(),
        }
    }

    /// Runs the fiber as [`resume`](Self::resume) does, but gives the value back if the fiber has
    /// finished.
    ///
    /// ```
    /// use kfiber::fiber::{Fiber, FiberFinished, Resumed, Yielder};
    /// # use kfiber::stack::{Stack, Storage};
    /// # static STACK: Stack<{ 64 * 1024 }> = Stack::new();
    /// # let stack = STACK.take().expect("first use");
    ///
    /// let mut doubling = Fiber::new(stack, |_: &Yielder<u8, ()>, number: u8| number * 2).expect("fits");
    /// assert_eq!(doubling.try_resume(21), Ok(Resumed::Returned(42)));
    /// assert_eq!(doubling.try_resume(7), Err(FiberFinished(7)));
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`FiberFinished`], which holds the value, if the fiber has finished.
    ///
    /// # Panics
    ///
    /// Panics like [`resume`](Self::resume), except if the fiber has finished.
    ///
    /// # Context
    ///
    /// The context is that of [`resume`](Self::resume).
    #[inline(always)]
    #[track_caller]
    pub fn try_resume(&mut self, value: I) -> Result<Resumed<Y, R>, FiberFinished<I>> {
        if self.is_finished {
            return Err(FiberFinished(value));
        }
        if !self.made_by.is_current() {
            error::resumed_elsewhere(self.made_by);
        }
        let flags = cfg!(debug_assertions).then(Flags::check);
        let value = ManuallyDrop::new(value);
        // SAFETY: `value` is not dropped here, and stays in place until the fiber has it.
        let word = unsafe { payload::pack(&raw const value) };
        // SAFETY: F1; the fiber is new or suspended, as it has not finished and `&mut self` shows that it does not run,
        // so C1 and C2 hold; the stack, and with it the block, is ours and stays in place (C3).
        let transfer = unsafe { context::resume(self.block, word) };
        let has_returned = transfer.tag.is_null();
        if has_returned {
            self.is_finished = true;
        } else {
            // SAFETY: the fiber has just suspended itself.
            unsafe { ControlBlock::mark_suspended(transfer.tag) };
        }
        #[cfg(all(feature = "stack-check", not(any(miri, kfiber_threads))))]
        // SAFETY: S1, and `new` made sure that the canary is there.
        if unsafe { !is_canary_top_intact(self.stack.bounds()) } {
            error::overflowed(self.stack.bounds());
        }
        // Only now, since it may unwind, and the fiber's state must be right by then; but before a value is moved,
        // since that may take a string instruction, which relies on the direction flag.
        if let Some(flags) = flags {
            flags.check_unchanged();
        }
        if has_returned {
            // SAFETY: F1: a null tag says that `run` returned, which packs an `R`, and we unpack it once.
            return Ok(Resumed::Returned(unsafe {
                payload::unpack(transfer.payload)
            }));
        }
        // SAFETY: F2: only `Yielder::suspend` sends a tag, and it packs a `Y`; we unpack it once.
        Ok(Resumed::Yielded(unsafe {
            payload::unpack(transfer.payload)
        }))
    }

    /// Returns `true` if the closure has returned.
    #[inline]
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Gives the stack back, which can be used for another fiber at once. The closure of a fiber
    /// that never ran is dropped.
    ///
    /// ```
    /// use kfiber::fiber::{Fiber, Yielder};
    /// # use kfiber::stack::{Stack, Storage};
    /// # static STACK: Stack<{ 64 * 1024 }> = Stack::new();
    /// # let stack = STACK.take().expect("first use");
    ///
    /// let mut fiber = Fiber::new(stack, |yielder: &Yielder<(), u8>, ()| yielder.suspend(1)).expect("fits");
    /// let _ = fiber.resume(());
    /// let mut fiber = fiber.into_stack().expect_err("its frames are on the stack");
    /// let _ = fiber.resume(());
    /// let stack = fiber.into_stack().expect("finished");
    /// # drop(stack);
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the fiber itself if it is suspended, since its frames are still on the stack.
    ///
    /// # Context
    ///
    /// Callable from: fiber, scheduler. Blocks: nothing.
    pub fn into_stack(self) -> Result<S, Self> {
        if self.is_suspended() {
            return Err(self);
        }
        let mut this = ManuallyDrop::new(self);
        // SAFETY: not suspended, and `this` is not used again.
        Ok(unsafe { this.end() })
    }

    /// Returns the bounds of the fiber's stack.
    #[must_use]
    pub fn stack_bounds(&self) -> StackBounds {
        self.stack.bounds()
    }

    /// Measures how much of its stack the fiber ever used: see [`StackMemory::usage`].
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler. Blocks: nothing.
    #[must_use]
    pub fn stack_usage(&self) -> StackUsage {
        self.stack.usage()
    }

    /// Returns `true` if nothing overwrote the canary at the bottom of the stack.
    #[must_use]
    pub fn is_canary_intact(&self) -> bool {
        self.stack.is_canary_intact()
    }

    /// Returns the fiber's control block, for a debugger or for the out-of-line switch.
    #[must_use]
    pub const fn control_block(&self) -> *mut ControlBlock {
        self.block
    }

    /// Returns `true` if frames of the fiber are on its stack.
    fn is_suspended(&self) -> bool {
        // SAFETY: F1; the fiber does not run.
        !self.is_finished && !unsafe { (*self.block).is_fresh() }
    }

    /// Drops the closure if it is still there and returns the stack.
    ///
    /// # Safety
    ///
    /// The fiber is not suspended, and is not used afterwards.
    unsafe fn end(&mut self) -> S {
        // SAFETY: the caller does not use the fiber again. Taken out first, so that the stack is given back even if the
        // closure's destructor panics and the panic unwinds.
        let stack = unsafe { ManuallyDrop::take(&mut self.stack) };
        if !self.is_finished {
            // SAFETY: F1, and the fiber never ran, so the closure is in its slot; `stack` still holds the memory.
            unsafe { (self.drop_closure)(self.block) };
        }
        stack
    }
}

impl<I, Y, R, S: StackMemory> Drop for Fiber<I, Y, R, S> {
    fn drop(&mut self) {
        if self.is_suspended() {
            leak::report(Leak {
                stack: self.stack.bounds(),
            });
        } else {
            // SAFETY: not suspended, and a dropped value is not used again.
            drop(unsafe { self.end() });
        }
    }
}

impl<I, Y, R, S: StackMemory> fmt::Debug for Fiber<I, Y, R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (self.is_finished, self.is_suspended()) {
            (true, _) => "finished",
            (false, true) => "suspended",
            (false, false) => "new",
        };
        f.debug_struct("Fiber")
            .field("state", &state)
            .field("stack", &self.stack.bounds())
            .finish()
    }
}
