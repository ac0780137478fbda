"""Walks the stack as gdb sees it and says what is wrong with it. Knows nothing of any particular kernel.

A walk is wrong if gdb reports an error, does not know a function, stops for another reason than having found the
outermost frame, or shows a caller that did not call: the instruction before each return address must be a call, and a
direct one must lead to the function in which the next inner frame is.
"""

import re

import gdb

BASE = "BASE"  # the first frame of a fiber, a signal frame for gdb


class Frame:
    """One frame: its function, and whether it has one of its own or was inlined into the next."""

    def __init__(self, frame):
        self.pc = frame.pc()
        self.name = without_hash(frame.name())
        self.is_base = frame.type() == gdb.SIGTRAMP_FRAME
        self.is_inlined = frame.type() == gdb.INLINE_FRAME

    def __repr__(self):
        return f"{self.pc:#x} {self.name}"


def without_hash(name):
    """Functions in assembly have no debug information, and their symbols end in a hash."""
    return name and re.sub(r"::h[0-9a-f]{16}$", "", name)


def walk():
    """The frames from the innermost to the outermost, and a list of what is wrong."""
    frames, wrong = [], []
    try:
        frame = gdb.newest_frame()
        while frame is not None:
            frames.append(Frame(frame))
            last, frame = frame, frame.older()
        reason = last.unwind_stop_reason()
        if reason != gdb.FRAME_UNWIND_OUTERMOST:
            wrong.append("stops early: " + gdb.frame_stop_reason_string(reason))
    except gdb.error as error:
        wrong.append(f"gdb reports: {error}")
    wrong += [f"unknown function at {frame.pc:#x}" for frame in frames if frame.name is None]
    return frames, wrong + wrong_calls(frames)


def wrong_calls(frames):
    """Callers that did not call."""
    own = [frame for frame in frames if not frame.is_inlined]
    wrong = []
    for depth, (inner, outer) in enumerate(zip(own, own[1:])):
        # A fiber's first frame was not called by its resumer, nor is the common end of a switch.
        if inner.is_base or is_switch_end(inner) or is_end(outer):
            continue
        called = call_before(outer.pc)
        if called is None:
            wrong.append(f"{outer} is not behind a call")
        # A function that never returns may end with a call, so that its return address is the next function's.
        elif called != 0 and called != start_of(inner.pc - (depth > 0)):
            wrong.append(f"{outer} calls {called:#x}, not {inner}")
    return wrong


def is_switch_end(frame):
    return frame.name is not None and frame.name.endswith(("_tail", "::tail_of_registers"))


def is_end(frame):
    """The function that every suspended fiber seems to be called by."""
    return frame.name is not None and frame.name.endswith("x86_64::suspended")


_calls = {}


def call_before(pc):
    """The target of the direct call that ends at `pc`, 0 for an indirect one, None if there is no call."""
    if pc not in _calls:
        code = bytes(gdb.selected_inferior().read_memory(pc - 7, 7))
        if code[2] == 0xE8:
            target = pc + int.from_bytes(code[3:], "little", signed=True)
        else:
            # `ff /2` with an operand in a register or in memory, of 2, 3, 6 or 7 bytes.
            found = any(code[at] == 0xFF and (code[at + 1] >> 3) & 7 == 2 for at in (5, 4, 3, 1, 0))
            target = 0 if found else None
        _calls[pc] = target
    return _calls[pc]


_starts = {}


def start_of(pc):
    """The first address of the function around `pc`, by the symbol table: tables of unwinding have no part in it."""
    if pc not in _starts:
        line = gdb.execute(f"info symbol {pc:#x}", to_string=True)
        offset = re.search(r" \+ (\d+) in section ", line)
        _starts[pc] = pc - (int(offset[1]) if offset else 0)
    return _starts[pc]


class Registers:
    """Lets gdb look at a context that is not running, and puts the registers back."""

    NAMES = ("rip", "rsp", "rbp", "rbx")

    def __init__(self, **values):
        self.values = values

    def __enter__(self):
        self.saved = {name: register(name) for name in self.NAMES}
        self.set(self.values)

    def __exit__(self, *_):
        self.set(self.saved)

    @staticmethod
    def set(values):
        for name, value in values.items():
            gdb.execute(f"set ${name} = {value:#x}")


def register(name):
    return int(gdb.parse_and_eval(f"(unsigned long)${name}"))


def word(address):
    return int.from_bytes(bytes(gdb.selected_inferior().read_memory(address, 8)), "little")


def address_of(symbol):
    return int(gdb.parse_and_eval(f"(unsigned long)&'{symbol}'"))
