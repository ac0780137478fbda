//! The words by which the runner asks for a test: `test=NAME seed=N rounds=N`.

/// Returns what follows `key` in the first word that begins with it.
#[must_use]
pub fn value<'words>(words: &'words str, key: &str) -> Option<&'words str> {
    words
        .split_ascii_whitespace()
        .find_map(|word| word.strip_prefix(key))
}

/// Returns the number that follows `key`.
///
/// # Panics
///
/// Panics if it is not a decimal number: a run with another number than the one asked for would mislead.
#[must_use]
pub fn number(words: &str, key: &str) -> Option<u64> {
    value(words, key).map(|text| match text.parse() {
        Ok(number) => number,
        Err(error) => panic!("`{key}{text}` is not a number: {error}"),
    })
}
