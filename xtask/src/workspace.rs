//! Where things are: the root of the workspace and the folder that cargo builds into.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::{Metadata, MetadataCommand};

/// Root of the workspace that this program was built from.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in a folder of the workspace")
}

/// Folder that cargo builds into, whatever configuration or environment moved it there.
pub(crate) fn target_directory() -> Result<PathBuf> {
    Ok(metadata()?.target_directory.into_std_path_buf())
}

/// Folder of the packages that join kfiber to other crates.
pub(crate) const ADAPTERS: &str = "adapters";

/// The names of these packages, each of which has the name of its folder, in order.
pub(crate) fn adapters() -> Result<Vec<String>> {
    let folder = root().join(ADAPTERS);
    let mut names = Vec::new();
    for package in metadata()?.packages {
        if let Ok(place) = package.manifest_path.strip_prefix(&folder) {
            let name = package.name.to_string();
            ensure!(
                place.as_str() == format!("{name}/Cargo.toml"),
                "the package {name} must lie in {ADAPTERS}/{name}, and its manifest is {}",
                package.manifest_path
            );
            names.push(name);
        }
    }
    names.sort();
    ensure!(!names.is_empty(), "no package lies in {ADAPTERS}");
    Ok(names)
}

/// The names of the adapters, each after `--package`.
pub(crate) fn adapters_as_words() -> Result<Vec<String>> {
    let words = adapters()?.into_iter();
    Ok(words
        .flat_map(|name| ["--package".to_owned(), name])
        .collect())
}

/// The version of a package of the workspace.
pub(crate) fn version(name: &str) -> Result<String> {
    let packages = metadata()?.packages;
    let mut found = packages.iter().filter(|package| package.name == name);
    let package = found
        .next()
        .with_context(|| format!("no package {name} lies in the workspace"))?;
    Ok(package.version.to_string())
}

fn metadata() -> Result<Metadata> {
    MetadataCommand::new()
        .current_dir(root())
        .no_deps()
        .exec()
        .context("cargo metadata did not answer")
}
