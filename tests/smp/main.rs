//! Several cores in one scheduler, with a thread for each core.
#![cfg(feature = "smp")]
#![cfg(not(any(miri, kfiber_threads)))] // threads that stand in for fibers play no core
#![expect(clippy::unwrap_used, reason = "a test says what failed by its line")]

mod cores;
mod cycles;
mod ends;
mod failing;
mod held_up;
mod hooks;
mod looks;
mod moving;
mod pinned;
mod priorities;
mod reports;
mod tokens;
