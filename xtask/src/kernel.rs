//! A kernel as a file: building it, and reading its tests, its addresses and its unwind tables.

pub(crate) mod callers;
pub(crate) mod cargo;
pub(crate) mod elf;
pub(crate) mod symbolize;
pub(crate) mod unwind_tables;
