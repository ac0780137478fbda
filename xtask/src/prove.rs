//! The verb `prove`: shows from the built bytes that the switch is right for all contents of all registers.
//!
//! Tests try some values; a proof covers them all. The idea is small. A register does not hold a number here but a name,
//! "what rbx was at entry", and a small processor (`machine`) moves these names around as the instructions say. At the end
//! the right names must be in the right places. The only conditional jumps in the assembly are those over the loads of the
//! control words: there the walk forks, and all ways must be right.
//!
//! ```text
//!   specimen, search           the ELF file: functions, and every inline copy of the switch
//!   unwind_table               what unwinders are told
//!   value, machine, walk       names, the processor that computes with them, all ways through the code
//!   round_trip                 the switch and its inline copies: away, and back to what was
//!   exit_tail                  the switch for good, and what is called after it on the other's stack
//!   tail, first_frame          the two shared ends of switches; a fiber's first frame; the end of a backtrace
//!   mutants, mutants_of_rules  small errors planted one by one: the proof must notice each,
//!   equivalent                 or a list says why it is none
//! ```
//!
//! At every instruction on the way: nothing below `rsp` is relied on, for an interrupt may overwrite it; nothing is written
//! but the context to save and the own frame; and the unwind information names the caller's true registers.
//!
//! Of MXCSR the control bits are preserved, as by any function of the System V ABI, and the flags of exceptions are not: by
//! "MXCSR" the proof means its control bits everywhere. Two control words may be found equal by the very instructions that
//! the switch uses; any other comparison, mask or conditional jump is an error.
//!
//! What is taken for granted: stacks and contexts do not overlap (invariants C1 and C3 of `context`), what is continued
//! is what was saved (C1, C2), a new block is as `ControlBlock::init` says, the body is a function of the System V ABI,
//! the compiler keeps what it promises around inline assembly, and the model of two dozen instructions.

mod equivalent;
mod exit_tail;
mod first_frame;
mod listing;
mod machine;
mod mutants;
mod mutants_of_rules;
mod part;
mod proof;
mod round_trip;
mod search;
mod specimen;
mod tail;
#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod tests;
mod unwind_table;
mod value;
mod walk;

use anyhow::{Result, bail};

use crate::cli::{Build, Prove};
use crate::console;
use crate::kernel::cargo;
use equivalent::Equivalents;
use mutants::Tally;
use part::Part;
use proof::prove_piece;
use specimen::Specimen;

/// The program that contains every form of the switch, and the kernels whose inline copies are checked too.
const SPECIMEN: &str = "specimen";
const KERNELS: &[&str] = &["suite"];
/// Fewer mutants than this, in all builds together, mean that the generator is broken.
const FEWEST: usize = 10_000;

/// What a line that begins with "proved" means.
const WHAT: &str = "\
For all contents of all registers, with an interrupt after every instruction:
- a switch leaves the other side with its own registers, and with the two words passed to it; whoever continues what it
  saved brings back rsp, rbp, rbx (out of line also r12 to r15), the control bits of MXCSR and the x87 control word where
  there are any;
- one that leaves for good has its function called on the other side's stack, aligned, and then the other side goes on;
- a fiber's body is called with its payload and block, an aligned stack and DF clear, and its end continues the parent;
- nothing is written but the context to save and the own frame, and nothing below rsp is relied on;
- the unwind rules of kfiber's own functions name the caller's true registers at every instruction.
";

/// Runs the verb; true if all is proved and every mutant is accounted for.
pub(crate) fn verb(options: &Prove) -> Result<bool> {
    let mut equivalents = Equivalents::new();
    let mut tally = Tally::default();
    let mut faults = Vec::new();
    if !options.listing {
        print!("{WHAT}");
    }
    for release in [false, true] {
        let build = Build {
            release,
            core: options.core,
        };
        let profile = if release { "release" } else { "debug" };
        let bare = cargo::build_kernel(SPECIMEN, &build)?;
        let host = cargo::build_for_host(SPECIMEN, release)?;
        for (machine, file, has_fp) in [("bare", bare, false), ("host, with SSE", host, true)] {
            let specimen = Specimen::load(&file, has_fp)?;
            if options.listing {
                listing::print(&format!("{machine}, {profile}"), &specimen);
                continue;
            }
            is_complete(&specimen)?;
            report(&format!("{machine}, {profile}"), &specimen, &mut faults);
            if faults.is_empty() {
                tally.add(mutate(&specimen, &mut equivalents));
            }
        }
        if !options.listing {
            for kernel in KERNELS {
                let specimen = Specimen::load(&cargo::build_kernel(kernel, &build)?, false)?;
                report(
                    &format!("kernel `{kernel}`, {profile}"),
                    &specimen,
                    &mut faults,
                );
            }
        }
    }
    if options.listing {
        return Ok(true);
    }
    Ok(summary(&tally, &equivalents, faults))
}

/// Proves all that is in one program, and says so in a line.
fn report(name: &str, specimen: &Specimen, faults: &mut Vec<String>) {
    let pieces = || specimen.functions.iter().chain(&specimen.copies);
    let before = faults.len();
    for piece in pieces() {
        if let Err(violation) = prove_piece(specimen, piece) {
            let part = piece.part.name();
            faults.push(format!(
                "{name}: {part}, in {}: {violation}",
                piece.function
            ));
        }
    }
    if faults.len() > before {
        return;
    }
    println!("proved  {name}");
    for piece in &specimen.functions {
        let tables = specimen.tables_at(piece.start);
        let sections: Vec<_> = tables.map(|table| table.section.name()).collect();
        println!(
            "          {:18}  {:2} instructions, unwind rules in {}",
            piece.part.name(),
            piece.instructions().len(),
            sections.join(" and ")
        );
    }
    for part in Part::COPIES {
        let copies = specimen.copies.iter().filter(|piece| piece.part == part);
        println!("          {:18}  {:2} times", part.name(), copies.count());
    }
}

fn is_complete(specimen: &Specimen) -> Result<()> {
    let pieces = || specimen.functions.iter().chain(&specimen.copies);
    for part in Part::FUNCTIONS.into_iter().chain(Part::COPIES) {
        if !pieces().any(|piece| piece.part == part) {
            bail!(
                "the specimen does not contain {}: nothing could be proved about it",
                part.name()
            );
        }
    }
    for part in [Part::Base, Part::Suspended] {
        if !specimen.taken.contains(&part) {
            bail!(
                "the specimen does not take the address of `{}`: nothing could be checked about it",
                part.name()
            );
        }
    }
    Ok(())
}

/// Plants errors in each function, in one inline copy of each form, and in the unwind information.
fn mutate(specimen: &Specimen, equivalents: &mut Equivalents) -> Tally {
    let mut tally = Tally::default();
    let first_copy = |part| specimen.copies.iter().find(move |piece| piece.part == part);
    let copies = Part::COPIES.into_iter().filter_map(first_copy);
    for piece in specimen.functions.iter().chain(copies) {
        tally.add(mutants::plant(specimen, piece, equivalents));
    }
    for table in 0..specimen.tables.len() {
        tally.add(mutants_of_rules::plant(specimen, table));
    }
    tally
}

fn summary(tally: &Tally, equivalents: &Equivalents, mut faults: Vec<String>) -> bool {
    if faults.is_empty() {
        println!(
            "{} mutants, {} killed, {} equivalent (each explained)",
            tally.mutants,
            tally.killed,
            tally.listed + tally.same
        );
        println!(
            "  of these, {} are listed with a reason in prove/equivalent/list.rs, and {} changed bytes of unwind \
             information say the same as before about every address that is looked up",
            tally.listed, tally.same
        );
        let survivors = tally.survivors.iter();
        faults.extend(
            survivors.map(|what| format!(
                    "the proof does not notice this error: {what} (make it notice, or list it with a reason in \
                     xtask/src/prove/equivalent/list.rs)"
                )),
        );
        let stale = equivalents.stale();
        faults.extend(
            stale
                .iter()
                .map(|what| format!("this line of xtask/src/prove/equivalent/list.rs is needed by no build, remove it: {what}")),
        );
        if tally.mutants < FEWEST {
            faults.push(format!(
                "only {} mutants: there should be {FEWEST} at least",
                tally.mutants
            ));
        }
    }
    for fault in &faults {
        console::loud(fault);
    }
    faults.is_empty()
}
