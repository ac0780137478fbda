//! The switch for good: the other side's registers are loaded, a function is called on its stack, and it goes on.

use iced_x86::Register;

use super::machine::{Flow, State, Territory};
use super::part::{Part, Piece};
use super::specimen::Specimen;
use super::value::Value;
use super::walk::{Violation, Words, require, require_caller, require_stop_behind, walk};

/// What the function that is called preserves, beside rsp.
const PRESERVED: [Register; 6] = [
    Register::RBX,
    Register::RBP,
    Register::R12,
    Register::R13,
    Register::R14,
    Register::R15,
];

/// Proves `exit_tail`, entered with the other side's words in registers, or an inline copy of
/// `leave`, which loads them.
pub(super) fn prove(specimen: &Specimen, piece: &Piece) -> Result<(), Violation> {
    let program = &specimen.program;
    let is_inline = piece.part == Part::Leave;
    let left = Value::named("the stack that is left");
    let mut state = State::unknown("at entry");
    state.set(Register::RSP, left);
    // The compiler keeps both stacks aligned at a switch.
    let mut other = Words::unknown("of the other side", specimen.has_fp);
    if is_inline {
        let next = state.get(Register::RSI).plus(specimen.context_size());
        other.put(&mut state, next);
    } else {
        other = Words {
            sp: state.get(Register::RCX),
            ip: state.get(Register::RDX),
            rbp: state.get(Register::R8),
            rbx: state.get(Register::R9),
            fp: None,
        };
    }
    let entry = state.clone();
    let (mxcsr, x87) = other.fp.unwrap_or((entry.mxcsr, entry.x87));
    let range = piece.start..piece.end();
    let watch = |address: u64, state: &State| {
        if specimen.is_in(Part::ExitTail, address) {
            require_caller(specimen, address, state, &other.as_caller(other.sp))
        } else if is_inline && range.contains(&address) {
            // The compiler's own rules say where its frame is; these they may speak of.
            let kept = PRESERVED.into_iter().chain([Register::RSP]);
            match { kept }.find(|register| state.get(*register) != entry.get(*register)) {
                Some(changed) => Err(format!("{changed:?} is changed before `exit_tail`")),
                None => Ok(()),
            }
        } else {
            Err("this is no part of the switch for good".to_owned())
        }
    };
    let rules = Territory {
        stack: other.sp,
        above: 0,
        other_stack: left,
        writable: None,
    };
    let (call, flow) = walk(program, &rules, &mut state, piece.start, &watch)?;
    let Flow::Call(called) = flow else {
        return Err(Violation::at(program, call, "a function must be called"));
    };
    let back = program.get(&call).map_or(0, iced_x86::Instruction::next_ip);
    let rsp = state.get(Register::RSP).plus(8);
    let frame = Value::number(other.sp.offset - rsp.offset);
    require(
        program,
        call,
        &[
            ("what is called", called, entry.get(Register::RAX)),
            (
                "its argument",
                state.get(Register::RDI),
                entry.get(Register::RDI),
            ),
            (
                "rsp's base",
                Value {
                    offset: other.sp.offset,
                    ..rsp
                },
                other.sp,
            ),
            (
                "the frame's size modulo 16",
                Value::number(frame.offset.rem_euclid(16)),
                Value::number(0),
            ),
            ("rbp", state.get(Register::RBP), other.rbp),
            ("rbx", state.get(Register::RBX), other.rbx),
            ("the direction flag", state.direction, entry.direction),
            ("MXCSR", state.mxcsr, mxcsr),
            ("the x87 control word", state.x87, x87),
        ],
    )?;

    // The function runs: it preserves what the System V ABI says, and its caller's frame.
    let mut after = State::unknown("when the function returns");
    for register in PRESERVED {
        after.set(register, state.get(register));
    }
    after.set(Register::RSP, rsp);
    after.memory_of(&state);
    after.direction = entry.direction;
    (after.mxcsr, after.x87) = (mxcsr, x87);
    let (jump, flow) = walk(program, &rules, &mut after, back, &watch)?;
    let Flow::Jump(target) = flow else {
        return Err(Violation::at(program, jump, "one call is enough"));
    };
    require(
        program,
        jump,
        &[
            ("the other side's rip", target, other.ip),
            ("the other side's rsp", after.get(Register::RSP), other.sp),
            ("the other side's rbp", after.get(Register::RBP), other.rbp),
            ("the other side's rbx", after.get(Register::RBX), other.rbx),
            ("the payload", after.get(Register::RDI), Value::number(0)),
            ("the tag", after.get(Register::RSI), Value::number(0)),
            ("the direction flag", after.direction, entry.direction),
            ("MXCSR", after.mxcsr, mxcsr),
            ("the x87 control word", after.x87, x87),
        ],
    )?;
    require_stop_behind(program, jump)
}
