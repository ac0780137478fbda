//! Several cores in one scheduler, with a thread for each core.
#![cfg(feature = "smp")]

mod cores;
mod ends;
mod failing;
mod moving;
mod pinned;
mod reports;
mod tokens;
