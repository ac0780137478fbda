//! Sessions with a debugger and a machine that are played.

mod machine;
mod memory;
mod robust;
mod steps;
mod threads;

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use super::kernel::Kernel;
use super::link::Stream;
use super::packet::{self, Item, Items};
use machine::Machine;

/// A debugger whose packets the test writes.
struct Debugger {
    items: Items<UnixStream>,
    stream: UnixStream,
    session: JoinHandle<std::io::Result<()>>,
    machine: JoinHandle<Machine>,
}

impl Debugger {
    /// Begins a session with a machine.
    fn new(kernel: Option<Kernel>, machine: Machine) -> Self {
        let (stream, debugger) = UnixStream::pair().expect("a pair");
        let (qemu, other) = UnixStream::pair().expect("a pair");
        let machine = thread::spawn(move || machine.serve(other));
        let session = thread::spawn(move || {
            super::serve(kernel.as_ref(), Stream::Unix(debugger), Stream::Unix(qemu))
        });
        Self {
            items: Items::new(stream.try_clone().expect("a socket")),
            stream,
            session,
            machine,
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the session listens");
    }

    fn send(&mut self, payload: &str) {
        self.write(&packet::framed(payload.as_bytes()));
    }

    /// The next packet, or `None` at the end of the connection.
    fn next(&mut self) -> Option<String> {
        match self.items.next()?.expect("a socket") {
            Item::Packet(payload) => Some(String::from_utf8_lossy(&payload).into_owned()),
            other => Some(format!("{other:?}")),
        }
    }

    fn ask(&mut self, payload: &str) -> String {
        self.send(payload);
        self.next().expect("an answer")
    }

    /// What the session prints at the user.
    fn next_line(&mut self) -> String {
        let packet = self.next().expect("a line");
        let hex = packet.strip_prefix('O').expect("a line");
        String::from_utf8(packet::bytes(hex.as_bytes()).expect("digits")).expect("text")
    }

    /// Ends the session from this side. Returns the machine as it was.
    fn end(self) -> (std::io::Result<()>, Machine) {
        drop((self.items, self.stream));
        let result = self.session.join().expect("the session does not panic");
        (
            result,
            self.machine.join().expect("the machine does not panic"),
        )
    }
}
