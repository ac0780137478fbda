//! Lets the machine go on.
//!
//! It goes on as a whole. A fiber that does not run cannot be stepped, so a step of one lets the
//! machine run until it switches to the fiber. There a processor stops, which can be stepped.

use std::io;

use super::Session;
use crate::gdb::fibers::word;
use crate::gdb::look::{Target as _, place};
use crate::gdb::resume::Resume;
use crate::gdb::{packet, threads};

/// A fiber that is to go on: the registers with which it will.
#[derive(Clone, Copy, Debug)]
pub(super) struct Awaited {
    rip: u64,
    rsp: u64,
}

impl Awaited {
    /// The packet that sets (`Z`) or removes (`z`) the breakpoint at which the fiber goes on.
    fn breakpoint(self, letter: char) -> Vec<u8> {
        format!("{letter}0,{:x},1", self.rip).into_bytes()
    }
}

impl Session<'_> {
    pub(super) fn go_on(&mut self, resume: Resume, packet: &[u8]) -> io::Result<()> {
        match resume {
            Resume::Pass => self.run_machine(packet),
            Resume::Instead(other) => self.run_machine(&other),
            Resume::OnlyFiber(number) => self.step_fiber(number),
        }
    }

    fn run_machine(&mut self, packet: &[u8]) -> io::Result<()> {
        self.qemu.send(packet)?;
        self.is_running = true;
        Ok(())
    }

    /// Lets the machine run until the fiber of this number does.
    fn step_fiber(&mut self, number: u64) -> io::Result<()> {
        let (fiber, id) = (self.fiber(number)?, self.id(number)?);
        let (Some(fiber), Some(id)) = (fiber, id) else {
            return self.debugger.send(b"E16");
        };
        let awaited = Awaited {
            rip: fiber.registers.rip,
            rsp: fiber.registers.rsp,
        };
        self.say(&format!(
            "the machine runs until the fiber {} does",
            fiber.title()
        ))?;
        // The debugger does not know that the processor goes on, which may be at a breakpoint.
        if let Some(stopped) = self.stopped {
            let stepped = self.ask(format!("vCont;s:{}", id.beside(stopped)).as_bytes())?;
            self.note_stop(&stepped);
            if !stepped.starts_with(b"T05") {
                return self.report_stop(stepped);
            }
        }
        self.ask(&awaited.breakpoint('Z'))?;
        self.awaited = Some(awaited);
        self.run_machine(b"vCont;c")
    }

    /// Prints a line at the debugger's user.
    fn say(&mut self, line: &str) -> io::Result<()> {
        let text = packet::hex(format!("kfiber: {line}\n").as_bytes());
        self.debugger.send(format!("O{text}").as_bytes())
    }

    /// Looks at a stop while a fiber is awaited. Returns what the debugger is told, or `None` if the
    /// machine runs again because another fiber came by.
    pub(super) fn await_fiber(&mut self, payload: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
        let Some(awaited) = self.awaited else {
            return Ok(Some(payload));
        };
        if !payload.starts_with(b"T") {
            return Ok(Some(payload));
        }
        let registers = packet::bytes(&self.ask(b"g")?).unwrap_or_default();
        self.ask(&awaited.breakpoint('z'))?;
        let is_there = word(&registers, place::RIP) == Some(awaited.rip);
        let is_other = word(&registers, place::RSP) != Some(awaited.rsp);
        let is_by_breakpoint = payload.starts_with(b"T05");
        if is_by_breakpoint
            && is_there
            && is_other
            && let Some(id) = threads::stopped_id(&payload)
        {
            let stepped = self.ask(format!("vCont;s:{id}").as_bytes())?;
            if stepped.starts_with(b"T05") {
                self.ask(&awaited.breakpoint('Z'))?;
                self.qemu.send(b"vCont;c")?;
                return Ok(None);
            }
            self.awaited = None;
            return Ok(Some(stepped));
        }
        self.awaited = None;
        Ok(Some(payload))
    }
}
