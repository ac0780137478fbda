//! The verb `tidy`: the rules of the house that no lint knows.
//!
//! A module of the library uses only modules before it in `src/lib.rs`. The first line of every file says why the file
//! exists. No file is longer than a person reads in one sitting. A test that the table of promises names is there, and
//! every grave hazard in it has one.

mod promises;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::{console, workspace};

/// Folders with files of ours.
const FOLDERS: [&str; 9] = [
    "src",
    "tests",
    "examples",
    "benches",
    "linker",
    "peers",
    "tests-qemu",
    "xtask",
    "scripts",
];
/// The table of promises and of the tests that hold them.
const PROMISES: &str = "docs/promises.md";
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
    let order = modules(&read(&root.join("src/lib.rs"))?);
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
        complaints.extend(layers(name, text, &order));
    }
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

/// The library's modules in the order of their `mod` lines.
fn modules(lib: &str) -> Vec<String> {
    let module = |line: &str| {
        let line = line.trim_start();
        let line = line
            .strip_prefix("pub(crate) ")
            .or_else(|| line.strip_prefix("pub "))
            .unwrap_or(line);
        Some(
            line.strip_prefix("mod ")?
                .split(|letter: char| !is_word(letter))
                .next()?
                .to_owned(),
        )
    };
    lib.lines().filter_map(module).collect()
}

/// The places where a module of the library uses one that comes after it.
fn layers(name: &str, text: &str, order: &[String]) -> Vec<String> {
    let Some(own) = name
        .strip_prefix("src/")
        .and_then(|path| path.split(['/', '.']).next())
    else {
        return Vec::new();
    };
    let Some(own_place) = order.iter().position(|module| module == own) else {
        // `lib.rs` itself stands above all.
        return if name == "src/lib.rs" {
            Vec::new()
        } else {
            vec![format!("{name}: `src/lib.rs` has no `mod {own}`")]
        };
    };
    let mut complaints = Vec::new();
    for (used, line) in uses(text) {
        if order
            .iter()
            .position(|module| *module == used)
            .is_some_and(|place| place > own_place)
        {
            complaints.push(format!(
                "{name}:{line}: `{own}` uses `crate::{used}`, which comes after it in `src/lib.rs`"
            ));
        }
    }
    complaints
}

/// The modules after each `crate::` outside of comments, with their lines.
fn uses(text: &str) -> Vec<(String, usize)> {
    // Comments may link to anything. They are blanked rather than dropped, so that the lines keep their numbers.
    let code: Vec<_> = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or(""))
        .collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    for (at, path) in code.match_indices("crate::") {
        let line = code[..at].matches('\n').count() + 1;
        // A macro's `$crate` names items for its user, who is outside of all layers.
        if code[..at]
            .chars()
            .next_back()
            .is_some_and(|before| is_word(before) || before == '$')
        {
            continue;
        }
        found.extend(
            heads(&code[at + path.len()..])
                .into_iter()
                .map(|module| (module, line)),
        );
    }
    found
}

/// The first word of a path, or of each path between braces.
fn heads(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else {
        return vec![path.chars().take_while(|letter| is_word(*letter)).collect()];
    };
    let mut depth = 1;
    let mut heads = vec![String::new()];
    let mut is_head = true;
    for letter in group.chars() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => {
                heads.push(String::new());
                is_head = true;
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if is_word(letter) && is_head {
            heads.last_mut().expect("there is always one").push(letter);
        } else if !letter.is_whitespace() {
            is_head = false;
        }
    }
    heads.retain(|head| !head.is_empty());
    heads
}

const fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}
