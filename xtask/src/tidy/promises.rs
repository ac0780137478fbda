//! Every test that the table of promises names must be there, and every grave hazard must have one.

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

/// The verbs of `cargo xtask` that hold a hazard by themselves.
const VERBS: [&str; 5] = ["*prove*", "*matrix*", "*backtraces*", "*bench*", "*ci*"];

/// What is wrong with the rows of hazards, which begin with an id and a severity.
pub(super) fn faulty_rows(table: &str, files: &[(String, String)]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut ids = Vec::new();
    for line in table.lines() {
        if line.starts_with("| hazard |") {
            complaints
                .push("a table of hazards has no ids: `| id | | hazard | held by |`".to_owned());
        }
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, id, severity, hazard, held_by, _] = cells[..] else {
            continue;
        };
        if !id.contains('-') || id.starts_with('-') {
            continue; // the head of a table
        }
        if ids.contains(&id) {
            complaints.push(format!("{id} is there twice"));
        }
        ids.push(id);
        if !["S1", "S2", "S3"].contains(&severity) {
            complaints.push(format!("{id} has the severity `{severity}`: S1, S2 or S3"));
        }
        let has_test = named_tests(held_by).next().is_some()
            || VERBS.iter().any(|verb| held_by.contains(verb))
            || held_by
                .split('`')
                .any(|path| files.iter().any(|(file, _)| is_in(file, path)));
        if severity != "S3" && !has_test {
            complaints.push(format!("{id}, {severity}, has no test: {hazard}"));
        }
    }
    complaints
}

/// Whether a file is at this path, or in this folder.
fn is_in(file: &str, path: &str) -> bool {
    path.contains('/') && (file == path || file.starts_with(&format!("{path}/")))
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

    #[test]
    fn a_grave_hazard_without_a_test_is_missed() {
        let files = [("tests/a/main.rs".to_owned(), String::new())];
        let table = "| id | | hazard | held by |\n|---|---|---|---|\n\
            | A-1 | S1 | x | `a_test_of_it` |\n\
            | A-2 | S2 | x | the tests of `tests/a` |\n\
            | A-3 | S3 | x | nothing |\n\
            | A-4 | S1 | x | *prove* |\n\
            | A-5 | S2 | it bites | a promise |\n\
            | A-5 | S2 | x | the tests of `tests/b` |\n\
            | A-6 | grave | x | `a_test_of_it` |\n\
            | hazard | held by |\n";
        assert_eq!(
            faulty_rows(table, &files),
            [
                "A-5, S2, has no test: it bites",
                "A-5 is there twice",
                "A-5, S2, has no test: x",
                "A-6 has the severity `grave`: S1, S2 or S3",
                "a table of hazards has no ids: `| id | | hazard | held by |`",
            ]
        );
    }
}
