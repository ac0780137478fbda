//! The proof of one piece of the code: which of the proofs it is, and what its unwind information must be.

use super::part::{Part, Piece};
use super::specimen::Specimen;
use super::walk::Violation;
use super::{exit_tail, first_frame, round_trip, tail};

/// Proves one piece of the code.
pub(super) fn prove_piece(specimen: &Specimen, piece: &Piece) -> Result<(), Violation> {
    if Part::FUNCTIONS.contains(&piece.part) {
        let mut tables = specimen.tables_at(piece.start).peekable();
        if tables.peek().is_none() {
            return Err(Violation::whole(
                "there is no unwind information for it".to_owned(),
            ));
        }
        for table in tables.clone() {
            if table.covers != (piece.start..piece.end()) {
                let section = table.section.name();
                return Err(Violation::whole(format!(
                    "{section} does not cover exactly this function"
                )));
            }
        }
        // In a signal frame the return address would be looked up as it is, and not the call before it.
        if piece.part != Part::Base && tables.any(|table| table.is_signal) {
            return Err(Violation::whole(
                "only `base` may be a signal frame".to_owned(),
            ));
        }
    }
    match piece.part {
        Part::Tail | Part::ResumeTail | Part::SuspendTail | Part::SwitchTail => {
            tail::prove(specimen, piece)
        }
        Part::ExitTail | Part::Leave => exit_tail::prove(specimen, piece),
        Part::Base => first_frame::prove_base(specimen, piece),
        Part::Suspended => first_frame::prove_suspended(specimen, piece),
        Part::OutOfLine | Part::Resume | Part::Suspend | Part::Switch => {
            round_trip::prove(specimen, piece)
        }
    }
}
