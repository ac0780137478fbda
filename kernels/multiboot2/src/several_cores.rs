//! Several cores, with the feature `smp`. Each has its own words, tables, stack and timer.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use kfiber::exceptions::Tables;
use kfiber::platform::{Core, Platform};
use kfiber::scheduler::{self, CoreLocal, FiberPool};
use kfiber::x86_64::VirtAddr;

use crate::kernel::{SCHEDULER, println};
use crate::{machine, start_cores};

/// How many cores the scheduler has. Those that the machine does not have never begin.
pub const COUNT: usize = 4;

/// What kfiber keeps of each core, where its GS base leads.
static LOCALS: [CoreLocal; COUNT] = [const { CoreLocal::new() }; COUNT];
/// The descriptor tables of each core but the first.
static TABLES: [machine::CoreTables; COUNT - 1] = [const { Tables::new() }; COUNT - 1];
/// A fiber for each core.
static WORKERS: FiberPool<{ 32 * 1024 }, COUNT> = FiberPool::new();

static PHYSICAL_MEMORY_AT: AtomicU64 = AtomicU64::new(0);

/// To be called first of all.
pub fn init() {
    // SAFETY: the first core, which uses its GS base for nothing else.
    unsafe { LOCALS[0].install(Core(0)) };
}

/// To be called before the first core runs fibers.
pub fn start_others(physical_memory_at: VirtAddr) {
    spawn_worker(Core(0));
    PHYSICAL_MEMORY_AT.store(physical_memory_at.as_u64(), Ordering::Relaxed);
    let local_apic = machine::enable_local_apic(physical_memory_at).expect("it is enabled already");
    start_cores::start_others(local_apic).expect("the local APIC can send");
}

/// Where each of the other cores comes to Rust. The first of them has the number 1.
pub extern "sysv64" fn other_core(number: usize) -> ! {
    // SAFETY: as in `init`, and each core has another number.
    unsafe { LOCALS[number].install(Core(number)) };
    machine::load(&TABLES[number - 1]);
    let physical_memory_at = VirtAddr::new(PHYSICAL_MEMORY_AT.load(Ordering::Relaxed));
    let local_apic = machine::enable_local_apic(physical_memory_at).expect("as on the first core");
    // SAFETY: the vectors have handlers, and the clocks of QEMU's cores agree.
    unsafe { SCHEDULER.platform().start_on_this_core(local_apic) }.expect("as on the first core");
    spawn_worker(Core(number));
    SCHEDULER.run(); // until all fibers have ended, on whatever core
    machine::halt()
}

/// Makes a fiber that stays on this core. All other fibers run wherever there is room.
fn spawn_worker(core: Core) {
    let fiber = SCHEDULER.builder().name("worker").on(core);
    let spawned = fiber.spawn(&WORKERS, worker);
    spawned.expect("each core has a cell").detach();
}

fn worker() {
    for round in 1..=2 {
        scheduler::sleep(Duration::from_millis(50)).expect("nobody cancels it");
        println!("worker: {round} on core {}", SCHEDULER.platform().core().0);
    }
}
