//! What happens on machines where something is missing, played by a search path full of stand-ins.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A search path with nothing in it but what a test puts there.
struct Machine {
    folder: TempDir,
}

impl Machine {
    /// A machine with Rust and rustup's `core` for the bare machine, and nothing else.
    fn new() -> Self {
        let machine = Self {
            folder: TempDir::new().expect("a folder"),
        };
        let library = machine.folder.path().join("library");
        fs::create_dir(&library).expect("a folder");
        fs::write(library.join("libcore-0.rlib"), "").expect("a file");
        let rustc = format!(
            "case \"$*\" in *target-libdir*) echo {};; *) echo rustc 1.95.0;; esac",
            library.display()
        );
        machine.program("rustc", &rustc);
        machine.program("cargo", "echo cargo 1.95.0");
        machine.program(
            "apt-get",
            "echo apt-get \"$@\" >>\"$LOG\"; case \"$*\" in *install*) eval \"$INSTALL\";; esac",
        );
        machine.program("apt-cache", "true");
        machine.program(
            "sudo",
            "while case \"$1\" in -*|*=*) true;; *) false;; esac; do shift; done; exec \"$@\"",
        );
        machine
    }

    /// Puts a shell script into the search path.
    fn program(&self, name: &str, script: &str) {
        let file = self.folder.path().join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("our own file");
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.folder.path().join(name)).expect("it was there");
    }

    fn xtask(&self, words: &[&str], install: &str) -> Output {
        let mut command = self.command(words, install);
        command.output().expect("the program starts")
    }

    fn command(&self, words: &[&str], install: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .args(words)
            .env("PATH", self.folder.path())
            .env("LOG", self.log())
            .env("INSTALL", install);
        command
            .env_remove("KFIBER_CORE")
            .env_remove("KFIBER_INSTALL");
        command
    }

    fn log(&self) -> std::path::PathBuf {
        self.folder.path().join("log")
    }

    /// What apt-get was asked to do.
    fn asked(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// A script that installs a stand-in for QEMU.
    fn installs_qemu(&self) -> String {
        let file = self.folder.path().join("qemu-system-x86_64");
        format!(
            "printf '#!/bin/sh\\necho QEMU 7.2\\n' >{0}; /bin/chmod +x {0}",
            file.display()
        )
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// The list of packages is refreshed before anything is installed.
const INSTALL: &str =
    "apt-get update\napt-get install --yes --no-install-recommends qemu-system-x86\n";

#[test]
fn qemu_is_installed_when_it_is_missing_and_asked_for() {
    let machine = Machine::new();
    let output = machine.xtask(&["doctor", "--fix"], &machine.installs_qemu());
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(machine.asked(), INSTALL);
    assert!(
        said(&output).contains("installing qemu-system-x86"),
        "{}",
        said(&output)
    );
}

#[test]
fn a_list_that_cannot_be_refreshed_is_used_as_it_is() {
    let machine = Machine::new();
    machine.program(
        "apt-get",
        "echo apt-get \"$@\" >>\"$LOG\"; case \"$*\" in *install*) eval \"$INSTALL\";; *) exit 100;; esac",
    );
    let output = machine.xtask(&["doctor", "--fix"], &machine.installs_qemu());
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(machine.asked(), INSTALL);
}

#[test]
fn a_failure_to_install_is_shown_and_not_repeated() {
    let machine = Machine::new();
    let output = machine.xtask(&["doctor", "--fix"], "echo 404 Not Found; exit 100");
    assert!(!output.status.success());
    assert_eq!(machine.asked(), INSTALL);
    assert!(said(&output).contains("404 Not Found"), "{}", said(&output));
}

#[test]
fn nothing_is_installed_without_being_asked_for() {
    let machine = Machine::new();
    let output = machine.xtask(&["doctor"], &machine.installs_qemu());
    assert!(
        !output.status.success(),
        "QEMU is missing, and the status says so"
    );
    assert_eq!(machine.asked(), "");
    assert!(said(&output).contains("MISSING"), "{}", said(&output));
}

#[test]
fn a_no_in_advance_installs_nothing_and_says_what_to_type() {
    let machine = Machine::new();
    let mut command = machine.command(&["doctor", "--fix"], &machine.installs_qemu());
    let output = command.env("KFIBER_INSTALL", "no").output();
    let output = output.expect("the program starts");
    assert!(!output.status.success(), "{}", said(&output));
    assert_eq!(machine.asked(), "");
    assert!(
        said(&output).contains("sudo apt-get update && sudo apt-get install"),
        "{}",
        said(&output)
    );
}

#[test]
fn a_loader_is_installed_when_a_kernel_needs_it() {
    let machine = Machine::new();
    machine.program("qemu-system-x86_64", "echo QEMU 7.2");
    let output = machine.xtask(&["demo", "--kernel", "multiboot2"], "true");
    // The stand-in installs nothing, which is noticed.
    assert!(!output.status.success());
    assert!(
        said(&output).contains("GRUB is still not found"),
        "{}",
        said(&output)
    );
    assert_eq!(
        machine.asked(),
        "apt-get update\napt-get install --yes --no-install-recommends grub-pc-bin grub-common xorriso mtools\n"
    );
}

#[test]
fn without_apt_every_other_package_manager_is_named() {
    let machine = Machine::new();
    machine.remove("apt-get");
    let output = machine.xtask(&["qemu-test"], "");
    assert!(!output.status.success());
    for words in [
        "apt-get install",
        "dnf install",
        "pacman -S",
        "brew install",
        "nix profile install",
    ] {
        assert!(
            said(&output).contains(words),
            "`{words}` is not in\n{}",
            said(&output)
        );
    }
}

#[test]
fn a_target_that_rustup_refuses_is_replaced_by_the_distributions_toolchain() {
    let machine = Machine::new();
    machine.program("qemu-system-x86_64", "echo QEMU 7.2");
    machine.program(
        "rustc",
        "case \"$*\" in *target-libdir*) echo /nowhere;; *) echo rustc 1.95.0;; esac",
    );
    machine.program(
        "rustup",
        "echo \"rustup $@\" >>\"$LOG\"; echo could not download; exit 1",
    );
    let output = machine.xtask(&["doctor", "--fix"], "true");
    if Path::new("/usr/lib/rustlib/src/rust/library/core/src/lib.rs").is_file() {
        // It is there already, so the network is not asked at all.
        assert_eq!(machine.asked(), "");
        assert!(
            said(&output).contains("-Zbuild-std, used"),
            "{}",
            said(&output)
        );
    } else {
        let asked = machine.asked();
        assert!(
            asked.starts_with(
                "rustup target add x86_64-unknown-none\napt-get update\napt-get install"
            ),
            "{asked}"
        );
        assert!(
            asked.contains("rustc-web cargo-web rust-web-src"),
            "{asked}"
        );
    }
}

#[test]
fn a_way_that_is_forced_is_never_replaced() {
    let machine = Machine::new();
    machine.program("qemu-system-x86_64", "echo QEMU 7.2");
    machine.program(
        "rustc",
        "case \"$*\" in *target-libdir*) echo /nowhere;; *) echo rustc 1.95.0;; esac",
    );
    machine.program("rustup", "echo could not download; exit 1");
    let output = machine.xtask(&["doctor", "--fix", "--core", "rustup"], "true");
    assert!(!output.status.success(), "{}", said(&output));
    assert!(
        said(&output).contains("cannot have rustup's target"),
        "{}",
        said(&output)
    );
}
