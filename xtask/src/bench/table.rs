//! The table of figures, as it is committed, and the comparison with the committed one.

mod rows;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Result, ensure};

use super::figures::Figures;
use super::sizes::Sizes;

pub(super) use rows::{SEVERAL_TRACED, TRACED};

/// Begins the line that names the compiler.
const COMPILER: &str = "Compiler: ";

const HEAD: &str = "\
# Instructions per operation

`cargo xtask bench --update` writes this file. `cargo xtask bench` counts anew, and fails if a
figure differs. `cargo xtask bench --listing OPERATION` prints the instructions of one operation.
";

const METHOD: &str = "
The build has opt-level 3, fat link-time optimisation and one codegen unit, for
`x86_64-unknown-none`. All checks and priorities are on, and there is no switch hook. *Halved* means
that the operation goes there and back, and that the figure is for one way. A round of *n* fibers is
divided by *n*.

QEMU counts under `-icount shift=0,sleep=off`, where the time-stamp counter advances by one for
each instruction. The kernel first tests this on code of known length. It then runs each operation
8 times to warm up, and 56 times that must all read the same. The 4 instructions of the two readings
are subtracted. Instructions are not cycles, and some cost more than others.

The *best peer* is the kernel that takes the fewest instructions of those that were counted in the
same way, each in its fastest build for one core. Others stand in brackets.
";

const SEVERAL: &str = "
The rows of this table are of a kernel with two cores, built with the feature `smp`. The other rows
are without it. Only the instructions of the core that acts are counted, without those of the
platform's kick.
";

const AIMS: &str = "
## Aims

These limits were set before the code was written. [Performance][performance] says where they come
from.

| | aim | is | |
|---|---:|---:|---|
";

const LINKS: &str = "
[performance]: performance.md
";

/// One line of the table.
#[derive(Debug)]
struct Line {
    key: &'static str,
    title: &'static str,
    figure: String,
    value: f64,
    target: Option<f64>,
    peer: &'static str,
}

/// All figures of one run.
#[derive(Debug)]
pub(super) struct Table {
    compiler: String,
    speed: Vec<Line>,
    memory: Vec<Line>,
    several: Vec<Line>,
}

impl Table {
    /// Makes lines of figures. It is an error if an operation takes longer among more fibers.
    pub(super) fn new(
        compiler: &str,
        figures: &Figures,
        sizes: &Sizes,
        several: &Figures,
    ) -> Result<Self> {
        let speed = lines(rows::SPEED, figures)?;
        let several = lines(rows::SEVERAL, several)?;
        check_flatness(figures)?;
        let memory = rows::MEMORY.iter().map(|row| {
            #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
            let value = (row.size)(sizes) as f64;
            row.row.line(value)
        });
        Ok(Self {
            compiler: compiler.to_owned(),
            speed,
            memory: memory.collect(),
            several,
        })
    }

    pub(super) fn compiler(&self) -> &str {
        &self.compiler
    }

    /// The table as it is committed.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{HEAD}\n{COMPILER}{}\n{METHOD}", self.compiler);
        let heads = [
            ("", "instructions", &self.speed),
            ("", "bytes", &self.memory),
            (SEVERAL, "instructions", &self.several),
        ];
        for (before, unit, lines) in heads {
            let _ = write!(
                text,
                "{before}\n| | operation | {unit} | best peer |\n|---|---|---:|---|\n"
            );
            for line in lines {
                let _ = writeln!(
                    text,
                    "| `{}` | {} | {} | {} |",
                    line.key, line.title, line.figure, line.peer
                );
            }
        }
        text.push_str(AIMS);
        for (line, target) in self.aims() {
            let (key, figure) = (line.key, &line.figure);
            let word = if line.value > target {
                "missed"
            } else {
                "reached"
            };
            let _ = writeln!(text, "| `{key}` | at most {target} | {figure} | {word} |");
        }
        text.push_str(LINKS);
        text
    }

    /// The lines that have an aim, each with its aim.
    fn aims(&self) -> impl Iterator<Item = (&Line, f64)> {
        let lines = self.speed.iter().chain(&self.memory).chain(&self.several);
        lines.filter_map(|line| Some((line, line.target?)))
    }

    /// Figures that miss their aim.
    pub(super) fn shortfalls(&self) -> Vec<String> {
        let misses = self.aims().filter(|(line, target)| line.value > *target);
        misses
            .map(|(line, target)| {
                let (key, figure) = (line.key, &line.figure);
                format!("`{key}` is {figure}, above its aim of {target}")
            })
            .collect()
    }

    /// What is not as in the committed table.
    pub(super) fn differences(&self, committed: &str) -> Vec<String> {
        let (old, text) = (cells(committed), self.text());
        let new = cells(&text);
        let mut differences = Vec::new();
        for (key, figure) in &new {
            match old.get(key) {
                None => differences.push(format!("{key} is new: {figure}")),
                Some(before) if before != figure => {
                    differences.push(format!("{key} is {figure}, and was {before}"));
                }
                Some(_) => {}
            }
        }
        let gone = old.keys().filter(|key| !new.contains_key(*key));
        differences.extend(gone.map(|key| format!("{key} is gone")));
        if differences.is_empty() && committed != text {
            differences
                .push("the figures are the same, but the text around them is not".to_owned());
        }
        differences
    }
}

/// The compiler that made a committed table.
pub(super) fn compiler_of(committed: &str) -> Option<&str> {
    committed
        .lines()
        .find_map(|line| line.strip_prefix(COMPILER))
}

/// A line for each row, and a row for each figure.
fn lines(rows: &[rows::Row], figures: &Figures) -> Result<Vec<Line>> {
    for name in figures.names() {
        let is_known = rows.iter().any(|row| row.key == name);
        ensure!(
            is_known || rows::COUNTER.contains(&name),
            "the kernel `bench` counts `{name}`, which has no row in the table"
        );
    }
    let line = |row: &rows::Row| Ok(row.line(figures.reading(row.key)?.each()));
    rows.iter().map(line).collect()
}

/// First and third column of the lines whose first is code: operation and figure. The table of aims
/// repeats figures, and is left out.
fn cells(text: &str) -> BTreeMap<&str, &str> {
    let (figures, _aims) = text.split_once(AIMS).unwrap_or((text, ""));
    let lines = figures.lines().filter(|line| line.starts_with("| `"));
    lines
        .filter_map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            Some((cells.next()?, cells.nth(1)?))
        })
        .collect()
}

/// However many are ready, one more costs the same, and making ready and removing take the same.
fn check_flatness(figures: &Figures) -> Result<()> {
    for names in rows::FLAT {
        let first = figures.reading(names[0])?.net;
        for name in names {
            let net = figures.reading(name)?.net;
            ensure!(
                net == first,
                "`{name}` takes {net} instructions, but `{}` {first}",
                names[0]
            );
        }
    }
    let [two, five, hundred] = rows::ROUNDS.map(|name| figures.reading(name));
    let (two, five, hundred) = (two?, five?, hundred?);
    // (five - two) / 3 = (hundred - five) / 95, without the divisions.
    let (near, far) = (five.net - two.net, hundred.net - five.net);
    ensure!(
        near * (hundred.operations - five.operations) == far * (five.operations - two.operations),
        "a yield costs more among more fibers: 3 more take {near} more instructions, and another 95 take {far}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(figure: &str) -> Table {
        Table {
            compiler: "rustc 1".to_owned(),
            speed: vec![Line {
                key: "yield_2",
                title: "yield",
                figure: figure.to_owned(),
                value: figure.parse().expect("a number"),
                target: Some(40.0),
                peer: "62 ThreadX",
            }],
            memory: Vec::new(),
            several: Vec::new(),
        }
    }

    #[test]
    fn a_table_is_as_it_was_written() {
        assert!(table("38.5").differences(&table("38.5").text()).is_empty());
    }

    #[test]
    fn a_figure_that_changed_is_named_with_both_values() {
        let differences = table("39").differences(&table("38.5").text());
        assert_eq!(differences, ["`yield_2` is 39, and was 38.5"]);
    }

    #[test]
    fn a_row_that_came_or_went_is_a_difference() {
        let old = table("39").text().replace("yield_2", "yield_3");
        let differences = table("39").differences(&old);
        assert_eq!(differences, ["`yield_2` is new: 39", "`yield_3` is gone"]);
    }

    #[test]
    fn words_that_changed_are_a_difference() {
        let old = table("39").text().replace("62 ThreadX", "61 ThreadX");
        assert_eq!(table("39").differences(&old).len(), 1);
    }

    #[test]
    fn a_missed_aim_is_named() {
        assert!(table("40").shortfalls().is_empty());
        assert_eq!(
            table("40.5").shortfalls(),
            ["`yield_2` is 40.5, above its aim of 40"]
        );
    }

    #[test]
    fn aims_are_in_the_text_with_what_came_of_them() {
        let reached = "| `yield_2` | at most 40 | 40 | reached |\n";
        assert!(table("40").text().contains(reached));
        let missed = "| `yield_2` | at most 40 | 40.5 | missed |\n";
        assert!(table("40.5").text().contains(missed));
    }

    #[test]
    fn the_compiler_is_found_again() {
        assert_eq!(compiler_of(&table("1").text()), Some("rustc 1"));
    }

    const FLAT: &str = "\
figure empty operations=1 min=4 max=4
figure 20_nops operations=1 min=24 max=24
figure 1000_times_20 operations=1 min=20005 max=20005
figure yield_2 operations=2 min=81 max=81
figure yield_5 operations=5 min=198 max=198
figure yield_100 operations=100 min=3903 max=3903
";

    fn flatness(change: (&str, &str)) -> Result<()> {
        let mut text = FLAT.replace(change.0, change.1);
        for names in rows::FLAT {
            for name in names {
                let count = if *name == change.0 { change.1 } else { "33" };
                let _ = writeln!(text, "figure {name} operations=1 min={count} max={count}");
            }
        }
        check_flatness(&Figures::parse(&text)?)
    }

    #[test]
    fn what_grows_with_the_number_of_fibers_is_refused() {
        flatness(("", "")).expect("flat");
        flatness(("3903", "3904")).expect_err("yields among 100");
        flatness(("198", "195")).expect_err("yields among 5");
        flatness(("remove_100", "34")).expect_err("removing from 100");
        flatness(("make_ready_5", "32")).expect_err("making ready among 5");
    }
}
