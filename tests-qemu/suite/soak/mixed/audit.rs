//! Compares what the scheduler says of each fiber with what the fiber says of itself.

use core::sync::atomic::Ordering;

use kfiber::scheduler::{FiberState, WaitReason, current};

use super::{
    ACQUIRES, AUDITS, EVENTS, FIBERS, IS_OVER, JOINS, LOCKS, MEETS, MEMBERS, Member, PARKS, READS,
    RECEIVES, RUNS, SLEEPS, STOCKS, TOKENS, deeds,
};
use crate::soak::SCHEDULER;

/// What a fiber may say that it does while it waits for such a thing.
const fn waits_in(reason: WaitReason) -> &'static [usize] {
    match reason {
        WaitReason::Park => &[PARKS],
        WaitReason::Sleep => &[SLEEPS],
        WaitReason::Join => &[JOINS],
        WaitReason::Mutex => &[LOCKS, STOCKS],
        WaitReason::Condvar => &[STOCKS],
        WaitReason::Semaphore => &[ACQUIRES],
        WaitReason::Send | WaitReason::Receive => &[RECEIVES],
        WaitReason::Read | WaitReason::Write => &[READS],
        WaitReason::Event => &[EVENTS],
        WaitReason::Barrier => &[MEETS],
        _ => &[],
    }
}

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
            // It yields, or was woken from whatever it does.
            FiberState::Ready => {}
            FiberState::Waiting { reason, .. } => {
                assert!(waits_in(reason).contains(&does), "{fiber:?} does {does}");
            }
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
