"""Checks gdb's backtraces in the scenes of `tests-qemu/suite/backtrace/scene.rs`: at its stops, and step by step.

Run by `cargo xtask backtraces`; the environment says where QEMU listens (KFIBER_SOCKET), in how many of the scenes
to step (KFIBER_SCENES), and through which instructions (KFIBER_STEPPING: `all`, or `switches` and what is around them).
The last line that it prints holds the counts.
"""

import os
import re
import sys

import gdb

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from frames import BASE, Registers, address_of, register, walk, word  # noqa: E402

NEW, DEEP, SUSPENDED, CHILD_ENDED, ENDED = 1, 2, 3, 4, 5
PARENT, CHILD = 1, 2
STACK_SIZE = 32 * 1024
# Words of a control block: rbp, rip, rsp and rbx of the fiber itself.
OWN = 32
# Instructions that are stepped through from the beginning of a switch on: the switch, and some on either side.
AROUND_SWITCH = 48
SHOWN = 5

SCENE = "suite::backtrace::scene::"
# Functions that are called for a moment on any stack.
LEAVES = ("take", "announce", "block")
CLOSURE = "root_entry::{closure#0}"


class Check:
    def __init__(self):
        self.stops = self.steps = self.bad = self.golden = self.reading_flags = 0

    def report(self, where, frames, wrong):
        self.bad += 1
        if self.bad <= SHOWN:
            print(f"BAD {where}: {wrong}")
            for frame in frames:
                print("   ", frame)


check = Check()


def notable(frames):
    """The scene's own functions and the fibers' first frames; the crate's inner functions differ between builds."""
    names = []
    for frame in frames:
        if frame.is_base:
            names.append(BASE)
        elif frame.name and frame.name.startswith(SCENE):
            names.append(frame.name[len(SCENE):])
    return [name for name in names if name.split("::")[0] not in LEAVES]


def root(scene):
    """What comes behind the root's functions."""
    return ["play::{closure#0}", BASE, "play"] if scene >= 2 else ["play"]


def golden(scene, names, where, last):
    """The frames are exactly these, and the outermost one is `last`."""
    frames, wrong = walk()
    try:
        text = gdb.execute("backtrace", to_string=True)
    except gdb.error as error:
        text = f"stopped: {error}"
    wrong += [f"`{word}` in the backtrace" for word in ("??", "corrupt", "stopped") if word in text]
    if notable(frames) != names:
        wrong.append(f"functions {notable(frames)} instead of {names}")
    if not frames or frames[-1].name is None or not frames[-1].name.endswith(last):
        wrong.append(f"the outermost frame is not {last}")
    check.golden += 1
    if wrong:
        check.report(f"scene {scene}, {where}", frames, wrong)


def running(scene, names, where):
    golden(scene, ["kfiber_test_scene_stop", *names, *root(scene)], where, "kfiber_test_start")


def suspended(scene, fiber, names, where):
    block = word(address_of("kfiber_test_scene_blocks") + 8 * fiber)
    rbp, rip, rsp, rbx = (word(block + OWN + 8 * index) for index in range(4))
    with Registers(rip=rip, rsp=rsp, rbp=rbp, rbx=rbx):
        golden(scene, names, where, "x86_64::suspended")


def at_stop(scene, stop):
    check.stops += 1
    if stop == NEW:
        running(scene, ["root_entry"], "root before all")
        suspended(scene, PARENT, [BASE], "parent that is new")
    elif stop == DEEP:
        child = ["child_leaf", "child_mid", "child_entry", BASE]
        parent = ["parent_mid", "parent_entry", CLOSURE, BASE]
        running(scene, [*child, *parent, "root_entry"], "child within parent within root")
    elif stop == SUSPENDED:
        running(scene, ["root_entry"], "root while both are suspended")
        suspended(scene, PARENT, ["parent_mid", "parent_entry", CLOSURE, BASE], "parent that is suspended")
        suspended(scene, CHILD, ["child_mid", "child_entry", BASE], "child that is suspended")
    elif stop == CHILD_ENDED:
        running(scene, ["parent_entry", CLOSURE, BASE, "root_entry"], "parent after the child")
    elif stop == ENDED:
        running(scene, ["root_entry"], "root after all")


class Shape:
    """Which frames are possible, at any instruction, for the context that runs."""

    def __init__(self, scene):
        behind = " ".join(root(scene))
        at_root = rf"(root_mid )?root_entry {behind}"
        at_parent = rf"((parent_mid )?parent_entry )?({re.escape(CLOSURE)} )?{BASE} {at_root}"
        at_child = rf"(((child_leaf )?child_mid )?child_entry )?{BASE} (parent_mid )?parent_entry {re.escape(CLOSURE)} {BASE} {at_root}"
        leaf = r"^(kfiber_test_scene_stop )?"
        self.patterns = [re.compile(leaf + pattern + "$") for pattern in (at_root, at_parent, at_child)]
        blocks = address_of("kfiber_test_scene_blocks")
        self.tops = {PARENT: blocks + 8 * PARENT, CHILD: blocks + 8 * CHILD}

    def level(self, sp):
        """Whose stack this is: 0 for the root."""
        for fiber, pointer in self.tops.items():
            top = word(pointer)
            if top - STACK_SIZE <= sp <= top:
                return fiber
        return 0

    def fits(self, frames, names):
        """The shape is that of the context that runs, or that the switch in progress leads to."""
        inner = frames[0].name or ""
        if inner.endswith(("::tail_of_registers", "::exit_tail")):
            return self.matches(self.level(register("rcx")), names)
        if inner.endswith("_tail"):
            # The stack pointer of the context to come, in the block.
            block = register("r10" if inner.endswith("::switch_tail") else "rsi")
            at = block + (0x10 if inner.endswith("::suspend_tail") else 0x30)
            return self.matches(self.level(word(at)), names)
        if frames[0].is_base and names[:1] == [BASE]:
            level = self.level(register("rsp"))
            # The end of a fiber loads its resumer's rsp while it is still its own frame.
            return level > 0 and self.matches(level, names) or self.matches(level, names[1:])
        return self.matches(self.level(register("rsp")), names)

    def matches(self, level, names):
        return self.patterns[level].match(" ".join(names)) is not None


def step(shape, where):
    """One instruction, and one walk."""
    gdb.execute("stepi", to_string=True)
    if is_reading_flags():
        check.reading_flags += 1
        return
    frames, wrong = walk()
    check.steps += 1
    ends = ("kfiber_test_start",) if shape else ("kfiber_test_start", "x86_64::suspended")
    if not frames or frames[-1].name is None or not frames[-1].name.endswith(ends):
        wrong.append("the outermost frame is not found")
    elif shape and not shape.fits(frames, notable(frames)):
        wrong.append(f"functions {notable(frames)}")
    if wrong:
        check.report(f"{where}, step {check.steps}", frames, wrong)


def is_reading_flags():
    """The one kind of instruction that no table of ours can get right: between `pushfq` and `pop`, by which the crate
    `x86_64` reads the flags in debug builds, rsp is off by a word, and the compiler does not know it."""
    pc = register("rip")
    is_behind_pushfq = bytes(gdb.selected_inferior().read_memory(pc - 1, 1)) == b"\x9c"
    return is_behind_pushfq and gdb.newest_frame().name() == "x86_64::registers::rflags::x86_64::read_raw"


def run_to(*places):
    """Goes on to the next of these places."""
    breakpoints = [gdb.Breakpoint(place, internal=True) for place in places]
    gdb.execute("continue", to_string=True)
    for breakpoint in breakpoints:
        breakpoint.delete()


STOP = "*kfiber_test_scene_stop"


def functions(name):
    """The addresses of a function that is written in assembly, one for each copy of the library that is linked."""
    text = gdb.execute(f"info functions kfiber::context::{name}::", to_string=True)
    return [int(match[1], 16) for match in re.finditer(r"^(0x[0-9a-f]+) ", text, re.MULTILINE)]


def behind_bodies():
    """Where a fiber's first frame goes on when the body has returned: behind `call rbx`."""
    places = []
    for base in functions("x86_64::base"):
        code = bytes(gdb.selected_inferior().read_memory(base, 64))
        places.append(f"*{base + code.index(bytes([0xFF, 0xD3])) + 2:#x}")
    return places


SWITCHES = ("kfiber::context::x86_64::resume", "kfiber::context::x86_64::suspend")


def is_at_stop():
    return register("rip") == address_of("kfiber_test_scene_stop")


END = "kfiber_test::run::pass"


def step_primitives(stepping):
    """Behind the scenes: the switch out of line, and the symmetric one."""
    end = int(gdb.parse_and_eval(f"(unsigned long)&'{END}'"))
    out_of_line = [f"*{address:#x}" for address in functions("out_of_line::switch_out_of_line")]
    places = (*SWITCHES, "kfiber::context::x86_64::switch", *out_of_line, *behind_bodies())
    while register("rip") != end:
        if stepping == "all":
            step(None, "primitives")
            continue
        run_to(f"*{end:#x}", *places)
        for _ in range(AROUND_SWITCH):
            if register("rip") != end:
                step(None, "primitives")


def step_to_end(scene, stepping):
    """From the first stop of a scene to its last, instruction by instruction."""
    shape = Shape(scene)
    while True:
        if stepping == "all":
            step(shape, f"scene {scene}")
        else:
            run_to(STOP, *SWITCHES, *behind_bodies())
            for _ in range(AROUND_SWITCH):
                if is_at_stop():
                    break
                step(shape, f"scene {scene}")
        if is_at_stop():
            stop = register("rdi")
            at_stop(scene, stop)
            if stop == ENDED:
                return
            step(shape, f"scene {scene}")


def main():
    gdb.execute("set pagination off")
    gdb.execute("set confirm off")
    gdb.execute("set language c")
    # The code does not change, and gdb has it in the ELF file.
    gdb.execute("set trust-readonly-sections on")
    gdb.execute("target remote " + os.environ["KFIBER_SOCKET"], to_string=True)
    scenes, stepping = int(os.environ["KFIBER_SCENES"]), os.environ["KFIBER_STEPPING"]
    for scene in range(scenes):
        run_to(STOP)
        at_stop(scene, register("rdi"))
        step_to_end(scene, stepping)
    if scenes == 4:
        step_primitives(stepping)
    try:
        gdb.execute("kill", to_string=True)
    except gdb.error:
        pass  # QEMU ends at once, perhaps before gdb has said its last word. All was looked at by now.


end = "whole"
try:
    main()
except Exception as error:  # whatever it is, it is not a success
    check.report("script", [], [repr(error)])
    end = "broken"
print(
    f"\nend={end} golden={check.golden} stops={check.stops} steps={check.steps} "
    f"reading_flags={check.reading_flags} bad={check.bad}"
)
