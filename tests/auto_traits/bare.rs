//! The types that there are on a bare machine only. The test kernels include this file.

use super::row::{If, IsNot, Neither, Probe, Row, SendAndSync, SendOnly, SyncOnly, Variance, rows};
use kfiber::{exceptions, platform, stack};

rows! {
    // type                                       Send,   Sync,   in T,   in 'a
    platform::BareX86_64<T>                    => Send,   Sync,   Absent, Absent;
    exceptions::TrapFrame                      => Always, Always, Absent, Absent;
    exceptions::ExceptionStacks                => Always, Always, Absent, Absent;
    stack::guard::NoExceptionStack             => Always, Always, Absent, Absent;
}
