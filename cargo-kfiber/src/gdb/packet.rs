//! The packets of gdb's remote protocol: framing, checksums, hexadecimal digits, and escapes.
//!
//! ```text
//!   $ payload # two hexadecimal digits     the digits are the sum of the payload's bytes
//!   + and -                                the last packet arrived, or should be sent again
//!   0x03                                   stop the machine
//! ```
//!
//! (gdb manual, appendix "gdb Remote Serial Protocol", section "Overview".) A payload is kept as it
//! travels, with its escapes, so that what is only passed on arrives unchanged.

use std::io::{self, Read};

/// Longer packets are refused. QEMU's own limit is 4 KiB.
const MOST_BYTES: usize = 1 << 20;
/// The byte that makes a debugger's request to stop.
pub(super) const INTERRUPT: u8 = 0x03;

/// What comes along a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A whole packet: its payload.
    Packet(Vec<u8>),
    /// A packet whose checksum is wrong.
    Broken,
    /// The request to send the last packet again.
    Again,
    /// The request to stop the machine.
    Interrupt,
}

/// Reads items from a connection.
pub(super) struct Items<R>(io::Bytes<io::BufReader<R>>);

impl<R: Read> Items<R> {
    pub(super) fn new(from: R) -> Self {
        Self(io::BufReader::new(from).bytes())
    }

    /// Reads the rest of a packet, whose first byte has been read.
    fn packet(&mut self) -> io::Result<Option<Item>> {
        let mut payload = Vec::new();
        let mut sum = 0_u8;
        loop {
            let Some(byte) = self.0.next().transpose()? else {
                return Ok(None);
            };
            match byte {
                b'#' => break,
                // The one before was cut off, and a new one begins.
                b'$' => {
                    payload.clear();
                    sum = 0;
                    continue;
                }
                _ => {}
            }
            if payload.len() == MOST_BYTES {
                let reason = "a packet of more than a megabyte";
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
            payload.push(byte);
            sum = sum.wrapping_add(byte);
        }
        let mut digits = [0; 2];
        for digit in &mut digits {
            let Some(byte) = self.0.next().transpose()? else {
                return Ok(None);
            };
            *digit = byte;
        }
        let is_right = bytes(&digits).is_some_and(|bytes| bytes == [sum]);
        Ok(Some(if is_right {
            Item::Packet(payload)
        } else {
            Item::Broken
        }))
    }
}

impl<R: Read> Iterator for Items<R> {
    type Item = io::Result<Item>;

    fn next(&mut self) -> Option<io::Result<Item>> {
        loop {
            match self.0.next()? {
                Ok(b'$') => return self.packet().transpose(),
                Ok(b'-') => return Some(Ok(Item::Again)),
                Ok(INTERRUPT) => return Some(Ok(Item::Interrupt)),
                // A `+`, or the noise of a line.
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// A payload as it is sent.
pub(super) fn framed(payload: &[u8]) -> Vec<u8> {
    let sum = payload
        .iter()
        .fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    let mut packet = Vec::with_capacity(payload.len() + 4);
    packet.push(b'$');
    packet.extend(payload);
    packet.extend(format!("#{sum:02x}").bytes());
    packet
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hexadecimal digits as bytes.
pub(super) fn bytes(hex: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, []) = hex.as_chunks::<2>() else {
        return None;
    };
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok();
    pairs.iter().map(byte).collect()
}

/// A hexadecimal number.
pub(super) fn number(hex: &[u8]) -> Option<u64> {
    let hex = core::str::from_utf8(hex).ok()?;
    // Rust would accept a sign.
    let is_digits = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digits.then(|| u64::from_str_radix(hex, 16).ok())?
}

/// The bytes of `data` from `offset` on as a part of a `qXfer` object: the letter that says whether
/// more follows, and as many bytes, escaped, as `length` allows.
pub(super) fn part(data: &[u8], offset: usize, length: usize) -> Vec<u8> {
    let rest = data.get(offset..).unwrap_or_default();
    let mut payload = vec![b'l'];
    for byte in rest {
        // (gdb manual, section "Overview", "Binary Data")
        let is_special = matches!(byte, b'#' | b'$' | b'}' | b'*');
        if payload.len() + usize::from(is_special) > length.max(2) {
            payload[0] = b'm';
            break;
        }
        if is_special {
            payload.push(b'}');
        }
        payload.push(if is_special { byte ^ 0x20 } else { *byte });
    }
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn items(stream: &[u8]) -> Vec<Item> {
        let items = Items::new(stream).collect::<io::Result<_>>();
        items.expect("memory can be read")
    }

    fn packet(payload: &str) -> Item {
        Item::Packet(payload.into())
    }

    #[test]
    fn packets_are_found_in_what_lies_around_them() {
        let stream = b"+noise$OK#9a+\x03$g#67-$#00";
        let expected = [
            packet("OK"),
            Item::Interrupt,
            packet("g"),
            Item::Again,
            packet(""),
        ];
        assert_eq!(items(stream), expected);
    }

    #[test]
    fn a_wrong_checksum_is_seen() {
        for stream in [&b"$g#68"[..], b"$g#zz", b"$g#6g", b"$g#+7"] {
            assert_eq!(items(stream), [Item::Broken], "{stream:?}");
        }
    }

    #[test]
    fn a_packet_that_is_cut_off_ends_with_the_connection_or_with_the_next_packet() {
        assert_eq!(items(b"$qSupp"), []);
        assert_eq!(items(b"$OK#9"), []);
        assert_eq!(items(b"$qSupp$OK#9a"), [packet("OK")]);
    }

    #[test]
    fn a_packet_without_end_is_an_error() {
        let mut stream = vec![b'a'; MOST_BYTES + 1];
        stream.insert(0, b'$');
        let first = Items::new(&*stream).next();
        assert!(first.is_some_and(|item| item.is_err()));
    }

    #[test]
    fn what_is_framed_is_read_again() {
        for payload in ["", "OK", "m1000,4", "}\u{3}]*"] {
            assert_eq!(items(&framed(payload.as_bytes())), [packet(payload)]);
        }
    }

    #[test]
    fn digits_are_numbers_and_nothing_else_is() {
        assert_eq!(bytes(b"00ff7A"), Some(vec![0, 0xff, 0x7a]));
        assert_eq!(
            (bytes(b"0"), bytes(b"0x"), bytes(b"xx")),
            (None, None, None)
        );
        assert_eq!(number(b"ffffffffffffffff"), Some(u64::MAX));
        assert_eq!(
            (number(b""), number(b"+1"), number(b"-1")),
            (None, None, None)
        );
        assert_eq!(number(b"10000000000000000"), None);
        assert_eq!(hex(&[0, 0xff]), "00ff");
    }

    #[test]
    fn the_parts_of_an_object_make_it_up() {
        let data = b"CPU#0 }costs{ 5$ and is *";
        for length in 0..40 {
            let (mut whole, mut offset) = (Vec::new(), 0);
            loop {
                let part = part(data, offset, length);
                assert!(part.len() <= length.max(2) + 1, "{part:?}");
                let mut escaped = part[1..].iter();
                while let Some(byte) = escaped.next() {
                    whole.push(match byte {
                        b'}' => escaped.next().expect("a byte behind the escape") ^ 0x20,
                        byte => *byte,
                    });
                }
                if part[0] == b'l' {
                    break;
                }
                assert!(whole.len() > offset, "each part has something");
                offset = whole.len();
            }
            assert_eq!(whole, data);
        }
        assert_eq!(part(data, data.len(), 9), b"l");
        assert_eq!(part(data, usize::MAX, 9), b"l");
    }
}
