//! The plain walk along rbp, in kernels that are built with frame pointers, and the instructions where it is incomplete.
//!
//! A frame pointer says who called the function that set it up. Where the running function has not yet done so, or
//! no longer, exactly its caller is missing; nothing else may ever be wrong:
//!
//! - before `mov rbp, rsp` at a function's start, and from `pop rbp` to its return;
//! - in the switch out of line and the shared end of every switch, which have no frame of their own. In the latter
//!   the chain is that of the context left, without the function that left it, up to `mov rbp`, and from then on, for one
//!   instruction, that of the context to come, without the function that goes on;
//! - at the last jump of a fiber that ends: the function that goes on is missing;
//! - one instruction before or after the link of a suspended fiber is cut or made, its own walk does not end;
//! - behind a context that left by the switch out of line, which has no frame: who called that is missing.

use tests_qemu::exceptions::TrapFrame;

use tests_qemu::println;

use super::shadow::{Place, Shadow};
use super::walk::{Expected, word};

/// What was seen in a scene.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Walks that found every caller.
    pub(super) complete: u64,
    /// At a function's start or end, with its caller missing.
    pub(super) at_start_or_end: u64,
    /// In functions without a frame, with their caller missing.
    pub(super) frameless: u64,
    /// In the shared end of a switch, before and behind `mov rbp`.
    pub(super) before_rbp: u64,
    pub(super) behind_rbp: u64,
    /// At the last jump of a fiber.
    pub(super) at_exit: u64,
    /// Walks of fibers that are suspended or new that found every caller and then the end.
    pub(super) suspended: u64,
    /// The same, one instruction before or after a link is cut or made: it then has the marker, and an rbp that is not
    /// zero, and the walk goes on where it should have ended.
    pub(super) half_cut: u64,
    /// Of all the above but `wrong`, those on whose chain a context has left by the switch out of line.
    pub(super) across_frameless: u64,
    /// Everything else.
    pub(super) wrong: u64,
}

/// The functions that have no frame of their own.
pub(super) struct Frameless<'all> {
    pub(super) functions: &'all [u64],
    /// The function around an address.
    pub(super) function_at: &'all dyn Fn(u64) -> Option<u64>,
}

impl Frameless<'_> {
    /// The callers without those of a function without a frame.
    fn without_their_callers(&self, callers: &[Place]) -> Expected {
        let mut seen = Expected::NONE;
        let mut is_behind_frameless = false;
        for place in callers {
            if !is_behind_frameless {
                seen.push(*place);
            }
            let function = (self.function_at)(place.ip - 1);
            is_behind_frameless =
                function.is_some_and(|function| self.functions.contains(&function));
        }
        seen
    }
}

impl Counts {
    /// Walks along rbp and compares with the callers that the shadow knows.
    pub(super) fn check(
        &mut self,
        frame: &TrapFrame,
        shadow: &Shadow,
        expected: &Expected,
        marker: u64,
        frameless: &Frameless<'_>,
    ) {
        let walk = |callers: &[Place], has_marker: bool| {
            let callers = callers.iter().map(|place| place.ip);
            is_walk(frame.rbp, callers.chain(has_marker.then_some(marker)))
        };
        let expected_all = expected.callers().len();
        let expected = frameless.without_their_callers(expected.callers());
        let callers = expected.callers();
        self.across_frameless += u64::from(callers.len() < expected_all);
        // Without the innermost caller.
        let outer = callers.get(1..).unwrap_or_default();
        let is_ended = !shadow.callers(|_| ());
        let count = if shadow.is_switching() {
            let is_at_target = callers.first().map(|place| place.rbp) == Some(frame.rbp);
            if is_at_target && walk(outer, is_ended) {
                Some(&mut self.behind_rbp)
            } else {
                let mut left = Expected::NONE;
                let is_ended = !shadow.callers_of_left(|place| left.push(place));
                let left = frameless.without_their_callers(left.callers());
                let mut left = left.callers();
                if let Some((callee, _)) = shadow.innermost_call()
                    && frameless.functions.contains(&callee)
                {
                    left = &left[1..];
                }
                let is_left = !is_at_target && walk(left, is_ended);
                is_left.then_some(&mut self.before_rbp)
            }
        } else if walk(callers, is_ended) {
            Some(&mut self.complete)
        } else if !walk(outer, is_ended) {
            None
        } else {
            match shadow.innermost_call() {
                None => Some(&mut self.at_exit).filter(|_| is_at(frame.rip, &[&[0xff, 0xe2]])),
                Some((callee, _)) if frameless.functions.contains(&callee) => {
                    Some(&mut self.frameless)
                }
                Some(_) => {
                    Some(&mut self.at_start_or_end).filter(|_| is_at(frame.rip, START_OR_END))
                }
            }
        };
        let count = count.unwrap_or_else(|| {
            if self.wrong < SHOWN {
                println!("wrong walk along rbp at rip={:#x}", frame.rip);
            }
            &mut self.wrong
        });
        *count += 1;
    }
}

impl Counts {
    /// Walks along the saved rbp of a fiber that does not run. The first place is its own.
    pub(super) fn check_suspended(
        &mut self,
        expected: &Expected,
        marker: Option<u64>,
        is_half_cut: bool,
        frameless: &Frameless<'_>,
    ) {
        let seen = frameless.without_their_callers(expected.callers());
        let own = seen.callers()[0];
        let callers = seen.callers()[1..].iter().map(|place| place.ip);
        if is_half_cut {
            self.half_cut += 1;
        } else if is_walk(own.rbp, callers.chain(marker)) {
            self.suspended += 1;
        } else {
            self.wrong += 1;
            if self.wrong < SHOWN {
                println!("wrong walk along the saved rbp {:#x}", own.rbp);
            }
        }
    }
}

/// Walks that are reported when they are wrong.
const SHOWN: u64 = 10;

/// The instructions at which a function has no frame yet or no longer: `endbr64`, `push rbp`, `mov rbp, rsp`; `ret`.
const START_OR_END: &[&[u8]] = &[
    &[0xf3, 0x0f, 0x1e, 0xfa],
    &[0x55],
    &[0x48, 0x89, 0xe5],
    &[0xc3],
];

/// Whether one of these instructions is at `ip`.
fn is_at(ip: u64, instructions: &[&[u8]]) -> bool {
    // SAFETY: The processor is about to execute it, and the kernel's image goes on behind it.
    let code = unsafe { (ip as *const [u8; 4]).read_unaligned() };
    instructions
        .iter()
        .any(|instruction| code.starts_with(instruction))
}

/// Whether the records from `rbp` on name just these callers and then end.
fn is_walk(mut rbp: u64, callers: impl Iterator<Item = u64>) -> bool {
    for ip in callers {
        if rbp == 0 || word(rbp + 8) != ip {
            return false;
        }
        rbp = word(rbp);
    }
    rbp == 0
}
