//! Plants each fault of the list in `tests/planted_faults` into each primitive, on a bare machine.

#[path = "../../../tests/planted_faults/faults.rs"]
mod faults;
#[path = "../../../tests/planted_faults/planter.rs"]
mod planter;
#[path = "../../../tests/planted_faults/primitives.rs"]
mod primitives;

use core::time::Duration;

use kfiber::{
    scheduler::{FiberPool, JoinHandle},
    stack::{Stack, StackHandle, StackPool},
};
use tests_qemu::{kernel_test, println};

use self::{
    faults::FAULTS,
    planter::{Ground, play},
    primitives::Set,
};
use super::{SCHEDULER, STACK, contain, run_all};

/// A fiber that fails takes its cell along.
static CELLS: FiberPool<STACK, 160> = FiberPool::new();
static STACKS: StackPool<STACK, 16> = StackPool::new();
static SETS: [Set; FAULTS.len()] = [const { Set::new() }; FAULTS.len()];

struct Machine;

impl Ground for Machine {
    const STEP: Duration = Duration::from_micros(500);
    const PATIENCE: Duration = Duration::from_millis(20);
    type Memory = StackHandle<Stack<STACK>>;

    fn spawn<T: Send + 'static>(
        name: &'static str,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let spawned = SCHEDULER.builder().name(name).spawn(&CELLS, body);
        spawned.map_err(|error| error.kind).expect("a cell is free")
    }

    fn run() {
        run_all();
    }

    fn memory() -> Self::Memory {
        STACKS.take().expect("one for each primitive")
    }
}

kernel_test! {
    fn a_fault_planted_into_a_primitive_is_that_of_its_fiber_alone() timeout(120) icount {
        contain();
        let mut rounds = 0;
        for ((fault, sentence), set) in FAULTS.iter().zip(&SETS) {
            println!("{sentence}");
            for primitive in set.all() {
                rounds += usize::from(play::<Machine>(*fault, primitive));
            }
        }
        println!("{rounds} rounds");
    }
}
