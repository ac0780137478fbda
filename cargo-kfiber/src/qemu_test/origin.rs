//! Where a kernel with tests comes from: what is the same for all its tests, and differs between projects.

use std::path::PathBuf;

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
}
