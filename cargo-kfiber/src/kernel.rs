//! A kernel as a file: its tests, its addresses and its unwind tables.

pub mod callers;
pub mod elf;
pub mod symbolize;
pub mod unwind_tables;
