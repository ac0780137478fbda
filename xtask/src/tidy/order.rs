//! The order of the house: a file uses only files that stand before it, and no cycle goes through
//! more than two files.
//!
//! The order is written once, in the table of `CONTRIBUTING.md`. Each of its rows begins with a place, which stands for a
//! file and for the folder of the same name. Places may lie within each other: a file belongs to the longest place that
//! covers it.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use super::modules::Modules;
use super::uses::{self, Uses};

/// Where the table is.
pub(super) const TABLE: &str = "CONTRIBUTING.md";
/// Files that the table does not order: the root of the library uses everything, and the program only calls the library.
const ROOTS: [&str; 2] = ["lib.rs", "main.rs"];
/// Of a large cycle only this many uses are shown.
const MOST_SHOWN: usize = 24;

/// The places below `sources` in the order of the table's rows.
pub(super) fn places<'a>(table: &'a str, sources: &str) -> Vec<&'a str> {
    let first_cell = |line: &'a str| {
        let cell = line.strip_prefix("| `")?.split('`').next()?;
        let below = cell.strip_prefix(sources)?;
        // A small crate may be one place.
        let is_place = below.is_empty() || below.len() > 1 && below.starts_with('/');
        (is_place && !below.ends_with('/')).then_some(cell)
    };
    table.lines().filter_map(first_cell).collect()
}

/// What is wrong with the order of one crate, whose files lie in the folder `sources`.
pub(super) fn complaints(modules: &Modules, places: &[&str], sources: &str) -> Vec<String> {
    let uses = uses::between_files(modules);
    let mut complaints = Vec::new();
    let is_ours = |file: &Path| {
        file.starts_with(sources)
            && !ROOTS
                .iter()
                .any(|root| file == Path::new(sources).join(root))
    };
    for place in places {
        if !uses.keys().any(|file| is_in(file, place)) {
            complaints.push(format!("{TABLE}: there is no module at `{place}`"));
        }
    }
    for (file, used) in &uses {
        if !is_ours(file) {
            continue;
        }
        let name = file.display();
        let Some(own) = place_of(places, file) else {
            complaints.push(format!("{name}: no row of the table in {TABLE} covers it"));
            continue;
        };
        for (other, (line, path)) in used {
            let is_root = other.starts_with(sources) && !is_ours(other);
            if is_root || place_of(places, other).is_some_and(|place| place > own) {
                complaints.push(format!(
                    "{name}:{line}: `{path}` is in {}, which stands after this file in {TABLE}",
                    other.display()
                ));
            }
        }
    }
    complaints.extend(cycles(&uses));
    complaints
}

/// The cycles of more than two files.
pub(super) fn cycles(uses: &Uses) -> Vec<String> {
    let cycles = uses::cycles(uses).into_iter();
    let large = cycles.filter(|cycle| cycle.len() > 2);
    large.map(|cycle| describe(&cycle, uses)).collect()
}

/// The index of the longest place that a file is in.
fn place_of(places: &[&str], file: &Path) -> Option<usize> {
    let its = (0..places.len()).filter(|&index| is_in(file, places[index]));
    its.max_by_key(|&index| places[index].len())
}

/// Whether a file is that of a place, or lies in the folder of the same name.
fn is_in(file: &Path, place: &str) -> bool {
    file.starts_with(place) || file.with_extension("") == Path::new(place)
}

fn describe(cycle: &[PathBuf], uses: &Uses) -> String {
    let mut lines = Vec::new();
    for file in cycle {
        for (other, (line, path)) in &uses[file] {
            if cycle.contains(other) {
                let (file, other) = (file.display(), other.display());
                lines.push(format!("\n  {file}:{line} uses {other}: `{path}`"));
            }
        }
    }
    let left_out = lines.len().saturating_sub(MOST_SHOWN);
    lines.truncate(MOST_SHOWN);
    if left_out > 0 {
        lines.push(format!("\n  and {left_out} more uses"));
    }
    format!(
        "{} files in a cycle of uses:{}",
        cycle.len(),
        lines.concat()
    )
}
