//! A kernel as a file: building it, and reading its tests, its addresses and its unwind tables.

pub(crate) mod cargo;

pub(crate) use cargo_kfiber::kernel::{elf, symbolize};
