//! The two connections of a session, and the one queue into which both are read.
//!
//! ```text
//!   debugger ◄── Link ── session ── Link ──► QEMU
//!      │                   ▲                   │
//!      └──── a thread ─────┴───── a thread ────┘
//! ```

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use super::packet::{self, Item, Items};

/// A connection in both directions.
#[derive(Debug)]
pub enum Stream {
    /// Over the network, or within this machine.
    Tcp(TcpStream),
    /// Over a socket in the file system.
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixStream),
}

impl Stream {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
            #[cfg(unix)]
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
        })
    }

    /// Ends the connection for all who have a part of it.
    fn close(&self) {
        // It fails only if the other side was faster.
        drop(match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
        });
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            #[cfg(unix)]
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(buffer),
            #[cfg(unix)]
            Self::Unix(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Who sent something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Debugger,
    Qemu,
}

/// Something that came, or `None` if the connection has ended.
pub(super) type Event = (From, Option<Item>);

/// The side of a connection to which packets are sent.
#[derive(Debug)]
pub(super) struct Link {
    stream: Stream,
    last: Vec<u8>,
    /// Whether each packet is acknowledged.
    pub(super) has_acks: bool,
}

impl Link {
    /// Begins to read a connection, in a thread that ends with it.
    pub(super) fn open(stream: Stream, who: From, events: Sender<Event>) -> io::Result<Self> {
        if let Stream::Tcp(stream) = &stream {
            // Each packet is an answer that somebody waits for.
            stream.set_nodelay(true)?;
        }
        let read = stream.try_clone()?;
        thread::spawn(move || {
            for item in Items::new(read).map_while(Result::ok) {
                if events.send((who, Some(item))).is_err() {
                    return;
                }
            }
            // If nobody listens any more, the session has ended as well.
            drop(events.send((who, None)));
        });
        Ok(Self {
            stream,
            last: Vec::new(),
            has_acks: true,
        })
    }

    /// Sends a packet.
    pub(super) fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        self.last = packet::framed(payload);
        self.stream.write_all(&self.last)
    }

    /// Sends the last packet again.
    pub(super) fn send_again(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.last)
    }

    /// Says whether a packet arrived as it was sent.
    pub(super) fn acknowledge(&mut self, is_right: bool) -> io::Result<()> {
        if self.has_acks {
            self.stream.write_all(if is_right { b"+" } else { b"-" })?;
        }
        Ok(())
    }

    /// Sends a byte that is no packet.
    pub(super) fn send_byte(&mut self, byte: u8) -> io::Result<()> {
        self.stream.write_all(&[byte])
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // The thread that reads ends by this.
        self.stream.close();
    }
}

/// A queue for what both connections bring.
pub(super) fn queue() -> (Sender<Event>, Receiver<Event>) {
    mpsc::channel()
}
