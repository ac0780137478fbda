//! Two cores, with the feature `smp`. The second one has its own stacks, tables and timer.

use core::arch::x86_64::__cpuid;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use kfiber::exceptions::Tables;
use kfiber::hardware::LocalApicTimer;
use kfiber::platform::{Core, Nanoseconds, Platform, Timer};
use kfiber::scheduler::{self, CoreLocal, FiberCell};
use kfiber::x86_64::VirtAddr;
use kfiber::x86_64::instructions::{hlt, interrupts};

use crate::kernel::{SCHEDULER, println};
use crate::machine;
use crate::start_core::start_core;

/// How many cores the scheduler has.
pub const COUNT: usize = 2;
const SECOND: Core = Core(1);

/// The platform of the scheduler: a timer for each core, and one clock.
pub struct Machine(LocalApicTimer);

pub const fn machine() -> Machine {
    Machine(LocalApicTimer::new())
}

impl Machine {
    pub const fn timer(&self) -> &LocalApicTimer {
        &self.0
    }
}

// SAFETY: `sti` takes effect behind `hlt`, so no interrupt is lost. No handler of this kernel turns interrupts on.
unsafe impl Platform for Machine {
    fn now(&self) -> Nanoseconds {
        self.0.now()
    }

    fn set_timer(&self, deadline: Nanoseconds) {
        self.0.interrupt_at(deadline);
    }

    fn idle(&self) {
        interrupts::enable_and_hlt();
    }

    /// By the number of the local APIC, which counts from 0 in QEMU.
    fn core(&self) -> Core {
        Core((__cpuid(1).ebx >> 24) as usize)
    }

    fn kick(&self, Core(number): Core) {
        self.0.kick(number as u32).expect("there is such a core");
    }
}

/// What kfiber keeps of each core, where its GS base leads.
static LOCALS: [CoreLocal; COUNT] = [const { CoreLocal::new() }; COUNT];
static TABLES: machine::CoreTables = Tables::new();
static PHYSICAL_MEMORY_AT: AtomicU64 = AtomicU64::new(0);
static FIBER: FiberCell<{ 32 * 1024 }> = FiberCell::new();

/// To be called first of all.
pub fn init() {
    // SAFETY: the first core, which uses its GS base for nothing else.
    unsafe { LOCALS[0].install() };
}

/// To be called before the first core runs fibers.
pub fn start_others(physical_memory_at: VirtAddr) {
    let fiber = SCHEDULER.builder().name("second").on(SECOND);
    fiber
        .spawn(&FIBER, second)
        .expect("the cell is free")
        .detach();

    PHYSICAL_MEMORY_AT.store(physical_memory_at.as_u64(), Ordering::Relaxed);
    let local_apic = machine::enable_local_apic(physical_memory_at).expect("it is enabled already");
    start_core(local_apic, second_core).expect("the machine has two cores");
}

/// Where the second core comes to Rust.
extern "sysv64" fn second_core() -> ! {
    // SAFETY: as in `init`.
    unsafe { LOCALS[SECOND.0].install() };
    machine::load(&TABLES);
    let physical_memory_at = VirtAddr::new(PHYSICAL_MEMORY_AT.load(Ordering::Relaxed));
    machine::enable_local_apic(physical_memory_at).expect("the first core has one too");
    // SAFETY: the timer's vector has a handler, and the clocks of QEMU's cores agree.
    unsafe { SCHEDULER.platform().timer().start_on_this_core() };
    interrupts::enable();
    SCHEDULER.run();
    loop {
        hlt();
    }
}

/// A fiber of the second core.
fn second() {
    for _ in 0..2 {
        scheduler::sleep(Duration::from_millis(50)).expect("nobody cancels it");
        println!("second: on core {}", SCHEDULER.platform().core().0);
    }
}
