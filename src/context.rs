//! Contexts, and the switch between them. A *context* is a point in a computation that has its own
//! stack. While it does not run, its registers are saved in memory.
//!
//! # The control block
//!
//! Everything that a switch reads and writes lies in one [`ControlBlock`], which is one cache line
//! on the bare target:
//!
//! ```text
//!   offset   parent: the resumer               own: the fiber, while it does not run
//!        0   rbp  ─┐ frame record: what an      rbp   32
//!        8   ip   ─┘ unwinder finds at rbp      ip    40
//!       16   sp                                 sp    48
//!       24   rbx                                rbx   56
//! ```
//!
//! `{rbp, ip}` are in this order because a function's prologue leaves the saved frame pointer and
//! the return address at `[rbp]` in the same order. In the first frame of a fiber, `rbp` is the
//! address of `parent`. A plain walk along `rbp` therefore continues from the fiber into the code
//! that resumed it, and so does a DWARF unwinder (see `x86_64.rs`).
//!
//! # The switch
//!
//! ```text
//!   resume(block)      stores the running registers in block.parent, loads those in block.own
//!   suspend(block)     stores the running registers in block.own,    loads those in block.parent
//!   switch(prev, next) stores the running registers in prev.own,     loads those in next.own
//!   leave(next, ..)    stores nothing,                               loads those in next.own
//! ```
//!
//! A switch carries two words to the other side. The *payload* is a value of the caller. The *tag*
//! identifies the side that switched: it is the address of the block that was left, or null if that
//! fiber has ended.
//!
//! The switch itself saves `rsp`, `rbp`, `rbx` and the address at which to continue. The compiler
//! saves all other live registers around the switch, because the inline assembly declares every
//! other register as clobbered.
//!
//! Where the compiler may use SSE, the switch also exchanges the control bits of MXCSR and the x87
//! control word, since the System V ABI preserves them across calls (x86-64 psABI, 3.2.1 and
//! 3.2.3). The feature `fp-control`, which is on by default, controls this. The exception flags in
//! MXCSR belong to no fiber, because no call preserves them: a fiber may find flags that another
//! fiber raised, or lose flags that it raised itself. The switch does not save RFLAGS: [`flags`]
//! has rules for it instead.
//!
//! The switch never writes below `rsp`, so an interrupt may occur between any two instructions.
//!
//! The following example uses the switch directly, without [`fiber`](crate::fiber):
//!
//! ```
//! use kfiber::context::{ControlBlock, Payload, resume, suspend};
//!
//! unsafe extern "sysv64" fn body(first: Payload, block: *mut ControlBlock) -> Payload {
//!     // SAFETY: runs on the fiber of this block, which is only ever entered by `resume`.
//!     unsafe { suspend(block, first) }
//! }
//!
//! let block = Box::into_raw(Box::new(ControlBlock::new()));
//! let stack_end = Box::leak(Box::new([0_u128; 4096])).as_mut_ptr_range().end;
//! // SAFETY: block and stack are leaked, so they stay where they are and are nobody else's; `body` does not unwind.
//! unsafe { ControlBlock::init(block, stack_end.cast(), body) };
//! // SAFETY: the fiber is new.
//! let transfer = unsafe { resume(block, Payload::new(42)) };
//! assert_eq!(transfer.tag, block, "suspended");
//! // SAFETY: the fiber is suspended.
//! let transfer = unsafe { resume(block, transfer.payload) };
//! assert!(transfer.tag.is_null(), "ended");
//! ```
//!
//! # Invariants
//!
//! The invariants are named here. Every `unsafe` block that relies on one cites its name.
//!
//! - **C1**: `own` of a block whose fiber is not running can be continued, and so can `parent` of a
//!   block whose fiber is running. This means that the context's `sp` lies in a stack that nobody
//!   else uses, and that nothing wrote to that stack at or above `sp` since `sp` was stored.
//! - **C2**: a context is continued at most once for each time that it was stored.
//! - **C3**: a block is neither moved nor freed between the start and the end of its fiber.

pub mod flags;

#[cfg(not(target_os = "linux"))]
mod arrival;
mod block;
#[cfg(not(any(miri, kfiber_threads)))]
mod control_words;
#[cfg(all(feature = "fp-control", target_feature = "sse"))]
mod mxcsr;
#[cfg(not(any(miri, kfiber_threads)))]
mod out_of_line;
#[cfg(not(any(miri, kfiber_threads)))]
mod unwind;
#[cfg(not(any(miri, kfiber_threads)))]
pub(crate) mod x86_64;
#[cfg(not(any(miri, kfiber_threads)))]
use x86_64 as backend;

#[cfg(any(miri, kfiber_threads))]
mod threads;
#[cfg(any(miri, kfiber_threads))]
use threads as backend;

#[cfg(all(test, not(any(miri, kfiber_threads))))]
mod tests;

use core::ptr;

#[cfg(not(target_os = "linux"))]
pub(crate) use arrival::prepare as prepare_arrival;
pub use backend::{leave, resume, suspend, switch};
#[cfg(all(feature = "fp-control", target_feature = "sse"))]
pub use block::FpControl;
pub use block::{After, Body, Context, ControlBlock, Payload, Transfer};
#[cfg(not(any(miri, kfiber_threads)))]
pub use out_of_line::switch_out_of_line;
#[cfg(any(miri, kfiber_threads))]
pub use threads::switch_out_of_line;

use block::FrameRecord;

impl ControlBlock {
    /// Prepares a fiber in `block`. The first switch to it calls `body` on the stack below `sp`.
    ///
    /// This function writes only the block and does not access the stack.
    ///
    /// # Safety
    ///
    /// - `block` is valid for writes and stays where it is until the fiber has ended (**C3**).
    /// - `sp` is 16-byte aligned and is the upper end of memory that only this fiber uses from now
    ///   on (**C1**).
    /// - `body` does not unwind.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler. Blocks: nothing.
    #[inline(always)]
    pub unsafe fn init(block: *mut Self, sp: *mut u8, body: Body) {
        // SAFETY: the caller vouches for `block` (C3). Of `parent` only the record is read before the first resume
        // writes it, so `sp` and `rbx` are left as they are.
        unsafe { Self::mark_suspended(block) };
        #[cfg(all(feature = "fp-control", target_feature = "sse"))]
        // SAFETY: the caller vouches for `block` (C3). No switch writes this word of `parent`, but those back read it.
        unsafe {
            (*block).parent.fp.always_load = mxcsr::way();
        }
        // SAFETY: the caller's promise.
        unsafe { Self::init_again(block, sp, body) };
    }

    /// Behaves like [`init`](Self::init), for a block that is marked as suspended. One whose fibers
    /// are entered by [`switch`] alone always is, since nothing else writes there.
    ///
    /// # Safety
    ///
    /// The requirements of [`init`](Self::init) apply, and the block is marked as suspended.
    #[inline(always)]
    pub(crate) unsafe fn init_again(block: *mut Self, sp: *mut u8, body: Body) {
        let own = Context {
            record: FrameRecord {
                rbp: block.cast(),
                ip: backend::first_entry(),
            },
            sp,
            rbx: body as *const (),
            #[cfg(all(feature = "fp-control", target_feature = "sse"))]
            fp: FpControl {
                always_load: mxcsr::way(),
                ..FpControl::INITIAL
            },
        };
        // SAFETY: the caller vouches for `block` (C3).
        unsafe { (*block).own = own };
    }

    /// Marks the fiber of `block` as suspended, so that a backtrace of the fiber ends there.
    /// Otherwise the backtrace would continue into the frame that resumed it last.
    ///
    /// The resumer calls this right after [`resume`] returned with a tag.
    ///
    /// # Safety
    ///
    /// `block` is valid for writes, and its fiber is suspended.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler. Blocks: nothing.
    #[inline(always)]
    pub unsafe fn mark_suspended(block: *mut Self) {
        // SAFETY: the caller vouches for `block` (C3).
        let ip = unsafe { &raw mut (*block).parent.record.ip };
        // SAFETY: as above.
        let rbp = unsafe { &raw mut (*block).parent.record.rbp };
        // Volatile, to keep this order: a backtrace ends at the marker, whatever `rbp` still is; but one that goes on
        // at the old address needs the old `rbp`.
        // SAFETY: as above; nobody reads `parent` of a suspended fiber but unwinders.
        unsafe { ip.write_volatile(backend::suspended_marker()) };
        // SAFETY: as above.
        unsafe { rbp.write_volatile(ptr::null_mut()) };
    }

    /// Returns `true` if the fiber of this block is as [`ControlBlock::init`] left it.
    ///
    /// If the fiber is neither running nor finished, this means that it was never switched to. A
    /// fiber stops being fresh at its first suspension, not at its first entry.
    #[inline]
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        ptr::eq(self.own.record.ip, backend::first_entry())
    }
}
