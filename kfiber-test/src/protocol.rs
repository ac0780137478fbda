//! What a kernel with tests and the runner on the host say to each other.
//!
//! The runner passes the test's name and a seed in an item of QEMU's device `fw_cfg`, or on the kernel's command line. The
//! kernel answers on a serial port: free text, and lines that begin with [`PREFIX`]. Exactly one of those ends a run, and together with the exit
//! status of QEMU it is the verdict: neither alone is ever a pass.

/// Begins each line that is meant for the runner.
pub const PREFIX: &str = "@kfiber ";

/// `@kfiber run NAME`: the kernel found the test and starts it.
pub const RUN: &str = "run";
/// `@kfiber pass NAME lines=N`: the test did what it promised. `N` counts the lines sent before this one; a kernel that does
/// not count leaves it out.
pub const PASS: &str = "pass";
/// `@kfiber fail REASON`: the test ended, but not as it promised (an expected panic did not come).
pub const FAIL: &str = "fail";
/// `@kfiber panic FILE:LINE:COLUMN MESSAGE`: an unexpected panic. Line breaks of the message are sent
/// as `\n`, and backslashes as `\\`.
pub const PANIC: &str = "panic";
/// `@kfiber fault NAME vector=N error=0x… rip=0x… rsp=0x… rbp=0x… cr2=0x…`: an unexpected CPU exception.
pub const FAULT: &str = "fault";

/// `kfiber: SYMBOL is at 0x…`: where a symbol of the kernel is at run time. Free text, by which addresses are explained of a kernel
/// that is not loaded where its file says.
pub const LOADED: &str = "kfiber: ";

/// `stack words: 0x… 0x…`: what lies at the stack pointer of a fault. Free text, from which the runner finds the callers.
pub const STACK_WORDS: &str = "stack words:";
/// As many of them at most.
pub const STACK_WORDS_MOST: u64 = 48;

/// `stack used=N size=N NAME`: how many bytes of a stack were used, and how many it has. Free text, for `cargo xtask stacks`.
pub const STACK: &str = "stack";

/// Name of the item of `fw_cfg` that has the words of a request, for kernels that do not read their command line.
pub const REQUEST: &str = "opt/kfiber/request";
/// Key of the test's name in a request: `test=stack::pool_is_exhausted`.
pub const TEST_KEY: &str = "test=";
/// Key of the seed in a request, decimal: `seed=42`.
pub const SEED_KEY: &str = "seed=";
/// Key of a count of rounds in a request, decimal, for tests that loop: `rounds=100000000`.
pub const ROUNDS_KEY: &str = "rounds=";

/// Value the kernel writes to the exit device on success; QEMU then exits with status 33.
pub const EXIT_PASS: u8 = 0x10;
/// Value the kernel writes to the exit device on failure; QEMU then exits with status 35.
pub const EXIT_FAIL: u8 = 0x11;
/// I/O port of QEMU's `isa-debug-exit` device.
pub const EXIT_PORT: u16 = 0xf4;

/// Name of the ELF section that holds one [`Record`] per test, so that the runner lists them without booting.
///
/// It is a word of C, so that the linker itself defines the symbols `__start_kfiber_tests` and `__stop_kfiber_tests`.
pub const SECTION: &str = "kfiber_tests";

/// The test is run only when asked for by `--ignored` or `--include-ignored`.
pub const FLAG_IGNORED: u32 = 1;
/// The test needs QEMU's `-icount shift=0`: interrupts then arrive between any two instructions.
pub const FLAG_ICOUNT: u32 = 2;
/// The test unwinds: it needs the kernel's own `.debug_frame` as a boot module.
pub const FLAG_DEBUG_FRAME: u32 = 4;
/// A fiber that fails does not fail the test. Without it, the runner looks for kfiber's report of such a fiber.
pub const FLAG_FIBERS_MAY_FAIL: u32 = 8;

/// The test returns.
pub const EXPECT_RETURN: u16 = 0;
/// The test panics with a message that contains `expected`.
pub const EXPECT_PANIC: u16 = 1;
/// The test ends in the CPU exception named by `expected`, for instance `#PF`.
pub const EXPECT_FAULT: u16 = 2;

/// A string as two words, at its final address in an ELF executable. `P` is `*const u8` in the kernel, `u64` on the host.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Text<P> {
    /// Address of the first byte.
    pub address: P,
    /// Length in bytes.
    pub length: u64,
}

/// One test as it lies in [`SECTION`] (pointers are final addresses: the kernels are linked as `ET_EXEC`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Record<P> {
    /// `module::path::name` with the crate's name in front.
    pub name: Text<P>,
    /// Source file, relative to the workspace.
    pub file: Text<P>,
    /// What the panic message contains or which exception is raised; empty for [`EXPECT_RETURN`].
    pub expected: Text<P>,
    /// Words for QEMU's command line, separated by spaces, for a test that needs another machine than the usual one.
    pub machine: Text<P>,
    /// Address of the `fn()`.
    pub run: P,
    /// Line in `file`.
    pub line: u32,
    /// `FLAG_…` bits.
    pub flags: u32,
    /// One of `EXPECT_…`.
    pub expect: u16,
    /// Number of cores that the machine must have, 0 for the runner's choice.
    pub cores: u16,
    /// Deadline in seconds of host time, 0 for the runner's default.
    pub timeout_seconds: u32,
}
