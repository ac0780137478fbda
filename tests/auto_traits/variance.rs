//! What the compiler lets a type with a parameter be used as: programs that compile, or do not.

use super::row::{Row, Variance};
use cargo_metadata::Message;
use cargo_metadata::diagnostic::DiagnosticLevel;
use core::fmt::Write;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs, io};

/// What goes before the functions of a row, of which each has a line.
const HEAD: &str = "#![allow(unused)]\n\
     use kfiber::{context, fiber, platform, scheduler, stack, switch_state, sync};\n\
     type Memory = stack::StackHandle<stack::Stack<65536>>;\n";
/// Two types of which the first is a subtype of the second, both `'static`.
const NARROW: &str = "for<'x> fn(&'x ())";
const WIDE: &str = "fn(&'static ())";

/// Complains of every row whose variance is not as it says.
pub(crate) fn complaints(rows: &[Row]) -> Vec<String> {
    let mut source = String::from(HEAD);
    let mut line = HEAD.lines().count();
    let mut expected = Vec::new();
    for row in rows {
        let questions = [
            (row.in_type, "T", [NARROW, WIDE]),
            (row.in_lifetime, "'static", ["'l", "'s"]),
        ];
        for (variance, parameter, [narrow, wide]) in questions {
            if variance == Variance::Absent {
                continue;
            }
            let [narrow, wide] = [narrow, wide].map(|by| instance(row.text, parameter, by));
            for (from, to) in [(&narrow, &wide), (&wide, &narrow)] {
                line += 1;
                writeln!(
                    source,
                    "fn f{line}<'l: 's, 's>(it: {from}) -> {to} {{ it }}"
                )
                .expect("a string grows");
            }
            expected.push((row.text, parameter, variance, line - 1));
        }
    }
    let broken = lines_with_errors(&source);
    let found = |last: usize| match [last, last + 1].map(|line| !broken.contains(&line)) {
        [true, false] => Variance::Covariant,
        [false, true] => Variance::Contravariant,
        [false, false] => Variance::Invariant,
        [true, true] => Variance::Absent,
    };
    expected
        .into_iter()
        .filter(|&(.., variance, last)| found(last) != variance)
        .map(|(text, parameter, variance, last)| {
            let found = found(last);
            format!("`{text}` is {found:?} in {parameter}, and should be {variance:?}")
        })
        .collect()
}

/// The text of a type with something else for its parameter.
fn instance(text: &str, parameter: &str, by: &str) -> String {
    if parameter == "'static" {
        return instance(text, "T", "()").replace(parameter, by);
    }
    let mut tokens = String::new();
    for token in text.split_inclusive(|letter: char| !letter.is_alphanumeric() && letter != '_') {
        match token.strip_prefix('T') {
            Some(rest) if rest.len() <= 1 => tokens.extend([by, rest]),
            _ => tokens.push_str(token),
        }
    }
    tokens
}

/// Builds a library of this source, and says which of its lines have errors.
fn lines_with_errors(source: &str) -> BTreeSet<usize> {
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("variance");
    fs::create_dir_all(&package).expect("a folder for the package");
    let kfiber = env!("CARGO_MANIFEST_DIR");
    let manifest = format!(
        "[package]\nname = \"variance\"\nedition = \"2024\"\n\n[workspace]\n\n[lib]\npath = \"lib.rs\"\n\n\
         [dependencies]\nkfiber = {{ path = {kfiber:?} }}\n"
    );
    fs::write(package.join("Cargo.toml"), manifest).expect("writes the manifest");
    fs::write(package.join("lib.rs"), source).expect("writes the source");
    // The versions that this build has, so that nothing needs to be looked up or downloaded.
    let lock = Path::new(kfiber).join("Cargo.lock");
    fs::copy(lock, package.join("Cargo.lock")).expect("the lock file");
    let output = Command::new(env::var_os("CARGO").expect("runs under cargo"))
        .args(["check", "--offline", "--message-format=json"])
        .current_dir(&package)
        .env("CARGO_TARGET_DIR", package.join("target"))
        .stderr(Stdio::piped())
        .output()
        .expect("cargo starts");
    let mut lines = BTreeSet::new();
    let mut has_finished = false;
    for message in Message::parse_stream(io::Cursor::new(&output.stdout)) {
        match message.expect("one message a line") {
            Message::CompilerMessage(of) if of.message.level == DiagnosticLevel::Error => {
                for span in of.message.spans.iter().filter(|span| span.is_primary) {
                    lines.insert(span.line_start);
                }
                let rendered = of.message.rendered.unwrap_or_default();
                let is_expected = [
                    "lifetime may not live long enough",
                    "mismatched types",
                    "aborting",
                ];
                assert!(
                    is_expected.iter().any(|phrase| rendered.contains(phrase)),
                    "{rendered}"
                );
            }
            Message::BuildFinished(_) => has_finished = true,
            _ => {}
        }
    }
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(
        has_finished && !lines.is_empty(),
        "it was not built:\n{talk}"
    );
    lines
}
