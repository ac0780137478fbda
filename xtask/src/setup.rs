//! Makes sure that what a verb needs is on the machine, and installs it when that is possible.

pub(crate) mod core;
pub(crate) mod loaders;
pub(crate) mod packages;
pub(crate) mod qemu;
pub(crate) mod rustup;

pub(crate) use cargo_kfiber::program::find as find_program;
