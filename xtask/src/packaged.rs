//! The library and its adapters as they would be published: packed by cargo, and unpacked outside of the workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{console, workspace};

/// A package as it would be published.
pub(crate) struct Package {
    pub(crate) version: String,
    /// Its unpacked files.
    pub(crate) folder: PathBuf,
}

impl Package {
    /// The words by which cargo takes the library from this package, in place of the registry, which may not have this
    /// version yet.
    pub(crate) fn in_place_of_the_registry(&self) -> [String; 2] {
        let patch = format!("patch.crates-io.kfiber.path={:?}", self.folder);
        ["--config".to_owned(), patch]
    }
}

/// The command that packs, as for crates.io, packages of the workspace.
///
/// Cargo would also build what it packed. It would unpack the library for the adapters into a folder that depends on
/// nothing but `target`, and take what lies there from the last time. So whoever wants a package builds it.
pub(crate) fn pack(names: &[&str], target: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(workspace::root()).arg("package");
    cargo.args(names.iter().flat_map(|name| ["--package", name]));
    // What is not committed yet is tested too.
    cargo.args(["--no-verify", "--allow-dirty", "--target-dir"]);
    cargo.arg(target);
    cargo
}

/// Unpacks a package that was packed into `target` to a folder within `into`.
pub(crate) fn unpack(name: &str, target: &Path, into: &Path) -> Result<Package> {
    let version = workspace::version(name)?;
    let name_and_version = format!("{name}-{version}");
    let file = target.join(format!("package/{name_and_version}.crate"));
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(&file).arg("-C").arg(into);
    console::run(&format!("unpacking {name_and_version}"), &mut tar)
        .with_context(|| format!("cargo made no package {}", file.display()))?;
    let folder = into.join(name_and_version);
    Ok(Package { version, folder })
}
