//! Targets that cannot work are refused with one sentence that says what to do.
//!
//! The compiler is asked for the real targets, with a `core` that has nothing in it but what the sentence needs: the real
//! one need not be installed. Everything else fails as well then, which does not matter here.
#![cfg(not(miri))]
#![expect(clippy::unwrap_used, reason = "a test says what failed by its line")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const EMPTY_CORE: &str = r#"
#![feature(no_core, lang_items, rustc_attrs)]
#![no_core]
#![allow(internal_features)]
#[lang = "pointee_sized"] pub trait PointeeSized {}
#[lang = "meta_sized"] pub trait MetaSized: PointeeSized {}
#[lang = "sized"] pub trait Sized: MetaSized {}
#[rustc_builtin_macro]
#[macro_export]
macro_rules! compile_error { ($message:expr $(,)?) => {}; }
pub mod prelude { pub mod rust_2024 { pub use crate::compile_error; } }
"#;

fn rustc(target: &str, name: &str, out: &Path) -> Command {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "lib",
            "--emit",
            "metadata",
        ])
        .args(["--crate-name", name, "--target", target, "-o"])
        .arg(out);
    rustc
}

/// What the compiler says of the library for this target.
fn errors_for(target: &str) -> String {
    let folder: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("unsupported")
        .join(target);
    fs::create_dir_all(&folder).unwrap();
    let source = folder.join("core.rs");
    fs::write(&source, EMPTY_CORE).unwrap();
    let core = rustc(target, "core", &folder.join("libcore.rmeta"))
        .arg(source)
        .env("RUSTC_BOOTSTRAP", "1")
        .output()
        .unwrap();
    assert!(
        core.status.success(),
        "{}",
        String::from_utf8_lossy(&core.stderr)
    );
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let built = rustc(target, "kfiber", &folder.join("libkfiber.rmeta"))
        .arg("-L")
        .arg(folder)
        .arg(library)
        .output()
        .unwrap();
    assert!(
        !built.status.success(),
        "with nothing in `core` nothing can be built"
    );
    String::from_utf8(built.stderr).unwrap()
}

#[track_caller]
fn is_refused(target: &str, sentence: &str) {
    let errors = errors_for(target);
    assert!(errors.contains(sentence), "{target}:\n{errors}");
}

#[test]
fn other_processors_are_refused_with_the_target_to_use() {
    for target in [
        "aarch64-unknown-none",
        "i686-unknown-linux-gnu",
        "riscv64gc-unknown-none-elf",
    ] {
        is_refused(target, "kfiber is for x86_64 processors only");
    }
}

#[test]
fn pointers_of_32_bits_are_refused() {
    is_refused(
        "x86_64-unknown-linux-gnux32",
        "kfiber needs 64-bit pointers",
    );
}

#[test]
fn hosts_other_than_linux_are_refused() {
    for target in [
        "x86_64-pc-windows-gnu",
        "x86_64-pc-windows-msvc",
        "x86_64-apple-darwin",
        "x86_64-unknown-freebsd",
    ] {
        is_refused(target, "kfiber knows no host but Linux");
    }
}

#[test]
fn supported_targets_get_none_of_these_sentences() {
    for target in [
        "x86_64-unknown-none",
        "x86_64-unknown-uefi",
        "x86_64-unknown-linux-gnu",
    ] {
        let errors = errors_for(target);
        assert!(!errors.contains("error: kfiber"), "{target}:\n{errors}");
    }
}
