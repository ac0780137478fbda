//! The words of the kernel's command line: `test=NAME seed=N rounds=N`.

use kfiber_test::words;

use crate::{protocol, start_info};

/// Returns what follows `key` in the first word that begins with it.
#[must_use]
pub fn value(key: &str) -> Option<&'static str> {
    words::value(start_info::command_line(), key)
}

/// Returns the number that follows `key`.
///
/// # Panics
///
/// Panics if it is not a decimal number: a run with another number than the one asked for would mislead.
#[must_use]
pub fn number(key: &str) -> Option<u64> {
    words::number(start_info::command_line(), key)
}

/// Returns the seed for everything random in this run, 1 if none was given.
#[must_use]
pub fn seed() -> u64 {
    number(protocol::SEED_KEY).unwrap_or(1)
}

/// Returns how often a looping test is to go round, or the number that it does without being asked.
#[must_use]
pub fn rounds(default: u64) -> u64 {
    number(protocol::ROUNDS_KEY).unwrap_or(default)
}
