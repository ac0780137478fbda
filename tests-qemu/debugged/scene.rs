//! A fiber in each state, and the stops at which the debugger looks.

use core::hint::black_box;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use kfiber::scheduler::{self, Builder, FiberCell, Hooks, JoinHandle, Report};
use kfiber::sync::{Channel, Mutex};

/// One fiber runs, and all others are in some other state.
const IN_FIBER: u32 = 1;
/// The same, in the handler of an interrupt that came to the running fiber.
#[cfg(target_os = "none")]
pub(crate) const IN_INTERRUPT: u32 = 2;
/// Most have ended.
const AT_END: u32 = 3;

pub(crate) static IS_INTERRUPT_AWAITED: AtomicBool = AtomicBool::new(false);

/// Without hooks a panic would end the program.
pub(crate) struct Silent;

impl Hooks for Silent {
    fn report(&self, _report: &Report<'_>) {}
}

static BENCH: Mutex<u32> = Mutex::new(5);
static LETTERS: Channel<u32, 2> = Channel::new();
static CELLS: [FiberCell<{ 64 * 1024 }>; 7] = [const { FiberCell::new() }; 7];

/// Where the debugger has a breakpoint.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) const extern "C" fn kfiber_debugged_stop(number: u32) {
    // Also in a release build, where this is inlined code at the beginning of the function.
    black_box(number);
}

/// Spawns the fibers of the scene.
pub(crate) fn play(builder: Builder) {
    let spawn = |name, cell: usize, closure: fn()| {
        let spawned = builder.name(name).spawn(&CELLS[cell], closure);
        spawned.expect("each has a cell of its own")
    };
    let carpenter = spawn("carpenter", 0, works);
    spawn("apprentice", 1, wants_the_bench).detach();
    spawn("postman", 2, reads_letters).detach();
    let ended = spawn("ended", 3, || ());
    let failed = spawn("failed", 4, || panic!("on purpose"));
    let shows = move || shows(builder, carpenter, ended, failed);
    let spawned = builder.name("showman").spawn(&CELLS[5], shows);
    spawned.expect("each has a cell of its own").detach();
}

/// Holds the lock, and sleeps.
fn works() {
    let mut bench = BENCH.lock();
    *bench += 1;
    scheduler::sleep(Duration::from_secs(2)).expect("nobody cancels it");
}

#[inline(never)]
fn wants_the_bench() {
    let pieces = 7;
    let mut bench = BENCH.lock();
    *bench += black_box(pieces);
}

#[inline(never)]
fn reads_letters() {
    while let Ok(letter) = LETTERS.recv() {
        black_box(letter);
    }
}

fn shows(
    builder: Builder,
    carpenter: JoinHandle<()>,
    ended: JoinHandle<()>,
    failed: JoinHandle<()>,
) {
    scheduler::yield_now();
    let new = builder.name("new").spawn(&CELLS[6], || ());
    let new = new.expect("it has a cell of its own");
    kfiber_debugged_stop(IN_FIBER);
    #[cfg(target_os = "none")]
    {
        IS_INTERRUPT_AWAITED.store(true, Ordering::Relaxed);
        tests_qemu::interrupts::start_timer(1_000_000);
        while IS_INTERRUPT_AWAITED.load(Ordering::Relaxed) {
            core::hint::spin_loop();
        }
    }
    IS_INTERRUPT_AWAITED.store(false, Ordering::Relaxed);
    new.join().expect("it does not fail");
    carpenter.join().expect("it does not fail");
    LETTERS.close();
    scheduler::sleep(Duration::from_secs(1)).expect("nobody cancels it");
    drop((ended, failed));
    kfiber_debugged_stop(AT_END);
}
