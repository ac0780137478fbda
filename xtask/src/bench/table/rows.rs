//! What the rows of the table are, what each aims at (see docs/performance.md), and what the best peer takes.

use super::super::sizes::Sizes;
use super::Line;

/// One row.
pub(super) struct Row {
    pub(super) key: &'static str,
    title: &'static str,
    target: Option<f64>,
    /// The best figure of a kernel for the same, and whose it is.
    peer: &'static str,
}

/// A row about memory.
pub(super) struct MemoryRow {
    pub(super) row: Row,
    pub(super) size: fn(&Sizes) -> u64,
}

impl Row {
    pub(super) fn line(&self, value: f64) -> Line {
        // Two digits, without zeros at the end.
        let figure = format!("{value:.2}");
        let figure = figure
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned();
        Line {
            key: self.key,
            title: self.title,
            figure,
            value,
            target: self.target,
            peer: self.peer,
        }
    }
}

const fn row(key: &'static str, title: &'static str) -> Row {
    Row {
        key,
        title,
        target: None,
        peer: "",
    }
}

const fn aims(target: f64, row: Row) -> Row {
    Row {
        target: Some(target),
        ..row
    }
}

const fn peer(peer: &'static str, row: Row) -> Row {
    Row { peer, ..row }
}

const YIELD: &str = "62 ThreadX 6.4.2 (84 Zephyr 3.3, 166 ArceOS)";

pub(super) const SPEED: &[Row] = &[
    row(
        "resume_suspend",
        "bare switch: `resume` and `suspend`, halved",
    ),
    peer(
        "15 ArceOS, 30 Zephyr 3.3",
        row("switch", "bare switch: `switch` there and back, halved"),
    ),
    peer(
        "27 ThreadX 6.4.2",
        row("yield_alone", "yield, nobody else is ready"),
    ),
    peer(
        YIELD,
        aims(31.0, row("yield_2", "yield with switch, 2 fibers")),
    ),
    peer(
        YIELD,
        aims(40.0, row("yield_5", "yield with switch, 5 fibers")),
    ),
    peer(
        YIELD,
        aims(40.0, row("yield_100", "yield with switch, 100 fibers")),
    ),
    row(
        "yield_2_unchecked",
        "yield with switch, 2 fibers, built without the feature `stack-check`: neither canary nor stack pointer is looked at",
    ),
    row(
        "yield_2_traced",
        "yield with switch, 2 fibers, with the feature `trace` and a recorder: one event",
    ),
    row(
        "yield_2_watched",
        "yield with switch, 2 fibers, with a watchpoint (the switch hook `watch::on_switch`)",
    ),
    row(
        "yield_2_stateless",
        "yield with switch, 2 fibers, with the switch hook of a `PerFiber`, of which neither has a state",
    ),
    row(
        "yield_2_address_space",
        "the same, each with an `AddressSpace`, so that CR3 is written",
    ),
    row(
        "yield_2_kernel_stack",
        "the same, each with a `KernelStack` (`rsp0`)",
    ),
    row(
        "yield_2_fs_gs",
        "the same, each with `FsGsBases`, by four accesses to model-specific registers",
    ),
    row(
        "yield_2_fxsave",
        "the same, each with an `FxsaveArea`: one `fxsave`, one `fxrstor`",
    ),
    row(
        "interrupt_entry",
        "an interrupt and its return, by `interrupt_entry!` with an empty handler",
    ),
    row(
        "interrupt_entry_frame",
        "the same with a handler that takes the frame, so that all registers are saved",
    ),
    row(
        "interrupt_entry_traced",
        "`interrupt_entry` with the feature `trace` and a recorder: two events",
    ),
    peer(
        "487 ThreadX 6.4.2 (532 Zephyr 3.3)",
        aims(
            243.0,
            row(
                "spawn_run_exit_join",
                "spawn, run, exit, join, with all switches",
            ),
        ),
    ),
    row("make_ready_2", "wake a parked fiber, 2 are ready"),
    row("make_ready_5", "wake a parked fiber, 5 are ready"),
    row("make_ready_20", "wake a parked fiber, 20 are ready"),
    row("make_ready_100", "wake a parked fiber, 100 are ready"),
    row(
        "make_ready_2_traced",
        "wake a parked fiber, 2 are ready, with the feature `trace` and a recorder: one event",
    ),
    row("remove_2", "park, until the next of 2 that stay ready runs"),
    row("remove_5", "park, until the next of 5 that stay ready runs"),
    row(
        "remove_20",
        "park, until the next of 20 that stay ready runs",
    ),
    row(
        "remove_100",
        "park, until the next of 100 that stay ready runs",
    ),
    row(
        "remove_2_traced",
        "park, until the next of 2 that stay ready runs, with the feature `trace` and a recorder: two events",
    ),
    peer(
        "213 Zephyr 3.3 (268 FreeRTOS)",
        aims(
            106.0,
            row(
                "interrupt_to_fiber",
                "from an interrupt that wakes a fiber of higher priority to that fiber; the interrupted one yields as its first act",
            ),
        ),
    ),
    peer(
        "28 ThreadX 6.4.2, its checks off (51 with them, 71 Zephyr 3.3)",
        aims(
            20.0,
            row(
                "semaphore_alone",
                "semaphore: release and acquire, nobody waits",
            ),
        ),
    ),
    peer(
        "415 ThreadX 6.4.2, its checks off (465 with them, 477 Zephyr 3.3)",
        aims(
            207.0,
            row(
                "semaphore_ping_pong",
                "semaphores, there and back: two releases, waits and switches",
            ),
        ),
    ),
    aims(
        16.0,
        row("mutex_alone", "mutex: lock and unlock, nobody waits"),
    ),
    peer(
        "111 ThreadX 6.4.2, its checks off (149 with them, 188 Zephyr 3.3)",
        aims(
            55.0,
            row(
                "message_alone",
                "channel: a message of 16 bytes sent and received, nobody waits",
            ),
        ),
    ),
    peer(
        "495 ThreadX 6.4.2, its checks off (569 with them, 617 Zephyr 3.3)",
        aims(
            247.0,
            row(
                "message_ping_pong",
                "channels, there and back: two messages of 16 bytes, two switches",
            ),
        ),
    ),
    peer(
        "59.4 ThreadX 6.4.2 (112 Zephyr 3.3)",
        row(
            "metric_cooperative",
            "Thread-Metric, cooperative scheduling, 5 fibers, services not inlined",
        ),
    ),
    peer(
        "28 ThreadX 6.4.2, its checks off (51 with them, 86 Zephyr 3.3)",
        row(
            "metric_synchronization",
            "Thread-Metric, synchronization processing, services not inlined",
        ),
    ),
    peer(
        "111 ThreadX 6.4.2, its checks off (149 with them, 222 Zephyr 3.3 with 32 bytes)",
        row(
            "metric_message",
            "Thread-Metric, message processing, 16 bytes, services not inlined",
        ),
    ),
];

pub(super) const MEMORY: &[MemoryRow] = &[
    MemoryRow {
        row: peer(
            "84 FreeRTOS (32-bit), 296 ThreadX 6.4.2",
            aims(
                128.0,
                row(
                    "control_block",
                    "what the scheduler keeps of a fiber: the first two cache lines of its control block",
                ),
            ),
        ),
        size: |sizes| sizes.control_block,
    },
    MemoryRow {
        row: row(
            "beyond_the_stack",
            "the whole control block of a fiber, with joiner, fiber locals and scope: a cell beyond its stack",
        ),
        size: |sizes| sizes.beyond_the_stack,
    },
    MemoryRow {
        row: row("scheduler", "a scheduler, 32 priorities"),
        size: |sizes| sizes.scheduler,
    },
    MemoryRow {
        row: peer(
            "3311 ThreadX 6.4.2, 3382 FreeRTOS (32-bit)",
            aims(
                3310.0,
                row(
                    "smallest_text_for_size",
                    "text of the smallest kernel: two fibers yield and end, run until idle, at opt-level z: all of `.text` but the way into long mode",
                ),
            ),
        ),
        size: |sizes| sizes.smallest_text_for_size,
    },
    MemoryRow {
        row: row("smallest_text", "the same at opt-level 3"),
        size: |sizes| sizes.smallest_text,
    },
];

/// Of two cores.
pub(super) const SEVERAL: &[Row] = &[
    row("smp_yield_2", "yield with switch, 2 fibers on one core"),
    row(
        "smp_yield_2_traced",
        "the same with the feature `trace` and a recorder: one event",
    ),
    row("smp_wake_here", "wake a parked fiber of the same core"),
    row(
        "smp_post_awake",
        "wake a parked fiber of another core, which is awake and is not kicked",
    ),
    row(
        "smp_post_asleep",
        "wake a parked fiber of another core, which sleeps and is kicked",
    ),
    row(
        "smp_move",
        "move to another core, which is awake, until the next fiber of the old one runs",
    ),
];

/// The rows that are figures of a kernel with the feature `trace`, and which figures.
pub(crate) const TRACED: [(&str, &str); 4] = [
    ("yield_2_traced", "yield_2"),
    ("interrupt_entry_traced", "interrupt_entry"),
    ("make_ready_2_traced", "make_ready_2"),
    ("remove_2_traced", "remove_2"),
];
/// The same of a kernel with several cores.
pub(crate) const SEVERAL_TRACED: [(&str, &str); 1] = [("smp_yield_2_traced", "smp_yield_2")];

/// Regions by which the counter is tested.
pub(super) const COUNTER: [&str; 3] = ["empty", "20_nops", "1000_times_20"];
/// Rounds of yields among 2, 5 and 100 fibers.
pub(super) const ROUNDS: [&str; 3] = ["yield_2", "yield_5", "yield_100"];
/// Rows that must be equal.
pub(super) const FLAT: [&[&str]; 2] = [
    &[
        "make_ready_2",
        "make_ready_5",
        "make_ready_20",
        "make_ready_100",
    ],
    &["remove_2", "remove_5", "remove_20", "remove_100"],
];
