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
pub(super) const SHAPES: [Shape; 24] = [
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
    Ok(lines)
}
