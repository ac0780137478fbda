//! The command `stacks`: how much of each stack a kernel used, from what it printed.

pub mod table;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::console;
use crate::input::Input;
use table::Table;

/// Show how much of each stack a kernel used, and suggest sizes
///
/// The kernel prints one line for each stack, at the end of a typical run:
///
///     for mark in SCHEDULER.high_water_marks() { println!("{mark}"); }
///
/// If several fibers share a name, the row shows the deepest. The suggestion is the use plus a quarter of it, or plus 512 bytes if
/// that is more: debug builds and deeper interrupts need more than one run shows.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Options {
    #[command(flatten)]
    input: Input,
    /// Fail if a stack is used more than in FILE, an older table of this command
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
}

/// Runs the command; true if no stack is used more than in the older table, or if there is none.
///
/// # Errors
///
/// Fails if a file cannot be read, or if the kernel printed nothing about its stacks.
pub fn run(options: &Options) -> Result<bool> {
    let table = Table::parse(&options.input.text()?)?;
    ensure!(
        !table.is_empty(),
        "the kernel printed nothing about its stacks. It does at the end of\n  \
         for mark in SCHEDULER.high_water_marks() {{ println!(\"{{mark}}\"); }}"
    );
    print!("{}", table.text());
    let Some(file) = &options.compare else {
        return Ok(true);
    };
    let older = fs::read_to_string(file);
    let older = older.with_context(|| format!("cannot read {}", file.display()))?;
    let regressions = table.regressions(&older);
    for regression in &regressions {
        console::loud(regression);
    }
    Ok(regressions.is_empty())
}
