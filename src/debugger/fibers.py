"""Commands for fibers of kfiber in gdb: `help kfiber` lists them.

This first part reads what lies in the memory of the program: schedulers, fibers, what they wait for. It writes nothing
and calls nothing, so it works in a running kernel that was stopped, and in a core dump.
"""

import gdb
import re

# The bits of a state word, from `src/scheduler/lock_free/state.rs`, and the number of this arrangement.
KFIBER_LAYOUT = 1
KFIBER_POSTED, KFIBER_PARKED, KFIBER_WAKE, KFIBER_FINISHED, KFIBER_DETACHED, KFIBER_FAILED = 1, 2, 4, 64, 128, 256
# The bits that say whether a fiber waits: it does if the second one alone is set.
KFIBER_WAITING = KFIBER_POSTED | KFIBER_PARKED | KFIBER_WAKE
KFIBER_PATH = "kfiber::scheduler::"
# What a word of the stack contains that was never used, and where the kind of the stack is said.
KFIBER_PAINT, KFIBER_UNPAINTED, KFIBER_PAINTED = 0xF1BE57ACF1BE57AC, 0xE5FA11ED, 0x7A1E57AC


def kfiber_plain(value):
    """The number or pointer inside of cells, atomics and other wrappers."""
    while value.type.strip_typedefs().code == gdb.TYPE_CODE_STRUCT:
        value = max((value[field] for field in value.type.fields()), key=lambda inner: inner.type.sizeof)
    return value


def kfiber_number(value):
    return int(kfiber_plain(value).cast(gdb.lookup_type("u64")))


def kfiber_word(address, size=8):
    return int.from_bytes(bytes(gdb.selected_inferior().read_memory(address, size)), "little")


def kfiber_text(value):
    """A `&str`, or what a location keeps of one."""
    while not {"data_ptr", "length"} <= {field.name for field in value.type.fields()}:
        value = value[value.type.fields()[0]]
    length = int(value["length"])
    data = gdb.selected_inferior().read_memory(int(value["data_ptr"]), length) if length else b""
    return bytes(data).decode("utf-8", "replace")


def kfiber_symbol(address):
    """The static at an address, or None."""
    text = gdb.execute(f"info symbol {address:#x}", to_string=True)
    if text.startswith("No symbol"):
        return None
    return re.sub(r"::h[0-9a-f]{16}", "", text.split(" in section")[0])


def kfiber_seconds(nanoseconds):
    return f"{nanoseconds / 1e9:.3f} s"


def kfiber_type(name):
    try:
        return gdb.lookup_type(KFIBER_PATH + name)
    except gdb.error:
        raise gdb.GdbError(
            f"The program has no type {KFIBER_PATH}{name}: it does not use kfiber, has no debug information "
            "(build it with `debug = 2` in the profile), or is of another version than this script."
        ) from None


def kfiber_check():
    """Complains if the script is not that of the program's library."""
    try:
        gdb.execute(f"info address kfiber_debugger_layout_{KFIBER_LAYOUT}", to_string=True)
    except gdb.error:
        print("kfiber: this script is not of the same version as the kfiber in the program; do not trust what it says.")


def kfiber_check_runs():
    """Complains if there is no program: before it starts, and after its end."""
    if gdb.selected_thread() is None:
        raise gdb.GdbError("The program does not run, so it has no fibers to look at.")


class KfiberFiber:
    """What the control block of one fiber says."""

    def __init__(self, header, number):
        self.address, self.number = int(header), number
        self.header = header.dereference()
        state = kfiber_number(self.header["state"])
        self.bits, self.generation = state & 0xFFFFFFFF, state >> 32
        bytes_of_name = kfiber_number(self.header["name_bytes"])
        name = kfiber_number(self.header["name_at"])
        memory = gdb.selected_inferior().read_memory(name, bytes_of_name) if bytes_of_name else b""
        self.name = bytes(memory).decode("utf-8", "replace")
        self.bottom = kfiber_number(self.header["stack_bottom"])
        self.run_loop = kfiber_number(self.header["run_loop"])
        self.thread = None  # the core, or the thread, that runs it

    @property
    def id(self):
        return f"{self.address:x}.{self.generation}"

    @property
    def lives(self):
        return not self.bits & (KFIBER_FINISHED | KFIBER_FAILED)

    @property
    def is_known(self):
        """Whether there is a fiber: not an empty cell, nor one that was given back."""
        gone = KFIBER_FINISHED | KFIBER_DETACHED
        return self.generation != 0 and (self.bits & gone != gone or self.bits & KFIBER_FAILED != 0)

    @property
    def size(self):
        return self.address - self.bottom

    @property
    def wait(self):
        """The record of the wait, or None."""
        address = kfiber_number(self.header["wait"])
        if self.thread is not None or address == 0 or self.bits & KFIBER_WAITING != KFIBER_PARKED:
            return None
        return KfiberWait(address)

    @property
    def context(self):
        """The stored registers of a fiber that does not run."""
        block = kfiber_plain_block(self.header["block"])
        own = block["own"]
        record = own["record"]
        return {
            "rip": kfiber_number(record["ip"]),
            "rsp": kfiber_number(own["sp"]),
            "rbp": kfiber_number(record["rbp"]),
            "rbx": kfiber_number(own["rbx"]),
        }

    def state(self):
        if self.bits & KFIBER_FAILED:
            return "failed"
        if self.bits & KFIBER_FINISHED:
            return "ended"
        if self.thread is not None:
            return "running"
        if self.wait is not None:
            return "waiting"
        if kfiber_dispatches(self.header) == 0:
            return "new"
        return "ready"

    def used(self):
        """The bytes of the stack that were ever used, or None if that cannot be known."""
        if self.size <= 64:
            return None
        memory = bytes(gdb.selected_inferior().read_memory(self.bottom, self.size))
        # The lower half of the canary, which is not that of this stack if an overflow wrote over it.
        kind = int.from_bytes(memory[8:12], "little") ^ (self.bottom & 0xFFFFFFFF)
        if kind not in (KFIBER_UNPAINTED, KFIBER_PAINTED):
            return None
        unused = (KFIBER_PAINT if kind == KFIBER_PAINTED else 0).to_bytes(8, "little")
        at = 16
        while at + 8 <= len(memory) and memory[at : at + 8] == unused:
            at += 8
        return len(memory) - at

    def holds(self, address):
        """Whether a stack pointer lies in the stack. At its very bottom lies the canary, and no frame: an address there is the
        top of what is below, such as the stack of the boot code."""
        return self.bottom < address < self.address


def kfiber_plain_block(cell):
    """The control block inside of its cell."""
    while not any(field.name == "own" for field in cell.type.fields()):
        cell = cell[cell.type.fields()[0]]
    return cell


def kfiber_dispatches(header):
    """How often the fiber was switched to: the second of the two words that its scheduler uses."""
    block = int(kfiber_plain_block(header["block"]).address)
    return kfiber_word(block + 24)


class KfiberWait:
    """What a fiber waits for."""

    def __init__(self, address):
        record = gdb.Value(address).cast(kfiber_type("task::wait::Wait").pointer()).dereference()
        kind_and_sleep = kfiber_number(record["kind_and_sleep"])
        kind = gdb.Value(kind_and_sleep & ~7).cast(kfiber_type("task::wait::Kind").pointer()).dereference()
        self.reason = str(kind["reason"]).rsplit("::", 1)[-1]
        self.object = kfiber_number(record["object"])
        self.since = kfiber_number(record["since"])
        self.deadline = None
        if kind_and_sleep & 3:
            node = kfiber_type("task::wait::Node")
            at = int(record["node"].address)
            self.deadline = kfiber_number(gdb.Value(at).cast(node.pointer()).dereference()["deadline"])
        location = record["location"].dereference()
        fields = {field.name: field for field in location.type.fields()}
        name = location[fields["filename"] if "filename" in fields else fields["file"]]
        file = kfiber_text(name).rstrip("\0")
        self.place = f"{file}:{int(location['line'])}"


def kfiber_statics(path):
    """The statics whose type begins with this path: their names and values."""
    if path not in kfiber_names:
        kfiber_names[path] = kfiber_find_names(path)
    for name in kfiber_names[path]:
        symbol = gdb.lookup_global_symbol(name) or gdb.lookup_static_symbol(name)
        if symbol is not None and symbol.type.sizeof:
            yield name, symbol.value()


# A search through all variables takes gdb seconds in a large program.
kfiber_names = {}
gdb.events.new_objfile.connect(lambda event: kfiber_names.clear())


def kfiber_find_names(path):
    # As Rust, gdb prints the types without the names.
    before = gdb.parameter("language")
    gdb.execute("set language c", to_string=True)
    try:
        listing = gdb.execute(f"info variables -q -t {path}", to_string=True)
    finally:
        gdb.execute(f"set language {before}", to_string=True)
    return re.findall(rf"^\d+:\s+static (?:struct )?{re.escape(path)}.* (\S+);$", listing, re.M)


def kfiber_schedulers(expression=""):
    """The schedulers: the one that is named, or all that are statics."""
    if expression:
        value = gdb.parse_and_eval(expression)
        while value.type.strip_typedefs().code in (gdb.TYPE_CODE_PTR, gdb.TYPE_CODE_REF):
            value = value.dereference()
        if not str(value.type.strip_typedefs()).startswith(KFIBER_PATH + "Scheduler<"):
            raise gdb.GdbError(f"{expression} is no scheduler, but a {value.type}.")
        return [(expression, value)]
    return list(kfiber_statics(KFIBER_PATH + "Scheduler<"))


def kfiber_team(scheduler):
    """What the run loops of a scheduler share. Without the feature `smp` there is one loop, which has it."""
    names = [field.name for field in scheduler.type.fields()]
    if "team" in names:
        return scheduler["team"]
    return kfiber_loops(scheduler)[0]["team"]


def kfiber_loops(scheduler):
    """The run loops of a scheduler, one for each core."""
    loops = scheduler["loops"]
    low, high = loops.type.range()
    return [loops[index] for index in range(low, high + 1)]


def kfiber_all(expression=""):
    """All fibers of all schedulers, in the order in which their cells were first used."""
    kfiber_check_runs()
    header = kfiber_type("task::header::Header").pointer()
    schedulers = kfiber_schedulers(expression)
    if not schedulers:
        raise gdb.GdbError(
            "No static of type `Scheduler` was found. If the scheduler lies elsewhere, name it: `info fibers EXPRESSION`."
        )
    fibers = []
    for _, scheduler in schedulers:
        addresses = []
        address = kfiber_number(kfiber_team(scheduler)["all"])
        while address and address not in addresses and len(addresses) < 1 << 20:
            addresses.append(address)
            next_of_all = gdb.Value(address).cast(header).dereference()["next_of_all"]
            address = kfiber_number(next_of_all)
        for address in reversed(addresses):
            fibers.append(KfiberFiber(gdb.Value(address).cast(header), len(fibers) + 1))
    kfiber_mark_running(fibers)
    return fibers


def kfiber_mark_running(fibers):
    """Finds the fiber on whose stack each core is: the innermost frame that lies in a fiber's stack says so, also in the
    middle of a switch, in an interrupt handler with a stack of its own, and in a `Fiber` within a fiber."""
    selected = gdb.selected_thread()
    frame_before = None
    try:
        frame_before = gdb.selected_frame()
    except gdb.error:
        pass
    with KfiberSelection.suspended():
        for thread in kfiber_cores():
            thread.switch()
            fiber = kfiber_fiber_of(fibers)
            if fiber is not None:
                fiber.thread = thread
        if selected is not None:
            selected.switch()
    if frame_before is not None and frame_before.is_valid():
        frame_before.select()


def kfiber_cores():
    """The threads that run something. QEMU names its cores; other threads there are fibers that `cargo kfiber gdb` shows."""
    threads = gdb.selected_inferior().threads()
    cores = [thread for thread in threads if "CPU#" in f"{getattr(thread, 'details', None)} {thread.name}"]
    return cores or threads


def kfiber_fiber_of(fibers):
    """The fiber on whose stack the selected thread is."""
    try:
        frame = newest = gdb.newest_frame()
        for _ in range(1000):
            # Code without a name has no caller that gdb could know: this is where it left the outermost function.
            if frame is None or (frame != newest and frame.name() is None):
                return None
            sp = int(frame.read_register("rsp"))
            # In the common end of a switch, the registers are still those of the fiber that is left.
            if not (frame.name() or "").split("::h")[0].endswith(("_tail", "::tail_of_registers")):
                for fiber in fibers:
                    if fiber.lives and fiber.holds(sp):
                        return fiber
            frame = frame.older()
    except gdb.error:
        pass
    return None
