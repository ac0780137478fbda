//! Runs the symbolic processor through the code by every way that there is, checks the unwind information before every
//! instruction, and says in one line what went wrong where.

use core::fmt;

use iced_x86::{Code, Formatter as _, Instruction, IntelFormatter, Register};

use super::machine::{Flow, State, Territory};
use super::specimen::{Program, Specimen};
use super::unwind_table::Caller;
use super::value::{Symbol, Value};

/// More than all ways through the code have together: a mutant may loop.
const LONGEST: usize = 300;

/// A condition that does not hold at an instruction.
#[derive(Debug)]
pub(super) struct Violation {
    place: Option<(u64, String)>,
    condition: String,
}

impl Violation {
    /// A condition that no single instruction is to blame for.
    pub(super) const fn whole(condition: String) -> Self {
        Self {
            place: None,
            condition,
        }
    }

    pub(super) fn at(program: &Program, address: u64, condition: impl fmt::Display) -> Self {
        let text = program
            .get(&address)
            .map_or_else(|| "no instruction".to_owned(), text);
        Self {
            place: Some((address, text)),
            condition: condition.to_string(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((address, text)) = &self.place {
            write!(f, "at {address:#x}, `{text}`: ")?;
        }
        f.write_str(&self.condition)
    }
}

/// An instruction as the listing shows it.
pub(super) fn text(instruction: &Instruction) -> String {
    let mut text = String::new();
    let mut formatter = IntelFormatter::new();
    let options = formatter.options_mut();
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_uppercase_hex(false);
    options.set_branch_leading_zeros(false);
    options.set_space_after_operand_separator(true);
    formatter.format(instruction, &mut text);
    text
}

/// What must hold before each instruction, beside the rules of the processor.
pub(super) type Watch<'a> = &'a dyn Fn(u64, &State) -> Result<(), String>;

/// Where one way through the code ends: the address of its last instruction, where that leads, and what holds there.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) last: u64,
    pub(super) flow: Flow,
    pub(super) state: State,
}

/// Follows control, by every way that it can take, until it leaves the program: by a jump to a place that only a symbol
/// names, or by a call.
pub(super) fn paths(
    program: &Program,
    rules: &Territory,
    state: State,
    start: u64,
    watch: Watch<'_>,
) -> Result<Vec<Path>, Violation> {
    let mut ended = Vec::new();
    let mut open = vec![(start, state)];
    let mut steps = 0;
    while let Some((address, mut state)) = open.pop() {
        let instruction = program
            .get(&address)
            .ok_or_else(|| Violation::at(program, address, "control leaves kfiber's code"))?;
        let fault = |condition: String| Violation::at(program, address, condition);
        if steps == LONGEST {
            return Err(fault("control does not come to an end".to_owned()));
        }
        steps += 1;
        watch(address, &state).map_err(fault)?;
        match state.step(instruction, rules).map_err(fault)? {
            Flow::Next => open.push((instruction.next_ip(), state)),
            Flow::JumpOrNot(target) => {
                open.extend([(target, state.clone()), (instruction.next_ip(), state)]);
            }
            Flow::JumpIfEqual(target, pair) => {
                let mut equal = state.clone();
                equal.assume_equal(pair);
                open.extend([(target, equal), (instruction.next_ip(), state)]);
            }
            Flow::Jump(Value {
                symbol: Symbol::Code,
                offset,
            }) => open.push((offset.cast_unsigned(), state)),
            flow @ (Flow::Jump(_) | Flow::Call(_)) => ended.push(Path {
                last: address,
                flow,
                state,
            }),
        }
    }
    Ok(ended)
}

/// The same for code that has one way only. Returns the address of the last instruction and where it leads.
pub(super) fn walk(
    program: &Program,
    rules: &Territory,
    state: &mut State,
    start: u64,
    watch: Watch<'_>,
) -> Result<(u64, Flow), Violation> {
    let mut all = paths(program, rules, state.clone(), start, watch)?;
    match (all.pop(), all.is_empty()) {
        (Some(path), true) => {
            *state = path.state;
            Ok((path.last, path.flow))
        }
        _ => Err(Violation::at(
            program,
            start,
            "only a switch that stores may jump on a condition",
        )),
    }
}

/// Requires that each of these is what it must be.
pub(super) fn require(
    program: &Program,
    address: u64,
    facts: &[(&str, Value, Value)],
) -> Result<(), Violation> {
    for (what, is, must) in facts {
        if is != must {
            let condition = format!("{what} must be {must}, and is {is}");
            return Err(Violation::at(program, address, condition));
        }
    }
    Ok(())
}

/// Requires this very instruction: one that does nothing in the model, but matters to the processor.
pub(super) fn require_code(program: &Program, address: u64, code: Code) -> Result<(), Violation> {
    match program.get(&address) {
        Some(i) if i.code() == code => Ok(()),
        _ => Err(Violation::at(
            program,
            address,
            format!("{code:?} must stand here"),
        )),
    }
}

/// Requires `int3` behind an indirect jump, which stops speculation past it.
pub(super) fn require_stop_behind(program: &Program, jump: u64) -> Result<(), Violation> {
    let behind = program.get(&jump).map_or(jump, Instruction::next_ip);
    require_code(program, behind, Code::Int3)
}

/// Requires that every table of the function at this address names these registers as the caller's.
pub(super) fn require_caller(
    specimen: &Specimen,
    address: u64,
    state: &State,
    must: &Caller,
) -> Result<(), String> {
    for table in specimen.tables_at(address) {
        let caller = table.row(address)?.caller(state)?;
        for (what, is, must) in [
            ("frame address", Some(caller.cfa), Some(must.cfa)),
            ("rip", caller.ip, must.ip),
            ("rsp", caller.sp, must.sp),
            ("rbp", caller.rbp, must.rbp),
            ("rbx", caller.rbx, must.rbx),
            ("r12", caller.rest[0], must.rest[0]),
            ("r13", caller.rest[1], must.rest[1]),
            ("r14", caller.rest[2], must.rest[2]),
            ("r15", caller.rest[3], must.rest[3]),
        ] {
            if is != must {
                let say = |value: Option<Value>| {
                    value.map_or_else(|| "unknown".to_owned(), |value| value.to_string())
                };
                return Err(format!(
                    "by {} the caller's {what} is {}, but it is {}",
                    table.section.name(),
                    say(is),
                    say(must)
                ));
            }
        }
    }
    Ok(())
}

/// Where a context has the word that chooses between two right ways.
const ALWAYS_LOAD_AT: i64 = 40;

/// The words of a context that is not running, at the offsets that `Context` gives them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words {
    pub(super) rbp: Value,
    pub(super) ip: Value,
    pub(super) sp: Value,
    pub(super) rbx: Value,
    /// MXCSR and the x87 control word, where a context has them.
    pub(super) fp: Option<(Value, Value)>,
}

impl Words {
    const SIZES: [(i64, i64); 6] = [(0, 8), (8, 8), (16, 8), (24, 8), (32, 4), (36, 2)];

    /// Words that nobody knows more of than when they were in the context.
    pub(super) fn unknown(moment: &'static str, has_fp: bool) -> Self {
        let held = |register| Value::held(moment, register);
        Self {
            rbp: held(Register::RBP),
            ip: held(Register::RIP),
            sp: held(Register::RSP),
            rbx: held(Register::RBX),
            fp: has_fp.then(|| (held(Register::XMM0), held(Register::ST0))),
        }
    }

    /// Puts them into memory.
    pub(super) fn put(&self, state: &mut State, context: Value) {
        let fp = self.fp.map(|(mxcsr, x87)| [mxcsr, x87]);
        let all = [self.rbp, self.ip, self.sp, self.rbx];
        let all = all.into_iter().chain(fp.into_iter().flatten());
        for (value, (offset, size)) in all.zip(Self::SIZES) {
            state.remember(context.plus(offset), size, value);
        }
        if self.fp.is_some() {
            state.remember(context.plus(ALWAYS_LOAD_AT), 8, Value::ALWAYS_LOAD);
        }
    }

    /// Reads them from memory.
    pub(super) fn take(state: &State, context: Value, has_fp: bool) -> Result<Self, String> {
        let word = |index: usize| {
            let (offset, size) = Self::SIZES[index];
            state.load(context.plus(offset), size)
        };
        Ok(Self {
            rbp: word(0)?,
            ip: word(1)?,
            sp: word(2)?,
            rbx: word(3)?,
            fp: if has_fp {
                Some((word(4)?, word(5)?))
            } else {
                None
            },
        })
    }

    /// Where the words end, counted from the beginning of the context.
    pub(super) const fn length(has_fp: bool) -> i64 {
        let (offset, size) = Self::SIZES[if has_fp { 5 } else { 3 }];
        offset + size
    }

    /// The caller, as an unwinder should see it, when these are the caller's.
    pub(super) const fn as_caller(&self, cfa: Value) -> Caller {
        Caller {
            cfa,
            ip: Some(self.ip),
            sp: Some(self.sp),
            rbp: Some(self.rbp),
            rbx: Some(self.rbx),
            rest: [None; 4],
        }
    }
}
