//! Two cores with a ring each.

use core::fmt::Write as _;

use kfiber::platform::Core;
use kfiber::scheduler::{self, FiberPool, Scheduler};
use kfiber::trace::Recorder;
use tests_qemu::platform::Cores;
use tests_qemu::{cores, println};
use x86_64::instructions::interrupts;

use crate::events::Text;

static SCHEDULER: Scheduler<Cores, 2> = Scheduler::new(Cores::new());
static RECORDER: Recorder<256, 2> = Recorder::new();
static CELLS: FiberPool<16384, 2> = FiberPool::new();

tests_qemu::kernel_test! {
    fn what_crosses_from_core_to_core_is_in_the_ring_of_whoever_does_it() cores(2) timeout(60) {
        static LINES: Text<32768> = Text::new();
        if let Err(error) = cores::start() {
            panic!("{error}");
        }
        let builder = SCHEDULER.builder().name("parked").on(Core(1));
        let parked = builder.spawn(&CELLS, || scheduler::park().expect("nobody cancels it"));
        let unparker = parked.expect("a cell is free").unparker();
        let builder = SCHEDULER.builder().name("mover").on(Core(0));
        let mover = builder.spawn(&CELLS, move || {
            scheduler::move_to(Core(1)).expect("there is such a core");
            scheduler::move_to(Core(0)).expect("there is such a core");
            unparker.unpark();
        });
        mover.expect("a cell is free").detach();
        cores::on_all(|_core| {
            interrupts::enable();
            RECORDER.start(&SCHEDULER);
            SCHEDULER.run();
        });
        write!(&LINES, "{}", RECORDER.last(200)).expect("there is room");
        println!("{}", LINES.get());
        let mut rest = LINES.get();
        for wanted in [
            "core 0 \"mover\": waits: Move",
            "core 0 the scheduler: sends \"mover\" to core 1",
            "core 1 \"mover\": waits: Move",
            "core 1 the scheduler: sends \"mover\" to core 0",
            "core 0 \"mover\": wakes \"parked\"",
        ] {
            rest = rest
                .split_once(wanted)
                .unwrap_or_else(|| panic!("`{wanted}` is missing, or in another order"))
                .1;
        }
        assert!(LINES.get().contains("core 1 \"parked\": ends"));
    }
}
