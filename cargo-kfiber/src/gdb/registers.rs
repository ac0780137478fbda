//! The registers of a fiber that does not run, as the protocol writes them. The switch keeps four;
//! the others are unknown, for which the protocol has the digit `x`.

use super::fibers::Registers;
use super::look::place;
use super::packet::hex;

/// The answer to `g`, which has this many bytes for a processor.
pub(super) fn all(registers: &Registers, bytes: usize) -> Vec<u8> {
    let mut digits = vec![b'x'; bytes * 2];
    for (place, value) in [
        (place::RBX, registers.rbx),
        (place::RBP, registers.rbp),
        (place::RSP, registers.rsp),
        (place::RIP, registers.rip),
    ] {
        let from = usize::try_from(place).expect("a small number") * 2;
        if let Some(digits) = digits.get_mut(from..from + 16) {
            digits.copy_from_slice(hex(&value.to_le_bytes()).as_bytes());
        }
    }
    digits
}

/// The answer to `p` with the number of a register that the switch keeps.
pub(super) fn one(registers: &Registers, number: u64) -> Option<Vec<u8>> {
    let value = match number.checked_mul(8)? {
        place::RBX => registers.rbx,
        place::RBP => registers.rbp,
        place::RSP => registers.rsp,
        place::RIP => registers.rip,
        _ => return None,
    };
    Some(hex(&value.to_le_bytes()).into_bytes())
}

/// The answer to a change of a register.
pub(super) fn refusal(fiber: &str) -> Vec<u8> {
    let text = format!(
        "E.The fiber {fiber} does not run, so its registers are not changed and nothing is called in it"
    );
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGISTERS: Registers = Registers {
        rip: 0x10_2030,
        rsp: 0x11,
        rbp: 0x22,
        rbx: 0xffff_8000_0000_0033,
    };

    #[test]
    fn the_four_registers_are_in_their_places_and_the_others_unknown() {
        let all = String::from_utf8(all(&REGISTERS, 17 * 8 + 4)).expect("digits");
        let words: Vec<&str> = (0..17).map(|index| &all[index * 16..][..16]).collect();
        for (index, word) in words.iter().enumerate() {
            let expected = match index {
                1 => "330000000080ffff",
                6 => "2200000000000000",
                7 => "1100000000000000",
                16 => "3020100000000000",
                _ => "xxxxxxxxxxxxxxxx",
            };
            assert_eq!(*word, expected, "register {index}");
            let alone =
                one(&REGISTERS, index as u64).map(|word| String::from_utf8(word).expect("digits"));
            assert_eq!(
                alone.as_deref(),
                (!expected.contains('x')).then_some(expected)
            );
        }
        assert_eq!(&all[17 * 16..], "xxxxxxxx");
    }

    #[test]
    fn an_answer_that_is_too_short_stays_short() {
        assert_eq!(all(&REGISTERS, 8), b"xxxxxxxxxxxxxxxx");
    }
}
