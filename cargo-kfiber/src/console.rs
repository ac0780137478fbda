//! What the person at the terminal sees: lines of our own, and commands as one could type them.

use std::fmt::Display;
use std::process::Command;

use anstream::eprintln;
use anstyle::{AnsiColor, Style};

/// Style of what went well.
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Style of what needs attention.
pub const LOUD: Style = AnsiColor::Yellow.on_default().bold();
/// Style of what went wrong.
pub const BAD: Style = AnsiColor::Red.on_default().bold();

/// Says what is being done.
pub fn say(text: impl Display) {
    eprintln!("{GOOD}kfiber:{GOOD:#} {text}");
}

/// Says what could not be done, so that nobody takes silence for success.
pub fn loud(text: impl Display) {
    eprintln!("{LOUD}kfiber: {text}{LOUD:#}");
}

/// Says why a command ended without an answer.
pub fn error(error: &anyhow::Error) {
    eprintln!("{BAD}error:{BAD:#} {error:#}");
}

/// Returns a command as one could type it.
#[must_use]
pub fn line(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(key, value)| {
        Some(format!(
            "{}={}",
            key.to_string_lossy(),
            quote(&value?.to_string_lossy())
        ))
    });
    let words = [command.get_program()]
        .into_iter()
        .chain(command.get_args());
    variables
        .chain(words.map(|word| quote(&word.to_string_lossy())))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Returns a word as a shell would need it.
#[must_use]
pub fn quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,+@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
