//! The packets that let the machine go on, and which of them are for a fiber.

use super::thread_id::ThreadId;

/// What becomes of a packet after which the machine runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Resume {
    /// It goes to QEMU as it is.
    Pass,
    /// Another one goes to QEMU, which does not name the fibers.
    Instead(Vec<u8>),
    /// It is meant for this fiber alone.
    OnlyFiber(u64),
}

impl Resume {
    /// Takes a packet apart, if it lets the machine go on. Threads from `first_fiber` on are fibers.
    /// `continued` is the fiber that was chosen for old packets.
    pub(super) fn parse(packet: &[u8], continued: Option<u64>, first_fiber: u64) -> Option<Self> {
        if let Some(actions) = packet.strip_prefix(b"vCont;") {
            return Some(Self::of_actions(actions, first_fiber));
        }
        match (packet, continued) {
            ([b's' | b'S', ..], Some(fiber)) => Some(Self::OnlyFiber(fiber)),
            // `bc` and `bs` go backwards; an answer to a system call begins with `F`.
            ([b'c' | b'C' | b's' | b'S' | b'F', ..] | b"bc" | b"bs", _) => Some(Self::Pass),
            (packet, _) => packet.starts_with(b"vRun").then_some(Self::Pass),
        }
    }

    fn of_actions(actions: &[u8], first_fiber: u64) -> Self {
        let mut kept = Vec::new();
        let mut fiber = None;
        for action in actions.split(|byte| *byte == b';') {
            let id = action.splitn(2, |byte| *byte == b':').nth(1);
            let number = id.and_then(ThreadId::parse).and_then(ThreadId::number);
            match number.filter(|number| *number >= first_fiber) {
                None => kept.push(action),
                Some(number) if matches!(action.first(), Some(b's' | b'S' | b'r')) => {
                    return Self::OnlyFiber(number);
                }
                Some(number) => fiber = fiber.or(Some(number)),
            }
        }
        match fiber {
            None => Self::Pass,
            Some(number) if kept.is_empty() => Self::OnlyFiber(number),
            Some(_) => Self::Instead([b"vCont;", &*kept.join(&b';')].concat()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn becomes(packet: &str, expected: Option<Resume>) {
        assert_eq!(
            Resume::parse(packet.as_bytes(), None, 10_001),
            expected,
            "{packet}"
        );
    }

    #[test]
    fn what_is_for_the_machine_passes() {
        for packet in [
            "c",
            "s",
            "C05",
            "bc",
            "vCont;c",
            "vCont;c:p1.-1",
            "vCont;s:p1.1;c:p1.-1",
            "vCont;s:1;c",
        ] {
            becomes(packet, Some(Resume::Pass));
        }
        for packet in ["vCont?", "g", "m0,1", "qC", "bx", ""] {
            becomes(packet, None);
        }
    }

    #[test]
    fn a_fiber_is_left_out_of_what_is_for_all() {
        let instead = |packet: &str| Some(Resume::Instead(packet.into()));
        becomes("vCont;c:p1.2711;c:p1.1", instead("vCont;c:p1.1"));
        becomes("vCont;C02:2711;s:1;c", instead("vCont;s:1;c"));
    }

    #[test]
    fn a_fiber_is_not_stepped() {
        let fiber = Some(Resume::OnlyFiber(10_001));
        becomes("vCont;s:p1.2711;c:p1.-1", fiber.clone());
        becomes("vCont;c:1;s:2711", fiber.clone());
        becomes("vCont;c:2711", fiber.clone());
        assert_eq!(Resume::parse(b"s", Some(10_001), 10_001), fiber);
        assert_eq!(
            Resume::parse(b"c", Some(10_001), 10_001),
            Some(Resume::Pass)
        );
    }
}
