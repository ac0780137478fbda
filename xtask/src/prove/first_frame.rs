//! The first frame of a fiber: how it begins, that it ends in the parent, and that unwinders find the parent behind it;
//! and the marker where the backtrace of a suspended fiber ends.

use iced_x86::{Code, Register};

use super::machine::{Flow, State, Territory};
use super::part::Piece;
use super::specimen::Specimen;
use super::value::Value;
use super::walk::{
    Violation, Words, require, require_caller, require_code, require_stop_behind, walk,
};

/// Proves `base`, entered past its first byte.
pub(super) fn prove_base(specimen: &Specimen, piece: &Piece) -> Result<(), Violation> {
    let program = &specimen.program;
    let has_fp = specimen.has_fp;
    let block = Value::named("the block");
    let top = Value::named("the top of the stack");
    let body = Value::named("the body");
    let entry_address = piece.start + 1;
    let range = piece.start..piece.end();

    // A new fiber, as `ControlBlock::init` and the first switch to it leave it. `top` is 16-byte aligned.
    let first = Words::unknown("of the parent at the first resume", has_fp);
    let mut state = State::unknown("at the first entry");
    state.set(Register::RSP, top);
    state.set(Register::RBP, block);
    state.set(Register::RBX, body);
    first.put(&mut state, block);
    let entry = state.clone();
    require_code(program, piece.start, Code::Nopd)?;
    require_code(program, entry_address, Code::Endbr64)?;
    let caller_is = |words: Words| {
        let range = range.clone();
        move |address: u64, state: &State| {
            if !range.contains(&address) {
                return Err("this is no part of `base`".to_owned());
            }
            // At the last jump the block is no longer at hand, and the frame is about to become the parent's.
            let is_last = program
                .get(&address)
                .is_some_and(|i| i.code() == Code::Jmp_rm64);
            let cfa = if is_last { words.sp } else { block.plus(16) };
            require_caller(specimen, address, state, &words.as_caller(cfa))
        }
    };
    // Unwinders look up a return address, or the byte before it.
    let both = |address: u64, state: &State, words: Words| {
        caller_is(words)(address, state)
            .and_then(|()| caller_is(words)(address - 1, state))
            .map_err(|fault| Violation::at(program, address, fault))
    };
    both(entry_address, &state, first)?;

    let mut rules = Territory {
        stack: top,
        above: 0,
        other_stack: top,
        writable: None,
    };
    let (call, flow) = walk(
        program,
        &rules,
        &mut state,
        entry_address,
        &caller_is(first),
    )?;
    let Flow::Call(called) = flow else {
        return Err(Violation::at(program, call, "the body must be called"));
    };
    let back = program.get(&call).map_or(0, iced_x86::Instruction::next_ip);
    let rsp = state.get(Register::RSP).plus(8);
    require(
        program,
        call,
        &[
            ("what is called", called, body),
            (
                "the payload",
                state.get(Register::RDI),
                entry.get(Register::RDI),
            ),
            ("the block", state.get(Register::RSI), block),
            (
                "rbp, the frame record's address",
                state.get(Register::RBP),
                block,
            ),
            ("rsp's base", Value { offset: 0, ..rsp }, top),
            (
                "rsp modulo 16",
                Value::number(rsp.offset.rem_euclid(16)),
                Value::number(0),
            ),
            ("the direction flag", state.direction, Value::number(0)),
            ("MXCSR", state.mxcsr, entry.mxcsr),
            ("the x87 control word", state.x87, entry.x87),
            ("the number of stores", stores(&state), Value::number(1)),
        ],
    )?;

    // The body runs, for long: it is a function of the System V ABI, and the parent resumes from another place each time.
    let last = Words::unknown("of the parent at the last resume", has_fp);
    let mut ended = State::unknown("when the body returns");
    for register in [
        Register::RBX,
        Register::RBP,
        Register::R12,
        Register::R13,
        Register::R14,
        Register::R15,
    ] {
        ended.set(register, state.get(register));
    }
    ended.set(Register::RSP, rsp);
    ended.direction = Value::number(0);
    (ended.mxcsr, ended.x87) = (state.mxcsr, state.x87);
    last.put(&mut ended, block);
    let result = ended.get(Register::RAX);
    both(back, &ended, last)?;

    rules.other_stack = last.sp;
    rules.stack = rsp;
    let (jump, flow) = walk(program, &rules, &mut ended, back, &caller_is(last))?;
    let Flow::Jump(target) = flow else {
        return Err(Violation::at(
            program,
            jump,
            "nothing must be called after the body",
        ));
    };
    let (mxcsr, x87) = last.fp.unwrap_or((state.mxcsr, state.x87));
    require(
        program,
        jump,
        &[
            ("the parent's rip", target, last.ip),
            ("the parent's rsp", ended.get(Register::RSP), last.sp),
            ("the parent's rbp", ended.get(Register::RBP), last.rbp),
            ("the parent's rbx", ended.get(Register::RBX), last.rbx),
            ("the payload", ended.get(Register::RDI), result),
            ("the tag", ended.get(Register::RSI), Value::number(0)),
            ("the direction flag", ended.direction, Value::number(0)),
            ("MXCSR", ended.mxcsr, mxcsr),
            ("the x87 control word", ended.x87, x87),
            ("the number of stores", stores(&ended), Value::number(0)),
        ],
    )?;
    require_stop_behind(program, jump)?;
    for is_debug in [false, true] {
        let mut own = specimen.tables_at(piece.start);
        if !own.any(|table| table.section.is_debug == is_debug && table.is_signal) {
            return Err(Violation::whole(
                "`base` must be a signal frame in .eh_frame and in .debug_frame".to_owned(),
            ));
        }
    }
    Ok(())
}

/// Proves that the walk of an unwinder ends at `suspended`, and that nothing runs there.
pub(super) fn prove_suspended(specimen: &Specimen, piece: &Piece) -> Result<(), Violation> {
    require_code(&specimen.program, piece.start, Code::Nopd)?;
    require_code(&specimen.program, piece.start + 1, Code::Ud2)?;
    let own = || specimen.tables_at(piece.start);
    if own().count() == 0 {
        return Err(Violation::whole(
            "`suspended` has no unwind information".to_owned(),
        ));
    }
    for table in own() {
        for address in piece.start..piece.end() {
            let ends = table.row(address).map(|row| row.is_end());
            if ends != Ok(true) {
                let condition = format!("{} does not end the walk here", table.section.name());
                return Err(Violation::at(&specimen.program, address, condition));
            }
        }
    }
    Ok(())
}

fn stores(state: &State) -> Value {
    Value::number(i64::try_from(state.stores).unwrap_or(i64::MAX))
}
