//! Installs packages of the distribution, or says how a person can.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::console;
use crate::setup::find_program;

/// How this process may become root.
enum Privilege {
    /// It is root.
    Root,
    /// `sudo` asks for no password.
    Sudo,
}

/// Whether [`install`] can work here.
pub(crate) fn can_install() -> bool {
    find_program("apt-get").is_some() && privilege().is_some()
}

/// Installs Debian packages with `apt-get`, saying what it does.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let Some(privilege) = privilege() else {
        bail!(
            "neither root nor passwordless sudo: cannot install {}",
            packages.join(", ")
        );
    };
    // Always: an old list names versions that the servers no longer have, or that are too old for us.
    let update = console::run(
        "refreshing the list of Debian packages (apt-get update)",
        &mut apt(&privilege, &["update"]),
    );
    if let Err(error) = update {
        console::loud(format!("{error:#}; trying with the list that is there"));
    }
    let mut words = vec!["install", "--yes", "--no-install-recommends"];
    words.extend(packages);
    let what = format!(
        "installing {} (apt-get {})",
        packages.join(", "),
        words.join(" ")
    );
    console::run(&what, &mut apt(&privilege, &words))
}

/// The command that a person would type.
pub(crate) fn apt_line(packages: &[&str]) -> String {
    format!(
        "sudo apt-get update && sudo apt-get install --no-install-recommends {}",
        packages.join(" ")
    )
}

fn privilege() -> Option<Privilege> {
    // The files of /proc/self belong to the effective user.
    if fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        return Some(Privilege::Root);
    }
    find_program("sudo")?;
    let asked = quietly(Command::new("sudo").args(["--non-interactive", "true"]));
    asked.then_some(Privilege::Sudo)
}

fn apt(privilege: &Privilege, words: &[&str]) -> Command {
    let mut command = match privilege {
        Privilege::Root => Command::new("apt-get"),
        Privilege::Sudo => {
            let mut sudo = Command::new("sudo");
            sudo.args([
                "--non-interactive",
                "DEBIAN_FRONTEND=noninteractive",
                "apt-get",
            ]);
            sudo
        }
    };
    command.args(words).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn quietly(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
