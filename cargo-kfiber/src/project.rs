//! The package in whose folder a command runs: its settings, its kernels, and how they are built.

mod settings;

use std::env;
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{Message, Metadata, MetadataCommand, Package};

use crate::console;
use crate::kernel::elf;
pub use settings::Settings;

/// The package in whose folder a command runs.
#[derive(Debug)]
pub struct Project {
    /// Root of its workspace, to which paths of sources are shown relative.
    pub root: PathBuf,
    /// Where cargo puts what it builds.
    pub target_directory: PathBuf,
    packages: Vec<Package>,
}

/// A kernel that was built.
#[derive(Debug)]
pub struct Kernel {
    /// The name of the binary.
    pub name: String,
    /// Its ELF file.
    pub file: PathBuf,
    /// What its package says about its tests.
    pub settings: Settings,
}

impl Project {
    /// Asks cargo about the folder in which the program runs.
    ///
    /// # Errors
    ///
    /// Fails if no package is there.
    pub fn here() -> Result<Self> {
        let here = env::current_dir()?;
        if !is_in_a_package(&here) {
            bail!(
                "neither {} nor a folder above it has a Cargo.toml",
                here.display()
            );
        }
        let metadata = MetadataCommand::new().no_deps().exec();
        let metadata: Metadata = metadata.context("cargo cannot read the package here")?;
        let of_here = |package: &&Package| {
            let folder = package.manifest_path.parent();
            folder.is_some_and(|folder| here.starts_with(folder))
        };
        // In the folder of a package that one counts, above all packages each of them.
        let innermost = metadata.packages.iter().filter(of_here);
        let innermost = innermost.max_by_key(|package| package.manifest_path.as_str().len());
        let packages = innermost.map_or_else(|| metadata.packages.clone(), |own| vec![own.clone()]);
        Ok(Self {
            root: metadata.workspace_root.into_std_path_buf(),
            target_directory: metadata.target_directory.into_std_path_buf(),
            packages,
        })
    }

    /// Builds the kernels with tests, by `cargo build` and these words.
    ///
    /// # Errors
    ///
    /// Fails if they cannot be built, and if none of them has tests.
    pub fn build(&self, words: &[String]) -> Result<Vec<Kernel>> {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .arg("build")
            .args(words)
            .arg("--message-format=json-render-diagnostics")
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", console::line(&command)))?;
        let messages = child.stdout.take().context("stdout is piped")?;
        let mut kernels = Vec::new();
        let mut without = Vec::new();
        for message in Message::parse_stream(BufReader::new(messages)) {
            let Message::CompilerArtifact(artifact) = message.context("cargo's messages")? else {
                continue;
            };
            let Some(file) = artifact.executable.map(PathBuf::from) else {
                continue;
            };
            let package = self
                .packages
                .iter()
                .find(|own| own.id == artifact.package_id);
            let Some(package) = package else { continue };
            if elf::has_tests(&file) {
                kernels.push(Kernel {
                    name: artifact.target.name,
                    file,
                    settings: Settings::of(package)?,
                });
            } else {
                without.push(artifact.target.name);
            }
        }
        if !child.wait()?.success() {
            bail!("the kernel was not built");
        }
        if kernels.is_empty() {
            bail!(
                "no kernel here has tests (built: {}). `kfiber_test::kernel_test!` declares them, and the kernel must call \
                 `kfiber_test::run_if_asked`",
                if without.is_empty() {
                    "nothing".to_owned()
                } else {
                    without.join(", ")
                }
            );
        }
        Ok(kernels)
    }

    /// A kernel that somebody else has built, for instance `cargo run`.
    ///
    /// # Errors
    ///
    /// Fails if the settings of its package cannot be read.
    pub fn kernel(&self, file: &Path) -> Result<Kernel> {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        // Below `deps` a hash follows the name.
        let is_its = |package: &&Package| {
            let mut targets = package.targets.iter();
            targets
                .any(|target| name == target.name || name.starts_with(&format!("{}-", target.name)))
        };
        let package = self.packages.iter().find(is_its).or(self.packages.first());
        Ok(Kernel {
            name: name.clone().into_owned(),
            file: file.to_owned(),
            settings: package.map(Settings::of).transpose()?.unwrap_or_default(),
        })
    }

    /// The kernel that was built last.
    ///
    /// # Errors
    ///
    /// Fails if none was built.
    pub fn newest_kernel(&self) -> Result<PathBuf> {
        let targets = self.packages.iter().flat_map(|package| &package.targets);
        let names: Vec<_> = targets
            .filter(|target| target.is_bin())
            .map(|target| &target.name)
            .collect();
        let mut newest = None;
        // `target/PROFILE`, and `target/TRIPLE/PROFILE`.
        let mut folders = vec![self.target_directory.clone()];
        folders.extend(folders_in(&self.target_directory));
        for folder in folders.iter().flat_map(|folder| folders_in(folder)) {
            for file in names.iter().map(|name| folder.join(name)) {
                let built = fs::metadata(&file).and_then(|metadata| metadata.modified());
                if let Ok(built) = built {
                    newest = newest.max(Some((built, file)));
                }
            }
        }
        let (_, file) = newest.with_context(|| {
            format!(
                "no kernel of this package is in {}: build it, or name its ELF file by --kernel",
                self.target_directory.display()
            )
        })?;
        Ok(file)
    }
}

/// Whether cargo finds a manifest from this folder. If it does not, its own message is longer than what is to be said.
fn is_in_a_package(folder: &Path) -> bool {
    let mut folders = folder.ancestors();
    folders.any(|folder| folder.join("Cargo.toml").is_file())
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_in_its_folder_and_in_those_below() {
        let root = tempfile::tempdir().expect("a folder for a test");
        let below = root.path().join("src/deep");
        fs::create_dir_all(&below).expect("it is writable");
        assert!(!is_in_a_package(&below));
        fs::write(root.path().join("Cargo.toml"), "").expect("it is writable");
        assert!(is_in_a_package(&below) && is_in_a_package(root.path()));
    }
}
