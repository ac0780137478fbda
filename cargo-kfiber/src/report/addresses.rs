//! Finds the addresses in a line, and says what they are.

use crate::kernel::symbolize::Symbols;

/// Before an address to which a function returns.
const CALLERS: [&str; 4] = [
    "called from ",
    "called by ",
    "called from rip=",
    "returns to ",
];

/// Says what the addresses in a line are that belong to the kernel, each once.
pub(super) fn explain(symbols: &Symbols, slide: u64, line: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut known = Vec::new();
    for (before, address) in addresses(line) {
        // The call is before the address to which it returns.
        let is_caller = CALLERS.iter().any(|words| before.ends_with(words));
        let own = address.wrapping_sub(slide).wrapping_sub(is_caller.into());
        if let Some(what) = symbols.explain(own) {
            // Of a static, such as a stack, one address is enough.
            let name = what
                .rsplit_once('+')
                .filter(|_| what.starts_with("in the static"));
            let name = name.map_or_else(|| what.clone(), |(name, _)| name.to_owned());
            if !known.contains(&name) {
                found.push(format!("{address:#x} is {what}"));
                known.push(name);
            }
        }
    }
    found
}

/// The hexadecimal numbers in a line, and what stands before each.
fn addresses(line: &str) -> impl Iterator<Item = (&str, u64)> {
    line.match_indices("0x").filter_map(|(start, mark)| {
        let digits = &line[start + mark.len()..];
        let end = digits
            .find(|letter: char| !letter.is_ascii_hexdigit())
            .unwrap_or(digits.len());
        let address = u64::from_str_radix(&digits[..end], 16).ok()?;
        Some((&line[..start], address))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hexadecimal_number_is_found_with_what_stands_before_it() {
        let found: Vec<_> =
            addresses("at 0x10abc, rsp=0xdef; 0x, 0xzz, 12, called from 0x1").collect();
        let values: Vec<_> = found.iter().map(|(_, address)| *address).collect();
        assert_eq!(values, [0x10abc, 0xdef, 1]);
        assert!(found[2].0.ends_with("called from "));
    }
}
