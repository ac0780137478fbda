"""How values of kfiber's types are printed."""

import gdb
import gdb.printing


def kfiber_who(header):
    """The name of the fiber in whose header an address lies."""
    if not header:
        return "nobody"
    try:
        pointer = kfiber_type("task::header::Header").pointer()
        fiber = KfiberFiber(gdb.Value(header).cast(pointer), 0)
        return f"{fiber.name or '(without a name)'} ({fiber.address:x}.{fiber.generation})"
    except (gdb.error, gdb.MemoryError):
        return f"a fiber at {header:#x}, which cannot be read"


class KfiberIdPrinter:
    """`FiberId`, and what contains just one."""

    def __init__(self, value):
        self.value = value
        while not any(field.name == "header" for field in value.type.fields()):
            value = value[value.type.fields()[0]]
        self.id = value

    def to_string(self):
        header, generation = kfiber_number(self.id["header"]), int(self.id["generation"])
        name = self.value.type.name.rsplit("::", 1)[-1].split("<")[0]
        now = kfiber_word(header + self.state_at()) >> 32 if header else 0
        if now != generation:
            return f"{name} of a fiber that has ended ({header:x}.{generation})"
        return f"{name} of {kfiber_who(header)}"

    @staticmethod
    def state_at():
        return kfiber_offset("task::header::Header", "state")


def kfiber_offset(path, field):
    return next(each.bitpos // 8 for each in kfiber_type(path).fields() if each.name == field)


class KfiberMutexPrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        word = kfiber_number(self.value["raw"]["word"])
        if word == 0:
            return "Mutex, unlocked"
        return f"Mutex, locked by {kfiber_who(word & ~63)}{', others wait' if word & 1 else ''}"

    def children(self):
        yield "value", kfiber_inside(self.value["value"])


class KfiberSchedulerPrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        loops = kfiber_loops(self.value)
        live = kfiber_number(kfiber_team(self.value)["live"])
        running = any(kfiber_number(each["is_running"]) for each in loops)
        return f"Scheduler with {live} fibers, {'running' if running else 'not running'} (see `info fibers`)"


class KfiberPriorityPrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        return f"Priority {kfiber_number(self.value)}"


class KfiberCellPrinter:
    """`FiberCell`, without its thousands of bytes."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        name = self.value.type.name.rsplit("::", 1)[-1]
        return f"{name} at {int(self.value.address):#x}"


def kfiber_inside(cell):
    """What an `UnsafeCell` contains."""
    return cell["value"] if any(field.name == "value" for field in cell.type.fields()) else cell


def kfiber_printers():
    printers = gdb.printing.RegexpCollectionPrettyPrinter("kfiber")
    printers.add_printer("FiberId", r"^kfiber::scheduler::task::id::FiberId$", KfiberIdPrinter)
    printers.add_printer("Unparker", r"^kfiber::scheduler::run_loop::unparker::Unparker$", KfiberIdPrinter)
    printers.add_printer("JoinHandle", r"^kfiber::scheduler::spawn::join::JoinHandle<", KfiberIdPrinter)
    printers.add_printer("Mutex", r"^kfiber::sync::mutex::Mutex<", KfiberMutexPrinter)
    printers.add_printer("Scheduler", r"^kfiber::scheduler::Scheduler<", KfiberSchedulerPrinter)
    printers.add_printer("Priority", r"^kfiber::scheduler::task::priority::Priority$", KfiberPriorityPrinter)
    cells = r"^kfiber::scheduler::spawn::cell::(Guarded)?Fiber(Cell|Pool)<"
    printers.add_printer("FiberCell", cells, KfiberCellPrinter)
    return printers


gdb.printing.register_pretty_printer(None, kfiber_printers(), replace=True)
