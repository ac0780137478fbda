//! The conditional jumps over the loads of control words: accepted where they are right, rejected for the right reason.

use super::super::part::Part;
use super::super::{prove_piece, round_trip};
use super::{Piece, Specimen, specimen};

/// The named switch, and contexts that have control words.
fn switch(name: &str) -> (Specimen, Piece) {
    let (specimen, piece) = specimen(name, Part::OutOfLine, true);
    let specimen = Specimen {
        has_fp: true,
        ..specimen
    };
    (specimen, piece)
}

#[track_caller]
fn rejected(name: &str, reason: &str) {
    let (specimen, piece) = switch(name);
    let verdict = round_trip::prove(&specimen, &piece);
    let violation = verdict.expect_err("this assembly is wrong").to_string();
    assert!(
        violation.contains(reason),
        "rejected for another reason: {violation}"
    );
}

#[test]
fn loads_of_control_words_only_where_they_differ_are_accepted() {
    let (specimen, piece) = switch("right_control_words");
    prove_piece(&specimen, &piece).unwrap_or_else(|violation| panic!("{violation}"));
}

#[test]
fn a_choice_between_two_right_ways_is_accepted() {
    let (specimen, piece) = switch("right_choice");
    prove_piece(&specimen, &piece).unwrap_or_else(|violation| panic!("{violation}"));
}

#[test]
fn a_choice_is_made_by_one_word_only_and_both_ways_must_be_right() {
    rejected(
        "choice_by_another_word",
        "rsp is compared with `RSP of the other side`",
    );
    rejected(
        "choice_by_the_side_that_leaves",
        "nothing says what they hold",
    );
    rejected(
        "choice_of_not_loading",
        "MXCSR must be `MXCSR of the other side`, and is `MXCSR at entry`",
    );
    rejected(
        "choice_without_a_comparison",
        "no comparison with `always_load` stands before this jump",
    );
    rejected(
        "comparison_taken_for_a_choice",
        "no comparison with `always_load` stands before this jump",
    );
}

#[test]
fn another_mask_than_that_of_the_control_bits_is_rejected() {
    rejected("mask_with_flags", "the mask 0xffffffff is not that");
    rejected(
        "mask_without_a_control_bit",
        "the mask 0xffffff80 is not that",
    );
    rejected("no_mask", "no comparison of two control words");
}

#[test]
fn another_jump_than_if_equal_is_rejected() {
    rejected(
        "jump_inverted",
        "no model of this instruction (Jne_rel8_64)",
    );
    rejected(
        "jump_on_another_flag",
        "no model of this instruction (Js_rel8_64)",
    );
    rejected(
        "x87_jump_inverted",
        "no model of this instruction (Jne_rel8_64)",
    );
    rejected("flags_of_another", "no comparison of two control words");
}

#[test]
fn a_comparison_of_the_wrong_words_is_rejected() {
    let kept = "MXCSR must be `MXCSR of the other side`, and is `MXCSR at entry`";
    rejected("compared_with_itself", kept);
    rejected("others_compared_with_itself", kept);
    rejected("compared_with_a_register", "nothing says what they hold");
    rejected(
        "compared_with_the_address",
        "which are not two control words of one unit",
    );
    rejected(
        "compared_before_it_is_stored",
        "nothing says what they hold",
    );
}

#[test]
fn all_ways_must_be_right() {
    let kept = "MXCSR must be `MXCSR of the other side`, and is `MXCSR at entry`";
    rejected("own_loaded", kept);
    rejected("not_loaded", kept);
    rejected("x87_left_out", "the x87 control word must be");
    rejected("x87_own_loaded", "the x87 control word must be");
    rejected("loops", "control does not come to an end");
}
