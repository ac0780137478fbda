//! The errors of sending and receiving.

use crate::scheduler::WaitError;
use core::fmt;

/// The error of a message that was not sent. It returns the message to the sender.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T> {
    /// The message that was not sent.
    pub message: T,
    /// The reason.
    pub kind: SendErrorKind,
}

/// The reason why a message was not sent. See [`SendError`].
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendErrorKind {
    /// There was no room, and the call does not wait.
    Full,
    /// The channel is closed.
    Closed,
    /// The deadline has passed.
    TimedOut,
    /// The fiber was cancelled.
    Cancelled,
}

/// The reason why no message was received.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// There was no message, and the call does not wait.
    Empty,
    /// The channel is closed, and all its messages were received.
    Closed,
    /// The deadline has passed.
    TimedOut,
    /// The fiber was cancelled.
    Cancelled,
}

impl From<WaitError> for SendErrorKind {
    fn from(error: WaitError) -> Self {
        match error {
            WaitError::TimedOut => Self::TimedOut,
            WaitError::Cancelled => Self::Cancelled,
        }
    }
}

impl From<WaitError> for RecvError {
    fn from(error: WaitError) -> Self {
        match error {
            WaitError::TimedOut => Self::TimedOut,
            WaitError::Cancelled => Self::Cancelled,
        }
    }
}

debug_is_display!(SendErrorKind);

impl fmt::Display for SendErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the channel is full: `send` waits for room",
            Self::Closed => "the channel is closed",
            Self::TimedOut => "the deadline passed before there was room",
            Self::Cancelled => "the fiber that sends was cancelled",
        })
    }
}

debug_is_display!(<T> SendError<T>);

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl<T> core::error::Error for SendError<T> {}

debug_is_display!(RecvError);

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the channel is empty: `recv` waits for a message",
            Self::Closed => "the channel is closed, and all messages were received",
            Self::TimedOut => "the deadline passed before a message came",
            Self::Cancelled => "the fiber that receives was cancelled",
        })
    }
}

impl core::error::Error for RecvError {}
