//! The scheduler's platform for the test kernels: the time-stamp counter as clock, the LAPIC's timer for deadlines.
//!
//! ```text
//! static SCHEDULER: Scheduler<Bare> = Scheduler::new(platform::bare());
//! interrupts::on_tick(|_| SCHEDULER.timer_interrupt());
//! ```

use core::sync::atomic::{AtomicU64, Ordering};

use kfiber::platform::{BareX86_64, NEVER, Nanoseconds, Timer};
#[cfg(feature = "smp")]
use kfiber::platform::{Core, Platform};
use x86_64::instructions::interrupts::without_interrupts;

#[cfg(feature = "smp")]
use crate::core_local;
use crate::{cpu, interrupts};

/// The bare machine with this timer.
pub type Bare = BareX86_64<LapicTimer>;

/// The platform for a scheduler in a static.
#[must_use]
pub const fn bare() -> Bare {
    // SAFETY: the harness enters every interrupt with interrupts off, and no hook turns them on.
    unsafe { BareX86_64::new(LapicTimer) }
}

/// Sets the clock, before several cores could do so at once.
pub(crate) fn set_clock() {
    LapicTimer::compare_clocks();
}

/// The bare machine with the cores that [`cores::start`](crate::cores::start) has started: each has its own timer, and
/// is kicked by an interrupt.
#[cfg(feature = "smp")]
#[derive(Debug)]
pub struct Cores(Bare);

#[cfg(feature = "smp")]
impl Cores {
    /// Returns the platform for a scheduler in a static.
    #[must_use]
    pub const fn new() -> Self {
        Self(bare())
    }
}

#[cfg(feature = "smp")]
impl Default for Cores {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: as that of `Bare`, which does the work on each core. A kick is an interrupt, which ends `hlt`.
#[cfg(feature = "smp")]
unsafe impl Platform for Cores {
    fn now(&self) -> Nanoseconds {
        self.0.now()
    }

    fn set_timer(&self, deadline: Nanoseconds) {
        self.0.set_timer(deadline);
    }

    fn idle(&self) {
        self.0.idle();
    }

    fn core(&self) -> Core {
        Core(core_local::this())
    }

    fn kick(&self, core: Core) {
        core_local::kick(core.0);
    }
}

/// How long the two clocks are compared.
const COMPARED_NS: u32 = 1_000_000;
/// Nanoseconds per tick of the time-stamp counter, times 2^32; 0 while nobody has compared the clocks.
static SCALE: AtomicU64 = AtomicU64::new(0);

/// The LAPIC's timer, which counts nanoseconds under QEMU, and the time-stamp counter, which is compared with it once.
#[derive(Debug)]
pub struct LapicTimer;

impl LapicTimer {
    /// With `-icount shift=0` both clocks tick once an instruction; otherwise the counter is the host's.
    #[cold]
    fn compare_clocks() -> u64 {
        without_interrupts(|| {
            let start = cpu::cycles();
            interrupts::wait_polling(COMPARED_NS);
            let ticks = cpu::cycles() - start;
            let scale = (u64::from(COMPARED_NS) << 32) / ticks.max(1);
            SCALE.store(scale, Ordering::Relaxed);
            scale
        })
    }
}

impl Timer for LapicTimer {
    fn now(&self) -> Nanoseconds {
        let mut scale = SCALE.load(Ordering::Relaxed);
        if scale == 0 {
            scale = Self::compare_clocks();
        }
        let ticks = u128::from(cpu::cycles());
        // 64 bits of nanoseconds are 584 years.
        u64::try_from((ticks * u128::from(scale)) >> 32).unwrap_or(NEVER)
    }

    /// A deadline further away than the timer can count interrupts early; the scheduler then asks again.
    fn interrupt_at(&self, deadline: Nanoseconds) {
        if deadline == NEVER {
            interrupts::stop_timer();
            return;
        }
        let delay = deadline.saturating_sub(self.now()).max(1);
        interrupts::start_one_shot(u32::try_from(delay).unwrap_or(u32::MAX));
    }
}
