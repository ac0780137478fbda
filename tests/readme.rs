//! The README shows an example and its output: both must be true.
#![cfg(not(miri))]

use std::path::Path;
use std::process::Command;

/// The text of the first block of this language.
fn block<'a>(text: &'a str, language: &str) -> &'a str {
    let start = format!("```{language}\n");
    let from = text.find(&start).expect("the README has such a block") + start.len();
    let length = text[from..].find("```").expect("the block ends");
    &text[from..from + length]
}

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(root.join(path)).expect("the file is in the repository")
}

#[test]
fn its_example_is_the_example_that_is_built() {
    let source = read("examples/readme.rs");
    let (_first_line, code) = source.split_once("\n\n").expect("a line of documentation");
    assert_eq!(block(&read("README.md"), "rust"), code);
}

#[test]
fn its_output_is_what_the_example_prints() {
    // The folder that cargo has just built this test and its example in, so that neither is built again.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--example", "readme", "--target-dir"])
        .arg(target.expect("it lies in the target folder"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let printed = String::from_utf8(output.stdout).expect("it prints text");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(block(&read("README.md"), "text"), printed);
}
