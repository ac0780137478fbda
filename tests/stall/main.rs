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

/// The text with all addresses, and the ids made of them, replaced by `@`, and lines of this folder by `HERE`.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let digits = |text: &str| {
            text.find(|c: char| !c.is_ascii_hexdigit())
                .unwrap_or(text.len())
        };
        // An address, or where an id stands: after a name, or after `fiber`.
        let is_address = rest.strip_prefix("0x").map(|hex| 2 + digits(hex));
        let is_place_of_id = plain.ends_with('(') || plain.ends_with("fiber ");
        let is_id = (is_place_of_id && rest[digits(rest)..].starts_with('.')).then(|| digits(rest));
        if let Some(length) = is_address.or(is_id) {
            plain.push('@');
            rest = &rest[length..];
            let generation = rest.strip_prefix('.').map_or(0, |rest| 1 + digits(rest));
            rest = &rest[generation..];
        } else {
            plain.push(letter);
            rest = &rest[letter.len_utf8()..];
        }
    }
    plain
}

/// What `f` panics with.
fn panic_of<R>(f: impl FnOnce() -> R) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else {
        return "no panic".to_owned();
    };
    let text = payload.downcast_ref::<String>().cloned();
    plain(&text.unwrap_or_else(|| (*payload.downcast_ref::<&str>().unwrap()).to_owned()))
}
