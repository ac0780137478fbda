//! A switch is a round trip: away to the other side, and back again when somebody continues what was saved.
//!
//! On the way out, the other side must find its own registers and the two words that are passed on. Then everything is
//! forgotten except what the contract protects, the saved context and the stack at or above the saved stack pointer,
//! and the way back must restore what the one who switched had.
//!
//! A control word is loaded only if it differs. So there are several ways out, and each must fulfil all of this: on one the
//! words are known to be equal, on another nothing is known of them.

use iced_x86::{Code, Register};

use super::machine::{Flow, State, Territory};
use super::part::{Part, Piece};
use super::specimen::Specimen;
use super::unwind_table::Caller;
use super::value::Value;
use super::walk::{Path, Violation, Words, paths, require, require_caller, require_code, walk};

const ENTRY: &str = "at entry";
const AWAY: &str = "on the way back";
/// What a function must leave as it found it, beside rsp.
const PRESERVED: [(&str, Register); 6] = [
    ("rbx", Register::RBX),
    ("rbp", Register::RBP),
    ("r12", Register::R12),
    ("r13", Register::R13),
    ("r14", Register::R14),
    ("r15", Register::R15),
];

/// Proves the switch out of line, or one inline copy of it.
pub(super) fn prove(specimen: &Specimen, piece: &Piece) -> Result<(), Violation> {
    let program = &specimen.program;
    let (prev, next) = contexts(piece.part, specimen.context_size());
    let stack = Value::named("the caller's rsp");
    let return_address = Value::named("the return address");
    let other = Words::unknown("of the other side", specimen.has_fp);

    let mut state = State::unknown(ENTRY);
    state.set(Register::RSP, stack);
    if piece.part == Part::OutOfLine {
        require_code(program, piece.start, Code::Endbr64)?;
        state.remember(stack, 8, return_address);
    }
    other.put(&mut state, next);
    let entry = state.clone();
    let trip = Trip {
        specimen,
        piece,
        prev,
        stack,
        return_address,
        other,
        caller: Caller {
            cfa: stack.plus(8),
            ip: Some(return_address),
            sp: Some(stack.plus(8)),
            rbp: Some(entry.get(Register::RBP)),
            rbx: Some(entry.get(Register::RBX)),
            rest: [Register::R12, Register::R13, Register::R14, Register::R15]
                .map(|register| Some(entry.get(register))),
        },
        entry,
    };
    let rules = Territory {
        stack,
        above: 0,
        other_stack: other.sp,
        writable: Some((prev, Words::length(specimen.has_fp))),
    };
    let watch = |address: u64, state: &State| trip.watch(address, state);
    for path in paths(program, &rules, state, piece.start, &watch)? {
        trip.arrives(&path)?;
        trip.comes_back(&path, rules.clone())?;
    }
    Ok(())
}

/// One form of the switch, and what holds where it begins.
struct Trip<'a> {
    specimen: &'a Specimen,
    piece: &'a Piece,
    /// The context to save.
    prev: Value,
    stack: Value,
    return_address: Value,
    other: Words,
    /// What unwinders must find in the switch out of line.
    caller: Caller,
    entry: State,
}

impl Trip<'_> {
    fn is_function(&self) -> bool {
        self.piece.part == Part::OutOfLine
    }

    /// What must hold at every instruction.
    fn watch(&self, address: u64, state: &State) -> Result<(), String> {
        let is_own = (self.piece.start..self.piece.end()).contains(&address);
        if self.specimen.is_in_tail(address) {
            let caller = self.other.as_caller(self.other.sp);
            require_caller(self.specimen, address, state, &caller)
        } else if is_own && self.is_function() {
            require_caller(self.specimen, address, state, &self.caller)
        } else if is_own {
            still_the_callers(state, &self.entry)
        } else {
            Err("this is no part of the switch".to_owned())
        }
    }

    /// Requires that this way out leaves the other side with what is its own.
    fn arrives(&self, path: &Path) -> Result<(), Violation> {
        let program = &self.specimen.program;
        let (other, entry, state) = (&self.other, &self.entry, &path.state);
        let Flow::Jump(target) = path.flow else {
            return Err(Violation::at(
                program,
                path.last,
                "the switch must not call anything",
            ));
        };
        let (mxcsr, x87) = other.fp.unwrap_or((entry.mxcsr, entry.x87));
        require(
            program,
            path.last,
            &[
                ("the other side's rip", target, other.ip),
                ("the other side's rsp", state.get(Register::RSP), other.sp),
                ("the other side's rbp", state.get(Register::RBP), other.rbp),
                ("the other side's rbx", state.get(Register::RBX), other.rbx),
                (
                    "the payload",
                    state.get(Register::RDI),
                    entry.get(Register::RDI),
                ),
                (
                    "the tag",
                    state.get(Register::RSI),
                    entry.get(Register::RSI),
                ),
                ("the direction flag", state.direction, entry.direction),
                ("MXCSR", state.mxcsr, mxcsr),
                ("the x87 control word", state.x87, x87),
            ],
        )
    }

    /// Requires that whoever continues what was saved on this way out brings everything back.
    fn comes_back(&self, path: &Path, mut rules: Territory) -> Result<(), Violation> {
        let (specimen, entry, last) = (self.specimen, &self.entry, path.last);
        let program = &specimen.program;
        let saved = Words::take(&path.state, self.prev, specimen.has_fp)
            .map_err(|fault| Violation::at(program, last, format!("not all is saved: {fault}")))?;
        let Some(landing) = saved.ip.as_code() else {
            let condition = format!("the saved address is {}, which is no code", saved.ip);
            return Err(Violation::at(program, last, condition));
        };
        if saved.sp.symbol != self.stack.symbol {
            let condition = format!(
                "the saved rsp is {}, which is not in the caller's stack",
                saved.sp
            );
            return Err(Violation::at(program, last, condition));
        }
        require_code(program, landing, Code::Endbr64)?;
        let mut back = State::unknown(AWAY);
        back.memory_of(&path.state);
        back.forget(|at| at.symbol == self.stack.symbol && at.offset >= saved.sp.offset);
        back.set(Register::RSP, saved.sp);
        back.set(Register::RBP, saved.rbp);
        back.set(Register::RBX, saved.rbx);
        (back.mxcsr, back.x87) = saved.fp.unwrap_or((entry.mxcsr, entry.x87));
        let (payload, tag) = (back.get(Register::RDI), back.get(Register::RSI));
        let direction = back.direction;

        if !self.is_function() {
            // The compiler takes over at the landing; all other registers are declared as clobbered.
            if landing + 4 != self.piece.end() {
                return Err(Violation::at(
                    program,
                    landing,
                    "this is not the landing of this switch",
                ));
            }
            return require_same(program, landing, &back, entry, &PRESERVED[..2], self.stack);
        }
        // An unwinder looks up the byte before the landing when it finds it as a return address.
        require_caller(specimen, landing - 1, &back, &self.caller).map_err(|fault| {
            Violation::at(program, landing, format!("one byte before: {fault}"))
        })?;
        rules.above = 8;
        rules.writable = None;
        let watch = |address: u64, state: &State| self.watch(address, state);
        let (last, flow) = walk(program, &rules, &mut back, landing, &watch)?;
        let returned = if let Flow::Jump(target) = flow {
            target
        } else {
            Value::number(0)
        };
        require(
            program,
            last,
            &[
                ("control's way back", returned, self.return_address),
                ("the payload in rax", back.get(Register::RAX), payload),
                ("the tag in rdx", back.get(Register::RDX), tag),
                ("the direction flag", back.direction, direction),
            ],
        )?;
        require_same(program, last, &back, entry, &PRESERVED, self.stack.plus(8))
    }
}

/// Where a form of the switch saves and loads.
fn contexts(part: Part, own: i64) -> (Value, Value) {
    let at_entry = |register, offset: i64| Value::held(ENTRY, register).plus(offset);
    match part {
        Part::Resume => (at_entry(Register::RSI, 0), at_entry(Register::RSI, own)),
        Part::Suspend => (at_entry(Register::RSI, own), at_entry(Register::RSI, 0)),
        Part::Switch => (at_entry(Register::RSI, own), at_entry(Register::R10, own)),
        _ => (at_entry(Register::RDX, 0), at_entry(Register::RCX, 0)),
    }
}

/// Inside an inline copy the compiler's unwind information holds, so what it may speak of must not change.
fn still_the_callers(state: &State, entry: &State) -> Result<(), String> {
    for (what, register) in PRESERVED.into_iter().chain([("rsp", Register::RSP)]) {
        let (is, must) = (state.get(register), entry.get(register));
        if is != must {
            return Err(format!(
                "{what} is {is} before the jump to the tail, instead of {must}"
            ));
        }
    }
    Ok(())
}

fn require_same(
    program: &super::specimen::Program,
    address: u64,
    back: &State,
    entry: &State,
    registers: &[(&str, Register)],
    rsp: Value,
) -> Result<(), Violation> {
    require(
        program,
        address,
        &[
            ("rsp", back.get(Register::RSP), rsp),
            ("MXCSR", back.mxcsr, entry.mxcsr),
            ("the x87 control word", back.x87, entry.x87),
        ],
    )?;
    for (what, register) in registers {
        require(
            program,
            address,
            &[(what, back.get(*register), entry.get(*register))],
        )?;
    }
    Ok(())
}
