//! The verb `doctor`: what this machine has, what is used, and what would be done about the rest.

use std::process::Command;

use anstream::println;
use anyhow::Result;

use crate::cli::{CoreSource, Doctor};
use crate::console::{self, BAD, GOOD, LOUD};
use crate::setup::{self, find_program};
use crate::workspace;

/// How much is lost without a thing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Nothing runs in QEMU without it.
    Must,
    /// Something is skipped without it.
    Nice,
}

/// One row of the table.
struct Row {
    name: &'static str,
    /// Version, path or way; `None`: it is missing.
    found: Option<String>,
    need: Need,
    /// What installs it, or why nothing has to.
    advice: String,
}

/// Runs the verb; true if nothing that must be there is missing.
pub(crate) fn verb(options: &Doctor) -> Result<bool> {
    if options.fix {
        setup::core::ensure(options.core)?;
        setup::qemu::ensure()?;
    }
    let rows = rows(options.core);
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    for row in &rows {
        let (style, mark) = match (&row.found, row.need) {
            (Some(_), _) => (GOOD, "ok     "),
            (None, Need::Must) => (BAD, "MISSING"),
            (None, Need::Nice) => (LOUD, "absent "),
        };
        let text = row.found.as_ref().unwrap_or(&row.advice);
        println!(
            "{style}{mark}{style:#}  {:width$}  {}",
            row.name,
            text.replace('\n', &format!("\n{:1$}", "", width + 11))
        );
    }
    let is_complete = rows
        .iter()
        .all(|row| row.found.is_some() || row.need == Need::Nice);
    if !is_complete && !options.fix {
        console::loud(
            "`cargo xtask doctor --fix` installs what is missing; so does any verb that needs it",
        );
    }
    Ok(is_complete)
}

fn rows(wanted: Option<CoreSource>) -> Vec<Row> {
    let used = wanted.or_else(|| {
        CoreSource::ALL
            .into_iter()
            .find(|source| source.is_present())
    });
    let mut rows = vec![
        program("rustc", Need::Must, "https://rustup.rs"),
        program("cargo", Need::Must, "https://rustup.rs"),
    ];
    for (source, name) in CoreSource::ALL
        .into_iter()
        .zip(["core by rustup", "core by the distribution"])
    {
        let note = if used == Some(source) {
            ", used"
        } else {
            ", not used"
        };
        rows.push(Row {
            name,
            found: source
                .is_present()
                .then(|| format!("{}{note}", source.describe())),
            // One way is enough, unless a way was asked for.
            need: if used == Some(source) || (used.is_none() && source == CoreSource::Rustup) {
                Need::Must
            } else {
                Need::Nice
            },
            advice: source.advice(),
        });
    }
    rows.push(Row {
        name: "QEMU",
        found: find_program(setup::qemu::PROGRAM).map(|path| {
            format!(
                "{} ({})",
                first_line(setup::qemu::PROGRAM, "--version").unwrap_or_default(),
                path.display()
            )
        }),
        need: Need::Must,
        advice: cargo_kfiber::program::ADVICE.trim_start().to_owned(),
    });
    rows.push(Row {
        name: "GRUB",
        found: setup::loaders::grub().then(|| "boots the kernel in kernels/multiboot2".to_owned()),
        need: Need::Nice,
        advice: setup::loaders::grub_advice(),
    });
    rows.push(Row {
        name: "UEFI firmware",
        found: setup::loaders::ovmf().map(|file| file.display().to_string()),
        need: Need::Nice,
        advice: setup::loaders::ovmf_advice(),
    });
    rows.push(program(
        "gdb",
        Need::Nice,
        &setup::packages::apt_line(&["gdb"]),
    ));
    rows.push(Row {
        name: "nextest",
        found: find_program("cargo-nextest")
            .and_then(|path| first_line(&path.to_string_lossy(), "--version")),
        need: Need::Nice,
        advice: "cargo install --locked cargo-nextest".to_owned(),
    });
    rows.push(Row {
        name: "Miri",
        found: miri(),
        need: Need::Nice,
        advice: "rustup toolchain install nightly --component miri --component rust-src".to_owned(),
    });
    rows.push(Row {
        name: "KVM",
        found: std::path::Path::new("/dev/kvm").exists().then(|| {
            "the device exists; it is used with --accel kvm only, for it may be slow or unusable".to_owned()
        }),
        need: Need::Nice,
        advice: "no /dev/kvm; nothing needs it".to_owned(),
    });
    rows
}

fn program(name: &'static str, need: Need, advice: &str) -> Row {
    Row {
        name,
        found: first_line(name, "--version"),
        need,
        advice: advice.to_owned(),
    }
}

fn miri() -> Option<String> {
    // The component's program is there for every toolchain that rustup knows; only asking shows whether it runs.
    answer(Command::new("cargo").args(["+nightly", "miri", "--version"]))
}

fn first_line(program: &str, word: &str) -> Option<String> {
    answer(Command::new(program).arg(word))
}

fn answer(command: &mut Command) -> Option<String> {
    // The outer cargo's choice of toolchain would override the one asked for.
    let output = command
        .current_dir(workspace::root())
        .env_remove("RUSTUP_TOOLCHAIN")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output
        .status
        .success()
        .then(|| text.lines().next().map(str::to_owned))?
}
