//! The proof itself under test: wrong assembly is rejected, each for the right reason, and right assembly is accepted.

mod control_words;
mod planted;

use std::env;
use std::fs;

use object::Object as _;

use super::equivalent::Equivalents;
use super::part::{Part, Piece, function};
use super::specimen::Specimen;
use super::{first_frame, round_trip, tail, unwind_table};
use super::{mutants, mutants_of_rules};

/// The named function of this test program in the place of `part`, with the right tail unless it is the tail.
fn specimen(name: &str, part: Part, with_tables: bool) -> (Specimen, Piece) {
    let program = fs::read(env::current_exe().expect("a path")).expect("it can be read");
    let elf = object::File::parse(&*program).expect("it is an ELF file");
    let find = |name: &str, part| {
        let symbol = elf.symbol_by_name(name).expect("it is in this program");
        let found = function(&elf, &symbol).expect("the file is sound");
        Piece {
            part,
            ..found.expect("it is a function")
        }
    };
    let piece = find(name, part);
    let mut functions = vec![piece.clone()];
    if part != Part::Tail {
        functions.push(find("right_tail", Part::Tail));
    }
    let tables = if with_tables {
        unwind_table::load(&elf, &functions)
    } else {
        Ok(Vec::new())
    };
    let specimen = Specimen {
        program: functions
            .iter()
            .flat_map(Piece::instructions)
            .map(|i| (i.ip(), i))
            .collect(),
        functions,
        copies: Vec::new(),
        tables: tables.expect("the unwind information can be read"),
        taken: Vec::new(),
        has_fp: false,
    };
    (specimen, piece)
}

#[track_caller]
fn rejected(name: &str, part: Part, reason: &str) {
    let (specimen, piece) = specimen(name, part, part == Part::OutOfLine);
    let verdict = match part {
        Part::Tail => tail::prove(&specimen, &piece),
        Part::Base => first_frame::prove_base(&specimen, &piece),
        _ => round_trip::prove(&specimen, &piece),
    };
    let violation = verdict.expect_err("this assembly is wrong").to_string();
    assert!(
        violation.contains(reason),
        "rejected for another reason: {violation}"
    );
}

#[test]
fn the_right_switch_is_accepted() {
    let (specimen, piece) = specimen("right_switch", Part::OutOfLine, true);
    assert_eq!(
        specimen.tables.len(),
        2,
        "switch and tail have unwind information"
    );
    super::prove_piece(&specimen, &piece).unwrap_or_else(|violation| panic!("{violation}"));
    let tail = &specimen.functions[1];
    super::prove_piece(&specimen, tail).unwrap_or_else(|violation| panic!("{violation}"));
}

#[test]
fn a_store_outside_of_frame_and_context_is_rejected() {
    rejected(
        "store_below_rsp",
        Part::OutOfLine,
        "`the caller's rsp`-40 are written",
    );
    rejected(
        "store_into_next",
        Part::OutOfLine,
        "`RCX at entry`+8 are written",
    );
    rejected(
        "store_over_return_address",
        Part::OutOfLine,
        "`the caller's rsp` are written",
    );
}

#[test]
fn an_interrupt_destroys_what_lies_below_rsp() {
    rejected(
        "word_kept_below_rsp",
        Part::OutOfLine,
        "-40 are read, and nothing says what they hold",
    );
    rejected(
        "rsp_in_no_stack",
        Part::OutOfLine,
        "an interrupt would use rsp = `RBP of the other side`",
    );
}

#[test]
fn the_stack_below_the_saved_stack_pointer_is_forgotten_while_away() {
    let (mut specimen, piece) = specimen("word_below_saved_rsp", Part::OutOfLine, true);
    specimen.tables.clear(); // its rules are wrong too, and not what this is about
    let violation = round_trip::prove(&specimen, &piece).expect_err("the word is gone");
    let text = violation.to_string();
    assert!(
        text.contains("`pop rbx`") && text.contains("nothing says what they hold"),
        "{text}"
    );
}

#[test]
fn registers_in_each_others_places_are_rejected() {
    rejected(
        "swapped_slots",
        Part::OutOfLine,
        "the caller's rbp is `RBX at entry`",
    );
    rejected(
        "swapped_registers",
        Part::OutOfLine,
        "the caller's rbp is `RBX of the other side`",
    );
}

#[test]
fn a_callee_saved_register_that_is_not_saved_is_rejected() {
    rejected(
        "without_r14",
        Part::OutOfLine,
        "the caller's r14 is `R14 on the way back`",
    );
    rejected("saves_too_little", Part::OutOfLine, "not all is saved");
}

#[test]
fn changed_flags_are_rejected() {
    rejected(
        "sets_direction",
        Part::OutOfLine,
        "the direction flag must be",
    );
    rejected(
        "changes_interrupts",
        Part::OutOfLine,
        "no model of this instruction (Sti)",
    );
}

#[test]
fn a_lost_payload_is_rejected() {
    rejected(
        "loses_payload",
        Part::OutOfLine,
        "the payload must be `RDI at entry`, and is 0x0",
    );
}

#[test]
fn a_landing_without_endbr_is_rejected() {
    rejected(
        "landing_without_endbr",
        Part::OutOfLine,
        "Endbr64 must stand here",
    );
}

#[test]
fn a_wrong_unwind_rule_is_rejected() {
    rejected(
        "wrong_unwind_rule",
        Part::OutOfLine,
        "by .eh_frame the caller's frame address is `the caller's rsp`",
    );
}

#[test]
fn a_wrong_tail_is_rejected() {
    rejected(
        "tail_changes_rule",
        Part::Tail,
        "r8 must be `R8 at entry`, and is `RCX at entry`",
    );
    rejected("tail_without_stop", Part::Tail, "Int3 must stand here");
}

#[test]
fn a_wrong_first_frame_is_rejected() {
    rejected(
        "base_without_cld",
        Part::Base,
        "the direction flag must be 0x0",
    );
    rejected(
        "base_misaligned",
        Part::Base,
        "rsp modulo 16 must be 0x0, and is 0x8",
    );
    rejected(
        "base_stores",
        Part::Base,
        "8 bytes at `the block` are written",
    );
    rejected(
        "base_returns_stale",
        Part::Base,
        "the parent's rip must be `RIP of the parent at the last resume`",
    );
    rejected("base_without_tag", Part::Base, "the tag must be 0x0");
}

#[test]
fn a_mutant_that_nothing_explains_is_reported_and_so_is_a_line_that_nobody_needs() {
    let (specimen, piece) = specimen("right_tail", Part::Tail, true);
    let mut none = Equivalents::of(&[]);
    let tally = mutants::plant(&specimen, &piece, &mut none);
    assert_eq!(
        tally.survivors,
        [
            "tail_of_registers: swap `mov rsp, rcx` and `mov rbx, r9`",
            "tail_of_registers: swap `mov rbx, r9` and `mov rbp, r8`"
        ]
    );
    assert_eq!(tally.mutants, tally.killed + 2);

    let mut one = Equivalents::of(&[(
        Part::Tail,
        "a reason",
        &["swap `mov rsp, rcx` and `mov rbx, r9`", "paint it blue"],
    )]);
    let tally = mutants::plant(&specimen, &piece, &mut one);
    assert_eq!((tally.listed, tally.survivors.len()), (1, 1));
    assert_eq!(one.stale(), ["tail_of_registers: paint it blue"]);
}

#[test]
fn a_function_without_unwind_information_is_rejected() {
    let (specimen, piece) = specimen("right_switch", Part::OutOfLine, false);
    let violation = super::prove_piece(&specimen, &piece).expect_err("there is none");
    assert!(
        violation.to_string().contains("no unwind information"),
        "{violation}"
    );
}

/// Deletions, swaps, registers as operands, registers as bases, displacements, and bits.
#[test]
fn every_kind_of_error_is_planted() {
    let (_, piece) = specimen("right_switch", Part::OutOfLine, false);
    let mutants = mutants::code_mutants(&piece);
    let count = |word: &str| {
        mutants
            .iter()
            .filter(|(what, _)| what.contains(word))
            .count()
    };
    assert_eq!(piece.instructions().len(), 25);
    assert_eq!(count("delete"), 25);
    assert_eq!(count("swap"), 24);
    // 8 pushes and pops, 4 moves of two registers, 8 loads and stores, 1 lea; and the bases of the loads and stores.
    assert_eq!(count("as operand"), (8 + 4 * 2 + 8 + 1) * 15);
    assert_eq!(count("as base"), 8 * 15);
    assert_eq!(count("displacement"), (8 + 1) * 4);
    // Some bits of a prefix say nothing, and a flipped one is then the same instruction.
    let bits = piece.bytes.len() * 8;
    assert!(
        (bits * 9 / 10..=bits).contains(&count("flip a bit")),
        "{} of {bits}",
        count("flip a bit")
    );
}

#[test]
fn errors_in_unwind_rules_are_noticed() {
    let (specimen, _) = specimen("right_switch", Part::OutOfLine, true);
    for table in 0..specimen.tables.len() {
        let tally = mutants_of_rules::plant(&specimen, table);
        assert_eq!(tally.survivors, [""; 0]);
        assert!(tally.killed > 2 * tally.same, "{tally:?}");
    }
}
