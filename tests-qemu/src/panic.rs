//! What a panic means: the end that a test promised, or a failure.

use core::{
    fmt::{self, Write},
    panic::PanicInfo,
    ptr,
    sync::atomic::{AtomicPtr, Ordering},
};

use crate::{
    exit,
    protocol::{EXPECT_PANIC, PANIC},
    run, serial,
};

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
    if !run::begins_to_end() {
        serial::send(b"\n@kfiber panic unknown:0:0 panicked while reporting a panic or a fault\n");
        exit::fail();
    }
    let message = info.message();
    if let Some((EXPECT_PANIC, expected)) = run::current().map(|test| test.expectation()) {
        if contains(format_args!("{message}"), expected) {
            crate::println!("panicked as expected: {message}");
            run::pass();
        }
        crate::println!("expected a panic with: {expected}");
    }
    serial::print_core();
    let message = serial::OneLine(message);
    match info.location() {
        Some(place) => serial::print_to_runner(format_args!("{PANIC} {place} {message}")),
        None => serial::print_to_runner(format_args!("{PANIC} unknown:0:0 {message}")),
    }
    exit::fail()
}

/// Returns whether the formatted text contains `needle`. The text arrives in pieces and there is no heap, so the last
/// bytes of what came before are kept.
fn contains(text: fmt::Arguments<'_>, needle: &str) -> bool {
    let mut search = Search {
        needle: needle.as_bytes(),
        window: [0; 256],
        length: 0,
        is_found: needle.is_empty(),
    };
    assert!(
        needle.len() <= search.window.len(),
        "an expected message has at most 256 bytes"
    );
    search.write_fmt(text).is_ok() && search.is_found
}

struct Search<'a> {
    needle: &'a [u8],
    window: [u8; 256],
    length: usize,
    is_found: bool,
}

impl Write for Search<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.is_found {
                break;
            }
            if self.length == self.needle.len() {
                self.window.copy_within(1..self.length, 0);
                self.length -= 1;
            }
            self.window[self.length] = byte;
            self.length += 1;
            self.is_found = &self.window[..self.length] == self.needle;
        }
        Ok(())
    }
}
