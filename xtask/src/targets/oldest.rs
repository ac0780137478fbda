//! The library as the oldest compiler builds it that its manifest names.

use anyhow::{Context as _, Result};
use cargo_metadata::MetadataCommand;

use crate::setup::core::TARGET;
use crate::setup::rustup;
use crate::steps::Counts;
use crate::{console, workspace};

/// Builds the library for the host and for the bare machine, with all of its features and with none.
pub(crate) fn builds() -> Result<Counts> {
    let version = version()?;
    if let Err(error) = rustup::ensure(Some(&version), TARGET) {
        console::loud(format!(
            "SKIPPED: this machine cannot have Rust {version}: {error:#}"
        ));
        return Ok(Counts::SKIPPED);
    }
    let mut counts = Counts::default();
    let folder = workspace::target_directory()?.join("oldest");
    for words in [
        &["--all-features"][..],
        &["--no-default-features"],
        &["--all-features", "--target", TARGET],
        &["--no-default-features", "--target", TARGET],
    ] {
        let mut command = rustup::cargo(&version);
        // Not `check`: the assembler has its own opinion of what older compilers pass on.
        command.args(["build", "--package", "kfiber"]).args(words);
        command.arg("--target-dir").arg(&folder);
        let status = command
            .status()
            .with_context(|| format!("cannot start {}", console::line(&command)))?;
        counts = counts.plus(Counts::from_success(status.success()));
    }
    Ok(counts)
}

/// The `rust-version` of the library, with its patch level.
fn version() -> Result<String> {
    let metadata = MetadataCommand::new()
        .current_dir(workspace::root())
        .no_deps()
        .exec()
        .context("cargo metadata did not answer")?;
    let mut packages = metadata.packages.iter();
    let library = packages
        .find(|package| package.name.as_str() == "kfiber")
        .context("the workspace has no package `kfiber`")?;
    let version = library.rust_version.as_ref();
    Ok(version
        .context("`kfiber` names no rust-version")?
        .to_string())
}
