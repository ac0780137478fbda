//! The end of every switch: four instructions and nothing else, and at each of them the caller is the other side.
//!
//! `tail` finds all four words of the other side in registers, `switch_tail` all but rsp in the block in r10.

use iced_x86::Register;

use super::machine::{Flow, State, Territory};
use super::part::{Part, Piece};
use super::specimen::Specimen;
use super::unwind_table::Caller;
use super::value::{REGISTERS, Value};
use super::walk::{Violation, Words, require, require_caller, require_stop_behind, walk};

/// Proves `tail` or `switch_tail`. The unwind rules name rcx, and rdx, r8 and r9 or else r10, so these must stay as they
/// are to the end.
pub(super) fn prove(specimen: &Specimen, piece: &Piece) -> Result<(), Violation> {
    let program = &specimen.program;
    let stack = Value::named("the stack that is left");
    let mut state = State::unknown("at entry");
    state.set(Register::RSP, stack);
    let other = Words::unknown("of the other side", specimen.has_fp);
    let own = state.get(Register::R10).plus(specimen.context_size());
    other.put(&mut state, own);
    let entry = state.clone();
    let [ip, rbp, rbx] = if piece.part == Part::SwitchTail {
        [other.ip, other.rbp, other.rbx]
    } else {
        [Register::RDX, Register::R8, Register::R9].map(|register| entry.get(register))
    };
    let rules = Territory {
        stack,
        above: 0,
        other_stack: entry.get(Register::RCX),
        writable: None,
    };
    let caller = Caller {
        cfa: entry.get(Register::RCX),
        ip: Some(ip),
        sp: Some(entry.get(Register::RCX)),
        rbp: Some(rbp),
        rbx: Some(rbx),
        rest: [None; 4],
    };
    let range = piece.start..piece.end();
    let watch = |address: u64, state: &State| {
        if !range.contains(&address) {
            return Err("this is no part of it".to_owned());
        }
        require_caller(specimen, address, state, &caller)
    };
    let (last, flow) = walk(program, &rules, &mut state, piece.start, &watch)?;
    let target = if let Flow::Jump(target) = flow {
        target
    } else {
        Value::number(0)
    };
    require(
        program,
        last,
        &[("the jump's target", target, ip)],
    )?;
    for register in REGISTERS {
        let must = match register {
            Register::RSP => entry.get(Register::RCX),
            Register::RBP => rbp,
            Register::RBX => rbx,
            same => entry.get(same),
        };
        let name = format!("{register:?}").to_lowercase();
        require(program, last, &[(&name, state.get(register), must)])?;
    }
    require(
        program,
        last,
        &[
            ("the direction flag", state.direction, entry.direction),
            ("MXCSR", state.mxcsr, entry.mxcsr),
            ("the x87 control word", state.x87, entry.x87),
        ],
    )?;
    require_stop_behind(program, last)
}
