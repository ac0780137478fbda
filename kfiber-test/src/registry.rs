//! Declares tests so that the kernel finds them by name and the runner lists them without booting.

use core::{ptr, slice};

use crate::protocol::{
    EXPECT_FAULT, EXPECT_PANIC, EXPECT_RETURN, FLAG_DEBUG_FRAME, FLAG_FIBERS_MAY_FAIL, FLAG_ICOUNT,
    FLAG_IGNORED, Record, Text,
};

/// Declares tests. What a test needs or expects stands between its name and its body:
///
/// ```text
/// kernel_test! {
///     /// Says what is true if it passes.
///     fn a_name_that_is_a_sentence() { assert!(true); }
///
///     fn a_panic_is_reported() panics("part of its message") { panic!("part of its message is this"); }
///
///     fn null_is_not_mapped() faults("#PF") timeout(20) icount ignored { … }
/// }
/// ```
///
/// See [`Test`] for the words.
#[macro_export]
macro_rules! kernel_test {
    ($(
        $(#[$attribute:meta])*
        fn $name:ident() $($option:ident $(($value:expr))?)* $body:block
    )*) => {$(
        $(#[$attribute])*
        fn $name() $body

        const _: () = {
            #[used]
            #[unsafe(link_section = "kfiber_tests")]
            static TEST: $crate::registry::Test = $crate::registry::Test::new(
                ::core::concat!(::core::module_path!(), "::", ::core::stringify!($name)),
                ::core::file!(),
                ::core::line!(),
                $name,
            )$(.$option($($value)?))*;
        };
    )*};
}

/// A declared test. The methods are the words that [`kernel_test!`](crate::kernel_test) knows.
#[repr(transparent)]
#[derive(Debug)]
pub struct Test(Record<*const u8>);

// SAFETY: The pointers are to constants and to code.
unsafe impl Sync for Test {}

impl Test {
    /// Creates a test that must return.
    #[must_use]
    pub const fn new(name: &'static str, file: &'static str, line: u32, run: fn()) -> Self {
        Self(Record {
            name: text(name),
            file: text(file),
            expected: Text {
                address: ptr::null(),
                length: 0,
            },
            machine: Text {
                address: ptr::null(),
                length: 0,
            },
            run: run as *const u8,
            line,
            flags: 0,
            expect: EXPECT_RETURN,
            cores: 0,
            timeout_seconds: 0,
        })
    }

    /// Expects a panic whose message contains `message`.
    #[must_use]
    pub const fn panics(mut self, message: &'static str) -> Self {
        self.0.expect = EXPECT_PANIC;
        self.0.expected = text(message);
        self
    }

    /// Expects the test to end in a CPU exception: `#PF`, `#UD`, `#DE`, …
    #[must_use]
    pub const fn faults(mut self, exception: &'static str) -> Self {
        self.0.expect = EXPECT_FAULT;
        self.0.expected = text(exception);
        self
    }

    /// Runs only when asked for.
    #[must_use]
    pub const fn ignored(mut self) -> Self {
        self.0.flags |= FLAG_IGNORED;
        self
    }

    /// Needs `-icount shift=0`: time advances by one nanosecond with each instruction.
    #[must_use]
    pub const fn icount(mut self) -> Self {
        self.0.flags |= FLAG_ICOUNT;
        self
    }

    /// Needs the kernel's `.debug_frame` as a boot module, to unwind.
    #[must_use]
    pub const fn debug_frame(mut self) -> Self {
        self.0.flags |= FLAG_DEBUG_FRAME;
        self
    }

    /// Passes also if a fiber of kfiber panics, faults or overflows its stack, and ends alone.
    ///
    /// A panic ends its fiber alone only if the panic handler calls `fiber_panicked` before [`panicked`](crate::panicked).
    #[must_use]
    pub const fn fibers_may_fail(mut self) -> Self {
        self.0.flags |= FLAG_FIBERS_MAY_FAIL;
        self
    }

    /// Needs a machine with this number of cores, which run at the same time.
    #[must_use]
    pub const fn cores(mut self, cores: u16) -> Self {
        self.0.cores = cores;
        self
    }

    /// Adds words to QEMU's command line, separated by spaces: `machine("-machine hpet=off -cpu qemu64")`.
    #[must_use]
    pub const fn machine(mut self, words: &'static str) -> Self {
        self.0.machine = text(words);
        self
    }

    /// Sets the deadline.
    #[must_use]
    pub const fn timeout(mut self, seconds: u32) -> Self {
        self.0.timeout_seconds = seconds;
        self
    }

    /// Returns the name without the crate: `stack::pool_is_exhausted`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        let name = string(self.0.name);
        name.split_once("::").map_or(name, |(_crate, rest)| rest)
    }

    /// Returns what is expected: one of `EXPECT_…` and its text.
    #[must_use]
    pub fn expectation(&self) -> (u16, &'static str) {
        (self.0.expect, string(self.0.expected))
    }

    /// Returns the number of cores that the test asks for, 0 if it does not care.
    #[must_use]
    pub fn cores_needed(&self) -> usize {
        self.0.cores.into()
    }

    /// Runs the test.
    pub fn run(&self) {
        // SAFETY: `new` made this pointer from a `fn()`.
        let run: fn() = unsafe { core::mem::transmute(self.0.run) };
        run();
    }
}

const fn text(text: &'static str) -> Text<*const u8> {
    Text {
        address: text.as_ptr(),
        length: text.len() as u64,
    }
}

fn string(text: Text<*const u8>) -> &'static str {
    if text.address.is_null() {
        return "";
    }
    let length = usize::try_from(text.length).expect("a length that was a usize");
    // SAFETY: `text` made both words from a `&'static str`.
    let bytes = unsafe { slice::from_raw_parts(text.address, length) };
    // SAFETY: As above.
    unsafe { str::from_utf8_unchecked(bytes) }
}

unsafe extern "C" {
    static __start_kfiber_tests: Test;
    static __stop_kfiber_tests: Test;
}

/// Returns all tests of this kernel.
#[must_use]
pub fn tests() -> &'static [Test] {
    let start = &raw const __start_kfiber_tests;
    let bytes = &raw const __stop_kfiber_tests as usize - start as usize;
    // SAFETY: The linker defines both symbols as the bounds of the section, and nothing but `Test`s is in it.
    unsafe { slice::from_raw_parts(start, bytes / size_of::<Test>()) }
}

/// Makes sure that the section is there, for a kernel that has no tests.
#[used]
#[unsafe(link_section = "kfiber_tests")]
static NONE: [Test; 0] = [];
