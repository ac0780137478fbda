//! Installs packages of the distribution, or says how a person can.

use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};
use std::{env, fs, io};

use anyhow::{Result, bail};

use crate::console::{self, LOUD};
use crate::setup::find_program;

/// The variable that answers in advance: `yes` or `no`.
pub(crate) const ANSWER: &str = "KFIBER_INSTALL";

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

/// Installs Debian packages with `apt-get`, saying what it does. On a terminal it asks first.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let Some(privilege) = privilege() else {
        bail!(
            "neither root nor passwordless sudo: cannot install {}",
            packages.join(", ")
        );
    };
    let answer = env::var(ANSWER).ok();
    let asks = io::stdin().is_terminal() && io::stderr().is_terminal();
    if !is_agreed(answer.as_deref(), asks, || ask(packages))? {
        bail!(
            "nothing was installed, as you said. This does it:\n{}",
            apt_line(packages)
        );
    }
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

/// Whether packages may be installed: what was answered in advance counts, then what a person says. Where nobody can be
/// asked, as in continuous integration, they may.
fn is_agreed(
    in_advance: Option<&str>,
    is_terminal: bool,
    ask: impl FnOnce() -> Result<String>,
) -> Result<bool> {
    match in_advance {
        Some("yes") => return Ok(true),
        Some("no") => return Ok(false),
        Some(other) => bail!("{ANSWER} is `{other}`; it can be `yes` or `no`"),
        None if !is_terminal => return Ok(true),
        None => {}
    }
    let said = ask()?.trim().to_lowercase();
    Ok(["", "y", "yes"].contains(&&*said))
}

fn ask(packages: &[&str]) -> Result<String> {
    let packages = packages.join(", ");
    anstream::eprint!(
        "{LOUD}xtask:{LOUD:#} install {packages} with apt-get? ({ANSWER}=yes or =no answers in advance) [Y/n] "
    );
    io::stderr().flush()?;
    let mut said = String::new();
    // The end of the input is no answer, and no consent.
    if io::stdin().read_line(&mut said)? == 0 {
        said.push_str("no");
    }
    Ok(said)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn agreed(in_advance: Option<&str>, is_terminal: bool, says: Option<&str>) -> bool {
        let ask = || Ok(says.expect("nobody is asked").to_owned());
        is_agreed(in_advance, is_terminal, ask).expect("an answer")
    }

    #[test]
    fn a_person_at_a_terminal_is_asked_and_obeyed() {
        for yes in ["\n", "y\n", "Yes\n"] {
            assert!(agreed(None, true, Some(yes)), "{yes:?}");
        }
        for no in ["n\n", "no\n", "what?\n"] {
            assert!(!agreed(None, true, Some(no)), "{no:?}");
        }
    }

    #[test]
    fn what_was_answered_in_advance_is_not_asked() {
        for is_terminal in [true, false] {
            assert!(agreed(Some("yes"), is_terminal, None));
            assert!(!agreed(Some("no"), is_terminal, None));
        }
        let error = is_agreed(Some("maybe"), true, || unreachable!("nobody is asked"));
        assert!(error.is_err(), "a word that is no answer is an error");
    }

    #[test]
    fn without_a_terminal_nobody_is_asked() {
        assert!(agreed(None, false, None));
    }
}
