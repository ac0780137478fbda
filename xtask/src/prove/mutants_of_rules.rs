//! Small errors in the unwind information: each rule dropped, each byte one more and one less.

use core::mem;
use std::collections::BTreeSet;

use gimli::{
    BaseAddresses, CallFrameInstruction, DebugFrame, EhFrame, LittleEndian, UnwindSection as _,
};
use iced_x86::{Code, Instruction};

use super::mutants::{Tally, Verdict};
use super::part::{Part, Piece};
use super::proof::prove_piece;
use super::specimen::Specimen;
use super::unwind_table::{self, Section, Table};

/// Plants every error in one function's unwind information.
pub(super) fn plant(specimen: &Specimen, index: usize) -> Tally {
    let mut specimen = specimen.clone();
    let mut tally = Tally::default();
    let original = specimen.tables[index].clone();
    let piece = specimen
        .functions
        .iter()
        .find(|piece| piece.start == original.start);
    let Some(piece) = piece.cloned() else {
        return tally;
    };
    for (what, section) in table_mutants(&original.section, original.part == Part::Base) {
        let table = unwind_table::table(section, original.part, piece.start, piece.bytes.len());
        // What cannot be read at all is noticed by whoever reads it.
        let Ok(table) = table else {
            tally.count(original.part, &what, Verdict::Killed);
            continue;
        };
        let is_same = says_the_same(&table, &original, &piece);
        drop(mem::replace(&mut specimen.tables[index], table));
        let verdict = match prove_piece(&specimen, &piece) {
            Err(_) => Verdict::Killed,
            Ok(()) if is_same => Verdict::Same,
            Ok(()) => Verdict::Survived,
        };
        tally.count(original.part, &what, verdict);
    }
    tally
}

/// Whether two tables agree wherever somebody looks: where an instruction begins, and one byte before a return address.
fn says_the_same(one: &Table, other: &Table, piece: &Piece) -> bool {
    let instructions = piece.instructions();
    let begins = instructions.iter().map(Instruction::ip);
    let ends = instructions.iter().filter(|i| {
        matches!(
            i.code(),
            Code::Call_rm64 | Code::Jmp_rel8_64 | Code::Jmp_rel32_64
        )
    });
    let addresses: BTreeSet<u64> = begins.chain(ends.map(|i| i.next_ip() - 1)).collect();
    one.is_signal == other.is_signal
        && addresses
            .iter()
            .all(|address| one.row(*address).ok() == other.row(*address).ok())
}

fn table_mutants(section: &Section, by_hand: bool) -> Vec<(String, Section)> {
    let mut mutants = Vec::new();
    for (which, start, length) in [
        ("common entry", section.common, section.common_length),
        ("entry", section.entry, section.entry_length),
    ] {
        // Behind the length, which is itself not mutated: nothing after it could be read.
        let range = start + 4..start + 4 + length;
        for byte in range.clone() {
            for change in [1_u8, 0xff] {
                let mut mutant = section.clone();
                mutant.bytes[byte] = mutant.bytes[byte].wrapping_add(change);
                let what = format!(
                    "{} {which}, byte {}: {:+}",
                    section.name(),
                    byte - start,
                    change.cast_signed()
                );
                mutants.push((what, mutant));
            }
        }
        let mut end = range.end;
        for (rule, size) in rules(section, which == "entry", by_hand).into_iter().rev() {
            let mut mutant = section.clone();
            mutant.bytes[end - size..end].fill(0); // DW_CFA_nop
            end -= size;
            if mutant.bytes != section.bytes {
                mutants.push((format!("{} {which}: drop {rule}", section.name()), mutant));
            }
        }
    }
    mutants
}

/// The rules of an entry, with their sizes in bytes.
fn rules(section: &Section, is_entry: bool, by_hand: bool) -> Vec<(String, usize)> {
    let bases = BaseAddresses::default().set_eh_frame(section.address);
    macro_rules! read {
        ($frames:expr, $cie:expr) => {{
            let frames = $frames;
            let entry = frames.fde_from_offset(&bases, section.entry.into(), $cie);
            let entry = entry.expect("it was read before");
            let mut rules = if is_entry {
                entry.instructions(&frames, &bases)
            } else {
                entry.cie().instructions(&frames, &bases)
            };
            let mut all = Vec::new();
            while let Some(rule) = rules.next().expect("it was read before") {
                all.push((format!("{rule:?}"), size(&rule, by_hand)));
            }
            all
        }};
    }
    if section.is_debug {
        read!(
            DebugFrame::new(&section.bytes, LittleEndian),
            DebugFrame::cie_from_offset
        )
    } else {
        read!(
            EhFrame::new(&section.bytes, LittleEndian),
            EhFrame::cie_from_offset
        )
    }
}

/// Size of a rule whose numbers are below 64, as all of ours are.
const fn size(rule: &CallFrameInstruction<usize>, by_hand: bool) -> usize {
    match rule {
        CallFrameInstruction::Nop | CallFrameInstruction::Restore { .. } => 1,
        // The assembler takes the short form, and our own bytes the one that a label's distance fits into.
        CallFrameInstruction::AdvanceLoc { .. } => {
            if by_hand {
                2
            } else {
                1
            }
        }
        CallFrameInstruction::DefCfa { .. }
        | CallFrameInstruction::OffsetExtendedSf { .. }
        | CallFrameInstruction::Register { .. } => 3,
        // One operation with a number of two bytes, or that and another one.
        CallFrameInstruction::DefCfaExpression { .. } => 6,
        CallFrameInstruction::Expression { .. } => 6,
        _ => 2,
    }
}
