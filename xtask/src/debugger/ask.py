"""The commands of the sessions: `ask COMMAND` shows a command and the answer, also if that is an error; `ask-part NAME`
begins a part; `program-frames` prints the frames of the program itself, because those of the library differ between builds;
`program-threads` prints the threads with those frames; `up-to-program` selects the innermost of them; `thread-named NAME` selects a
thread, and `quietly COMMAND` gives a command, without the frame that gdb prints; `break-at-switch` has the next switch stop the
program; `end-machine` ends QEMU, which may be gone before it has said so."""

import gdb
import re


class Ask(gdb.Command):
    def __init__(self):
        super().__init__("ask", gdb.COMMAND_USER)

    def invoke(self, argument, from_tty):
        print("(gdb)", argument)
        try:
            gdb.execute(argument)
        except gdb.error as error:
            print(error)


class AskPart(gdb.Command):
    def __init__(self):
        super().__init__("ask-part", gdb.COMMAND_USER)

    def invoke(self, argument, from_tty):
        print("===", argument)


class ProgramFrames(gdb.Command):
    def __init__(self):
        super().__init__("program-frames", gdb.COMMAND_USER)

    def invoke(self, argument, from_tty):
        for frame in frames_of_program():
            print(frame.name())


def frames_of_program():
    frame = gdb.newest_frame()
    while frame is not None:
        # Through the bridge gdb knows no fibers, but threads.
        is_shown = "KfiberSelection" not in globals() or KfiberSelection.shows(frame)
        if is_shown and (frame.name() or "").startswith("debugged::"):
            yield frame
        frame = frame.older()


class ProgramThreads(gdb.Command):
    def __init__(self):
        super().__init__("program-threads", gdb.COMMAND_USER)

    def invoke(self, argument, from_tty):
        gdb.execute("info threads", to_string=True)
        selected = gdb.selected_thread()
        for thread in sorted(gdb.selected_inferior().threads(), key=lambda thread: thread.ptid[1]):
            mark = "*" if thread.num == selected.num else " "
            if re.fullmatch(r"CPU#\d+", thread.name):
                # A core that runs no fiber goes to sleep, or has just done so.
                print(mark, thread.name)
                continue
            thread.switch()
            frames = ", ".join(frame.name().split("::")[-1] for frame in frames_of_program())
            print(mark, thread.name, "|", thread.details, "|", frames)
        selected.switch()


class ThreadNamed(gdb.Command):
    def __init__(self):
        super().__init__("thread-named", gdb.COMMAND_USER)

    def invoke(self, argument, from_tty):
        gdb.execute("info threads", to_string=True)
        next(thread for thread in gdb.selected_inferior().threads() if thread.name == argument).switch()


class Quietly(gdb.Command):
    def __init__(self):
        super().__init__("quietly", gdb.COMMAND_USER)

    def invoke(self, argument, from_tty):
        for line in gdb.execute(argument, to_string=True).splitlines():
            if line.startswith(("Thread ", "[Fiber ")):
                print(line)


class EndMachine(gdb.Command):
    def __init__(self):
        super().__init__("end-machine", gdb.COMMAND_USER)

    def invoke(self, argument, from_tty):
        try:
            gdb.execute("kill", to_string=True)
        except gdb.error:
            pass


class UpToProgram(gdb.Command):
    def __init__(self):
        super().__init__("up-to-program", gdb.COMMAND_USER)

    def invoke(self, argument, from_tty):
        next(frames_of_program()).select()


class BreakAtSwitch(gdb.Command):
    """A breakpoint where all switches of a scheduler end."""

    def __init__(self):
        super().__init__("break-at-switch", gdb.COMMAND_USER)

    def invoke(self, argument, from_tty):
        listing = gdb.execute("info functions x86_64::switch_tail", to_string=True)
        address = next(line.split()[0] for line in listing.splitlines() if line.startswith("0x"))
        gdb.execute(f"tbreak *{address}")


Ask()
ProgramThreads()
ThreadNamed()
Quietly()
EndMachine()
UpToProgram()
BreakAtSwitch()
AskPart()
ProgramFrames()
