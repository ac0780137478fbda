//! Small errors, planted one at a time: a proof that does not notice them proves nothing.
//!
//! Each instruction deleted, each pair of neighbours swapped, each register replaced by each of the 15 others, each
//! displacement shifted, each bit of each byte flipped. (What is done to the unwind information is in
//! `mutants_of_rules`.)

use iced_x86::{Code, Instruction, OpKind, Register};

use super::equivalent::Equivalents;
use super::part::{Part, Piece, decode};
use super::proof::prove_piece;
use super::specimen::{Program, Specimen};
use super::value::REGISTERS;
use super::walk::text;

/// How the mutants fared.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) mutants: usize,
    pub(super) killed: usize,
    pub(super) listed: usize,
    pub(super) same: usize,
    pub(super) survivors: Vec<String>,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.mutants += other.mutants;
        self.killed += other.killed;
        self.listed += other.listed;
        self.same += other.same;
        self.survivors.extend(other.survivors);
    }

    pub(super) fn count(&mut self, part: Part, what: &str, verdict: Verdict) {
        self.mutants += 1;
        match verdict {
            Verdict::Killed => self.killed += 1,
            Verdict::Listed => self.listed += 1,
            Verdict::Same => self.same += 1,
            Verdict::Survived => self.survivors.push(format!("{}: {what}", part.name())),
        }
    }
}

/// What became of one mutant.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict {
    /// The proof noticed.
    Killed,
    /// Accepted, and the list of equivalent mutants has the reason.
    Listed,
    /// Accepted, and it changes nothing that anybody reads.
    Same,
    /// Accepted, and nothing says why.
    Survived,
}

/// Plants every error in one piece of the code.
pub(super) fn plant(specimen: &Specimen, piece: &Piece, equivalents: &mut Equivalents) -> Tally {
    let mut specimen = specimen.clone();
    let mut tally = Tally::default();
    let around: Program = specimen
        .program
        .iter()
        .filter(|(address, _)| !(piece.start..piece.end()).contains(address))
        .map(|(address, instruction)| (*address, *instruction))
        .collect();
    for (what, instructions) in code_mutants(piece) {
        specimen.program.clone_from(&around);
        specimen
            .program
            .extend(instructions.iter().map(|i| (i.ip(), *i)));
        let verdict = if prove_piece(&specimen, piece).is_err() {
            Verdict::Killed
        } else if equivalents.explain(piece.part, &what) {
            Verdict::Listed
        } else {
            Verdict::Survived
        };
        tally.count(piece.part, &what, verdict);
    }
    tally
}

/// Every error that can be planted in a piece: what it is, and the code with it.
pub(super) fn code_mutants(piece: &Piece) -> Vec<(String, Vec<Instruction>)> {
    let original = piece.instructions();
    let mut mutants = Vec::new();
    let mut change = |what: String, index: usize, changed: &[Instruction]| {
        let mut all = original.clone();
        let mut address = all[index].ip();
        for (place, instruction) in all[index..].iter_mut().zip(changed) {
            *place = *instruction;
            place.set_ip(address);
            address = place.next_ip();
        }
        if all != original {
            mutants.push((what, all));
        }
    };
    for (index, i) in original.iter().enumerate() {
        change(format!("delete `{}`", name(i)), index, &[nothing(i.len())]);
        if let Some(next) = original.get(index + 1) {
            let what = format!("swap `{}` and `{}`", name(i), name(next));
            change(what, index, &[*next, *i]);
        }
        for operand in 0..i.op_count() {
            if i.op_kind(operand) == OpKind::Register {
                for register in others(i.op_register(operand)) {
                    let mut mutant = *i;
                    mutant.set_op_register(operand, register);
                    let what = format!("`{}`: {register:?} as operand {operand}", name(i));
                    change(what, index, &[mutant]);
                }
            }
        }
        if !(0..i.op_count()).any(|operand| i.op_kind(operand) == OpKind::Memory) {
            continue;
        }
        for register in others(i.memory_base()) {
            let mut mutant = *i;
            mutant.set_memory_base(register);
            change(
                format!("`{}`: {register:?} as base", name(i)),
                index,
                &[mutant],
            );
        }
        for shift in [-16, -8, 8, 16] {
            let mut mutant = *i;
            mutant.set_memory_displacement64(i.memory_displacement64().wrapping_add_signed(shift));
            change(
                format!("`{}`: displacement {shift:+}", name(i)),
                index,
                &[mutant],
            );
        }
    }
    for byte in 0..piece.bytes.len() {
        for bit in 0..8 {
            let mut bytes = piece.bytes.clone();
            bytes[byte] ^= 1 << bit;
            let flipped = decode(&bytes, piece.start);
            let places = |all: &[Instruction]| all.iter().map(Instruction::ip).collect::<Vec<_>>();
            // Another encoding of the same instruction is no mutant.
            if flipped == original && places(&flipped) == places(&original) {
                continue;
            }
            let at = original
                .iter()
                .position(|i| (i.ip()..i.next_ip()).contains(&(piece.start + byte as u64)));
            let at = at.expect("every byte is part of an instruction");
            let now = flipped.iter().find(|i| i.ip() == original[at].ip());
            let now = now.map_or_else(|| "nothing".to_owned(), name);
            mutants.push((
                format!("flip a bit: `{}` becomes `{now}`", name(&original[at])),
                flipped,
            ));
        }
    }
    mutants
}

/// An instruction as the list of equivalent mutants names it: the same wherever the code was linked to.
fn name(i: &Instruction) -> String {
    match i.code() {
        Code::Lea_r64_m if i.is_ip_rel_memory_operand() => {
            format!("lea {:?}, [landing]", i.op0_register()).to_lowercase()
        }
        Code::Jmp_rel8_64 | Code::Jmp_rel32_64 => "jmp tail".to_owned(),
        Code::Je_rel8_64 | Code::Je_rel32_64 => {
            let distance = i.near_branch_target().wrapping_sub(i.next_ip());
            format!("je {:+}", distance.cast_signed())
        }
        Code::Jb_rel8_64 | Code::Jb_rel32_64 => {
            let distance = i.near_branch_target().wrapping_sub(i.next_ip());
            format!("jb {:+}", distance.cast_signed())
        }
        _ => text(i),
    }
}

fn nothing(length: usize) -> Instruction {
    let mut nothing = decode(&[0x90], 0)[0];
    nothing.set_len(length);
    nothing
}

fn others(register: Register) -> Vec<Register> {
    let same_width = |other: Register| {
        if register.is_gpr32() {
            Register::EAX + u32::try_from(other.number()).expect("0 to 15")
        } else {
            other
        }
    };
    let is_general = register.is_gpr64() || register.is_gpr32();
    let others = REGISTERS
        .into_iter()
        .filter(|other| is_general && *other != register.full_register());
    others.map(same_width).collect()
}
