//! Compares what the scheduler says of each fiber with what the fiber says of itself.

use core::sync::atomic::Ordering;

use kfiber::scheduler::{FiberState, WaitReason, current};

use super::{
    ACQUIRES, AUDITS, FIBERS, IS_OVER, JOINS, LOCKS, MEMBERS, Member, PARKS, RUNS, SLEEPS, TOKENS,
    YIELDS, deeds,
};
use crate::soak::SCHEDULER;

/// Looks at everything.
pub(super) fn audit(index: usize, switches: u64) {
    AUDITS.fetch_add(1, Ordering::Relaxed);
    deeds::audit(TOKENS * FIBERS as u64);
    let (mut members, mut running, mut made) = (0, 0, 0);
    for fiber in SCHEDULER.fibers() {
        made += fiber.switches;
        // A damaged canary counts as used to the end.
        assert!(fiber.stack_usage().free_bytes() > 0, "overflow: {fiber:?}");
        if fiber.name == "child" {
            assert!(!matches!(fiber.state, FiberState::Running));
            continue;
        }
        let is_it = |member: &&Member| member.waker.get().id() == fiber.id;
        let member = MEMBERS.iter().find(is_it).expect("a member of its id");
        members += 1;
        let does = member.does.load(Ordering::Relaxed);
        match fiber.state {
            FiberState::Running => {
                running += 1;
                assert_eq!(Some(fiber.id), current());
                assert!(
                    core::ptr::eq(member, &raw const MEMBERS[index]) && does == RUNS,
                    "{fiber:?} does {does}"
                );
            }
            // One whose deadline had passed yields instead of sleeping.
            FiberState::Ready => assert!(
                [RUNS, YIELDS, SLEEPS].contains(&does),
                "{fiber:?} does {does}"
            ),
            FiberState::Waiting {
                reason: WaitReason::Park,
                ..
            } => assert_eq!(does, PARKS, "{fiber:?}"),
            FiberState::Waiting {
                reason: WaitReason::Sleep,
                ..
            } => assert_eq!(does, SLEEPS, "{fiber:?}"),
            FiberState::Waiting {
                reason: WaitReason::Join,
                ..
            } => assert_eq!(does, JOINS, "{fiber:?}"),
            FiberState::Waiting {
                reason: WaitReason::Mutex,
                ..
            } => assert_eq!(does, LOCKS, "{fiber:?}"),
            FiberState::Waiting {
                reason: WaitReason::Semaphore,
                ..
            } => assert_eq!(does, ACQUIRES, "{fiber:?}"),
            FiberState::Finished => assert!(
                IS_OVER.load(Ordering::Relaxed),
                "{fiber:?} has ended too early"
            ),
            _ => panic!("{fiber:?} does {does}"),
        }
    }
    assert_eq!((members, running), (FIBERS, 1));
    if made >= switches {
        IS_OVER.store(true, Ordering::Relaxed);
    }
}
