//! Every public type of the library is `Send`, `Sync` and variant as `table.rs` says, and there is none that it leaves out.
#![cfg(all(not(any(kfiber_steps, miri)), feature = "fp-control"))] // the table has what the default features make public

mod cores;
mod public;
mod row;
mod table;
mod traced;
mod variance;

use std::collections::BTreeSet;
use table::ROWS;

/// The rows of `bare.rs`, whose types there are for another target only.
const BARE: &str = include_str!("bare.rs");

/// The path of a row's type, without parameters.
fn name(text: &str) -> &str {
    text.split('<').next().expect("at least one part")
}

#[test]
fn every_public_type_has_a_row() {
    let bare = BARE
        .lines()
        .filter_map(|line| line.split_once("=>"))
        .map(|(text, _)| text.trim());
    let rows: BTreeSet<_> = ROWS
        .iter()
        .map(|row| row.text)
        .chain(bare)
        .chain(cores::BARE.iter().copied())
        .chain(cores::ALL.iter().copied())
        .chain(traced::ALL.iter().copied())
        .map(|text| name(text).to_owned())
        .collect();
    let types = public::types();
    let [missing, extra] = [types.difference(&rows), rows.difference(&types)].map(Vec::from_iter);
    assert!(
        missing.is_empty(),
        "think of what may be done with these in another fiber, and add a row for each to tests/auto_traits/table.rs, or to \
         bare.rs if it is for a bare machine only: {missing:#?}"
    );
    assert!(extra.is_empty(), "these are public no more: {extra:#?}");
}

#[test]
fn every_public_type_is_send_and_sync_as_its_row_says() {
    let mut complaints = Vec::new();
    for row in ROWS {
        row.check(|name, kind, has_it| {
            let [is, should] = if has_it {
                ["is", "is not to be"]
            } else {
                ["is not", "should be"]
            };
            complaints.push(format!(
                "`{}` {is} {name} and {should}, where T is {kind}",
                row.text
            ));
        });
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn every_public_type_varies_with_its_parameters_as_its_row_says() {
    let complaints = variance::complaints(ROWS);
    assert!(complaints.is_empty(), "{complaints:#?}");
}
