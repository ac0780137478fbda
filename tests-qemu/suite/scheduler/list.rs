//! The list of all fibers: names, states, switches, stacks.

use core::time::Duration;

use kfiber::{
    scheduler::{
        FiberCell, FiberId, FiberInfo, FiberState, Priority, WaitReason, current, current_name,
        park, sleep, yield_now,
    },
    stack::{StackMemory, Storage},
};
use tests_qemu::kernel_test;

use super::{CELLS, SCHEDULER, STACK, in_a_fiber, run, run_until_idle, spawn};

/// 86 times three bytes: the 255th byte ends the 85th character.
const LONG: &str =
    "€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€€";

fn info(id: FiberId) -> FiberInfo {
    SCHEDULER
        .fibers()
        .find(|fiber| fiber.id == id)
        .expect("it is listed")
}

kernel_test! {
    fn the_list_says_what_each_fiber_does_and_waits_for() {
        let urgent = SCHEDULER.builder().name("parked").priority(Priority::HIGHEST);
        let parked = urgent.spawn(&CELLS, park).expect("a cell is free");
        let asleep = spawn(|| sleep(Duration::from_secs(1)));
        let ended = spawn(|| ());
        let gone = spawn(|| ());
        let ready = spawn(yield_now);
        let ids = [parked.id(), asleep.id(), ended.id(), gone.id(), ready.id()];
        gone.detach();
        let joined = spawn(move || ready.join().is_ok());
        let joining = joined.id();
        let looked = spawn(move || {
            assert!(matches!(info(ids[0]).state, FiberState::Waiting { reason: WaitReason::Park, object, .. } if object.is_null()));
            let FiberState::Waiting { reason: WaitReason::Sleep, location, .. } = info(ids[1]).state else {
                panic!("{:?}", info(ids[1]));
            };
            assert!(location.file().ends_with("list.rs"), "{location}");
            assert!(matches!(info(ids[2]).state, FiberState::Finished));
            assert!(SCHEDULER.fibers().all(|fiber| fiber.id != ids[3]), "nothing is left of a detached fiber");
            assert!(matches!(info(ids[4]).state, FiberState::Ready));
            assert!(matches!(info(joining).state, FiberState::Waiting { reason: WaitReason::Join, object, .. } if !object.is_null()));
            assert!(matches!(info(current().expect("a fiber")).state, FiberState::Running));
            assert_eq!((info(ids[0]).name, info(ids[0]).priority), ("parked", Priority::HIGHEST));
            assert_eq!((info(ids[1]).name, info(ids[1]).priority), ("", Priority::NORMAL));
            assert_eq!(SCHEDULER.fibers().count(), 6);
        });
        run_until_idle();
        looked.try_join().expect("it has ended");
        parked.cancel();
        asleep.cancel();
        run();
    }

    fn a_long_name_is_cut_between_characters() {
        let builder = SCHEDULER.builder().name(LONG);
        let fiber = builder.spawn(&CELLS, current_name).expect("a cell is free");
        assert_eq!(info(fiber.id()).name, &LONG[..255]);
        run();
        assert_eq!(fiber.try_join().expect("it has ended"), &LONG[..255]);
        assert_eq!(current_name(), "");
    }

    /// The mark of the deepest use stays when the calls have returned.
    fn the_list_says_how_much_of_a_painted_stack_was_used() {
        const SIZE: usize = 4 * STACK; // a debug build keeps two copies of what it uses
        static CELL: FiberCell<SIZE> = FiberCell::new();
        Storage::take(&CELL).expect("it is new").paint();
        #[inline(never)]
        fn use_bytes<const N: usize>() {
            core::hint::black_box([1_u8; N]);
        }
        let fiber = SCHEDULER.spawn(&CELL, || {
            let me = current().expect("a fiber");
            let before = info(me).stack_usage();
            use_bytes::<{ SIZE / 4 }>();
            let after = info(me).stack_usage();
            (before.used_bytes, after.used_bytes, after.size_bytes)
        });
        let fiber = fiber.expect("it is free");
        run();
        let (before, after, size) = fiber.try_join().expect("it has ended");
        assert_eq!(size, SIZE);
        assert!(before < SIZE / 4 && after > SIZE / 4 && after < SIZE, "{before}, then {after} bytes");
    }

    fn a_fiber_knows_who_it_is() {
        let fiber = spawn(current);
        let id = fiber.id();
        run();
        assert_eq!(fiber.try_join().expect("it has ended"), Some(id));
        assert_eq!(current(), None);
        in_a_fiber(move || assert_ne!(current(), Some(id), "the same cell, perhaps, but another fiber"));
    }
}
