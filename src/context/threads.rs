//! A stand-in without assembly, for interpreters that cannot switch stacks (Miri): a context that is not running is a
//! thread that waits.
//!
//! Same functions, same contract, same control blocks as `x86_64.rs`, so everything above the switch runs unchanged. The
//! threads pass a baton: exactly one of those that form a chain of fibers runs at any time. It is chosen by `cfg(miri)`
//! or by `--cfg kfiber_threads`, needs `std`, and is never part of a kernel.

extern crate std;

use super::block::{After, Body, Context, ControlBlock, Landed, Payload};
use std::boxed::Box;
use std::ptr;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// What a waiting thread waits for.
#[derive(Default)]
struct Baton {
    landed: Mutex<Option<Sent>>,
    arrived: Condvar,
}

/// A [`Landed`] on its way from thread to thread.
struct Sent(Landed);

// SAFETY: payloads are words whose meaning the two sides agreed on. The values they stand for change threads because
// this stand-in uses threads; only one of them runs at a time, and the mutex orders them.
unsafe impl Send for Sent {}

impl Baton {
    fn send(&self, landed: Landed) {
        *self.landed.lock().expect("no holder panics") = Some(Sent(landed));
        self.arrived.notify_one();
    }

    fn wait(&self) -> Landed {
        let guard = self.landed.lock().expect("no holder panics");
        let mut guard = self
            .arrived
            .wait_while(guard, |landed| landed.is_none())
            .expect("no holder panics");
        guard.take().expect("waited for it").0
    }
}

/// Stores the running thread's baton in `prev`, continues `next`, and waits.
///
/// # Safety
///
/// **C1** to **C3**.
unsafe fn exchange(
    prev: *mut Context,
    next: *const Context,
    payload: Payload,
    tag: *mut ControlBlock,
) -> Landed {
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
    unsafe { proceed(next, Landed { payload, tag }) };
    baton.wait()
}

/// Continues a context: wakes its thread, or starts one for a fiber that is new.
///
/// # Safety
///
/// **C1** and **C2**.
unsafe fn proceed(next: Context, landed: Landed) {
    if ptr::eq(next.record.ip, first_entry()) {
        let start = Start {
            next,
            landed: Sent(landed),
        };
        thread::spawn(move || start.run());
    } else {
        // SAFETY: `exchange` stored the pointer, and C2 says that it is used once.
        unsafe { Arc::from_raw(next.sp.cast::<Baton>().cast_const()) }.send(landed);
    }
}

/// A fiber that is about to run for the first time.
struct Start {
    next: Context,
    landed: Sent,
}

// SAFETY: as for `Sent`.
unsafe impl Send for Start {}

impl Start {
    /// The first frame of a fiber, as `base` in the assembly.
    fn run(self) {
        let block: *mut ControlBlock = self.next.record.rbp.cast();
        // SAFETY: `ControlBlock::init` put a `Body` there.
        let body = unsafe { core::mem::transmute::<*const (), Body>(self.next.rbx) };
        // SAFETY: `init`'s caller vouched for block and body.
        let payload = unsafe { body(self.landed.0.payload, block) };
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
                Landed {
                    payload,
                    tag: ptr::null_mut(),
                },
            )
        };
    }
}

/// See `x86_64::resume`.
///
/// # Safety
///
/// `block.own` can be continued (**C1**, **C2**), and the block stays in place (**C3**).
pub unsafe fn resume(block: *mut ControlBlock, payload: Payload) -> Landed {
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

/// See `x86_64::suspend`.
///
/// # Safety
///
/// The caller runs on the fiber of `block`, which was entered by [`resume`] and not left since (**C1**, **C2**).
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

/// See `x86_64::switch`.
///
/// # Safety
///
/// `next.own` can be continued (**C1**, **C2**); `prev` is valid for writes, not `next`, and describes no other context
/// that is still wanted; both stay in place (**C3**).
pub unsafe fn switch(prev: *mut ControlBlock, next: *mut ControlBlock, payload: Payload) -> Landed {
    // SAFETY: the caller's promise.
    unsafe { exchange(&raw mut (*prev).own, &raw const (*next).own, payload, prev) }
}

/// See `x86_64::switch_out_of_line`.
///
/// # Safety
///
/// `next` can be continued (**C1**, **C2**), `prev` is valid for writes and is not `next`; both stay in place (**C3**).
pub unsafe extern "sysv64" fn switch_out_of_line(
    payload: Payload,
    tag: *mut ControlBlock,
    prev: *mut Context,
    next: *const Context,
) -> Landed {
    // SAFETY: the caller's promise.
    unsafe { exchange(prev, next, payload, tag) }
}

/// See `x86_64::leave`. Here it returns: a thread ends by returning, so that is what the body then does, at once.
///
/// # Safety
///
/// As there; the body returns without a switch before.
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

/// What is left to do when the thread of a fiber that left for good returns.
struct Last {
    next: Context,
    after: After,
}

/// Marks a context that was never continued.
pub(super) fn first_entry() -> *const () {
    static MARK: u8 = 1;
    (&raw const MARK).cast()
}

/// Marks a fiber that ends by continuing the context in its own place.
fn leaving_marker() -> *const () {
    static MARK: u8 = 3;
    (&raw const MARK).cast()
}

/// Marks a fiber that is suspended; here nobody reads it.
pub(super) fn suspended_marker() -> *const () {
    static MARK: u8 = 2;
    (&raw const MARK).cast()
}
