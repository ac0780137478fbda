//! What a panic means: the end that a test promised, or a failure.

use core::{
    panic::PanicInfo,
    ptr,
    sync::atomic::{AtomicPtr, Ordering},
};

use crate::run::Harness;

/// What is called first at every panic. If it returns, the panic ends the run.
pub type Hook = fn(&PanicInfo<'_>);

static FIRST: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Has `hook` called first at every panic from now on, as a kernel's own handler would.
pub fn first(hook: Hook) {
    FIRST.store(hook as *mut (), Ordering::Release);
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let hook = FIRST.load(Ordering::Acquire);
    if !hook.is_null() {
        // SAFETY: `first` made it from such a function.
        let hook: Hook = unsafe { core::mem::transmute(hook) };
        hook(info);
    }
    x86_64::instructions::interrupts::disable();
    kfiber_test::run::panic(&Harness, info)
}
