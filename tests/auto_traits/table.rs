//! Every public type that a host has, with what may be done with it in another fiber or thread.
//!
//! `Never` is for what belongs to one fiber: its guards, its inner fibers, and what only it may look at. `Invariant` is for
//! what `T` is both put into and taken out of, as a wider or a narrower `T` would be right for one of the two only.

use super::row::{If, IsNot, Neither, Probe, Row, SendAndSync, SendOnly, SyncOnly, Variance, rows};
use kfiber::{context, fiber, platform, scheduler, stack, switch_state, sync, trace};

/// What a fiber lies in.
type Memory = stack::StackHandle<stack::Stack<65536>>;

rows! {
    // type                                              Send,   Sync,   in T,      in 'a
    stack::StackError                                 => Always, Always, Absent,    Absent;
    stack::StackBounds                                => Always, Always, Absent,    Absent;
    stack::ForeignStack                               => Always, Always, Absent,    Absent;
    stack::StackUsage                                 => Always, Always, Absent,    Absent;
    stack::Pool<stack::Stack<65536>, 2>               => Always, Always, Absent,    Absent;
    stack::PoolExhausted                              => Always, Always, Absent,    Absent;
    stack::Stack<65536>                               => Always, Always, Absent,    Absent;
    stack::GuardedStack<65536>                        => Always, Always, Absent,    Absent;
    stack::StackInUse                                 => Always, Always, Absent,    Absent;
    stack::StackHandle<stack::Stack<65536>>           => Always, Always, Absent,    Absent;
    stack::guard::GuardError                          => Always, Always, Absent,    Absent;

    // The raw switch: whoever uses it says by `unsafe` where it may be used.
    context::Transfer                                 => Never,  Never,  Absent,    Absent;
    context::FpControl                                => Always, Always, Absent,    Absent;
    context::Context                                  => Never,  Never,  Absent,    Absent;
    context::ControlBlock                             => Never,  Never,  Absent,    Absent;
    context::flags::Flags                             => Always, Always, Absent,    Absent;

    fiber::Fiber<T, (), (), Memory>                   => Never,  Never,  Invariant, Absent;
    fiber::Fiber<(), T, (), Memory>                   => Never,  Never,  Invariant, Absent;
    fiber::Fiber<(), (), T, Memory>                   => Never,  Never,  Invariant, Absent;
    fiber::Yielder<T, ()>                             => Never,  Never,  Invariant, Absent;
    fiber::Yielder<(), T>                             => Never,  Never,  Invariant, Absent;
    fiber::Resumed<T, ()>                             => Send,   Sync,   Covariant, Absent;
    fiber::Resumed<(), T>                             => Send,   Sync,   Covariant, Absent;
    fiber::FiberFinished<T>                           => Send,   Sync,   Covariant, Absent;
    fiber::NewFiberError<T, ()>                       => Send,   Sync,   Covariant, Absent;
    fiber::NewFiberError<(), T>                       => Send,   Sync,   Covariant, Absent;
    fiber::NewFiberErrorKind                          => Always, Always, Absent,    Absent;
    fiber::Leak                                       => Always, Always, Absent,    Absent;

    platform::Core                                    => Always, Always, Absent,    Absent;
    trace::Label                                      => Always, Always, Absent,    Absent;
    // It ends in the fiber in which it began.
    trace::Span                                       => Never,  Never,  Absent,    Absent;
    platform::Host                                    => Always, Always, Absent,    Absent;

    // They are statics, and stay where they are.
    scheduler::Scheduler<T>                           => Never,  Sync,   Covariant, Absent;
    scheduler::Builder                                => Always, Always, Absent,    Absent;
    scheduler::FiberCell<65536>                       => Never,  Always, Absent,    Absent;
    scheduler::GuardedFiberCell<65536>                => Always, Always, Absent,    Absent;
    scheduler::SpawnError<T>                          => Send,   Sync,   Covariant, Absent;
    scheduler::SpawnErrorKind                         => Always, Always, Absent,    Absent;
    scheduler::FiberId                                => Always, Always, Absent,    Absent;
    scheduler::Unparker                               => Always, Always, Absent,    Absent;
    scheduler::Priority                               => Always, Always, Absent,    Absent;
    scheduler::WaitError                              => Always, Always, Absent,    Absent;
    scheduler::FiberLocal<T>                          => Always, Always, Invariant, Absent;
    // The result goes through it, from one fiber to another; nobody sees it in there.
    scheduler::JoinHandle<T>                          => Send,   Always, Covariant, Absent;
    scheduler::JoinError<T>                           => Send,   Always, Covariant, Absent;
    scheduler::JoinErrorKind                          => Always, Always, Absent,    Absent;
    // A fiber of the scope may make others; it is never taken by value.
    scheduler::Scope<'static, 'static>                => Never,  Always, Absent,    Invariant;
    scheduler::ScopedJoinHandle<'static, T>           => Send,   Always, Covariant, Covariant;

    // What is copied out.
    scheduler::FiberInfo                              => Never,  Never,  Absent,    Absent;
    scheduler::FiberState                             => Never,  Never,  Absent,    Absent;
    scheduler::HighWaterMark                          => Always, Always, Absent,    Absent;
    scheduler::WaitReason                             => Always, Always, Absent,    Absent;
    scheduler::Failure                                => Always, Always, Absent,    Absent;
    scheduler::Panic                                  => Always, Always, Absent,    Absent;
    scheduler::Fault                                  => Always, Always, Absent,    Absent;
    scheduler::FiberFailed                            => Always, Always, Absent,    Absent;
    scheduler::FatalReason                            => Always, Always, Absent,    Absent;
    scheduler::Registers                              => Always, Always, Absent,    Absent;
    scheduler::Watchdog                               => Always, Always, Absent,    Absent;
    scheduler::LateTimer                              => Always, Always, Absent,    Absent;
    scheduler::SoftLockup                             => Always, Always, Absent,    Absent;
    scheduler::HooksAlreadySet                        => Always, Always, Absent,    Absent;
    scheduler::AfterDeadlock                          => Always, Always, Absent,    Absent;
    scheduler::AfterStall                             => Always, Always, Absent,    Absent;
    scheduler::StallKind                              => Always, Always, Absent,    Absent;
    scheduler::WaitingFiber                           => Never,  Never,  Absent,    Absent;
    scheduler::WaitsFor                               => Always, Always, Absent,    Absent;
    scheduler::overflow::Part                         => Always, Always, Absent,    Absent;
    scheduler::overflow::Neighbour                    => Always, Always, Absent,    Absent;
    scheduler::overflow::Detector                     => Always, Always, Absent,    Absent;
    scheduler::overflow::Overflow                     => Always, Always, Absent,    Absent;

    // What looks at the owner's structures: for the owner, and for as long as it is given.
    scheduler::PrintReports<T>                        => Send,   Send,   Invariant, Absent;
    scheduler::Report<'static>                        => Never,  Never,  Absent,    Covariant;
    scheduler::Deadlock<'static>                      => Never,  Never,  Absent,    Covariant;
    scheduler::Stall<'static>                         => Never,  Never,  Absent,    Covariant;
    scheduler::WaitGraph<'static>                     => Never,  Never,  Absent,    Covariant;
    scheduler::WaitCycle<'static>                     => Never,  Never,  Absent,    Covariant;

    switch_state::PerFiber<T>                         => Send,   Sync,   Invariant, Absent;

    sync::Mutex<T>                                    => Send,   Send,   Invariant, Absent;
    sync::MutexGuard<'static, T>                      => Never,  Sync,   Invariant, Covariant;
    sync::RwLock<T>                                   => Send,   Both,   Invariant, Absent;
    sync::RwLockReadGuard<'static, T>                 => Never,  Sync,   Covariant, Covariant;
    sync::RwLockWriteGuard<'static, T>                => Never,  Sync,   Invariant, Covariant;
    sync::MappedMutexGuard<'static, T>                => Never,  Sync,   Invariant, Covariant;
    sync::MappedRwLockReadGuard<'static, T>           => Never,  Sync,   Covariant, Covariant;
    sync::MappedRwLockWriteGuard<'static, T>          => Never,  Sync,   Invariant, Covariant;
    sync::IrqMutex<T>                                 => Send,   Send,   Invariant, Absent;
    sync::IrqMutexGuard<'static, T>                   => Never,  Sync,   Invariant, Covariant;
    sync::LockError                                   => Always, Always, Absent,    Absent;
    sync::Once<T>                                     => Send,   Both,   Invariant, Absent;
    sync::OnceError<T>                                => Send,   Sync,   Covariant, Absent;
    sync::Channel<T, 2>                               => Send,   Send,   Invariant, Absent;
    sync::SendError<T>                                => Send,   Sync,   Covariant, Absent;
    sync::SendErrorKind                               => Always, Always, Absent,    Absent;
    sync::RecvError                                   => Always, Always, Absent,    Absent;
    sync::Semaphore                                   => Always, Always, Absent,    Absent;
    sync::TooManyPermits                              => Always, Always, Absent,    Absent;
    sync::Condvar                                     => Always, Always, Absent,    Absent;
    // Flags are copied out of it, and those that it began with are shared.
    sync::Event<T>                                    => Send,   Both,   Invariant, Absent;
    sync::Wanted<T>                                   => Send,   Sync,   Covariant, Absent;
    sync::Barrier                                     => Always, Always, Absent,    Absent;
    sync::BarrierTurn                                 => Always, Always, Absent,    Absent;
    sync::WaitQueue                                   => Always, Always, Absent,    Absent;
    sync::relax::YieldFiber                           => Always, Always, Absent,    Absent;
}
