//! Every test that the table of promises names must be there.

/// What is in backticks in the table and looks like the name of a test: one word in lower case.
pub(super) fn named_tests(table: &str) -> impl Iterator<Item = &str> {
    table
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.contains('_') && name.bytes().all(is_of_a_name))
}

const fn is_of_a_name(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')
}

/// The names that no file defines as a function, and that are no file of `tests/ui`.
pub(super) fn missing<'a>(table: &'a str, files: &[(String, String)]) -> Vec<&'a str> {
    let is_there = |name: &&str| {
        files.iter().any(|(path, text)| {
            path == &format!("tests/ui/{name}.rs")
                || text
                    .match_indices(&format!("fn {name}"))
                    .any(|(at, found)| !text[at + found.len()..].starts_with(is_word))
        })
    };
    named_tests(table).filter(|name| !is_there(name)).collect()
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_gone_is_missed() {
        let files = [
            (
                "tests/a.rs".to_owned(),
                "fn it_works() {}\nfn it_works_well() {}".to_owned(),
            ),
            ("tests/ui/too_large.rs".to_owned(), String::new()),
        ];
        let table = "| a | `it_works`, `too_large`, `it_work`, *prove*, `tests/a.rs` |";
        assert_eq!(missing(table, &files), ["it_work"]);
    }
}
