//! What contenders and shapes are called for people, and which contenders there are.

use anyhow::{Context as _, Result};
use cargo_metadata::MetadataCommand;

use crate::workspace;

/// What ratios are relative to: corosensei's round trip with resume and suspension inlined.
pub(super) const REFERENCE: (&str, &str) = ("corosensei", "inlined");

/// A shape and what is done in it.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) key: &'static str,
    pub(super) title: &'static str,
}

const fn shape(key: &'static str, title: &'static str) -> Shape {
    Shape { key, title }
}

/// In the order of the tables.
pub(super) const SHAPES: [Shape; 25] = [
    shape("inlined", "round trip, both sides inlined"),
    shape("yield_1_deep", "… yield 1 call deep"),
    shape("yield_3_deep", "… yield 3 calls deep"),
    shape("resume_1_deep", "… resume 1 call deep"),
    shape("both_1_deep", "… both 1 call deep"),
    shape("live_4", "… 4 more live values on both sides"),
    shape("live_12", "… 12 more live values on both sides"),
    shape("identity", "… as corosensei's own benchmark has it"),
    shape(
        "inlined_after_rounding",
        "… after the resumer rounded a number",
    ),
    shape("create", "create, run, drop; the stack is there"),
    shape("ring_8", "8 fibers in order, round trip each"),
    shape("ring_8_random", "8 fibers in random order"),
    shape("ring_64", "64 fibers in order"),
    shape("ring_64_random", "64 fibers in random order"),
    shape(
        "ring_64_sites_8",
        "64 fibers, 8 places in the code on both sides",
    ),
    shape("ring_64_live_4", "64 fibers, 4 more live values in each"),
    shape("ring_64_live_12", "64 fibers, 12 more live values in each"),
    shape("ring_1000", "1,000 fibers in order"),
    shape("ring_1000_random", "1,000 fibers in random order"),
    shape("ring_100000", "100,000 fibers in order"),
    shape("ring_100000_random", "100,000 fibers in random order"),
    shape(
        "yield_now_64",
        "`yield_now` of the scheduler, 64 fibers, one way",
    ),
    shape("yield_now_1000", "`yield_now`, 1,000 fibers"),
    shape("yield_now_100000", "`yield_now`, 100,000 fibers"),
    shape(
        "yield_now_100000_large",
        "`yield_now`, 100,000 fibers in pages of 2 MiB",
    ),
];

/// What programs do with a scheduler, on one core.
pub(super) const OPERATIONS: [Shape; 5] = [
    shape(
        "op_semaphore",
        "a permit of a semaphore there, and one back",
    ),
    shape("op_message", "a message of 16 bytes there, and one back"),
    shape("op_spawn_join", "spawn, run, end, join"),
    shape("op_mutex", "lock and unlock a mutex, alone"),
    shape("op_yield", "yield to the other of two, one way"),
];

/// What two cores do.
pub(super) const OF_CORES: [Shape; 7] = [
    shape(
        "cores_independent",
        "independent: compute for 0.1 µs, yield",
    ),
    shape("cores_jobs", "one of 10,000 jobs of 3 µs"),
    shape(
        "cores_uneven",
        "a slice of 1 µs of 1,000 fibers of 1 to 20 slices, spawned by one",
    ),
    shape("cores_by_hand", "… dealt out by hand"),
    shape(
        "cores_semaphore",
        "a permit to the other core, and one back",
    ),
    shape(
        "cores_message",
        "a message of 16 bytes to the other core, and one back",
    ),
    shape(
        "cores_asleep",
        "a permit there and back, after each side was left asleep",
    ),
];

/// Instructions with the prefix `lock` and without.
pub(super) const OF_LOCK: [Shape; 5] = [
    shape("lock_add", "`add`"),
    shape("lock_bts", "`bts`"),
    shape("lock_xadd", "`xadd`"),
    shape("lock_cmpxchg", "`cmpxchg`"),
    shape("lock_xchg", "`xchg`; without the prefix, `mov` twice"),
];

/// What a hundred thousand sleepers cost.
pub(super) const OF_SLEEPERS: [Shape; 4] = [
    shape("tick_none", "a tick that wakes none"),
    shape(
        "tick_one",
        "a tick that wakes one, which runs and sleeps again",
    ),
    shape("tick_all", "a tick that wakes all, for each of them"),
    shape(
        "tick_first",
        "the first tick after all began to sleep in the order of their deadlines, which wakes one",
    ),
];

/// Who works in tables of their own: its name in the figures, and its title.
pub(super) const ON_ONE_CORE: [(&str, &str); 6] = [
    ("kfiber", "kfiber"),
    ("tokio", "tokio, one thread"),
    ("flume", "`flume` in tokio"),
    ("may", "`may`, one worker"),
    ("threads", "threads"),
    ("crossbeam", "threads, `crossbeam`"),
];
pub(super) const ON_TWO_CORES: [(&str, &str); 10] = [
    ("kfiber", "kfiber, one core"),
    ("kfiber-smp", "kfiber"),
    ("threads-one", "one thread"),
    ("threads", "threads"),
    ("threads-spin", "threads that look"),
    ("crossbeam", "`crossbeam`"),
    ("flume", "`flume`"),
    ("tokio-one", "tokio, one worker"),
    ("tokio", "tokio, two workers"),
    ("tokio-apart", "tokio, a runtime on each core"),
];
pub(super) const INSTRUCTIONS: [(&str, &str); 2] =
    [("plain", "without"), ("locked", "with `lock`")];

/// The packages of those who are only there, with what is to be known of each.
const PACKAGES: [(&str, &str); 4] = [
    (
        "tokio",
        "`Semaphore`, `mpsc`, `Mutex` and `yield_now` of tokio, in its runtimes for one thread and for several",
    ),
    (
        "flume",
        "channels between threads, and between tasks of tokio",
    ),
    ("crossbeam-channel", "channels between threads"),
    (
        "may",
        "coroutines on worker threads, with their semaphores, channels and mutexes",
    ),
];

/// A contender: its name in the figures, its package, and what it preserves and checks.
#[derive(Debug)]
pub(super) struct Contender {
    pub(super) key: &'static str,
    pub(super) title: &'static str,
    package: Option<&'static str>,
    contract: &'static str,
    needs_c_compiler: bool,
}

const fn contender(
    key: &'static str,
    title: &'static str,
    package: Option<&'static str>,
    contract: &'static str,
) -> Contender {
    Contender {
        key,
        title,
        package,
        contract,
        needs_c_compiler: false,
    }
}

const fn of_a_c_compiler(contender: Contender) -> Contender {
    Contender {
        needs_c_compiler: true,
        ..contender
    }
}

/// In the order of the tables.
pub(super) const CONTENDERS: [Contender; 9] = [
    contender(
        "kfiber",
        "kfiber",
        Some("kfiber"),
        "without the feature `fp-control`: the registers that the ABI preserves, checked for having ended",
    ),
    contender(
        "kfiber-fp",
        "kfiber, `fp-control`",
        Some("kfiber"),
        "that, MXCSR and the x87 control word",
    ),
    contender(
        "corosensei",
        "corosensei",
        Some("corosensei"),
        "the registers that the ABI preserves, checked for having ended, forwards panics",
    ),
    of_a_c_compiler(contender(
        "boost",
        "Boost.Context",
        Some("context"),
        "the registers that the ABI preserves, MXCSR and the x87 control word; nothing is checked; its assembly, by the crate `context`",
    )),
    contender(
        "wasmtime",
        "wasmtime's fibers",
        Some("wasmtime-internal-fiber"),
        "the registers that the ABI preserves, checked for having ended, forwards panics; a box for each closure",
    ),
    of_a_c_compiler(contender(
        "generator",
        "generator",
        Some("generator"),
        "the registers that the ABI preserves, checked for having ended, forwards panics; maps its own stacks",
    )),
    contender(
        "ucontext",
        "ucontext",
        None,
        "`swapcontext` of the C library: all that and the signal mask, by a system call; nothing is checked",
    ),
    contender(
        "async",
        "*async*",
        None,
        "no contender: a future without a stack, polled through `dyn Future`",
    ),
    contender(
        "threads",
        "*threads*",
        None,
        "no contender: two threads on one core that park and unpark each other",
    ),
];

/// The contenders with their versions, one line each, as far as they can be built.
pub(super) fn contenders(features: &[&str]) -> Result<String> {
    let metadata = MetadataCommand::new()
        .current_dir(workspace::root())
        // What other systems would need is not asked for.
        .other_options(["--filter-platform", "x86_64-unknown-linux-gnu"].map(str::to_owned))
        .exec()
        .context("cargo metadata did not answer")?;
    let version = |name: &str| {
        let mut packages = metadata.packages.iter();
        let package = packages.find(|package| package.name.as_str() == name);
        package.map_or_else(String::new, |package| format!("{name} {}", package.version))
    };
    let mut lines = String::from("| contender | version | contract |\n|---|---|---|\n");
    for contender in &CONTENDERS {
        let version = contender.package.map_or_else(String::new, version);
        let contract = if contender.needs_c_compiler && features.is_empty() {
            "**left out: there is no C compiler, and none could be installed**"
        } else {
            contender.contract
        };
        lines += &format!("| {} | {version} | {contract} |\n", contender.title);
    }
    for (package, contract) in PACKAGES {
        lines += &format!("| `{package}` | {} | {contract} |\n", version(package));
    }
    Ok(lines)
}
