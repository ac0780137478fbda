//! The end of every switch: four moves and nothing else, and at each of them the caller is the other side.

use iced_x86::Register;

use super::machine::{Flow, State, Territory};
use super::part::Piece;
use super::specimen::Specimen;
use super::unwind_table::Caller;
use super::value::{REGISTERS, Value};
use super::walk::{Violation, require, require_caller, require_stop_behind, walk};

/// Proves `tail`. The unwind rules name rcx, rdx, r8 and r9, so these must stay as they are to the end.
pub(super) fn prove(specimen: &Specimen, piece: &Piece) -> Result<(), Violation> {
    let program = &specimen.program;
    let stack = Value::named("the stack that is left");
    let mut state = State::unknown("at entry");
    state.set(Register::RSP, stack);
    let entry = state.clone();
    let rules = Territory {
        stack,
        above: 0,
        other_stack: entry.get(Register::RCX),
        writable: None,
    };
    let caller = Caller {
        cfa: entry.get(Register::RCX),
        ip: Some(entry.get(Register::RDX)),
        sp: Some(entry.get(Register::RCX)),
        rbp: Some(entry.get(Register::R8)),
        rbx: Some(entry.get(Register::R9)),
        rest: [None; 4],
    };
    let range = piece.start..piece.end();
    let watch = |address: u64, state: &State| {
        if !range.contains(&address) {
            return Err("this is no part of `tail`".to_owned());
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
        &[("the jump's target", target, entry.get(Register::RDX))],
    )?;
    for register in REGISTERS {
        let from = match register {
            Register::RSP => Register::RCX,
            Register::RBP => Register::R8,
            Register::RBX => Register::R9,
            same => same,
        };
        let name = format!("{register:?}").to_lowercase();
        require(
            program,
            last,
            &[(&name, state.get(register), entry.get(from))],
        )?;
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
