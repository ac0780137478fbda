//! Small crates that break the order, each in one way, and small crates that only seem to break it.

use std::collections::BTreeMap;

use anyhow::Context as _;

use super::super::modules;
use super::*;

const ORDER: &str = "# The house\n\n| where | what |\n|---|---|\n| `src/low` | x |\n\
    | `src/high/deep` | x |\n| `src/high` | x |\n| `tests/` | x |\n| `xtask/src/other` | x |\n";

/// What is said about a crate of these files, in the order of [`ORDER`].
fn judge(files: &[(&str, &str)]) -> Vec<String> {
    let files: BTreeMap<_, _> = files.iter().copied().collect();
    let read = |path: &Path| {
        let text = files.get(path.to_str().expect("the paths are words"));
        Ok((*text.with_context(|| format!("no {}", path.display()))?).to_owned())
    };
    let modules = modules::of_crate(Path::new("src/lib.rs"), &read).expect("it is a crate");
    complaints(&modules, &places(ORDER, "src"), "src")
}

/// What is said about a crate whose file `src/low.rs` is this.
fn judge_low(text: &str) -> Vec<String> {
    judge(&[
        (
            "src/lib.rs",
            "pub mod low;\npub mod high;\npub fn root() {}\n",
        ),
        ("src/low.rs", text),
        (
            "src/high.rs",
            "pub mod deep;\npub use deep::Deep;\npub fn f() {}\npub struct High;\n",
        ),
        (
            "src/high/deep.rs",
            "use crate::low::*;\npub(in crate::high) struct For;\npub struct Deep;\nmacro_rules! made { () => {} }\n",
        ),
    ])
}

#[track_caller]
fn uses(text: &str, line: usize, path: &str, file: &str) {
    assert_eq!(
        judge_low(text),
        [format!(
            "src/low.rs:{line}: `{path}` is in {file}, which stands after this file in CONTRIBUTING.md"
        )],
        "{text}"
    );
}

#[test]
fn the_order_is_that_of_the_rows_whose_place_is_in_the_crate() {
    assert_eq!(
        places(ORDER, "src"),
        ["src/low", "src/high/deep", "src/high"]
    );
    assert_eq!(places(ORDER, "xtask/src"), ["xtask/src/other"]);
    assert_eq!(places(ORDER, "tests"), [""; 0]);
}

/// Its files may use each other, but not in a large cycle.
#[test]
fn a_small_crate_may_be_one_place() {
    let order = "| `a/src` | x |\n| `a/srcs/b` | x |\n";
    assert_eq!(places(order, "a/src"), ["a/src"]);
    let read = |path: &Path| {
        let text = match path.to_str() {
            Some("a/src/lib.rs") => "mod one;\nmod two;\nmod three;\n",
            Some("a/src/one.rs") => "use crate::two::T;\n",
            Some("a/src/two.rs") => "use crate::three::T;\n",
            _ => "use crate::one::T;\n",
        };
        Ok(text.to_owned())
    };
    let modules = modules::of_crate(Path::new("a/src/lib.rs"), &read).expect("it is a crate");
    let complaints = complaints(&modules, &places(order, "a/src"), "a/src");
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(
        complaints[0].starts_with("3 files in a cycle"),
        "{complaints:?}"
    );
}

#[test]
fn a_file_may_use_those_before_it() {
    assert_eq!(judge_low("pub struct Low;\n"), [""; 0]);
}

#[test]
fn a_path_to_a_later_file_is_named_with_its_line_wherever_it_stands() {
    for (text, line, path) in [
        ("\nuse crate::high::High;", 2, "crate::high::High"),
        (
            "use crate::{\nlow::x,\nhigh::{f as g}};",
            3,
            "crate::high::f",
        ),
        ("use super::high::f;", 1, "super::high::f"),
        (
            "fn g() {\n\nlet x = crate::high::f();\n}",
            3,
            "crate::high::f",
        ),
        (
            "fn g() { println!(\"{}\", crate::high::f()); }",
            1,
            "crate::high::f",
        ),
        (
            "#[given(with = crate::high::f())]\nstruct Low;",
            1,
            "crate::high::f",
        ),
        ("impl crate::high::High {}", 1, "crate::high::High"),
        (
            "mod inner {\nuse super::super::high;\n}",
            2,
            "super::super::high",
        ),
        (
            "macro_rules! m { () => { crate::high::f() } }",
            1,
            "crate::high::f",
        ),
        (
            "#[cfg(not(test))]\nuse crate::high::f;",
            2,
            "crate::high::f",
        ),
    ] {
        uses(text, line, path, "src/high.rs");
    }
    // The earlier of two uses is the one that is named.
    uses(
        "use std::fmt;\nuse crate::high::f;\nuse crate::high::High;",
        2,
        "crate::high::f",
        "src/high.rs",
    );
}

#[test]
fn a_name_that_is_handed_on_leads_to_the_file_that_defines_it() {
    uses(
        "use crate::high::Deep;",
        1,
        "crate::high::Deep",
        "src/high/deep.rs",
    );
    let text = "use crate::high as other;\nfn f(_: other::Deep) {}";
    let complaints = judge_low(text);
    assert_eq!(complaints.len(), 2, "{complaints:?}");
    assert!(complaints[0].starts_with("src/low.rs:2: `other::Deep` is in src/high/deep.rs"));
    assert!(complaints[1].starts_with("src/low.rs:1: `crate::high` is in src/high.rs"));
}

#[test]
fn the_root_of_the_crate_stands_after_everything() {
    uses("use crate::root;", 1, "crate::root", "src/lib.rs");
}

#[test]
fn comments_tests_and_macros_for_others_may_name_anything() {
    for text in [
        "//! See [`crate::high::f`].\n",
        "/// See [`crate::high::f`].\npub struct Low;",
        "#[cfg(test)]\nmod tests { use crate::high::f; }",
        "#[cfg(all(test, unix))]\nuse crate::high::f;",
        "macro_rules! m { () => { $crate::high::f() } }",
        "use std::fmt::{self, Display};\nfn f(_: impl fmt::Debug) {}",
    ] {
        assert_eq!(judge_low(text), [""; 0], "{text}");
    }
}

#[test]
fn a_module_that_hands_on_what_its_parts_define_does_not_use_them() {
    let files = |parent| {
        [
            ("src/lib.rs", "mod low;"),
            ("src/low.rs", parent),
            ("src/low/a.rs", "use super::Low;\npub struct A;"),
            ("src/low/b.rs", "use super::a::A;\npub struct B;"),
        ]
    };
    let cycles = |parent| {
        let complaints = judge(&files(parent));
        complaints
            .into_iter()
            .filter(|complaint| complaint.contains("cycle"))
            .count()
    };
    assert_eq!(cycles("mod a;\nmod b;\npub use b::B;\npub struct Low;"), 0);
    assert_eq!(
        cycles("mod a;\nmod b;\npub use b::B;\npub struct Low(B);"),
        1
    );
}

#[test]
fn three_files_in_a_cycle_are_all_named_and_two_are_allowed() {
    let files = |c| {
        [
            ("src/lib.rs", "mod low; mod high;"),
            ("src/low.rs", "mod a; mod b; mod c; mod d;"),
            (
                "src/low/a.rs",
                "use super::b::B;\nuse super::d::D;\npub struct A;",
            ),
            ("src/low/d.rs", "pub struct D;"),
            (
                "src/low/b.rs",
                "use super::c::C;\nuse super::a::A;\npub struct B;",
            ),
            ("src/low/c.rs", c),
            ("src/high.rs", "mod deep;"),
            ("src/high/deep.rs", ""),
        ]
    };
    assert_eq!(judge(&files("pub struct C;")), [""; 0]);
    assert_eq!(
        judge(&files("\npub struct C(super::a::A);")),
        ["3 files in a cycle of uses:\n  \
          src/low/a.rs:1 uses src/low/b.rs: `super::b::B`\n  \
          src/low/b.rs:2 uses src/low/a.rs: `super::a::A`\n  \
          src/low/b.rs:1 uses src/low/c.rs: `super::c::C`\n  \
          src/low/c.rs:2 uses src/low/a.rs: `super::a::A`"]
    );
}

#[test]
fn the_table_and_the_modules_agree_on_what_there_is() {
    let files = [
        ("src/lib.rs", "mod low; mod attic;"),
        ("src/low.rs", ""),
        ("src/attic.rs", ""),
    ];
    assert_eq!(
        judge(&files),
        [
            "CONTRIBUTING.md: there is no module at `src/high/deep`",
            "CONTRIBUTING.md: there is no module at `src/high`",
            "src/attic.rs: no row of the table in CONTRIBUTING.md covers it",
        ]
    );
}

#[test]
fn a_file_belongs_to_the_longest_place_that_has_it() {
    let places = places(ORDER, "src");
    let place = |file: &str| place_of(&places, Path::new(file)).map(|index| places[index]);
    assert_eq!(place("src/high.rs"), Some("src/high"));
    assert_eq!(place("src/high/other.rs"), Some("src/high"));
    assert_eq!(place("src/high/deep.rs"), Some("src/high/deep"));
    assert_eq!(place("src/high/deep/er.rs"), Some("src/high/deep"));
    assert_eq!(place("src/lowest.rs"), None);
}
