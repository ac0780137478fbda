//! What a kernel needs so that `cargo kfiber test` runs each of its tests in a virtual machine of its own.
//!
//! A kernel declares its tests with [`kernel_test!`], and says three things to this crate:
//!
//! ```text
//! fn main() -> ! {
//!     // … the machine is set up, and can print …
//!     kfiber_test::run_if_asked(|line| _ = LOG.print(line)); // returns if nobody asked for a test
//!     // … what the kernel does otherwise …
//! }
//!
//! #[panic_handler]
//! fn panic(info: &PanicInfo<'_>) -> ! {
//!     kfiber_test::panicked(info); // before `kfiber::scheduler::fiber_panicked`; returns if no test runs
//!     // …
//! }
//!
//! // Where the kernel ends because of an exception:
//! kfiber_test::faulted(frame.vector, frame.rip, format_args!("{frame}")); // returns if no test runs
//! ```
//!
//! In a kernel with kfiber, [`panicked`] comes before `fiber_panicked`, so that a failing assertion in a fiber ends the test. In the
//! other order, and after a fault in any case, the fiber ends alone. So a test should join its fibers. The runner fails a test that
//! passes if kfiber's report of such a fiber is on the serial port, unless the test is declared with
//! [`fibers_may_fail`](registry::Test::fibers_may_fail).
//!
//! The runner names the test in an item of QEMU's device `fw_cfg`, so it does not matter which loader starts the kernel. The
//! kernel answers on the serial port, and ends the machine by the device `isa-debug-exit`. Both devices are QEMU's: on any
//! other machine nobody asks for a test.
//!
//! No linker script has to know of the tests: the linker itself defines where their section begins and ends.
//!
//! On a host only [`protocol`] is there, which the runner reads too.
#![no_std]

#[cfg(target_os = "none")]
pub mod exit;
#[cfg(target_os = "none")]
pub mod faults;
pub mod protocol;
#[cfg(target_os = "none")]
pub mod registry;
#[cfg(target_os = "none")]
pub mod request;
#[cfg(target_os = "none")]
pub mod run;
#[cfg(target_os = "none")]
mod search;
pub mod words;

#[cfg(target_os = "none")]
mod printer;
#[cfg(target_os = "none")]
pub use printer::{faulted, panicked, pass, run_if_asked};
