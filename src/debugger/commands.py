"""The commands."""

import contextlib
import gdb
import gdb.unwinder
import re


class KfiberSelection(gdb.unwinder.Unwinder):
    """Shows the frames of a fiber that does not run as if they were callers of the frame at which the program stopped.

    Nothing in the program changes, so this works in a core dump as well. The selection ends when the program goes on.
    """

    fiber = None
    real = None

    def __call__(self, pending):
        fiber, real = KfiberSelection.fiber, KfiberSelection.real
        if fiber is None or kfiber_place(pending) != real:
            return None
        context = fiber.context
        # gdb takes a caller whose stack lies below that of its callee for damaged. This frame claims to be lower still.
        info = pending.create_unwind_info(KfiberFrameId(context["rsp"] - 512, context["rip"]))
        for name, value in context.items():
            info.add_saved_register(name, gdb.Value(value).cast(pending.read_register(name).type))
        return info

    @classmethod
    def select(cls, fiber):
        cls.fiber = None
        gdb.invalidate_cached_frames()
        cls.real = kfiber_place(gdb.newest_frame())
        cls.fiber = fiber
        gdb.invalidate_cached_frames()
        frame = gdb.newest_frame()
        if fiber is not None:
            while not cls.shows(frame):
                frame = frame.older()
            frame = kfiber_frame_of_program(frame)
        frame.select()

    @classmethod
    def shows(cls, frame):
        """Whether a frame belongs to what is selected: not the one at which the program stopped, nor what was inlined
        there, while a fiber that does not run is selected."""
        return cls.fiber is None or kfiber_place(frame) != cls.real

    @classmethod
    @contextlib.contextmanager
    def suspended(cls):
        """For code that needs to see the real frames."""
        fiber = cls.fiber
        if fiber is not None:
            cls.fiber = None
            gdb.invalidate_cached_frames()
        try:
            yield
        finally:
            if fiber is not None:
                cls.fiber = fiber
                gdb.invalidate_cached_frames()


def kfiber_place(frame):
    return int(frame.read_register("rip")), int(frame.read_register("rsp"))


def kfiber_frame_of_program(first):
    """The innermost frame that is not of the library, or the first one if there is none."""
    frame = first
    while frame is not None:
        name = frame.name() or ""
        if not name.startswith(("kfiber::", "core::", "std::")) and frame.type() != gdb.SIGTRAMP_FRAME:
            return frame
        frame = frame.older()
    return first


class KfiberFrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = gdb.Value(sp), gdb.Value(pc)


class KfiberFilter:
    """Leaves the frame at which the program stopped out of a backtrace while a fiber that does not run is selected."""

    name, enabled, priority = "kfiber", True, 1000

    def __init__(self):
        gdb.frame_filters[self.name] = self

    def filter(self, frames):
        return (frame for frame in frames if KfiberSelection.shows(frame.inferior_frame()))


def kfiber_find(word):
    """The fiber with this number, name, or id."""
    fibers = [fiber for fiber in kfiber_all() if fiber.is_known]
    found = [fiber for fiber in fibers if word in (str(fiber.number), fiber.id, f"{fiber.address:#x}")]
    found = found or [fiber for fiber in fibers if fiber.name == word]
    if len(found) == 1:
        return found[0]
    if found:
        numbers = ", ".join(str(fiber.number) for fiber in found)
        raise gdb.GdbError(f"Several fibers are called {word}: say the number instead, which is one of {numbers}.")
    raise gdb.GdbError(f"There is no fiber {word}. `info fibers` lists them all.")


def kfiber_waits_for(fiber):
    wait = fiber.wait
    if wait is None:
        return ""
    target = " " + (kfiber_symbol(wait.object) or f"{wait.object:#x}") if wait.object else ""
    if wait.reason == "Join":
        names = [other.name for other in kfiber_all() if other.address == wait.object]
        target = f" {names[0]}" if names and names[0] else target
    until = f", until t = {kfiber_seconds(wait.deadline)}" if wait.deadline is not None else ""
    return f"{wait.reason}{target} since t = {kfiber_seconds(wait.since)}{until}, at {wait.place}"


def kfiber_core(thread):
    """The number of a core as QEMU says it, or gdb's number of a thread of the host."""
    found = re.search(r"CPU#(\d+)", f"{getattr(thread, 'details', None)} {thread.name}")
    return found[1] if found else str(thread.num)


def kfiber_title(fiber):
    name = fiber.name or "(without a name)"
    return f"{fiber.number} {name} ({fiber.id}), {fiber.state()}"


def kfiber_look_at(fiber):
    """Makes `bt`, `up` and `info locals` show this fiber."""
    if not fiber.lives:
        raise gdb.GdbError(f"Fiber {kfiber_title(fiber)}: it has no frames any more.")
    if fiber.thread is not None:
        KfiberSelection.select(None)
        fiber.thread.switch()
        gdb.newest_frame().select()
    else:
        KfiberSelection.select(fiber)


class KfiberCommand(gdb.Command):
    """Commands for fibers of kfiber: `info fibers`, `fiber`, `fiber apply all`, `info locks`."""

    def __init__(self):
        super().__init__("kfiber", gdb.COMMAND_DATA, prefix=True)


class KfiberInfoFibers(gdb.Command):
    """List all fibers: state, core, what each waits for and since when, where in the source, stack used.

    info fibers               those of all schedulers that are statics
    info fibers EXPRESSION    those of this scheduler

The selected fiber has a `*`. See `help fiber`."""

    def __init__(self):
        super().__init__("info fibers", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        kfiber_check()
        rows = [("", "Num", "Name", "State", "Core", "Stack used", "Waits for")]
        fibers = kfiber_all(argument)
        for fiber in fibers:
            if not fiber.is_known:
                continue
            chosen = KfiberSelection.fiber
            is_chosen = fiber.thread is not None if chosen is None else chosen.address == fiber.address
            used = fiber.used()
            core = kfiber_core(fiber.thread) if fiber.thread is not None else ""
            used = "unknown" if used is None else f"{used} of {fiber.size}"
            name = fiber.name or "(without a name)"
            number = str(fiber.number)
            rows.append(("*" if is_chosen else "", number, name, fiber.state(), core, used, kfiber_waits_for(fiber)))
        if len(rows) == 1:
            print("There are no fibers.")
            return
        widths = [max(len(row[column]) for row in rows) for column in range(7)]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


class KfiberSelect(gdb.Command):
    """Show the frames and registers of a fiber in `bt`, `up`, `info locals` and so on.

    fiber NUMBER|NAME|ID         select this fiber
    fiber                        say which fiber is selected
    fiber none                   show the processor again
    fiber apply all COMMAND      give a command for each fiber, for instance `bt`

Nothing changes in the program. The selection ends when the program goes on."""

    def __init__(self):
        super().__init__("fiber", gdb.COMMAND_STACK, prefix=True)

    def invoke(self, argument, from_tty):
        kfiber_check_runs()
        word = argument.strip()
        if word == "none":
            KfiberSelection.select(None)
        elif word:
            kfiber_look_at(kfiber_find(word))
        chosen = KfiberSelection.fiber
        if chosen is None:
            running = [fiber for fiber in kfiber_all() if fiber.thread == gdb.selected_thread()]
            chosen = running[0] if running else None
        if chosen is None:
            print("No fiber runs here: this is the code that called `run`, or code outside of a scheduler.")
        else:
            print(f"[Fiber {kfiber_title(chosen)}]")
        if word:
            gdb.execute("frame")


class KfiberApply(gdb.Command):
    """Give a command for several fibers: `fiber apply all COMMAND`, or `fiber apply NUMBER|NAME... -- COMMAND`."""

    def __init__(self):
        super().__init__("fiber apply", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = argument.split()
        if words[:1] == ["all"]:
            fibers, command = [fiber for fiber in kfiber_all() if fiber.is_known and fiber.lives], words[1:]
        elif "--" in words:
            end = words.index("--")
            fibers, command = [kfiber_find(word) for word in words[:end]], words[end + 1 :]
        else:
            fibers, command = [], []
        if not command:
            raise gdb.GdbError("Which fibers, and what? For instance `fiber apply all bt`.")
        thread, before = gdb.selected_thread(), KfiberSelection.fiber
        try:
            for fiber in fibers:
                print(f"\nFiber {kfiber_title(fiber)}:")
                try:
                    kfiber_look_at(fiber)
                    gdb.execute(" ".join(command))
                except gdb.error as error:
                    print(error)
        finally:
            if thread is not None:
                thread.switch()
            KfiberSelection.select(before)


class KfiberInfoLocks(gdb.Command):
    """List the locks that are held or waited for: who owns them, and who waits."""

    def __init__(self):
        super().__init__("info locks", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        kfiber_check()
        fibers = kfiber_all(argument)
        locks = kfiber_static_locks()
        for fiber in fibers:
            wait = fiber.wait if fiber.is_known and fiber.lives else None
            if wait is not None and wait.reason in ("Mutex", "Read", "Write"):
                path = "kfiber::sync::mutex::raw::RawMutex" if wait.reason == "Mutex" else "kfiber::sync::rw_lock::raw::RawRwLock"
                raw = gdb.Value(wait.object).cast(gdb.lookup_type(path).pointer()).dereference()
                _, _, waiters = locks.setdefault(wait.object, (kfiber_symbol(wait.object) or "a lock that is no static", raw, []))
                waiters.append(fiber)
        is_any = False
        for address, (name, raw, waiters) in sorted(locks.items()):
            owners = kfiber_owners(raw, fibers)
            if not owners and not waiters:
                continue
            is_any = True
            kind = "mutex" if str(raw.type).endswith("RawMutex") else "reader-writer lock"
            print(f"{name} ({kind} at {address:#x})")
            print(f"    owner: {', '.join(owners) or 'nobody'}")
            for fiber in waiters:
                print(f"    waits: {fiber.number} {fiber.name}, {kfiber_waits_for(fiber)}")
        if not is_any:
            print("No lock is held or waited for, as far as statics and the waits of fibers show.")


def kfiber_static_locks():
    """The locks that are statics, by the address of their inner part."""
    locks = {}
    for kind in ("mutex::Mutex", "rw_lock::RwLock"):
        for name, lock in kfiber_statics(f"kfiber::sync::{kind}<"):
            raw = lock["raw"]
            locks[int(raw.address)] = (name, raw, [])
    return locks


def kfiber_owners(raw, fibers):
    """Who holds a lock, by name."""
    words = []
    for field in raw.type.fields():
        if field.name in ("word", "writer", "readers", "owner", "known"):
            kfiber_words_of(raw[field], words)
    owners = []
    for word in words:
        owners += [f"{fiber.number} {fiber.name}" for fiber in fibers if fiber.address == word & ~63 and word & ~63]
    return owners


def kfiber_words_of(value, words):
    """All words of eight bytes in a value."""
    size, address = value.type.sizeof, int(value.address)
    words += [kfiber_word(address + at) for at in range(0, size - 7, 8)]


def kfiber_goes_on(event):
    KfiberSelection.fiber = None


gdb.unwinder.register_unwinder(None, KfiberSelection("kfiber"), replace=True)
gdb.events.cont.connect(kfiber_goes_on)
KfiberFilter()
for kfiber_command in (KfiberCommand, KfiberInfoFibers, KfiberSelect, KfiberApply, KfiberInfoLocks):
    kfiber_command()
