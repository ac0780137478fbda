//! The raw switch is unsafe.
//@ code: E0133
//@ says: is unsafe and requires unsafe
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::context::{ControlBlock, Payload, resume};

fn main() {
    let block: *mut ControlBlock = std::ptr::null_mut();
    let go = || {
        #[cfg(not(feature = "fixed"))]
        let _ = resume(block, Payload::uninit());
        #[cfg(feature = "fixed")]
        let _ = unsafe { resume(block, Payload::uninit()) };
    };
    let _ = go;
}
