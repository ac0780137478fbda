//! Plants each fault of a list into each primitive in turn: the fibers beside it and after it go on, and nothing is lost.
//!
//! The list is `faults.rs`, whose head says which combinations there are not, and why.

mod faults;
mod planter;
mod primitives;

use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use faults::FAULTS;
use kfiber::platform::Host;
use kfiber::scheduler::{
    AfterDeadlock, AfterStall, Deadlock, FiberPool, FiberState, Hooks, JoinHandle, Report,
    Scheduler, Stall,
};
use kfiber::stack::{Stack, StackHandle, StackPool};
use planter::{Ground, play};
use primitives::Set;
use std::sync::Mutex;

/// Room for a panic's message.
const STACK: usize = 65536;

static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
/// A pool for each fault, since a fiber that fails takes its cell along. One for all of them would be large, and a reference
/// to it dear: Miri looks at each cell whenever one is made.
static CELLS: [FiberPool<STACK, 20>; FAULTS.len()] = [const { FiberPool::new() }; FAULTS.len()];
/// Which fault is planted.
static FAULT: AtomicUsize = AtomicUsize::new(0);
static STACKS: StackPool<STACK, 16> = StackPool::new();
static SETS: [Set; FAULTS.len()] = [const { Set::new() }; FAULTS.len()];

struct Process;

impl Ground for Process {
    const STEP: Duration = Duration::from_millis(1);
    const PATIENCE: Duration = Duration::from_secs(1);
    type Memory = StackHandle<Stack<STACK>>;

    fn spawn<T: Send + 'static>(
        name: &'static str,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let cells = &CELLS[FAULT.load(Ordering::Relaxed)];
        let spawned = SCHEDULER.builder().name(name).spawn(cells, body);
        spawned.map_err(|error| error.kind).expect("a cell is free")
    }

    fn run() {
        SCHEDULER.run();
    }

    fn memory() -> Self::Memory {
        STACKS.take().expect("one for each primitive")
    }
}

/// Tells nobody: what matters is what becomes of the fibers.
struct Quiet;

impl Hooks for Quiet {
    fn report(&self, _report: &Report<'_>) {}

    fn stalled(&self, _stall: &Stall<'_>) -> AfterStall {
        AfterStall::Return
    }

    fn deadlocked(&self, _deadlock: &Deadlock<'_>) -> AfterDeadlock {
        AfterDeadlock::Panic
    }
}

/// What is planted, and into what.
static ROUND: Mutex<String> = Mutex::new(String::new());

/// Ends the process when somebody waits for ever, which no test takes a hundredth of.
#[cfg(not(miri))]
fn watch() {
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(60));
        eprintln!("it hangs: {}", ROUND.lock().expect("no holder panics"));
        std::process::exit(1);
    });
}

#[test]
fn a_fault_planted_into_a_primitive_is_that_of_its_fiber_alone() {
    #[cfg(not(miri))]
    watch();
    SCHEDULER.set_hooks(&Quiet).expect("the first");
    let mut rounds = 0;
    for (index, ((fault, sentence), set)) in FAULTS.iter().zip(&SETS).enumerate() {
        FAULT.store(index, Ordering::Relaxed);
        for primitive in set.all() {
            *ROUND.lock().expect("no holder panics") = format!("{}: {sentence}", primitive.name());
            rounds += usize::from(play::<Process>(*fault, primitive));
        }
    }
    assert!(rounds > 250, "only {rounds} rounds");
    let all = SCHEDULER
        .fibers()
        .filter(|fiber| !matches!(fiber.state, FiberState::Failed(_)));
    assert_eq!(all.count(), 0, "somebody hangs");
}
