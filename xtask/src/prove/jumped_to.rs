//! The switch that code jumps to: it saves what that code needs, the other side finds its own registers, and at each
//! instruction the caller is the side in whose stack rsp is.

use iced_x86::Register;

use super::machine::{Flow, State, Territory};
use super::part::Piece;
use super::specimen::Specimen;
use super::unwind_table::Caller;
use super::value::Value;
use super::walk::{Violation, Words, require, require_caller, require_stop_behind, walk};

const ENTRY: &str = "at entry";

/// Proves it. That the landing, in r11, is one is a matter of whoever jumps.
pub(super) fn prove(specimen: &Specimen, piece: &Piece) -> Result<(), Violation> {
    let program = &specimen.program;
    let stack = Value::named("the caller's rsp");
    let own = |register| Value::held(ENTRY, register).plus(specimen.context_size());
    let (prev, next) = (own(Register::RSI), own(Register::RAX));
    let other = Words::unknown("of the other side", specimen.has_fp);
    let mut state = State::unknown(ENTRY);
    state.set(Register::RSP, stack);
    other.put(&mut state, next);
    let entry = state.clone();
    let held = |register| Some(entry.get(register));
    let left = Caller {
        cfa: stack,
        ip: held(Register::R11),
        sp: Some(stack),
        rbp: held(Register::RBP),
        rbx: held(Register::RBX),
        rest: [Register::R12, Register::R13, Register::R14, Register::R15].map(held),
    };
    let rules = Territory {
        stack,
        above: 0,
        other_stack: other.sp,
        writable: Some((prev, Words::length(specimen.has_fp))),
    };
    let range = piece.start..piece.end();
    let watch = |address: u64, state: &State| {
        if !range.contains(&address) {
            return Err("this is no part of it".to_owned());
        }
        if state.get(Register::RSP) == stack {
            return require_caller(specimen, address, state, &left);
        }
        require_caller(specimen, address, state, &other.as_caller(other.sp))
    };
    let (last, flow) = walk(program, &rules, &mut state, piece.start, &watch)?;
    let target = if let Flow::Jump(target) = flow {
        target
    } else {
        Value::number(0)
    };
    let saved = Words::take(&state, prev, specimen.has_fp)
        .map_err(|fault| Violation::at(program, last, format!("not all is saved: {fault}")))?;
    let (is, was) = (
        |register| state.get(register),
        |register| entry.get(register),
    );
    require(
        program,
        last,
        &[
            ("the other side's rip", target, other.ip),
            ("the other side's rsp", is(Register::RSP), other.sp),
            ("the other side's rbp", is(Register::RBP), other.rbp),
            ("the other side's rbx", is(Register::RBX), other.rbx),
            ("the payload", is(Register::RDI), was(Register::RDI)),
            ("the tag", is(Register::RSI), was(Register::RSI)),
            ("the saved rip", saved.ip, was(Register::R11)),
            ("the saved rsp", saved.sp, stack),
            ("the saved rbp", saved.rbp, was(Register::RBP)),
            ("the saved rbx", saved.rbx, was(Register::RBX)),
            ("the direction flag", state.direction, entry.direction),
            ("MXCSR", state.mxcsr, entry.mxcsr),
            ("the x87 control word", state.x87, entry.x87),
        ],
    )?;
    require_stop_behind(program, last)
}
