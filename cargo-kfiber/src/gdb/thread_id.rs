//! How the protocol names threads, with and without the number of a process in front.

use core::fmt;

use super::packet;

/// The name of one thread, of all, or of any. (gdb manual, section "Packets", "thread-id syntax")
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ThreadId {
    /// The number of the process, where the debugger and QEMU have agreed to name it.
    pub(super) process: Option<Which>,
    pub(super) thread: Which,
}

/// A number, or what stands for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Which {
    All,
    Any,
    One(u64),
}

impl Which {
    fn parse(text: &[u8]) -> Option<Self> {
        match text {
            b"-1" => Some(Self::All),
            text => Some(match packet::number(text)? {
                0 => Self::Any,
                number => Self::One(number),
            }),
        }
    }
}

impl ThreadId {
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let Some(text) = text.strip_prefix(b"p") else {
            let thread = Which::parse(text)?;
            return Some(Self {
                process: None,
                thread,
            });
        };
        let mut words = text.splitn(2, |byte| *byte == b'.');
        let process = Some(Which::parse(words.next()?)?);
        let thread = words.next().map_or(Some(Which::All), Which::parse)?;
        Some(Self { process, thread })
    }

    /// The number of the thread, if one is meant.
    pub(super) const fn number(self) -> Option<u64> {
        match self.thread {
            Which::One(number) => Some(number),
            Which::All | Which::Any => None,
        }
    }

    /// Another thread of the same process.
    pub(super) const fn beside(self, number: u64) -> Self {
        Self {
            process: self.process,
            thread: Which::One(number),
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("-1"),
            Self::Any => f.write_str("0"),
            Self::One(number) => write!(f, "{number:x}"),
        }
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.process {
            Some(process) => write!(f, "p{process}.{}", self.thread),
            None => self.thread.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_of_the_manual_are_understood() {
        let one = |text: &str| ThreadId::parse(text.as_bytes()).map(|id| id.to_string());
        for text in ["1", "0", "-1", "2711", "p1.2711", "p1.-1", "p-1.-1", "p0.0"] {
            assert_eq!(one(text).as_deref(), Some(text));
        }
        // QEMU writes zeros in front.
        assert_eq!(one("p01.0a").as_deref(), Some("p1.a"));
        assert_eq!(one("p1").as_deref(), Some("p1.-1"));
        for text in ["", "p", "p1.", "x", "p1.x", "-2", "1.1"] {
            assert_eq!(one(text), None, "{text:?}");
        }
    }
}
