//! `ps` and `top`: what all fibers do.

#[cfg(feature = "trace")]
#[path = "times.rs"]
mod times;

use crate::console;
use crate::machine;
use crate::scheduler::SCHEDULER;
use core::fmt;
use core::time::Duration;
use kfiber::scheduler::{FiberInfo, FiberState};
use tests_qemu::{print, println};

/// Shows all fibers once.
pub(crate) fn ps() -> usize {
    let core = if machine::KNOWS_CORES { " core" } else { "" };
    println!(
        "  {:<12}{core} {:>4} {:>10} {:>15}{}  does",
        "name",
        "prio",
        "switches",
        "stack used",
        times::HEAD,
    );
    let mut lines = 1;
    for fiber in SCHEDULER.fibers() {
        println!("{}", Row(fiber));
        lines += 1;
    }
    lines
}

/// Shows all fibers again and again, until a key is pressed.
pub(crate) fn top() {
    loop {
        let lines = machine::print_load() + ps();
        println!("  (any key ends this)");
        if console::wait_for_key(Duration::from_millis(500)) {
            return;
        }
        // Up again, and clear what is below.
        print!("\x1b[{}A\x1b[J", lines + 1);
    }
}

/// Without a recorder nobody knows the times.
#[cfg(not(feature = "trace"))]
mod times {
    use core::fmt;
    use kfiber::scheduler::FiberId;

    pub(super) const HEAD: &str = "";

    #[expect(clippy::unnecessary_wraps, reason = "as with a recorder")]
    pub(super) const fn write(_f: &mut fmt::Formatter<'_>, _fiber: FiberId) -> fmt::Result {
        Ok(())
    }
}

struct Row(FiberInfo);

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fiber = &self.0;
        let usage = fiber.stack_usage();
        write!(f, "  {:<12}", fiber.name)?;
        if let Some(core) = machine::core_of(fiber) {
            write!(f, " {core:>4}")?;
        }
        write!(f, " {:>4} {:>10}", fiber.priority.level(), fiber.switches)?;
        write!(f, " {:>6} of {:>5}", usage.used_bytes, usage.size_bytes)?;
        times::write(f, fiber.id)?;
        write!(f, "  ")?;
        match fiber.state {
            FiberState::Running => write!(f, "runs"),
            FiberState::Ready => write!(f, "is ready"),
            FiberState::Waiting {
                reason, location, ..
            } => {
                let file = location.file().rsplit('/').next().unwrap_or("");
                write!(f, "waits: {reason:?} at {file}:{}", location.line())
            }
            FiberState::OnAnotherCore => write!(f, "runs or waits on that core"),
            FiberState::Finished => write!(f, "has ended"),
            FiberState::Failed(failure) => write!(f, "{failure}"),
            other => write!(f, "{other:?}"),
        }
    }
}
