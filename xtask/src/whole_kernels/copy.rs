//! Copies a whole kernel out of the tree, where it takes kfiber by a version number, from the package as it would be
//! published.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

use super::Kernel;
use crate::console;
use crate::packaged::{self, Package};

/// How a kernel in the tree names the library.
const BY_PATH: &str = "kfiber = { path = \"../..\"";

/// Packs the library as for crates.io, and unpacks it into a folder.
pub(super) fn package(into: &Path) -> Result<Package> {
    let target = into.join("target");
    console::run(
        "packing the library",
        &mut packaged::pack(&["kfiber"], &target),
    )?;
    packaged::unpack("kfiber", &target, into)
}

/// Copies a kernel to an empty folder.
pub(super) fn copy(kernel: &Kernel, library: &Package, to: &Path) -> Result<Kernel> {
    // Without what cargo made there.
    let files = walkdir::WalkDir::new(&kernel.folder)
        .into_iter()
        .filter_entry(|entry| entry.file_name() != "target");
    for entry in files {
        let entry = entry?;
        let at = to.join(entry.path().strip_prefix(&kernel.folder)?);
        if entry.file_type().is_dir() {
            fs::create_dir_all(at)?;
        } else {
            // With its permissions: `run.sh` is a program.
            fs::copy(entry.path(), at)?;
        }
    }
    let manifest = to.join("Cargo.toml");
    let text = fs::read_to_string(&manifest)?;
    ensure!(
        text.matches(BY_PATH).count() == 1,
        "{} does not contain `{BY_PATH}` once",
        kernel.folder.join("Cargo.toml").display()
    );
    let by_version = format!("kfiber = {{ version = \"{}\"", library.version);
    fs::write(manifest, text.replace(BY_PATH, &by_version))?;
    Ok(Kernel {
        kind: kernel.kind,
        folder: to.to_owned(),
        build: kernel.build.clone(),
        cores: kernel.cores,
        loader: kernel.loader.clone(),
        words: library.in_place_of_the_registry().into(),
    })
}
