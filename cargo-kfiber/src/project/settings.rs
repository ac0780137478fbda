//! The table `[package.metadata.kfiber]`: how a package's kernel is started.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use cargo_metadata::Package;
use serde::Deserialize;

use crate::machine::Loader;

/// Deadline of a test that names none. A boot takes a tenth of a second; the rest is for slow and busy machines.
const DEADLINE: Duration = Duration::from_secs(30);

/// What the table says.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What starts the kernel.
    pub loader: Loader,
    /// More words for QEMU.
    pub qemu: Vec<String>,
    /// Deadline of a test that names none.
    pub deadline: Duration,
}

/// The table as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    run: Option<Words>,
    qemu: Option<Words>,
    timeout: Option<u64>,
}

/// Words, in a list or with spaces between them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    InOne(String),
    List(Vec<String>),
}

impl Words {
    fn list(self) -> Vec<String> {
        match self {
            Self::InOne(text) => text.split_whitespace().map(str::to_owned).collect(),
            Self::List(words) => words,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            loader: Loader::Qemu,
            qemu: Vec::new(),
            deadline: DEADLINE,
        }
    }
}

impl Settings {
    /// Reads the table of a package.
    ///
    /// # Errors
    ///
    /// Fails if the table has a word that means nothing.
    pub fn of(package: &Package) -> Result<Self> {
        let folder = package.manifest_path.parent();
        let folder = folder.map_or(Path::new("/"), |folder| folder.as_std_path());
        let table = package.metadata.get("kfiber").cloned();
        let table: Table = match table {
            Some(table) => serde_json::from_value(table).with_context(|| {
                format!("[package.metadata.kfiber] in {}", package.manifest_path)
            })?,
            None => Table::default(),
        };
        let own = Self::default();
        Ok(Self {
            loader: match table.run.map(Words::list) {
                Some(words) => Loader::Program(in_folder(words, folder)),
                None => own.loader,
            },
            qemu: table.qemu.map_or(own.qemu, Words::list),
            deadline: table.timeout.map_or(own.deadline, Duration::from_secs),
        })
    }
}

/// The words, of which the first may be a path from the package's folder.
fn in_folder(mut words: Vec<String>, folder: &Path) -> Vec<String> {
    if let Some(program) = words.first_mut().filter(|program| program.contains('/')) {
        *program = folder.join(&*program).to_string_lossy().into_owned();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> serde_json::Result<Table> {
        serde_json::from_str(text)
    }

    #[test]
    fn words_are_a_list_or_one_text() {
        for text in [
            r#"{"run": "./run.sh -v"}"#,
            r#"{"run": ["./run.sh", "-v"]}"#,
        ] {
            let words = table(text).expect("well-formed").run.expect("words").list();
            assert_eq!(in_folder(words, Path::new("/k")), ["/k/./run.sh", "-v"]);
        }
    }

    #[test]
    fn a_program_without_a_path_is_one_of_the_search_path() {
        assert_eq!(in_folder(vec!["sh".to_owned()], Path::new("/k")), ["sh"]);
    }

    #[test]
    fn a_word_that_means_nothing_is_an_error_that_names_the_others() {
        let error = table(r#"{"timeuot": 3}"#)
            .err()
            .expect("an error")
            .to_string();
        assert!(
            error.contains("timeuot") && error.contains("timeout"),
            "{error}"
        );
    }
}
