//! Copies a whole kernel out of the tree, where it takes kfiber by a version number, from the package as it would be
//! published.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::Kernel;
use crate::{console, workspace};

/// How a kernel in the tree names the library.
const BY_PATH: &str = "kfiber = { path = \"../..\"";

/// The library as it would be published.
pub(super) struct Package {
    /// Its unpacked files.
    folder: PathBuf,
    version: String,
}

impl Package {
    /// Makes the package as for crates.io, and unpacks it into a folder.
    pub(super) fn make(into: &Path) -> Result<Self> {
        let target = into.join("target");
        let mut cargo = Command::new("cargo");
        cargo
            .current_dir(workspace::root())
            .args(["package", "--package", "kfiber"])
            // The files of the package are built with each kernel, and what is not committed yet is tested too.
            .args(["--no-verify", "--allow-dirty", "--target-dir"])
            .arg(&target);
        console::run("packing the library", &mut cargo)?;
        let entries = fs::read_dir(target.join("package"))?;
        let files: Vec<_> = entries
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        let (file, version) = files
            .iter()
            .find_map(|file| {
                let name = file.file_name()?.to_str()?;
                let version = name.strip_prefix("kfiber-")?.strip_suffix(".crate")?;
                Some((file, version.to_owned()))
            })
            .context("cargo made no file kfiber-*.crate")?;
        let mut tar = Command::new("tar");
        tar.arg("-xzf").arg(file).arg("-C").arg(into);
        console::run("unpacking it", &mut tar)?;
        let folder = into.join(format!("kfiber-{version}"));
        Ok(Self { folder, version })
    }

    /// Copies a kernel to an empty folder.
    pub(super) fn copy(&self, kernel: &Kernel, to: &Path) -> Result<Kernel> {
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
        let by_version = format!("kfiber = {{ version = \"{}\"", self.version);
        fs::write(manifest, text.replace(BY_PATH, &by_version))?;
        // In place of the registry, which may not have this version yet.
        let patch = format!("patch.crates-io.kfiber.path={:?}", self.folder);
        Ok(Kernel {
            kind: kernel.kind,
            folder: to.to_owned(),
            build: kernel.build.clone(),
            cores: kernel.cores,
            loader: kernel.loader.clone(),
            words: vec!["--config".to_owned(), patch],
        })
    }
}
