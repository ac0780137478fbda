"""The commands of the sessions: `ask COMMAND` shows a command and the answer, also if that is an error; `ask-part NAME`
begins a part; `program-frames` prints the frames of the program itself, because those of the library differ between builds;
`break-at-switch` has the next switch stop the program."""

import gdb


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
        frame = gdb.newest_frame()
        while frame is not None:
            if KfiberSelection.shows(frame) and (frame.name() or "").startswith("debugged::"):
                print(frame.name())
            frame = frame.older()


class BreakAtSwitch(gdb.Command):
    """A breakpoint where all switches end."""

    def __init__(self):
        super().__init__("break-at-switch", gdb.COMMAND_USER)

    def invoke(self, argument, from_tty):
        listing = gdb.execute("info functions x86_64::tail", to_string=True)
        address = next(line.split()[0] for line in listing.splitlines() if line.startswith("0x"))
        gdb.execute(f"tbreak *{address}")


Ask()
BreakAtSwitch()
AskPart()
ProgramFrames()
