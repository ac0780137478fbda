//! Hooks that print every report, for kernels that need no others.

use super::hooks::{Hooks, Report};
use crate::platform::interrupts;
use core::fmt::{self, Write};
use core::hint::spin_loop;
use core::sync::atomic::{AtomicU64, Ordering};
use spin::mutex::SpinMutex;

/// How often another core is waited for, in attempts, before a report is given up.
const PATIENCE: u32 = 1 << 20;

/// [`Hooks`] that print every report to a writer, such as a serial port.
///
/// ```
/// use kfiber::{platform::Host, scheduler::{PrintReports, Scheduler}};
/// # #[derive(Default)] struct Serial;
/// # impl core::fmt::Write for Serial {
/// #     fn write_str(&mut self, text: &str) -> core::fmt::Result { print!("{text}"); Ok(()) }
/// # }
///
/// static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
/// static REPORTS: PrintReports<Serial> = PrintReports::new(Serial);
///
/// SCHEDULER.set_hooks(&REPORTS)?;
/// # Ok::<(), kfiber::scheduler::HooksAlreadySet>(())
/// ```
///
/// Interrupts are off while a report is printed, and a lock keeps other cores out. If the writer
/// itself causes an exception, the report of that exception is not printed, because the writer is in
/// the middle of something. The next report then says how many are missing.
pub struct PrintReports<W> {
    writer: SpinMutex<W>,
    missing: AtomicU64,
}

impl<W: Write> PrintReports<W> {
    /// Returns hooks that print to this writer.
    #[must_use]
    pub const fn new(writer: W) -> Self {
        Self {
            writer: SpinMutex::new(writer),
            missing: AtomicU64::new(0),
        }
    }

    /// Prints a line that is not a report, such as the reason of a fatal panic, to the same writer.
    /// Returns whether it was printed: it is not if the writer is in the middle of something.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, exception handler, panic handler, any core; with interrupts
    /// on or off. Blocks: the core, for at most about a million attempts to lock.
    pub fn print(&self, line: fmt::Arguments<'_>) -> bool {
        /// Turns interrupts on again, also when what is printed unwinds.
        struct Restore(bool);
        impl Drop for Restore {
            fn drop(&mut self) {
                if self.0 {
                    interrupts::enable();
                }
            }
        }

        let _restore = Restore(interrupts::are_enabled());
        interrupts::disable();
        self.print_locked(line)
    }

    fn print_locked(&self, line: fmt::Arguments<'_>) -> bool {
        // On the same core the holder does not continue before we return, so this ends.
        let writer = (0..PATIENCE).find_map(|_| {
            let writer = self.writer.try_lock();
            if writer.is_none() {
                spin_loop();
            }
            writer
        });
        let Some(mut writer) = writer else {
            self.missing.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        let missing = self.missing.swap(0, Ordering::Relaxed);
        let note = match missing {
            0 => Ok(()),
            _ => writeln!(
                writer,
                "(reports missing here, since the writer was in use: {missing})"
            ),
        };
        note.is_ok() && writeln!(writer, "{line}").is_ok()
    }
}

impl<W: Write + Send> Hooks for PrintReports<W> {
    fn report(&self, report: &Report<'_>) {
        let _is_printed = self.print(format_args!("{report}"));
    }
}

impl<W> fmt::Debug for PrintReports<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrintReports")
            .field("missing", &self.missing)
            .finish_non_exhaustive()
    }
}
