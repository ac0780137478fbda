//! Negative controls: unwind tables that are wrong in one thing each. A check that stays green is a defect.

use std::collections::HashSet;
use std::path::Path;
use std::{fs, iter};

use anyhow::{Context as _, Result};
use cargo_kfiber::qemu_test::runner::Runner;
use cargo_kfiber::qemu_test::verdict::Outcome;

use super::gdb::{self, Stepping};
use super::suite::{KERNEL, options};
use super::tables::Tables;
use crate::cli::{Build, CoreSource};
use crate::kernel::{cargo, elf};
use crate::steps::Counts;
use crate::{console, parallel, qemu_test, setup};

const BASE: &str = "kfiber::context::x86_64::base";
const TAIL: &str = "kfiber::context::x86_64::resume_tail";
const SWITCH_TAIL: &str = "kfiber::context::x86_64::switch_tail";
const OUT_OF_LINE_SWITCH: &str = "kfiber::context::out_of_line::switch_out_of_line";
const SUSPENDED: &str = "kfiber::context::x86_64::suspended";

/// Scenes that gdb goes through: the child's stack above and below its parent's.
const SCENES: u64 = 2;

/// One error in the tables.
struct Control {
    what: &'static str,
    damage: fn(&mut Tables) -> Result<()>,
    /// The test in the kernel that notices.
    test: Option<&'static str>,
    /// Whether gdb notices.
    in_gdb: bool,
}

const FIBERS: Option<&str> = Some("backtrace::child_above_parent_is_exact_at_every_instruction");
const OUT_OF_LINE: Option<&str> =
    Some("backtrace::the_switch_out_of_line_is_exact_at_every_instruction");
const SYMMETRIC: Option<&str> =
    Some("backtrace::the_symmetric_switch_is_exact_at_every_instruction");

const CONTROLS: &[Control] = &[
    Control {
        what: "the first frame is no signal frame",
        // The augmentation ends one byte earlier, and the factor of the code, 1, takes two bytes.
        damage: |tables| change_common(tables, BASE, &[b'S', 0, 1], &[0, 0x81, 0]),
        // Other unwinders than gdb do not mind a caller on a lower stack.
        test: None,
        in_gdb: true,
    },
    Control {
        what: "the first frame's CFA is 8 bytes off",
        damage: |tables| change_common(tables, BASE, &[0x0c, 6, 16], &[0x0c, 6, 24]),
        test: FIBERS,
        in_gdb: true,
    },
    Control {
        what: "the first frame forgets its caller's rsp",
        damage: |tables| change_common(tables, BASE, &[0x80 | 7, 0], &[0, 0]),
        test: FIBERS,
        in_gdb: true,
    },
    Control {
        what: "the first frame forgets its caller's rbx",
        damage: |tables| change_common(tables, BASE, &[0x11, 3, 0x7f], &[0, 0, 0]),
        test: FIBERS,
        in_gdb: false,
    },
    Control {
        what: "a fiber begins at the first byte of its first frame",
        damage: first_byte,
        test: FIBERS,
        in_gdb: false,
    },
    Control {
        what: "the last jump of a fiber has no rules of its own",
        damage: |tables| change(tables, BASE, &[9, 16, 1], &[0, 0, 0]),
        test: FIBERS,
        // What then lies where gdb looks is an old return address of the right function.
        in_gdb: false,
    },
    Control {
        what: "the end of a switch has no entry",
        damage: |tables| {
            for entry in tables.entries(TAIL)? {
                let (at, size) = (entry.size(), entry.address_size);
                tables.elf[at..at + size].fill(0);
            }
            Ok(())
        },
        test: FIBERS,
        in_gdb: true,
    },
    Control {
        what: "the end of a switch does not say where it goes",
        damage: |tables| change(tables, TAIL, &[0x10, 16, 3, 0x74, 0xa8, 0], &[0; 6]),
        test: FIBERS,
        in_gdb: true,
    },
    Control {
        what: "the end of a switch forgets rbp",
        damage: |tables| change(tables, TAIL, &[0x10, 6, 3, 0x74, 0xa0, 0], &[0; 6]),
        test: FIBERS,
        in_gdb: true,
    },
    Control {
        what: "the end of a scheduler's switch does not say where it goes",
        damage: |tables| change(tables, SWITCH_TAIL, &[0x10, 16, 3, 0x7a, 0xa8, 0], &[0; 6]),
        test: SYMMETRIC,
        in_gdb: false,
    },
    Control {
        what: "the end of a scheduler's switch forgets rbp",
        damage: |tables| change(tables, SWITCH_TAIL, &[0x10, 6, 3, 0x7a, 0xa0, 0], &[0; 6]),
        test: SYMMETRIC,
        in_gdb: false,
    },
    Control {
        what: "a suspended fiber's backtrace has no end",
        damage: |tables| change(tables, SUSPENDED, &[7, 16], &[0, 0]),
        test: FIBERS,
        in_gdb: true,
    },
    Control {
        what: "one push of the switch out of line is not counted",
        damage: |tables| change(tables, OUT_OF_LINE_SWITCH, &[0x0e, 24], &[0x0e, 16]),
        test: OUT_OF_LINE,
        in_gdb: false,
    },
];

/// Replaces bytes of a function's own rules, in both sections.
fn change(tables: &mut Tables, function: &str, from: &[u8], to: &[u8]) -> Result<()> {
    for entry in tables.entries(function)? {
        tables.replace(&entry.function, from, to)?;
    }
    Ok(())
}

/// Replaces bytes of the rules from which a function begins, in both sections.
fn change_common(tables: &mut Tables, function: &str, from: &[u8], to: &[u8]) -> Result<()> {
    // The linker keeps only one of several that are equal.
    let ranges = tables
        .entries(function)?
        .into_iter()
        .map(|entry| entry.common);
    let unique: HashSet<_> = ranges.collect();
    for range in unique {
        tables.replace(&range, from, to)?;
    }
    Ok(())
}

/// Has the entry begin one byte later, where fibers do.
fn first_byte(tables: &mut Tables) -> Result<()> {
    for entry in tables.entries(BASE)? {
        tables.add(entry.address(), entry.address_size, 1);
        tables.add(entry.size(), entry.address_size, -1);
        // The distance to the last jump, behind the one advance that there is.
        let rules = entry.size() + entry.address_size..entry.function.end;
        let advance = tables.elf[rules.clone()].iter().position(|&byte| byte == 2);
        let advance = advance.context("the first frame has no rules for its last jump")?;
        tables.add(rules.start + advance + 1, 1, -1);
    }
    Ok(())
}

/// Runs all controls; each detector that is to notice an error is one count.
pub(super) fn check(core: Option<CoreSource>) -> Result<Counts> {
    let build = Build {
        release: true,
        core,
    };
    let kernel = cargo::build_kernel(KERNEL, &build)?;
    let elf = fs::read(&kernel)?;
    let has_gdb = gdb::is_present();
    let folder = tempfile::tempdir()?;
    let undamaged = Control {
        what: "nothing",
        damage: |_| Ok(()),
        test: FIBERS,
        in_gdb: true,
    };
    let controls = iter::once(&undamaged).chain(CONTROLS).enumerate();
    let look = |(index, control): (usize, &Control)| -> Result<Counts> {
        let mut counts = Counts::default();
        let mut tables = Tables { elf: elf.clone() };
        (control.damage)(&mut tables).with_context(|| control.what)?;
        let damaged = folder.path().join(format!("damaged-{index}"));
        fs::write(&damaged, &tables.elf)?;
        // What is not damaged must be found right by the same means.
        let is_damaged = index > 0;
        if let Some(test) = control.test {
            let wrong = wrong_in_kernel(&damaged, test)?;
            counts = counts.plus(judge(control.what, "the kernel", wrong, is_damaged));
        }
        if control.in_gdb && has_gdb {
            let findings = gdb::run(&damaged, SCENES, Stepping::All)?;
            if !is_damaged {
                print!("{}", findings.complaints);
            }
            counts = counts.plus(judge(control.what, "gdb", findings.bad(), is_damaged));
        } else if control.in_gdb {
            counts = counts.plus(Counts::SKIPPED);
        }
        Ok(counts)
    };
    parallel::map(controls.collect(), look)
        .into_iter()
        .try_fold(Counts::default(), |all, counts| Ok(all.plus(counts?)))
}

fn judge(what: &str, who: &str, wrong: u64, is_damaged: bool) -> Counts {
    println!("damaged: {what}; {who} finds {wrong} wrong backtraces");
    let is_right = (wrong > 0) == is_damaged;
    if !is_right {
        console::loud(format!("{who} does not notice this: {what}"));
    }
    Counts::from_success(is_right)
}

/// The wrong walks that a test in the kernel counts; it must then fail, and pass if there are none.
fn wrong_in_kernel(kernel: &Path, test: &str) -> Result<u64> {
    let tests = elf::tests(kernel)?;
    let test = tests
        .iter()
        .find(|candidate| candidate.name == test)
        .with_context(|| format!("no test is named {test}"))?;
    let options = options(&[]);
    let origin = qemu_test::origin(&options, KERNEL.to_owned())?;
    let program = setup::qemu::ensure()?;
    let runner = Runner::new(&options.tests, program, kernel.to_owned(), origin);
    let finished = runner.run(test, 1)?;
    let serial = String::from_utf8_lossy(&finished.run.serial);
    let wrong: u64 = serial
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("wrong=")?.parse::<u64>().ok())
        .sum();
    let has_failed = finished.verdict.outcome != Outcome::Pass;
    anyhow::ensure!(
        has_failed == (wrong > 0),
        "the test counts {wrong} wrong walks, but its outcome is {}: {}\n{serial}",
        finished.verdict.outcome,
        finished.verdict.reason
    );
    Ok(wrong)
}
