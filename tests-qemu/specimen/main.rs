//! What `cargo xtask prove` takes apart: every form of the switch, each in a function of its own, linked as in a kernel.
//!
//! It is built for the bare machine and for the host, where the control words of the floating-point units are switched
//! too. Nobody runs it: that these functions end up in the program is all that counts.
#![cfg_attr(target_os = "none", no_std, no_main)]

use core::hint::black_box;

use kfiber::context::{self, After, Body, Context, ControlBlock, Payload, Transfer};

unsafe fn resume(block: *mut ControlBlock, payload: Payload) -> Transfer {
    // SAFETY: nobody calls this.
    unsafe { context::resume(block, payload) }
}

unsafe fn suspend(block: *mut ControlBlock, payload: Payload) -> Payload {
    // SAFETY: nobody calls this.
    unsafe { context::suspend(block, payload) }
}

unsafe fn switch(prev: *mut ControlBlock, next: *mut ControlBlock, payload: Payload) -> Transfer {
    // SAFETY: nobody calls this.
    unsafe { context::switch(prev, next, payload) }
}

unsafe fn leave(next: *const ControlBlock, after: After, left: *mut ControlBlock) -> Payload {
    // SAFETY: nobody calls this.
    unsafe { context::leave(next, after, left) }
}

unsafe fn init(block: *mut ControlBlock, stack_pointer: *mut u8, body: Body) {
    // SAFETY: nobody calls this.
    unsafe { ControlBlock::init(block, stack_pointer, body) }
}

/// The linker keeps what somebody could call.
fn keep() {
    black_box(resume as unsafe fn(*mut ControlBlock, Payload) -> Transfer);
    black_box(suspend as unsafe fn(*mut ControlBlock, Payload) -> Payload);
    black_box(switch as unsafe fn(*mut ControlBlock, *mut ControlBlock, Payload) -> Transfer);
    black_box(leave as unsafe fn(*const ControlBlock, After, *mut ControlBlock) -> Payload);
    black_box(init as unsafe fn(*mut ControlBlock, *mut u8, Body));
    type OutOfLine = unsafe extern "sysv64" fn(
        Payload,
        *mut ControlBlock,
        *mut Context,
        *const Context,
    ) -> Transfer;
    black_box(context::switch_out_of_line as OutOfLine);
    black_box(kfiber::scheduler::yield_now as fn());
}

#[cfg(target_os = "none")]
tests_qemu::entry!(main);

#[cfg(target_os = "none")]
fn main() -> ! {
    keep();
    tests_qemu::run::pass()
}

#[cfg(not(target_os = "none"))]
fn main() {
    keep();
    eprintln!("This program is there to be taken apart: `cargo xtask prove`.");
    std::process::exit(1);
}
