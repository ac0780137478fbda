//! The verb `tidy`: the rules of the house that no lint knows.
//!
//! A file of the library, or of this program, uses only files that stand before it in the table of `CONTRIBUTING.md`,
//! and no cycle of uses goes through more than two files. The first line of every file says why the file exists. No
//! file is longer than a person reads in one sitting. A test that the table of promises names is there, and every grave
//! hazard in it has one.

mod modules;
mod order;
mod promises;
#[cfg(test)]
mod tests;
mod uses;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::{console, workspace};

/// Folders with files of ours.
const FOLDERS: [&str; 13] = [
    "src",
    "adapters",
    "kernels",
    "tests",
    "examples",
    "benches",
    "cargo-kfiber",
    "kfiber-test",
    "linker",
    "peers",
    "tests-qemu",
    "xtask",
    "scripts",
];
/// The table of promises and of the tests that hold them.
const PROMISES: &str = "docs/promises.md";
/// Folders with the sources of the crates whose files stand in an order. The adapters follow.
const ORDERED: [&str; 4] = ["src", "xtask/src", "kfiber-test/src", "cargo-kfiber/src"];
/// The roots of crates whose files stand in no order, but make no large cycle either.
const WITHOUT_CYCLES: [&str; 3] = [
    "tests-qemu/src/lib.rs",
    "tests-qemu/bench/main.rs",
    "tests-qemu/demo/main.rs",
];
/// No file has more lines than this.
const MOST_LINES: usize = 400;

/// Runs the verb; true if every file keeps the rules.
pub(crate) fn verb() -> Result<bool> {
    let complaints = complaints(workspace::root())?;
    for complaint in &complaints {
        console::loud(complaint);
    }
    if complaints.is_empty() {
        console::say("tidy");
    }
    Ok(complaints.is_empty())
}

fn complaints(root: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        list(&root.join(folder), &mut files)?;
    }
    files.sort();
    let mut complaints = Vec::new();
    let mut texts = Vec::new();
    for file in files {
        let text = read(&file)?;
        let name = file
            .strip_prefix(root)
            .unwrap_or(&file)
            .to_string_lossy()
            .into_owned();
        texts.push((name, text));
    }
    for (name, text) in &texts {
        complaints.extend(first_line(name, text));
        complaints.extend(length(name, text));
    }
    complaints.extend(out_of_order(root)?);
    let table = root.join(PROMISES);
    if table.is_file() {
        let table = read(&table)?;
        let complain = |name| format!("{PROMISES}: there is no test `{name}`");
        complaints.extend(promises::missing(&table, &texts).into_iter().map(complain));
        let faults = promises::faulty_rows(&table, &texts);
        complaints.extend(
            faults
                .into_iter()
                .map(|fault| format!("{PROMISES}: {fault}")),
        );
    }
    Ok(complaints)
}

/// Where a file of an ordered crate uses one that stands after it.
fn out_of_order(root: &Path) -> Result<Vec<String>> {
    let table = read(&root.join(order::TABLE))?;
    let read = |file: &Path| read(&root.join(file));
    let mut complaints = Vec::new();
    for root in WITHOUT_CYCLES {
        let modules = modules::of_crate(Path::new(root), &read)?;
        complaints.extend(order::cycles(&uses::between_files(&modules)));
    }
    let adapters = workspace::adapters()?.into_iter();
    let adapters = adapters.map(|name| format!("{}/{name}/src", workspace::ADAPTERS));
    for sources in ORDERED.into_iter().map(str::to_owned).chain(adapters) {
        let modules = modules::of_crate(&Path::new(&sources).join("lib.rs"), &read)?;
        let places = order::places(&table, &sources);
        complaints.extend(order::complaints(&modules, &places, &sources));
    }
    Ok(complaints)
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Source files below a folder, which may be missing.
fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            list(&path, files)?;
        } else if path.extension().is_some_and(|kind| {
            ["rs", "s", "S", "ld", "py", "sh"]
                .iter()
                .any(|ours| kind == *ours)
        }) {
            files.push(path);
        }
    }
    Ok(())
}

fn first_line(name: &str, text: &str) -> Option<String> {
    let first = text
        .lines()
        .find(|line| !line.starts_with("#!/"))
        .unwrap_or("");
    let marks: &[&str] = if name.ends_with(".rs") {
        &["//! "]
    } else {
        &["//", "/*", "#", "\"\"\""]
    };
    let is_fine = marks.iter().any(|mark| first.starts_with(mark));
    (!is_fine).then(|| {
        format!(
            "{name}:1: the first line must say why the file exists, after `{}`",
            marks[0].trim()
        )
    })
}

fn length(name: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > MOST_LINES).then(|| {
        format!(
            "{name}: {lines} lines; split it where a reader would pause, {MOST_LINES} are the most"
        )
    })
}
