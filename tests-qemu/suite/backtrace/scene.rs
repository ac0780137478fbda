//! What is watched: fibers that resume fibers, on stacks above and below their resumer's, switching at several depths.
//!
//! ```text
//!   root_entry ── root_mid ──resume──► parent_entry ── parent_mid ──resume──► child_entry ── child_mid ── child_leaf
//! ```
//!
//! Each level also switches in the function above, so that a switch lands one call deep, two calls deep, and not at
//! all deep. `parent_mid` has an aligned local, so that its frame is found by rbp and not by rsp.

use core::hint::black_box;
use core::sync::atomic::{AtomicPtr, Ordering};

use kfiber::context::ControlBlock;
use kfiber::fiber::{Fiber, Resumed, Yielder};
use kfiber::stack::{Stack, StackHandle, Storage};

use super::shadow::CONTEXTS;

type SceneStack = Stack<{ 32 * 1024 }>;
type SceneFiber = Fiber<u64, u64, u64, StackHandle<SceneStack>>;

/// In an array, so that their order in memory is known.
static STACKS: [SceneStack; 3] = [const { SceneStack::new() }; 3];

/// Which stacks the fibers of a scene use; 0 is the lowest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    /// Nothing if the scene begins on the kernel's own stack, which lies above or below all of them.
    pub(super) root: Option<usize>,
    pub(super) parent: usize,
    pub(super) child: usize,
}

/// The child above and below the parent; the root on the kernel's stack, or itself a fiber between them.
pub(super) const GEOMETRIES: [Geometry; 4] = [
    Geometry {
        root: None,
        parent: 0,
        child: 2,
    },
    Geometry {
        root: None,
        parent: 2,
        child: 0,
    },
    Geometry {
        root: Some(1),
        parent: 0,
        child: 2,
    },
    Geometry {
        root: Some(1),
        parent: 2,
        child: 0,
    },
];

/// Numbers of the fibers in a scene; 0 is the kernel's own stack.
pub(super) const PARENT: usize = 1;
pub(super) const CHILD: usize = 2;
pub(super) const ROOT: usize = 3;

/// The blocks of the fibers, for debuggers.
#[unsafe(export_name = "kfiber_test_scene_blocks")]
static BLOCKS: [AtomicPtr<ControlBlock>; CONTEXTS] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; CONTEXTS];

/// Fibers that the watcher has not seen yet.
static NEW: [AtomicPtr<ControlBlock>; CONTEXTS] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; CONTEXTS];

/// Says that a fiber was made.
pub(super) fn announce(index: usize, block: *mut ControlBlock) {
    BLOCKS[index].store(block, Ordering::Relaxed);
    NEW[index].store(block, Ordering::Relaxed);
}

/// The fiber that was made since the last call, if any.
pub(super) fn announced(index: usize) -> Option<*mut ControlBlock> {
    if NEW[index].load(Ordering::Relaxed).is_null() {
        return None;
    }
    Some(NEW[index].swap(core::ptr::null_mut(), Ordering::Relaxed))
}

/// The block of a fiber that was announced.
pub(super) fn block(index: usize) -> *mut ControlBlock {
    BLOCKS[index].load(Ordering::Relaxed)
}

/// Where a debugger stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Stop {
    /// In the root: the parent is new.
    New = 1,
    /// In the child, three functions deep, while all others wait for it.
    Deep = 2,
    /// In the root: parent and child are suspended.
    Suspended = 3,
    /// In the parent: the child has ended.
    ChildEnded = 4,
    /// In the root: all have ended.
    Ended = 5,
}

/// Does nothing; debuggers stop at its first instruction.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) const extern "C" fn kfiber_test_scene_stop(stop: Stop) {
    black_box(stop);
}

/// Plays the scene and returns a number that depends on every value that was sent.
#[inline(never)]
pub(super) fn play(geometry: Geometry) -> u64 {
    let Some(root) = geometry.root else {
        // Not as the last thing, which would be a jump, and `play` no caller.
        return black_box(root_entry(geometry));
    };
    let mut fiber: SceneFiber =
        Fiber::new(take(root), move |_, _| root_entry(geometry)).expect("a small closure");
    announce(ROOT, fiber.control_block());
    match fiber.resume(0) {
        Resumed::Returned(sum) => sum,
        Resumed::Yielded(_) => panic!("the root does not suspend itself"),
    }
}

fn take(index: usize) -> StackHandle<SceneStack> {
    STACKS[index].take().expect("each stack is used once")
}

#[inline(never)]
pub(super) fn root_entry(geometry: Geometry) -> u64 {
    let mut parent: SceneFiber = Fiber::new(take(geometry.parent), move |yielder, first| {
        parent_entry(yielder, first, geometry.child)
    })
    .expect("a small closure");
    announce(PARENT, parent.control_block());
    kfiber_test_scene_stop(Stop::New);
    let mut sum = 0;
    for round in 0.. {
        let resumed = if round % 2 == 0 {
            root_mid(&mut parent, round)
        } else {
            parent.resume(round)
        };
        match resumed {
            Resumed::Yielded(value) => sum += value,
            Resumed::Returned(value) => {
                sum += value;
                break;
            }
        }
        if round == 2 {
            kfiber_test_scene_stop(Stop::Suspended);
        }
    }
    kfiber_test_scene_stop(Stop::Ended);
    black_box(sum)
}

#[inline(never)]
pub(super) fn root_mid(parent: &mut SceneFiber, value: u64) -> Resumed<u64, u64> {
    let resumed = parent.resume(black_box(value) + 10);
    black_box(resumed)
}

#[inline(never)]
pub(super) fn parent_entry(yielder: &Yielder<u64, u64>, first: u64, stack: usize) -> u64 {
    let mut child: SceneFiber = Fiber::new(take(stack), child_entry).expect("a small closure");
    announce(CHILD, child.control_block());
    let mut sum = yielder.suspend(first);
    sum += parent_mid(yielder, &mut child);
    loop {
        match child.resume(sum) {
            Resumed::Yielded(value) => sum += yielder.suspend(value),
            Resumed::Returned(value) => {
                kfiber_test_scene_stop(Stop::ChildEnded);
                return sum + value;
            }
        }
    }
}

#[derive(Clone, Copy)]
#[repr(align(128))]
struct Aligned([u64; 16]);

#[inline(never)]
pub(super) fn parent_mid(yielder: &Yielder<u64, u64>, child: &mut SceneFiber) -> u64 {
    let mut local = Aligned([1; 16]);
    for round in 0..4 {
        if let Resumed::Yielded(value) = child.resume(round) {
            black_box(&mut local).0[3] += value;
        }
        // From the second round on the child is suspended while we are.
        local.0[4] += yielder.suspend(round);
    }
    black_box(&local).0.iter().sum()
}

#[inline(never)]
pub(super) fn child_entry(yielder: &Yielder<u64, u64>, first: u64) -> u64 {
    let mut sum = yielder.suspend(first + 1);
    sum += child_mid(yielder, sum);
    sum + yielder.suspend(sum)
}

#[inline(never)]
pub(super) fn child_mid(yielder: &Yielder<u64, u64>, value: u64) -> u64 {
    let inner = yielder.suspend(black_box(value) * 2);
    black_box(inner + child_leaf(yielder, inner))
}

#[inline(never)]
pub(super) fn child_leaf(yielder: &Yielder<u64, u64>, value: u64) -> u64 {
    kfiber_test_scene_stop(Stop::Deep);
    black_box(yielder.suspend(value + 3)) + 1
}
