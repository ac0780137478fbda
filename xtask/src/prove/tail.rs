//! The end of every switch: four instructions and nothing else, and at each of them the caller is the other side.
//!
//! That of the switch out of line finds the four words of the other side in registers, the others in a block.

use iced_x86::Register;

use super::machine::{Flow, State, Territory};
use super::part::{Part, Piece};
use super::specimen::Specimen;
use super::value::{REGISTERS, Value};
use super::walk::{Violation, Words, require, require_caller, require_stop_behind, walk};

/// Proves a tail. The unwind rules name the registers that it takes the words from, or the one that has the block, so
/// these must stay as they are to the end.
pub(super) fn prove(specimen: &Specimen, piece: &Piece) -> Result<(), Violation> {
    let program = &specimen.program;
    let stack = Value::named("the stack that is left");
    let mut state = State::unknown("at entry");
    state.set(Register::RSP, stack);
    let own = specimen.context_size();
    let in_block = match piece.part {
        Part::ResumeTail => Some((Register::RSI, own)),
        Part::SuspendTail => Some((Register::RSI, 0)),
        Part::SwitchTail => Some((Register::R10, own)),
        _ => None,
    };
    let other = if let Some((block, context)) = in_block {
        let words = Words::unknown("of the other side", specimen.has_fp);
        let context = state.get(block).plus(context);
        words.put(&mut state, context);
        words
    } else {
        Words {
            sp: state.get(Register::RCX),
            ip: state.get(Register::RDX),
            rbp: state.get(Register::R8),
            rbx: state.get(Register::R9),
            fp: None,
        }
    };
    let entry = state.clone();
    let rules = Territory {
        stack,
        above: 0,
        other_stack: other.sp,
        writable: None,
    };
    let caller = other.as_caller(other.sp);
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
    require(program, last, &[("the jump's target", target, other.ip)])?;
    for register in REGISTERS {
        let must = match register {
            Register::RSP => other.sp,
            Register::RBP => other.rbp,
            Register::RBX => other.rbx,
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
