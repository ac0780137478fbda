//! A replacement for the assembly, for interpreters that cannot switch stacks (Miri). A context
//! that is not running is a waiting thread.
//!
//! It has the same functions, contract and control blocks as `x86_64.rs`, so all code above the
//! switch runs unchanged. The threads pass a baton: of the threads that form a chain of fibers,
//! exactly one runs at any time. This file is selected by `cfg(miri)` or by `--cfg kfiber_threads`.
//! It needs `std` and is never part of a kernel.

extern crate std;

use super::block::{After, Body, Context, ControlBlock, Payload, Transfer};
use std::boxed::Box;
use std::ptr;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// The object on which a thread waits until another one continues it.
#[derive(Default)]
struct Baton {
    transfer: Mutex<Option<Sent>>,
    arrived: Condvar,
}

/// A [`Transfer`] that one thread sends to another.
struct Sent(Transfer);

// SAFETY: payloads are words whose meaning the two sides agreed on. The values they stand for change threads because
// this stand-in uses threads; only one of them runs at a time, and the mutex orders them.
unsafe impl Send for Sent {}

impl Baton {
    fn send(&self, transfer: Transfer) {
        *self.transfer.lock().expect("no holder panics") = Some(Sent(transfer));
        self.arrived.notify_one();
    }

    fn wait(&self) -> Transfer {
        let guard = self.transfer.lock().expect("no holder panics");
        let mut guard = self
            .arrived
            .wait_while(guard, |transfer| transfer.is_none())
            .expect("no holder panics");
        guard.take().expect("waited for it").0
    }
}

/// Stores the running thread's baton in `prev`, continues `next`, and waits.
///
/// # Safety
///
/// **C1** to **C3** hold.
unsafe fn exchange(
    prev: *mut Context,
    next: *const Context,
    payload: Payload,
    tag: *mut ControlBlock,
) -> Transfer {
    let baton = Arc::new(Baton::default());
    // SAFETY: the caller vouches for both. `next` is read first: the other side may be `prev` again at once.
    let next = unsafe { next.read() };
    // All of it is written, since all of it is read when it is continued.
    let own = Context {
        sp: Arc::into_raw(Arc::clone(&baton)).cast_mut().cast(),
        ..Context::NOWHERE
    };
    // SAFETY: as above.
    unsafe { prev.write(own) };
    // SAFETY: C1 and C2.
    unsafe { proceed(next, Transfer { payload, tag }) };
    baton.wait()
}

/// Continues a context. This wakes its thread, or starts a thread if the fiber is new.
///
/// # Safety
///
/// **C1** and **C2** hold.
unsafe fn proceed(next: Context, transfer: Transfer) {
    if ptr::eq(next.record.ip, first_entry()) {
        let start = Start {
            next,
            transfer: Sent(transfer),
        };
        thread::spawn(move || start.run());
    } else {
        // SAFETY: `exchange` stored the pointer, and C2 says that it is used once.
        unsafe { Arc::from_raw(next.sp.cast::<Baton>().cast_const()) }.send(transfer);
    }
}

/// A fiber that is about to run for the first time.
struct Start {
    next: Context,
    transfer: Sent,
}

// SAFETY: as for `Sent`.
unsafe impl Send for Start {}

impl Start {
    /// Runs the first frame of a fiber, as `base` does in the assembly.
    fn run(self) {
        let block: *mut ControlBlock = self.next.record.rbp.cast();
        // SAFETY: `ControlBlock::init` put a `Body` there.
        let body = unsafe { core::mem::transmute::<*const (), Body>(self.next.rbx) };
        // SAFETY: `init`'s caller vouched for block and body.
        let payload = unsafe { body(self.transfer.0.payload, block) };
        // SAFETY: the fiber runs, so `parent` can be continued (C1).
        let mut parent = unsafe { (*block).parent };
        if ptr::eq(parent.record.ip, leaving_marker()) {
            // SAFETY: as above.
            let last: *mut Last = unsafe { (*block).own.sp }.cast();
            // SAFETY: `leave` put it there, once.
            let last = unsafe { Box::from_raw(last) };
            // SAFETY: the caller's promise. From here on the block may be another's.
            unsafe { (last.after)(block) };
            parent = last.next;
        }
        // SAFETY: C1 and C2; the fiber has ended and does not continue it again.
        unsafe {
            proceed(
                parent,
                Transfer {
                    payload,
                    tag: ptr::null_mut(),
                },
            )
        };
    }
}

/// Stores the running context in `block.parent` and continues `block.own`: see `x86_64::resume`.
///
/// # Safety
///
/// `block.own` can be continued (**C1**, **C2**), and the block stays in place (**C3**).
pub unsafe fn resume(block: *mut ControlBlock, payload: Payload) -> Transfer {
    // SAFETY: the caller's promise.
    unsafe {
        exchange(
            &raw mut (*block).parent,
            &raw const (*block).own,
            payload,
            block,
        )
    }
}

/// Stores the running context in `block.own` and continues `block.parent`: see `x86_64::suspend`.
///
/// # Safety
///
/// The caller runs on the fiber of `block`, which was entered by [`resume`] and has not been left
/// since (**C1**, **C2**).
pub unsafe fn suspend(block: *mut ControlBlock, payload: Payload) -> Payload {
    // SAFETY: the caller's promise.
    unsafe {
        exchange(
            &raw mut (*block).own,
            &raw const (*block).parent,
            payload,
            block,
        )
    }
    .payload
}

/// Stores the running context in `prev.own` and continues `next.own`: see `x86_64::switch`.
///
/// # Safety
///
/// `next.own` can be continued (**C1**, **C2**). `prev` is valid for writes, is not `next`, and
/// describes no other context that is still needed. Both stay in place (**C3**).
pub unsafe fn switch(
    prev: *mut ControlBlock,
    next: *mut ControlBlock,
    payload: Payload,
) -> Transfer {
    // SAFETY: the caller's promise.
    unsafe { exchange(&raw mut (*prev).own, &raw const (*next).own, payload, prev) }
}

/// Stores the running context in `prev` and continues `next`: see `out_of_line::switch_out_of_line`.
///
/// # Safety
///
/// `next` can be continued (**C1**, **C2**). `prev` is valid for writes and is not `next`. Both
/// stay in place (**C3**).
pub unsafe extern "sysv64" fn switch_out_of_line(
    payload: Payload,
    tag: *mut ControlBlock,
    prev: *mut Context,
    next: *const Context,
) -> Transfer {
    // SAFETY: the caller's promise.
    unsafe { exchange(prev, next, payload, tag) }
}

/// Leaves the running context for good: see `x86_64::leave`. This version returns, because a thread
/// ends by returning. The body then returns at once.
///
/// # Safety
///
/// The requirements are those of `x86_64::leave`. In addition, the body returns without another
/// switch.
pub unsafe fn leave(next: *const ControlBlock, after: After, left: *mut ControlBlock) -> Payload {
    // SAFETY: the caller's promise.
    let next = unsafe { (*next).own };
    let last = Box::new(Last { next, after });
    // Its own context is not wanted any more. The rest of `parent` is the scheduler's.
    // SAFETY: the fiber runs, so its block is there.
    unsafe { (*left).own.sp = Box::into_raw(last).cast() };
    // SAFETY: as above.
    unsafe { (*left).parent.record.ip = leaving_marker() };
    Payload::uninit()
}

/// The work that remains when the thread of a fiber that left for good returns.
struct Last {
    next: Context,
    after: After,
}

/// Returns the marker of a context that was never continued.
pub(super) fn first_entry() -> *const () {
    static MARK: u8 = 1;
    (&raw const MARK).cast()
}

/// Returns the marker of a fiber that ends by continuing another context instead of its resumer's.
fn leaving_marker() -> *const () {
    static MARK: u8 = 3;
    (&raw const MARK).cast()
}

/// Returns the marker of a suspended fiber. Nothing reads it in this version.
pub(super) fn suspended_marker() -> *const () {
    static MARK: u8 = 2;
    (&raw const MARK).cast()
}
