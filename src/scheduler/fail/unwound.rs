//! On a host a panic unwinds. It is caught where the fiber began, and ends the fiber as it would in
//! a kernel.

extern crate std;

use super::failing;
use crate::platform::interrupts;
use crate::scheduler::report::failure::{Failure, Panic};
use crate::scheduler::task::prefix::prefix_bytes;
use core::any::Any;
use core::panic::AssertUnwindSafe;
use std::boxed::Box;
use std::panic::{catch_unwind, resume_unwind};
use std::string::String;

/// Calls the closure of the running fiber. Returns `None` if it panicked and the fiber has failed.
/// If the fiber cannot fail, the panic continues to the fiber's base, which does not unwind, so
/// that it ends the process.
pub(crate) fn call<R>(closure: impl FnOnce() -> R) -> Option<R> {
    // The closure and all that it captured are gone after this, except for what the program shares
    // with others on purpose.
    match catch_unwind(AssertUnwindSafe(closure)) {
        Ok(result) => Some(result),
        Err(payload) => {
            fail(payload);
            None
        }
    }
}

#[cold]
#[inline(never)]
fn fail(payload: Box<dyn Any + Send>) {
    let fiber = match failing::begin() {
        Ok(fiber) => fiber,
        Err(why) => {
            std::eprintln!("a fiber's panic ends the process: {why}");
            resume_unwind(payload)
        }
    };
    let message = match payload.downcast::<&'static str>() {
        Ok(message) => *message,
        Err(payload) => {
            let mut message = payload.downcast::<String>().map_or_else(
                |_| String::from("a panic whose payload is no text"),
                |message| *message,
            );
            message.truncate(prefix_bytes(&message, Panic::LENGTH));
            message.leak()
        }
    };
    let place = None;
    let failure = Failure::Panicked(Panic { message, place });
    // SAFETY: `begin` returned it, and we run in it, as the owner.
    unsafe { failing::end(fiber, failure) };
    // The destructor of the payload, a waker or a hook may have left them off.
    interrupts::enable();
}
