//! Plants a fault into a primitive, and looks whether the others go on. The test kernels include this file.

use super::faults::{Fault, Inside, Waiting};
use super::primitives::{Can, Primitive};
use core::time::Duration;
use kfiber::fiber::{Fiber, Resumed, Yielder};
use kfiber::platform::{NEVER, Nanoseconds};
use kfiber::scheduler::{
    JoinErrorKind, JoinHandle, after, now, shield, sleep, sleep_until, unparker, yield_now,
};
use kfiber::stack::StackMemory;

type Pause = Yielder<(), ()>;

/// Where it is played.
pub(crate) trait Ground: 'static {
    /// A little time, and more than all that a round takes.
    const STEP: Duration;
    const PATIENCE: Duration;
    type Memory: StackMemory + 'static;

    fn spawn<T: Send + 'static>(
        name: &'static str,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T>;
    fn run();
    /// A stack for a fiber inside.
    fn memory() -> Self::Memory;
}

/// Whether the fault makes sense there: see the table of the faults.
fn is_possible(fault: Fault, primitive: &dyn Primitive) -> bool {
    let can = |wanted| primitive.can().contains(&wanted);
    match fault {
        Fault::Inside(Inside::IsForgotten) => can(Can::Forget),
        // With threads for fibers, code of a fiber inside runs in no scheduled fiber.
        Fault::Inside(Inside::LeavesAFiber) if cfg!(any(miri, kfiber_threads)) => false,
        Fault::Inside(Inside::LeavesAFiber) if primitive.name() == "FiberLocal" => false,
        // A failure with interrupts off ends a kernel.
        Fault::Inside(_) if can(Can::EnterQuietly) => !fault.waits_inside() && !fault.keeps(),
        Fault::Inside(_) => can(Can::Enter),
        Fault::Waiting(_) => can(Can::Wait),
    }
}

/// Plays one round; says whether it made sense.
pub(crate) fn play<G: Ground>(fault: Fault, primitive: &'static dyn Primitive) -> bool {
    if !is_possible(fault, primitive) {
        return false;
    }
    let culprit = match fault {
        Fault::Inside(inside) => {
            let culprit = G::spawn("culprit", move || {
                enter::<G>(inside, primitive);
                true
            });
            if inside == Inside::IsCancelled {
                culprit.cancel();
            }
            culprit
        }
        Fault::Waiting(waiting) => {
            // Fibers begin at the same time, whatever that is.
            G::spawn("holder", move || hold::<G>(waiting, primitive)).detach();
            let culprit = G::spawn("culprit", move || wait::<G>(waiting, primitive));
            if waiting == Waiting::IsCancelledBefore {
                culprit.cancel();
            }
            culprit
        }
    };
    let beside: [_; 2] = core::array::from_fn(|_| bystander::<G>(primitive));
    let mender = fault.keeps().then(|| {
        G::spawn("mender", move || {
            let _slept = sleep_until(end_of_hold::<G>() + end_of_hold::<G>() - now());
            primitive.mend()
        })
    });
    let culprit = match fault {
        Fault::Waiting(waiting) => {
            let helper = G::spawn("helper", move || {
                help::<G>(waiting, &culprit);
                culprit
            });
            G::run();
            helper.try_join().expect("the helper ends")
        }
        Fault::Inside(_) => {
            G::run();
            culprit
        }
    };
    let afterwards = bystander::<G>(primitive);
    G::run();

    let name = primitive.name();
    let is_mended = mender.is_some_and(|mender| mender.try_join().ok() == Some(true));
    let is_made_anew = name == "Once" && fault != Fault::Inside(Inside::LeavesAFiber);
    let is_served = is_mended || is_made_anew || !fault.keeps();
    let is_told = is_served || primitive.is_poisoned();
    for fiber in beside.into_iter().chain([afterwards]) {
        match fiber.try_join().map_err(|error| error.kind) {
            Ok(Answer::Served) => {}
            Ok(Answer::Refused) => assert!(!is_served, "{name}, {fault:?}: one was refused"),
            Ok(Answer::TimedOut) => assert!(!is_told, "{name}, {fault:?}: one was told nothing"),
            Err(kind) => panic!("{name}, {fault:?}: one came to no end: {kind:?}"),
        }
    }
    match culprit.try_join().map_err(|error| error.kind) {
        Ok(_) => assert!(!fault.fails(), "{name}, {fault:?}: it did not fail"),
        Err(JoinErrorKind::Failed(failure)) => {
            assert!(fault.fails(), "{name}, {fault:?}: it failed: {failure}");
        }
        Err(kind) => panic!("{name}, {fault:?}: it hangs: {kind:?}"),
    }
    true
}

/// What one was told that waited as it should.
#[derive(Debug)]
enum Answer {
    Served,
    Refused,
    TimedOut,
}

/// One that uses it as it should be used.
fn bystander<G: Ground>(primitive: &'static dyn Primitive) -> JoinHandle<Answer> {
    G::spawn("bystander", move || {
        let mut turns = 0;
        let deadline = after(G::PATIENCE);
        let is_served = primitive.wait(deadline, &mut || turns += 1);
        assert_eq!(
            turns,
            u32::from(is_served),
            "it was served another time than it says"
        );
        match is_served {
            true => Answer::Served,
            false if now() < deadline => Answer::Refused,
            false => Answer::TimedOut,
        }
    })
}

fn fail() {
    panic!("planted");
}

/// The culprit's use, with a fault in the middle.
fn enter<G: Ground>(inside: Inside, primitive: &'static dyn Primitive) {
    struct FailsWhenDropped;
    impl Drop for FailsWhenDropped {
        fn drop(&mut self) {
            fail();
        }
    }
    let mut middle = || match inside {
        Inside::Yields | Inside::IsCancelled => (0..3).for_each(|_| yield_now()),
        Inside::Sleeps => {
            let _slept = sleep(G::STEP);
        }
        Inside::JoinsAnother => assert_eq!(G::spawn("joined", || 5).join().ok(), Some(5)),
        Inside::IsUnparked => assert!(unparker().expect("a fiber").unpark()),
        Inside::OthersComeAndGo => (0..3).for_each(|_| come_and_go::<G>()),
        Inside::Fails => fail(),
        Inside::FailsAfterAWait => {
            yield_now();
            fail();
        }
        Inside::FailsInADestructor => drop(FailsWhenDropped),
        Inside::Nothing
        | Inside::Shields
        | Inside::FailsAfterwards
        | Inside::IsForgotten
        | Inside::LeavesAFiber => {}
    };
    match inside {
        Inside::IsForgotten => primitive.forget(),
        Inside::Shields => shield(|| primitive.enter(&mut middle)),
        Inside::LeavesAFiber => {
            let body = move |yielder: &Pause, ()| primitive.enter(&mut || yielder.suspend(()));
            let Ok(mut fiber) = Fiber::new(G::memory(), body) else {
                panic!("the stack is large enough");
            };
            assert_eq!(fiber.resume(()), Resumed::Yielded(()));
        }
        _ => primitive.enter(&mut middle),
    }
    if inside == Inside::FailsAfterwards {
        fail();
    }
}

/// When the holder gives back what it has, if nothing else is to be.
fn end_of_hold<G: Ground>() -> Nanoseconds {
    // All fibers of a round begin before the first one sleeps; what lies between is less than a step.
    let step = Nanoseconds::try_from(G::STEP.as_nanos()).unwrap_or(NEVER);
    (now() / step + 4) * step
}

/// Has what the culprit waits for.
fn hold<G: Ground>(waiting: Waiting, primitive: &'static dyn Primitive) {
    primitive.hold(&mut || {
        let end = end_of_hold::<G>();
        if waiting == Waiting::IsCancelledJustBeforeTheWake {
            yield_now(); // the helper is before us then
        }
        let _slept = sleep_until(end);
        if waiting == Waiting::HolderFails {
            fail();
        }
    });
}

/// The culprit's wait.
fn wait<G: Ground>(waiting: Waiting, primitive: &'static dyn Primitive) -> bool {
    let mut nothing = || {};
    let deadline = match waiting {
        Waiting::TimesOut | Waiting::TimesOutTwice => after(G::STEP),
        Waiting::TimesOutAtTheWake => end_of_hold::<G>(),
        Waiting::TimesOutBefore => now(),
        _ => after(G::PATIENCE),
    };
    match waiting {
        Waiting::FailsWhenWoken => primitive.wait(deadline, &mut fail),
        Waiting::TimesOutTwice => {
            let first = primitive.wait(deadline, &mut nothing);
            first || primitive.wait(after(G::PATIENCE), &mut nothing)
        }
        Waiting::EndsAndIsFollowedInItsCell => {
            let first = G::spawn("first", move || primitive.wait(after(G::STEP), &mut || ()));
            let _ended = first.join();
            let next = G::spawn("next", move || {
                primitive.wait(after(G::PATIENCE), &mut || ())
            });
            next.join().unwrap_or(false)
        }
        _ => primitive.wait(deadline, &mut nothing),
    }
}

/// Does to the culprit what it is to bear during its wait.
fn help<G: Ground>(waiting: Waiting, culprit: &JoinHandle<bool>) {
    match waiting {
        Waiting::IsCancelled => {
            let _slept = sleep(G::STEP);
            culprit.cancel();
        }
        Waiting::IsCancelledJustBeforeTheWake | Waiting::IsCancelledJustAfterTheWake => {
            let _slept = sleep_until(end_of_hold::<G>());
            culprit.cancel();
        }
        Waiting::IsUnparked => {
            culprit.unparker().unpark();
        }
        Waiting::IsUnparkedOften => {
            for _ in 0..10 {
                culprit.unparker().unpark();
                yield_now();
            }
        }
        Waiting::OthersComeAndGo => (0..3).for_each(|_| come_and_go::<G>()),
        _ => {}
    }
}

/// A fiber that is made and ends, in whatever cell there is.
fn come_and_go<G: Ground>() {
    G::spawn("comes and goes", || ()).detach();
    yield_now();
}
