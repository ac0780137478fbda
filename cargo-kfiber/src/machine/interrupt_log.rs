//! Reads QEMU's log of interrupts and resets: what a triple fault really was.

#[cfg(test)]
mod tests;

/// One exception on the way to the triple fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exception {
    /// Its vector, 0 to 31.
    pub vector: u8,
    /// What the CPU was about to push, for those that it could begin to deliver.
    pub delivery: Option<Delivery>,
}

impl Exception {
    /// Whether it was raised at the place of `other` too.
    fn is_at(&self, other: &Delivery) -> bool {
        self.delivery
            .is_some_and(|own| (own.rip, own.rsp) == (other.rip, other.rsp))
    }
}

/// The state of the CPU when it delivers an exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// The error code.
    pub error: u64,
    /// The instruction that raised it.
    pub rip: u64,
    /// The stack pointer at that instruction.
    pub rsp: u64,
    /// The address that a page fault is about.
    pub cr2: Option<u64>,
}

/// The exceptions that led to a triple fault, the original one first; `None` if there was no triple fault.
#[must_use]
pub fn triple_fault(log: &str) -> Option<Vec<Exception>> {
    let end = log.find("Triple fault")?;
    let mut chain: Vec<Exception> = Vec::new();
    let mut before: Option<Exception> = None;
    for line in log[..end].lines() {
        if let Some(check) = line.trim_start().strip_prefix("check_exception old: ") {
            let mut words = check.split_whitespace();
            if words.next() == Some("0xffffffff") {
                // What came before has been handled, unless the next delivery shows otherwise.
                before = chain.pop();
                chain.clear();
            }
            let vector = words
                .next_back()
                .and_then(|word| u8::try_from(hexadecimal(word)?).ok());
            chain.extend(vector.map(|vector| Exception {
                vector,
                delivery: None,
            }));
        } else if let Some((vector, delivery)) = Delivery::parse(line) {
            let exception = Exception {
                vector,
                delivery: Some(delivery),
            };
            match (chain.last_mut(), before) {
                // The CPU counts only some exceptions towards a double fault. After another one, whose delivery failed,
                // it seems to begin anew, but no instruction of the handler has run: the place is still the same.
                (Some(last), Some(failed)) if last.vector == vector && failed.is_at(&delivery) => {
                    *last = exception;
                    chain.insert(0, failed);
                }
                (Some(last), _) if last.vector == vector => *last = exception,
                // While one exception was delivered another came: the CPU delivers a double fault instead.
                _ => chain.push(exception),
            }
            before = None;
        }
    }
    Some(chain)
}

/// The architecture's name of an exception.
#[must_use]
pub const fn name(vector: u8) -> &'static str {
    match vector {
        0 => "#DE (division)",
        1 => "#DB (debug)",
        2 => "NMI",
        3 => "#BP (breakpoint)",
        4 => "#OF (overflow)",
        5 => "#BR (bound range)",
        6 => "#UD (invalid opcode)",
        7 => "#NM (no floating point)",
        8 => "#DF (double fault)",
        10 => "#TS (invalid TSS)",
        11 => "#NP (segment not present)",
        12 => "#SS (stack segment)",
        13 => "#GP (general protection)",
        14 => "#PF (page fault)",
        16 => "#MF (x87)",
        17 => "#AC (alignment)",
        18 => "#MC (machine check)",
        19 => "#XM (SIMD)",
        21 => "#CP (control protection)",
        32.. => "an interrupt",
        _ => "an exception without a name",
    }
}

impl Delivery {
    /// `     0: v=0e e=0002 i=0 cpl=0 IP=0008:0000000000100abc pc=0000000000100abc SP=0010:00000000001ffff8 CR2=…`
    fn parse(line: &str) -> Option<(u8, Self)> {
        let field = |key: &str| {
            let word = line
                .split_whitespace()
                .find_map(|word| word.strip_prefix(key))?;
            hexadecimal(word.rsplit(':').next()?)
        };
        let vector = u8::try_from(field("v=")?).ok()?;
        let delivery = Self {
            error: field("e=")?,
            rip: field("pc=")?,
            rsp: field("SP=")?,
            cr2: field("CR2="),
        };
        Some((vector, delivery))
    }
}

fn hexadecimal(word: &str) -> Option<u64> {
    u64::from_str_radix(word.trim_start_matches("0x"), 16).ok()
}
