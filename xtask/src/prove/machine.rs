//! A processor that computes with symbols: it knows the few instructions that the switch is made of, and the rules of a
//! kernel's stack.
//!
//! Two rules make the proof one for kernels. An interrupt may come after every instruction, so whatever lies below
//! `rsp` is gone then; and `rsp` must therefore point into a stack at all times. An instruction that is not modelled
//! here is an error, not a guess.

use std::collections::BTreeMap;
use std::mem;

use iced_x86::{Code, Instruction, Mnemonic, OpKind, Register};

use super::value::{REGISTERS, Symbol, Value};

/// The bits of MXCSR that are control, and reserved ones. The others are flags of exceptions, which nobody preserves.
const CONTROL: u32 = !0x3f;

/// Registers, control words and memory at one moment.
#[derive(Clone, Debug)]
pub(super) struct State {
    registers: [Value; 16],
    /// The direction flag. The other flags are lost at a switch by contract.
    pub(super) direction: Value,
    /// Its control bits: the flags of exceptions are not part of what a switch preserves.
    pub(super) mxcsr: Value,
    pub(super) x87: Value,
    /// The instruction before has set ZF if, and only if, these two control words are equal.
    compared: Option<[Value; 2]>,
    /// The instruction before has compared with the word that chooses between two right ways.
    is_choosing: bool,
    /// The words that have a known value: address to size and value. Different symbols are different memory.
    memory: BTreeMap<Value, (i64, Value)>,
    /// How many stores there were.
    pub(super) stores: usize,
}

/// What the code may do to memory and to `rsp`.
#[derive(Clone, Debug)]
pub(super) struct Territory {
    /// The running stack: the code may write below this address, at or above `rsp`.
    pub(super) stack: Value,
    /// How far above that address `rsp` may come: by the return address that `ret` takes off.
    pub(super) above: i64,
    /// The stack pointer of the other side, which `rsp` may become.
    pub(super) other_stack: Value,
    /// The context that may be written, and its size.
    pub(super) writable: Option<(Value, i64)>,
}

/// Where control goes after an instruction.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    /// To the address or to the next instruction: both must be right.
    JumpOrNot(u64),
    /// To the address if the two control words are equal, else to the next instruction.
    JumpIfEqual(u64, [Value; 2]),
    Jump(Value),
    Call(Value),
}

impl State {
    /// Everything unknown; the names tell what a register held at this `moment`.
    pub(super) fn unknown(moment: &'static str) -> Self {
        Self {
            registers: REGISTERS.map(|register| Value::held(moment, register)),
            direction: Value::held(moment, Register::None),
            mxcsr: Value::held(moment, Register::XMM0),
            x87: Value::held(moment, Register::ST0),
            compared: None,
            is_choosing: false,
            memory: BTreeMap::new(),
            stores: 0,
        }
    }

    pub(super) fn get(&self, register: Register) -> Value {
        self.registers[register.number()]
    }

    pub(super) fn set(&mut self, register: Register, value: Value) {
        self.registers[register.number()] = value;
    }

    /// Makes the word at `address` known.
    pub(super) fn remember(&mut self, address: Value, size: i64, value: Value) {
        self.memory.retain(|at, (length, _)| {
            at.symbol != address.symbol
                || at.offset + *length <= address.offset
                || address.offset + size <= at.offset
        });
        self.memory.insert(address, (size, value));
    }

    pub(super) fn load(&self, address: Value, size: i64) -> Result<Value, String> {
        match self.memory.get(&address) {
            Some((length, value)) if *length == size => Ok(*value),
            _ => Err(format!(
                "{size} bytes at {address} are read, and nothing says what they hold"
            )),
        }
    }

    /// Forgets all words but those for which `keep` holds.
    pub(super) fn forget(&mut self, mut keep: impl FnMut(Value) -> bool) {
        self.memory.retain(|address, _| keep(*address));
    }

    /// Takes over the known words of another state.
    pub(super) fn memory_of(&mut self, other: &Self) {
        self.memory.clone_from(&other.memory);
    }

    fn store(
        &mut self,
        rules: &Territory,
        to: Value,
        size: i64,
        value: Value,
    ) -> Result<(), String> {
        let rsp = self.get(Register::RSP);
        let in_stack = to.symbol == rules.stack.symbol
            && rsp.symbol == to.symbol
            && rsp.offset <= to.offset
            && to.offset + size <= rules.stack.offset;
        let in_context = rules.writable.is_some_and(|(context, length)| {
            to.symbol == context.symbol
                && context.offset <= to.offset
                && to.offset + size <= context.offset + length
        });
        if !in_stack && !in_context {
            return Err(format!(
                "{size} bytes at {to} are written, which is neither the context to save nor the frame above rsp = {rsp}"
            ));
        }
        self.stores += 1;
        self.remember(to, size, value);
        Ok(())
    }

    /// Goes on as is right only where these two control words are equal.
    pub(super) fn assume_equal(&mut self, [one, other]: [Value; 2]) {
        for word in [&mut self.mxcsr, &mut self.x87] {
            if *word == one {
                *word = other;
            } else if *word == other {
                *word = one;
            }
        }
    }

    /// Executes one instruction, and then lets an interrupt come.
    pub(super) fn step(
        &mut self,
        instruction: &Instruction,
        rules: &Territory,
    ) -> Result<Flow, String> {
        let flow = self.execute(instruction, rules)?;
        let rsp = self.get(Register::RSP);
        let on_own =
            rsp.symbol == rules.stack.symbol && rsp.offset <= rules.stack.offset + rules.above;
        if !on_own && rsp != rules.other_stack {
            return Err(format!(
                "an interrupt would use rsp = {rsp}, which is in no stack"
            ));
        }
        self.memory
            .retain(|at, _| at.symbol != rsp.symbol || at.offset >= rsp.offset);
        Ok(flow)
    }

    fn execute(&mut self, i: &Instruction, rules: &Territory) -> Result<Flow, String> {
        let compared = self.compared.take();
        let is_choosing = mem::take(&mut self.is_choosing);
        match i.code() {
            Code::Endbr64 | Code::Nopd => {}
            Code::Cld => self.direction = Value::number(0),
            Code::Std => self.direction = Value::number(1),
            Code::Mov_r64_rm64 | Code::Mov_rm64_r64 => {
                let value = match i.op1_kind() {
                    OpKind::Register => self.get(i.op1_register()),
                    _ => self.load(self.address(i)?, 8)?,
                };
                match i.op0_kind() {
                    OpKind::Register => self.set(i.op0_register(), value),
                    _ => self.store(rules, self.address(i)?, 8, value)?,
                }
            }
            Code::Lea_r64_m => self.set(i.op0_register(), self.address(i)?),
            Code::Xor_r32_rm32 | Code::Xor_rm32_r32
                if i.op1_kind() == OpKind::Register && i.op0_register() == i.op1_register() =>
            {
                self.set(i.op0_register().full_register(), Value::number(0));
            }
            // The comparison of two control words: these instructions are there for nothing else.
            Code::Mov_r32_rm32 | Code::Movzx_r32_rm16 if i.op1_kind() == OpKind::Memory => {
                let size = if i.code() == Code::Mov_r32_rm32 { 4 } else { 2 };
                let value = self.load(self.address(i)?, size)?;
                self.set(i.op0_register().full_register(), value);
            }
            Code::Xor_r32_rm32 if i.op1_kind() == OpKind::Memory => {
                let [one, other] = self.both_of(i, 4, Register::XMM0)?;
                let difference = Value::of(Symbol::Difference(one, other));
                self.set(i.op0_register().full_register(), difference);
            }
            Code::And_rm32_imm8 if i.op0_kind() == OpKind::Register => {
                let register = i.op0_register().full_register();
                let value = self.get(register);
                let Symbol::Difference(one, other) = value.symbol else {
                    return Err(format!(
                        "{value} is masked, which is not the difference of two MXCSR words"
                    ));
                };
                let mask = i.immediate8to32().cast_unsigned();
                if mask != CONTROL {
                    return Err(format!(
                        "the mask {mask:#x} is not that of MXCSR's control bits, {CONTROL:#x}"
                    ));
                }
                self.set(register, Value::of(Symbol::ControlDifference(one, other)));
                self.compared = Some([one, other].map(|at| Value::held(at, Register::XMM0)));
            }
            Code::Cmp_r16_rm16 if i.op1_kind() == OpKind::Memory => {
                let moments = self.both_of(i, 2, Register::ST0)?;
                self.compared = Some(moments.map(|at| Value::held(at, Register::ST0)));
            }
            // Which way is taken is a matter of speed.
            Code::Cmp_r64_rm64
                if i.op0_register() == Register::RSP && i.op1_kind() == OpKind::Memory =>
            {
                let word = self.load(self.address(i)?, 8)?;
                if word != Value::ALWAYS_LOAD {
                    return Err(format!("rsp is compared with {word}"));
                }
                self.is_choosing = true;
            }
            Code::Jb_rel8_64 | Code::Jb_rel32_64 => {
                if !is_choosing {
                    return Err(
                        "no comparison with `always_load` stands before this jump".to_owned()
                    );
                }
                return Ok(Flow::JumpOrNot(i.near_branch_target()));
            }
            Code::Je_rel8_64 | Code::Je_rel32_64 => {
                let pair =
                    compared.ok_or("no comparison of two control words stands before this jump")?;
                return Ok(Flow::JumpIfEqual(i.near_branch_target(), pair));
            }
            // What they do to the flags is of no interest, as below for `xor`.
            Code::Add_rm64_imm8 | Code::Sub_rm64_imm8 if i.op0_kind() == OpKind::Register => {
                let is_add = i.code() == Code::Add_rm64_imm8;
                let number = i.immediate8to64();
                let by = if is_add { number } else { -number };
                let value = self.get(i.op0_register()).plus(by);
                self.set(i.op0_register(), value);
            }
            Code::Push_r64 => self.push(rules, self.get(i.op0_register()))?,
            Code::Pop_r64 => {
                let value = self.pop()?;
                self.set(i.op0_register(), value);
            }
            Code::Stmxcsr_m32 => self.store(rules, self.address(i)?, 4, self.mxcsr)?,
            Code::Ldmxcsr_m32 => self.mxcsr = self.load(self.address(i)?, 4)?,
            Code::Fnstcw_m2byte => self.store(rules, self.address(i)?, 2, self.x87)?,
            Code::Fldcw_m2byte => self.x87 = self.load(self.address(i)?, 2)?,
            Code::Jmp_rel8_64 | Code::Jmp_rel32_64 => {
                return Ok(Flow::Jump(Value::code(i.near_branch_target())));
            }
            Code::Jmp_rm64 if i.op0_kind() == OpKind::Register => {
                return Ok(Flow::Jump(self.get(i.op0_register())));
            }
            Code::Jmp_rm64 => return Ok(Flow::Jump(self.load(self.address(i)?, 8)?)),
            Code::Call_rm64 if i.op0_kind() == OpKind::Register => {
                let target = self.get(i.op0_register());
                self.push(rules, Value::code(i.next_ip()))?;
                return Ok(Flow::Call(target));
            }
            Code::Retnq => return Ok(Flow::Jump(self.pop()?)),
            _ if i.mnemonic() == Mnemonic::Int3 => {
                return Err("control runs into the int3 behind a jump".to_owned());
            }
            code => {
                return Err(format!(
                    "the proof has no model of this instruction ({code:?})"
                ));
            }
        }
        Ok(Flow::Next)
    }

    /// The moments of the two control words of one unit that an instruction takes from a register and from memory.
    fn both_of(
        &self,
        i: &Instruction,
        size: i64,
        unit: Register,
    ) -> Result<[&'static str; 2], String> {
        let one = self.get(i.op0_register().full_register());
        let other = self.load(self.address(i)?, size)?;
        match [one, other].map(|word| word.moment_of(unit)) {
            [Some(one), Some(other)] => Ok([one, other]),
            _ => Err(format!(
                "{one} and {other} are compared, which are not two control words of one unit"
            )),
        }
    }

    fn push(&mut self, rules: &Territory, value: Value) -> Result<(), String> {
        let rsp = self.get(Register::RSP).plus(-8);
        self.set(Register::RSP, rsp);
        self.store(rules, rsp, 8, value)
    }

    fn pop(&mut self) -> Result<Value, String> {
        let rsp = self.get(Register::RSP);
        let value = self.load(rsp, 8)?;
        self.set(Register::RSP, rsp.plus(8));
        Ok(value)
    }

    fn address(&self, i: &Instruction) -> Result<Value, String> {
        let displacement = i.memory_displacement64();
        if i.is_ip_rel_memory_operand() {
            return Ok(Value::code(displacement));
        }
        if i.memory_index() != Register::None
            || i.segment_prefix() != Register::None
            || !i.memory_base().is_gpr64()
        {
            return Err("the proof has no model of this address".to_owned());
        }
        Ok(self.get(i.memory_base()).plus(displacement.cast_signed()))
    }
}
