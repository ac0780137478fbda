//! The machine of a kernel with several cores, as `kernel.rs` wants it: `cargo xtask demo --smp 4`.
//!
//! It counts for how long each core sleeps, which `top` shows.

use crate::scheduler::SCHEDULER;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use kfiber::hardware::{ApicCores, ApicVectors, HardwareError, LocalApic};
use kfiber::platform::{Core, NEVER, Nanoseconds, Platform};
use kfiber::scheduler::FiberInfo;
use kfiber::x86_64::VirtAddr;
use kfiber::x86_64::instructions::interrupts;
use tests_qemu::exceptions::{self, SPURIOUS_VECTOR, TIMER_VECTOR};
use tests_qemu::{cores, println};

/// The number of cores of the scheduler. Those that the machine does not have never run.
pub(crate) const CORES: usize = cores::MOST;
/// Whether [`core_of`] has an answer.
pub(crate) const KNOWS_CORES: bool = true;
/// The vectors by which a core's timer and other cores interrupt it.
const VECTORS: ApicVectors = ApicVectors {
    timer: TIMER_VECTOR,
    kick: cores::KICK_VECTOR,
};
/// A core with work is interrupted at least this often, so that the watchdog looks at it.
const TICK_NS: Nanoseconds = 20_000_000;

/// The scheduler's platform.
pub(crate) struct Machine {
    cores: ApicCores<CORES>,
    meters: [Meter; CORES],
}

/// For how long a core has slept.
struct Meter {
    /// In nanoseconds, without the sleep that lasts.
    slept: AtomicU64,
    /// Since when the core sleeps, or `NEVER` if it is awake.
    since: AtomicU64,
    /// What both of them said when the load was last shown, and when that was.
    shown: [AtomicU64; 2],
}

/// Returns the platform for a scheduler in a static.
pub(crate) const fn machine() -> Machine {
    Machine {
        // SAFETY: the harness enters every interrupt with interrupts off, and no hook turns them on.
        cores: unsafe { ApicCores::new() },
        meters: [const {
            Meter {
                slept: AtomicU64::new(0),
                since: AtomicU64::new(NEVER),
                shown: [const { AtomicU64::new(0) }; 2],
            }
        }; CORES],
    }
}

// SAFETY: as that of `ApicCores`, which does the work.
unsafe impl Platform for Machine {
    fn now(&self) -> Nanoseconds {
        self.cores.now()
    }

    fn set_timer(&self, deadline: Nanoseconds) {
        self.cores.set_timer(deadline.min(self.now() + TICK_NS));
    }

    fn idle(&self) {
        let meter = &self.meters[cores::this()];
        let start = self.now();
        meter.since.store(start, Ordering::Release);
        self.cores.idle();
        meter.slept.fetch_add(self.now() - start, Ordering::Relaxed);
        meter.since.store(NEVER, Ordering::Release);
    }

    fn core(&self) -> Core {
        self.cores.core()
    }

    fn kick(&self, core: Core) {
        self.cores.kick(core);
    }
}

impl Meter {
    /// Returns how much of the time since the last call the core was awake, in hundredths.
    fn load(&self, now: Nanoseconds) -> u64 {
        let lasts = now.saturating_sub(self.since.load(Ordering::Acquire));
        let slept = self.slept.load(Ordering::Relaxed) + lasts;
        let [slept_before, before] = [&self.shown[0], &self.shown[1]];
        let slept = slept.saturating_sub(slept_before.swap(slept, Ordering::Relaxed));
        let elapsed = (now - before.swap(now, Ordering::Relaxed)).max(1);
        100 * (elapsed.saturating_sub(slept)) / elapsed
    }
}

/// Starts all cores, and runs all fibers on them. Interrupts are on.
pub(crate) fn run() {
    match cores::start() {
        Ok(count) => println!("{count} cores"),
        Err(error) => println!("not all cores were started: {error}"),
    }
    exceptions::hook(VECTORS.kick, |_| {
        SCHEDULER.platform().cores.end_of_interrupt();
    });
    start_this_core().expect("the machine is a PC");
    cores::on_all(|core| {
        if core > 0 {
            start_this_core().expect("as on the first core");
        }
        interrupts::enable();
        #[cfg(feature = "trace")]
        crate::scheduler::RECORDER.start(&SCHEDULER);
        SCHEDULER.run();
    });
}

/// Ends the interrupt of a core's timer.
pub(crate) fn end_of_timer_interrupt() {
    SCHEDULER.platform().cores.end_of_timer_interrupt();
}

/// Starts this core's part of the platform; on the first core first.
fn start_this_core() -> Result<(), HardwareError> {
    // SAFETY: all memory is mapped one to one, and the harness has a handler for the vector.
    let apic = unsafe { LocalApic::enable(VirtAddr::zero(), SPURIOUS_VECTOR) }?;
    let platform = &SCHEDULER.platform().cores;
    if cores::this() == 0 {
        // SAFETY: both vectors are hooked, and nobody else uses the timers or the PIT from here on.
        unsafe { platform.start(apic, VECTORS) }
    } else {
        // SAFETY: as above, and the clocks of QEMU's cores agree.
        unsafe { platform.start_on_this_core(apic) }
    }
}

/// Returns the core of a fiber.
pub(crate) const fn core_of(fiber: &FiberInfo) -> Option<usize> {
    Some(fiber.core.0)
}

/// Shows how busy each core was since the last call, and returns the number of lines.
pub(crate) fn print_load() -> usize {
    let platform = SCHEDULER.platform();
    let now = platform.now();
    let meters = &platform.meters[..cores::count()];
    for (core, meter) in meters.iter().enumerate() {
        println!("  core {core} {}", Bar(meter.load(now)));
    }
    meters.len()
}

/// A bar of a length in hundredths.
struct Bar(u64);

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LENGTH: u64 = 40;
        write!(f, "[")?;
        for place in 0..LENGTH {
            let is_full = place * 100 < self.0 * LENGTH;
            write!(f, "{}", if is_full { '█' } else { ' ' })?;
        }
        write!(f, "] {:>3} %", self.0)
    }
}
