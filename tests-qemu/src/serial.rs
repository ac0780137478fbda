//! The first serial port, and the count of lines sent to it, by which the runner notices a lost one.
//!
//! On one core there is no lock: a fault in the middle of a line must still be reported. A line that an interrupt handler
//! prints may therefore land within another. Other cores wait until a call of [`print`] is done.

use core::{
    fmt::{self, Write},
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use uart_16550::{Config, Uart16550, backend::PioBackend};

use crate::core_local;

const FIRST_PORT: u16 = 0x3f8;

/// The number of the core that prints.
static PRINTS_ON: AtomicUsize = AtomicUsize::new(NO_CORE);
const NO_CORE: usize = usize::MAX;

static LINES: AtomicU64 = AtomicU64::new(0);
static IS_AT_LINE_START: AtomicBool = AtomicBool::new(true);

/// Prints to the serial port.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::serial::print(::core::format_args!($($argument)*)) };
}

/// Prints a line to the serial port.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($argument:tt)*) => { $crate::print!("{}\n", ::core::format_args!($($argument)*)) };
}

fn port() -> Uart16550<PioBackend> {
    // SAFETY: The first port of a PC is a 16550 or nothing at all, in which case writing to it has no effect.
    unsafe { Uart16550::new_port(FIRST_PORT) }.expect("a valid port address")
}

pub(crate) fn init() {
    // Without a port nobody would read the error either; the runner then reports silence.
    if port().init(Config::default()).is_err() {
        crate::exit::fail();
    }
}

/// Prints; the macros [`println!`](crate::println) and [`print!`](crate::print) are the way to call it.
///
/// # Panics
///
/// Panics if a `Display` that it calls reports an error; the port never does.
pub fn print(text: fmt::Arguments<'_>) {
    alone(|| {
        Output
            .write_fmt(text)
            .expect("writing to the port never fails, only formatting could");
    });
}

/// Sends bytes as they are, for output that is large or is not UTF-8.
pub fn send(bytes: &[u8]) {
    alone(|| {
        port().send_bytes_exact(bytes);
        let lines = bytes.iter().filter(|&&byte| byte == b'\n').count();
        LINES.fetch_add(lines as u64, Ordering::Relaxed);
        if let Some(&last) = bytes.last() {
            IS_AT_LINE_START.store(last == b'\n', Ordering::Relaxed);
        }
    });
}

/// Runs `f` while no other core prints. The same core may be in the middle of another call, which goes on afterwards.
fn alone(f: impl FnOnce()) {
    let this = core_local::this();
    if PRINTS_ON.load(Ordering::Relaxed) == this {
        return f();
    }
    while PRINTS_ON
        .compare_exchange_weak(NO_CORE, this, Ordering::Acquire, Ordering::Relaxed)
        .is_err()
    {
        core::hint::spin_loop();
    }
    f();
    PRINTS_ON.store(NO_CORE, Ordering::Release);
}

/// Lets other cores print, if this one stops for good within a call.
pub(crate) fn give_up() {
    if PRINTS_ON.load(Ordering::Relaxed) == core_local::this() {
        PRINTS_ON.store(NO_CORE, Ordering::Release);
    }
}

/// Prints the number of this core, where that tells something.
pub(crate) fn print_core() {
    if core_local::count() > 1 {
        println!("on core {}", core_local::this());
    }
}

/// Prints a line at the start of a line, whatever was printed before.
pub(crate) fn print_line(text: fmt::Arguments<'_>) {
    if !IS_AT_LINE_START.load(Ordering::Relaxed) {
        println!();
    }
    println!("{text}");
}

/// Returns the number of lines sent so far, including the one that has begun and will be ended before the next message
/// to the runner.
#[must_use]
pub fn lines() -> u64 {
    LINES.load(Ordering::Relaxed) + u64::from(!IS_AT_LINE_START.load(Ordering::Relaxed))
}

struct Output;

impl Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        send(text.as_bytes());
        Ok(())
    }
}
