//! `bench --peers`: kfiber beside other switches, in one process, in builds that differ in where the code lies.

mod agreement;
mod aims;
mod compile_time;
mod document;
mod names;
mod plot;
mod processor;
mod program;
mod rounded;
mod samples;
mod sections;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::ErrorKind;

use anstream::println;
use anyhow::{Context as _, Result};

use crate::cli::Bench;
use crate::console::{self, BAD, GOOD};
use crate::steps::Counts;
use crate::{setup, workspace};

use agreement::Agreement;
use document::{Conditions, Document};
use program::Effort;
use samples::Samples;

/// Where the size of the smallest kernel is committed.
const SIZES: &str = "docs/instructions.md";

/// Measures and prints; false only if an aim is missed and that was to be a failure.
pub(super) fn verb(options: &Bench) -> Result<bool> {
    let features = program::ensure_c_compiler();
    let effort = if options.quick {
        Effort::QUICK
    } else {
        Effort::FULL
    };
    let mut samples = Samples::default();
    let builds = program::builds(&effort);
    for (index, build) in builds.iter().enumerate() {
        let path = program::build(build, &features)?;
        for process in 0..effort.processes {
            let seed = (index * effort.processes + process + 1) as u64;
            let what = format!(
                "build {} of {} ({}), process {} of {}",
                index + 1,
                builds.len(),
                build.what,
                process + 1,
                effort.processes
            );
            samples.add_process(&program::measure(&path, &effort, seed, &what)?)?;
        }
        if index == 0 {
            for process in 1..=effort.of_schedulers.processes {
                let seed = process as u64;
                samples.add_process(&program::measure_schedulers(&path, &effort, seed)?)?;
            }
        }
    }
    let core = setup::core::ensure(options.core)?;
    let document = Document {
        conditions: Conditions::of_this_machine(core.version()?, &effort, builds)?,
        contenders: names::contenders(&features)?,
        compile_seconds: compile_time::measure(core, effort.compilations)?,
        smallest_text: document::smallest_text(
            &fs::read_to_string(workspace::root().join(SIZES)).with_context(|| {
                format!("cannot read {SIZES}: `cargo xtask bench --update` writes it")
            })?,
        ),
        samples,
    };
    let text = document.text();
    std::println!("{text}");
    let verdicts = aims::verdicts(&document.samples);
    for verdict in &verdicts {
        let style = if verdict.is_reached() { GOOD } else { BAD };
        println!("{style}{verdict}{style:#}");
    }
    let (tables, picture) = (document.tables(), document.picture());
    if !options.quick {
        println!("\n{}", hold_against_committed(&tables, &text)?);
    }
    if options.update {
        fs::write(workspace::root().join(&tables), text)?;
        fs::write(
            workspace::root().join(&picture),
            plot::draw(&document.samples)?,
        )?;
        console::say(format!("wrote {tables} and {picture}"));
    }
    Ok(!options.check || verdicts.iter().all(aims::Verdict::is_reached))
}

/// In words.
fn hold_against_committed(tables: &str, text: &str) -> Result<String> {
    match fs::read_to_string(workspace::root().join(tables)) {
        Ok(committed) => {
            let agreement = Agreement::of(&committed, text);
            let agreement = agreement.with_context(|| format!("cannot compare with {tables}"))?;
            Ok(format!("{tables}: {agreement}"))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(format!(
            "{tables}: there is none yet, so no figure of this kind of processor is committed; `--update` writes it"
        )),
        Err(error) => Err(error).with_context(|| format!("cannot read {tables}")),
    }
}

/// Verifies every contender in every shape and measures nothing.
pub(crate) fn verify() -> Result<Counts> {
    let features = program::ensure_c_compiler();
    let build = &program::builds(&Effort::QUICK)[0];
    program::verify(&program::build(build, &features)?).map(Counts::from_success)
}
