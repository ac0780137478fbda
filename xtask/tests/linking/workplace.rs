//! The folder of one test, and the linkers that work there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use tempfile::TempDir;

/// The folder of one test: its kernel as an object file, and its scripts.
pub(crate) struct Workplace {
    folder: TempDir,
}

impl Workplace {
    pub(crate) fn new(source: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        fs::write(folder.path().join("kernel.rs"), source).expect("our own folder");
        let built = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
            .args([
                "--edition=2024",
                "--crate-type=lib",
                "--emit=obj",
                "-Cpanic=abort",
            ])
            .args([
                "-Copt-level=2",
                "-Ccodegen-units=1",
                "-o",
                "kernel.o",
                "kernel.rs",
            ])
            .current_dir(folder.path())
            .status()
            .expect("the compiler starts");
        assert!(built.success(), "the kernel is right");
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Links the kernel with these scripts, in this order. Returns the file, or what the linker said.
    pub(crate) fn link(
        &self,
        linker: &Linker,
        words: &[&str],
        scripts: [&Path; 2],
    ) -> Result<Vec<u8>, String> {
        let file = self.path("kernel.elf");
        let mut command = linker.command();
        command.args(words).arg("-o").arg(&file);
        for script in scripts {
            command.arg("-T").arg(script);
        }
        let output = command
            .arg(self.path("kernel.o"))
            .output()
            .expect("the linker starts");
        if output.status.success() {
            Ok(fs::read(&file).expect("the linker wrote it"))
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Links the kernel with the fragment in front of a script.
    pub(crate) fn link_with(
        &self,
        linker: &Linker,
        words: &[&str],
        script: &str,
    ) -> Result<Vec<u8>, String> {
        let file = self.path("kernel.ld");
        fs::write(&file, script).expect("our own folder");
        self.link(linker, words, [&fragment(), &file])
    }
}

pub(crate) fn fragment() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../linker/kfiber.ld")
}

/// One of the two linkers of the field.
pub(crate) struct Linker {
    pub(crate) name: &'static str,
    program: PathBuf,
    words: &'static [&'static str],
}

impl Linker {
    /// Those that this machine has. GNU's is needed to link this test; the toolchains of distributions lack the other one.
    pub(crate) fn all() -> Vec<Self> {
        let gnu = Self {
            name: "GNU ld",
            program: "ld.bfd".into(),
            words: &[],
        };
        let mut all = vec![gnu];
        let said = Command::new("rustc")
            .args(["--print", "target-libdir"])
            .output()
            .expect("the compiler starts");
        let libraries = String::from_utf8(said.stdout).expect("a path");
        let lld = Path::new(libraries.trim())
            .with_file_name("bin")
            .join("rust-lld");
        if lld.is_file() {
            all.push(Self {
                name: "rust-lld",
                program: lld,
                words: &["-flavor", "gnu"],
            });
        } else {
            eprintln!("SKIPPED: this toolchain has no rust-lld");
        }
        all
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(self.words);
        command
    }
}
