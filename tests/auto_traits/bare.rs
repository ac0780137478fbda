//! The types that there are on a bare machine only. The test kernels include this file.

use super::row::{If, IsNot, Neither, Probe, Row, SendAndSync, SendOnly, SyncOnly, Variance, rows};
use kfiber::{exceptions, hardware, platform, stack, switch_state};

rows! {
    // type                                       Send,   Sync,   in T,   in 'a
    hardware::ApicCores<1>                     => Always, Always, Absent, Absent;
    hardware::ApicTimerMode                    => Always, Always, Absent, Absent;
    hardware::ApicVectors                      => Always, Always, Absent, Absent;
    hardware::Destination                      => Always, Always, Absent, Absent;
    hardware::HardwareError                    => Always, Always, Absent, Absent;
    hardware::Hpet                             => Always, Always, Absent, Absent;
    hardware::Ipi                              => Always, Always, Absent, Absent;
    hardware::LocalApic                        => Always, Always, Absent, Absent;
    hardware::LocalApicTimer                   => Always, Always, Absent, Absent;
    hardware::PitTimer                         => Always, Always, Absent, Absent;
    hardware::Reference<'static>               => Always, Always, Absent, Covariant;
    hardware::SerialPort                       => Always, Always, Absent, Absent;
    hardware::TscClock                         => Always, Always, Absent, Absent;
    platform::BareX86_64<T>                    => Send,   Sync,   Absent, Absent;
    stack::guard::TableFrames<1>               => Always, Always, Absent, Absent;
    exceptions::TrapFrame                      => Always, Always, Absent, Absent;
    exceptions::ExceptionStacks                => Always, Always, Absent, Absent;
    exceptions::Tables<4096>                   => Always, Always, Absent, Absent;
    switch_state::AddressSpace                 => Always, Always, Absent, Absent;
    switch_state::KernelStack                  => Always, Always, Absent, Absent;
    switch_state::FsGsBases                    => Always, Always, Absent, Absent;
    switch_state::FxsaveArea                   => Always, Always, Absent, Absent;
    switch_state::XsaveArea<832>               => Always, Always, Absent, Absent;
    switch_state::XsaveUnusable                => Always, Always, Absent, Absent;
    stack::guard::NoExceptionStack             => Always, Always, Absent, Absent;
}
