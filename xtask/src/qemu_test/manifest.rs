//! Remembers which file a kernel was built as, for nextest: it lists once and then runs each test in a process of its
//! own, none of which should ask cargo again.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::cli::Build;
use crate::workspace;

/// Notes the kernel's path.
pub(crate) fn write(name: &str, build: &Build, kernel: &Path) -> Result<()> {
    let file = file(name, build)?;
    let folder = file.parent().context("the file has a folder")?;
    fs::create_dir_all(folder)?;
    // Two listing processes may write at once: each writes its own file and renames it into place.
    let own = tempfile::NamedTempFile::new_in(folder)?;
    fs::write(
        own.path(),
        kernel
            .to_str()
            .context("the path of the target folder is no UTF-8")?,
    )?;
    own.persist(&file)?;
    Ok(())
}

/// The kernel's path as noted last.
pub(crate) fn read(name: &str, build: &Build) -> Result<PathBuf> {
    let file = file(name, build)?;
    let kernel = fs::read_to_string(&file).with_context(|| {
        format!(
            "{} is missing: list the tests first (cargo nextest list --package xtask --test qemu)",
            file.display()
        )
    })?;
    let kernel = PathBuf::from(kernel);
    ensure!(
        kernel.is_file(),
        "{} is gone: list the tests again",
        kernel.display()
    );
    Ok(kernel)
}

fn file(name: &str, build: &Build) -> Result<PathBuf> {
    let profile = if build.release { "release" } else { "debug" };
    let core = build.core.map_or("any", |core| core.word());
    let file = format!("{name}-{profile}-{core}.path");
    Ok(workspace::target_directory()?.join("qemu-test").join(file))
}
