//! Makes sure that what a verb needs is on the machine, and installs it when that is possible.

pub(crate) mod core;
pub(crate) mod loaders;
pub(crate) mod packages;
pub(crate) mod qemu;
pub(crate) mod rustup;

use std::env;
use std::path::PathBuf;

/// Where a program lies that the search path knows.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}
