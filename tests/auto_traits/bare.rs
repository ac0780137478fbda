//! The types that there are on a bare machine only. The test kernels include this file.

use super::row::{If, IsNot, Neither, Probe, Row, SendAndSync, SendOnly, SyncOnly, Variance, rows};
use kfiber::{exceptions, platform, stack, switch_state};

rows! {
    // type                                       Send,   Sync,   in T,   in 'a
    platform::BareX86_64<T>                    => Send,   Sync,   Absent, Absent;
    exceptions::TrapFrame                      => Always, Always, Absent, Absent;
    exceptions::ExceptionStacks                => Always, Always, Absent, Absent;
    switch_state::AddressSpace                 => Always, Always, Absent, Absent;
    switch_state::KernelStack                  => Always, Always, Absent, Absent;
    switch_state::FsGsBases                    => Always, Always, Absent, Absent;
    switch_state::FxsaveArea                   => Always, Always, Absent, Absent;
    switch_state::XsaveArea<832>               => Always, Always, Absent, Absent;
    switch_state::XsaveUnusable                => Always, Always, Absent, Absent;
    stack::guard::NoExceptionStack             => Always, Always, Absent, Absent;
}
