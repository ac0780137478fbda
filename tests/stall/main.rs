//! Fibers that wait for ever: what is reported, word by word, and what is not.
#![expect(clippy::unwrap_used, reason = "a test says what failed by its line")]

mod cycles;
mod graph;
mod idle;
mod philosophers;
mod readers;
mod soft_lockups;
mod ticks;

use core::panic::AssertUnwindSafe;
use kfiber::platform::Host;
use kfiber::scheduler::{
    AfterDeadlock, AfterStall, Deadlock, FiberPool, Hooks, Report, Scheduler, Stall, StallKind,
};
use std::panic::catch_unwind;
use std::sync::Mutex;

type Cells = FiberPool<65536, 8>;

/// A scheduler of a test's own, and what it reports.
struct World {
    scheduler: &'static Scheduler<Host>,
    cells: &'static Cells,
    kernel: &'static Kernel,
}

/// The hooks: what was reported, and the answers.
struct Kernel {
    reports: Mutex<Vec<String>>,
    kinds: Mutex<Vec<StallKind>>,
    after_deadlock: AfterDeadlock,
    after_stall: Option<AfterStall>,
}

impl Hooks for Kernel {
    fn report(&self, report: &Report<'_>) {
        self.reports
            .lock()
            .unwrap()
            .push(plain(&report.to_string()));
    }

    fn deadlocked(&self, deadlock: &Deadlock<'_>) -> AfterDeadlock {
        self.report(&Report::Deadlock(deadlock));
        self.after_deadlock
    }

    fn stalled(&self, stall: &Stall<'_>) -> AfterStall {
        self.kinds.lock().unwrap().push(stall.kind);
        self.report(&Report::Stall(stall));
        self.after_stall.unwrap_or(AfterStall::Return)
    }
}

impl World {
    /// A scheduler whose fibers wait when they close a cycle, and that returns when all wait.
    fn new() -> Self {
        Self::answering(AfterDeadlock::Wait, None)
    }

    fn answering(after_deadlock: AfterDeadlock, after_stall: Option<AfterStall>) -> Self {
        let scheduler: &'static _ = Box::leak(Box::new(Scheduler::new(Host::new())));
        let kernel: &'static _ = Box::leak(Box::new(Kernel {
            reports: Mutex::default(),
            kinds: Mutex::default(),
            after_deadlock,
            after_stall,
        }));
        scheduler.set_hooks(kernel).unwrap();
        Self {
            scheduler,
            cells: Box::leak(Box::new(Cells::new())),
            kernel,
        }
    }

    fn spawn(&self, name: &'static str, body: impl FnOnce() + Send + 'static) {
        let builder = self.scheduler.builder().name(name);
        builder.spawn(self.cells, body).unwrap().detach();
    }

    /// Runs, and returns what was reported. The fibers that are left stay where they are.
    fn run(&self) -> Vec<String> {
        self.scheduler.run();
        core::mem::take(&mut self.kernel.reports.lock().unwrap())
    }
}

/// The text with all addresses, and the ids made of them, replaced by `@`.
///
/// It looks at bytes, and copies what lies between: Miri takes long for each step, and there are many reports.
fn plain(text: &str) -> String {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        let rest = bytes[from..].iter();
        rest.take_while(|byte| byte.is_ascii_hexdigit()).count()
    };
    let (mut plain, mut copied, mut at) = (String::new(), 0, 0);
    while at < bytes.len() {
        let is_address = bytes[at] == b'0' && bytes.get(at + 1) == Some(&b'x');
        // Where an id stands: after a name, or after `fiber`.
        let is_place_of_id = at > 0
            && matches!(bytes[at - 1], b'(' | b' ')
            && (bytes[at - 1] == b'(' || text[..at].ends_with("fiber "));
        let length = if is_address {
            2 + digits(at + 2)
        } else if is_place_of_id && bytes.get(at + digits(at)) == Some(&b'.') {
            digits(at)
        } else {
            at += 1;
            continue;
        };
        plain += &text[copied..at];
        plain.push('@');
        at += length;
        if bytes.get(at) == Some(&b'.') {
            at += 1 + digits(at + 1);
        }
        copied = at;
    }
    plain + &text[copied..]
}

/// What `f` panics with.
fn panic_of<R>(f: impl FnOnce() -> R) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else {
        return "no panic".to_owned();
    };
    let text = payload.downcast_ref::<String>().cloned();
    plain(&text.unwrap_or_else(|| (*payload.downcast_ref::<&str>().unwrap()).to_owned()))
}
