//! What all fibers of a program share: the dice, the model, the handles, and the count of what was dropped.

use crate::model::{Model, Slot};
use crate::program::{self, SLOTS};
use kfiber::platform::Platform as _;
use kfiber::scheduler::{FiberId, JoinHandle, Unparker};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// `SplitMix64`.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("below a usize")
    }
}

/// What a fiber returns: it knows whether it was dropped.
#[derive(Debug)]
pub(crate) struct Output(pub usize);

impl Drop for Output {
    fn drop(&mut self) {
        let mut drops = DROPS.lock().expect("no holder panics");
        drops[self.0] += 1;
    }
}

/// How often each output was dropped.
pub(crate) static DROPS: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// A fiber that was made, and its handle as long as somebody has it.
pub(crate) struct Made {
    pub(crate) slot: Slot,
    pub(crate) id: FiberId,
    pub(crate) unparker: Unparker,
}

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) operations: u64,
    pub(crate) random: Random,
    pub(crate) model: Model,
    /// Who lives where.
    pub(crate) tenants: BTreeMap<Slot, usize>,
    /// All fibers ever made, by number.
    pub(crate) made: Vec<Made>,
    pub(crate) handles: BTreeMap<usize, JoinHandle<Output>>,
    pub(crate) is_closing: bool,
}

static WORLD: Mutex<Option<World>> = Mutex::new(None);

/// Looks at the world; nothing in `f` may switch.
pub(crate) fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    let mut world = WORLD.lock().expect("no holder panics");
    f(world.as_mut().expect("a program runs"))
}

/// Begins a program: its supervisor is made, and ready to run.
pub(crate) fn begin(seed: u64) {
    DROPS.lock().expect("no holder panics").clear();
    let mut model = Model::default();
    model.now = program::SCHEDULER.platform().now();
    *WORLD.lock().expect("no holder panics") = Some(World {
        seed,
        operations: 0,
        random: Random(seed),
        model,
        tenants: BTreeMap::new(),
        made: Vec::new(),
        handles: BTreeMap::new(),
        is_closing: false,
    });
    program::start_supervisor();
}

/// Ends a program after its run, and returns how many operations it had.
pub(crate) fn end() -> u64 {
    let world = WORLD.lock().expect("no holder panics").take();
    let World {
        seed,
        operations,
        model,
        handles,
        made,
        ..
    } = world.expect("a program ran");
    assert_eq!(model.live(), 0, "seed {seed:#x}: the model has more to do");
    assert!(handles.values().all(JoinHandle::is_finished));
    drop(handles);
    let drops = DROPS.lock().expect("no holder panics");
    assert!(
        drops.iter().all(|drops| *drops == 1),
        "seed {seed:#x}: dropped {drops:?}"
    );
    assert_eq!(drops.len(), made.len(), "seed {seed:#x}");
    assert_eq!(program::SCHEDULER.fibers().count(), 0, "seed {seed:#x}");
    for made in &made {
        assert!(
            !made.unparker.unpark(),
            "seed {seed:#x}: {:?} is alive",
            made.id
        );
    }
    assert!(made.iter().all(|made| made.slot < SLOTS));
    operations
}
