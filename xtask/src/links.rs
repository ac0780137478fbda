//! The step `links`: no link of the built documentation or of the packaged files is dead, and the packages have no warning.

mod html;
mod markdown;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::cli::Build;
use crate::packaged::{self, Package};
use crate::setup::core::{self, TARGET};
use crate::steps::Counts;
use crate::{console, workspace};

/// Builds the documentation for both targets as docs.rs does, and the package, and follows all links.
pub(crate) fn step(build: &Build) -> Result<Counts> {
    let folder = workspace::target_directory()?.join("links");
    // Pages of what is gone would hide dead links to them.
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let mut dead = Vec::new();
    let adapters = workspace::adapters()?;
    // The names of their crates, which are those of the folders with pages.
    let crates: Vec<_> = ["kfiber".to_owned()]
        .into_iter()
        .chain(adapters.iter().map(|name| name.replace('-', "_")))
        .collect();
    quietly(doc(None, &folder, &adapters))?;
    for name in &crates {
        dead.extend(html::dead_links(&folder.join("doc"), name)?);
    }
    let mut counts = Counts::default();
    if build.core == Some(crate::cli::CoreSource::Distribution)
        || core::ensure(Some(crate::cli::CoreSource::Rustup)).is_err()
    {
        console::loud("SKIPPED: the documentation for the bare machine needs rustup's target");
        counts = counts.plus(Counts::SKIPPED);
    } else {
        quietly(doc(Some(TARGET), &folder, &adapters))?;
        for name in &crates {
            let pages = folder.join(TARGET).join("doc");
            dead.extend(html::dead_links(&pages, name)?);
        }
    }
    dead.extend(packages(&folder, &adapters)?);
    for link in &dead {
        console::loud(link);
    }
    Ok(counts.plus(Counts {
        passed: u64::from(dead.is_empty()),
        failed: dead.len() as u64,
        skipped: 0,
    }))
}

fn doc(target: Option<&str>, folder: &Path, adapters: &[String]) -> Command {
    let mut command = cargo(&["doc", "--no-deps", "--package", "kfiber"], folder);
    command.args(adapters.iter().flat_map(|name| ["--package", name]));
    command.args(target.map(|target| format!("--target={target}")));
    command
}

/// Makes the packages as for crates.io, builds them, and looks at the texts in them. An adapter is built with the library
/// as it is packaged, which no registry needs to have yet.
fn packages(folder: &Path, adapters: &[String]) -> Result<Vec<String>> {
    let mut names = vec!["kfiber"];
    names.extend(adapters.iter().map(String::as_str));
    let mut said = quietly(packaged::pack(&names, folder))?;
    // Outside of the workspace, to which they do not belong.
    let unpacked = tempfile::TempDir::new()?;
    let library = packaged::unpack("kfiber", folder, unpacked.path())?;
    said += &quietly(build(&library, &[], folder))?;
    for name in adapters {
        let adapter = packaged::unpack(name, folder, unpacked.path())?;
        let words = library.in_place_of_the_registry();
        said += &quietly(build(&adapter, &words, folder))?;
    }
    let warnings = said.lines().filter(|line| line.starts_with("warning"));
    let mut dead: Vec<_> = warnings.map(|line| format!("a package: {line}")).collect();
    dead.extend(texts("kfiber", workspace::root(), folder)?);
    for name in adapters {
        let root = workspace::root().join(workspace::ADAPTERS).join(name);
        dead.extend(texts(name, &root, folder)?);
    }
    Ok(dead)
}

/// Builds an unpacked package.
fn build(package: &Package, words: &[String], folder: &Path) -> Command {
    let mut command = cargo(&["build"], folder);
    command.args(words).current_dir(&package.folder);
    command
}

/// The dead links of the texts that are packaged from the folder `root`.
fn texts(name: &str, root: &Path, folder: &Path) -> Result<Vec<String>> {
    let words = ["package", "--allow-dirty", "--list", "--package", name];
    let mut list = cargo(&words, folder);
    let output = list.output()?;
    ensure!(output.status.success(), "{} failed", console::line(&list));
    let list = String::from_utf8(output.stdout)?;
    let files: BTreeSet<_> = list.lines().collect();
    let mut dead = Vec::new();
    for file in files.iter().filter(|file| file.ends_with(".md")) {
        let text = fs::read_to_string(root.join(file)).context(file.to_string())?;
        dead.extend(markdown::dead_links(file, &text, &files));
    }
    Ok(dead)
}

fn cargo(words: &[&str], folder: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.args(words).arg("--target-dir").arg(folder);
    command.current_dir(workspace::root());
    command
}

/// Runs a command, and returns what it said to a person.
fn quietly(mut command: Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {}", console::line(&command)))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        bail!("{} failed\n{said}", console::line(&command));
    }
    Ok(said)
}
