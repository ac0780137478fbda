//! Where a kernel with tests comes from: what is the same for all its tests, and differs between projects.

use std::path::PathBuf;
use std::time::Duration;

use crate::machine::Loader;
use crate::qemu_test::verdict::LineCount;

/// Where a kernel with tests comes from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Its name, which is that of its table of results.
    pub name: String,
    /// Folder of the sources, to which their paths are shown relative.
    pub root: PathBuf,
    /// Folder for the logs of crashes.
    pub logs: PathBuf,
    /// The command that runs its tests, as one would type it.
    pub command: String,
    /// More words of that command, by which it finds the same kernel.
    pub words: Vec<String>,
    /// What starts it.
    pub loader: Loader,
    /// More words for QEMU.
    pub qemu: Vec<String>,
    /// How it is told which test to run.
    pub asked_by: AskedBy,
    /// Whether it counts the lines that it sends.
    pub line_count: LineCount,
    /// Whether fibers may fail in each of its tests, because they have a way of their own to notice it.
    pub lets_fibers_fail: bool,
    /// Deadline of a test that names none.
    pub deadline: Duration,
}

/// How a kernel is told which test to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedBy {
    /// By its command line, which only a loader knows how to pass.
    CommandLine,
    /// By an item of QEMU's device `fw_cfg`, whatever loads it.
    Device,
}
