//! What faults are planted into: each primitive, in the words of the planter. The test kernels include this file.

use core::future::poll_fn;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use core::task::Poll;
use kfiber::platform::Nanoseconds;
use kfiber::scheduler::{FiberLocal, block_on, scope, sleep_until};
use kfiber::sync::bitflags::bitflags;
use kfiber::sync::{
    Channel, Condvar, Event, IrqMutex, Mutex, Once, RwLock, Semaphore, WaitQueue, Wanted,
};

/// What may be asked of a primitive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Can {
    /// Code of the user runs inside, and may wait there.
    Enter,
    /// The same, but it may not wait.
    EnterQuietly,
    /// One fiber waits for what another one has.
    Wait,
    /// What it gives can be forgotten.
    Forget,
}

/// A primitive of one round.
pub(crate) trait Primitive: Sync {
    fn name(&self) -> &'static str;
    fn can(&self) -> &'static [Can];
    /// Uses it from beginning to end, with `inside` in the middle.
    fn enter(&self, inside: &mut dyn FnMut());
    /// Takes what it gives, and forgets it.
    fn forget(&self) {
        unreachable!("{} can be forgotten", self.name());
    }
    /// Has what others wait for until `until` returns.
    fn hold(&self, until: &mut dyn FnMut()) {
        self.enter(until);
    }
    /// Waits for what another one has, at most until then; says whether it came. Calls `then` before it is given back.
    fn wait(&self, deadline: Nanoseconds, then: &mut dyn FnMut()) -> bool;
    /// Gives what a fiber that failed did not; says whether anybody can.
    fn mend(&self) -> bool {
        false
    }
    /// Whether who waits is told at once if the one that has it fails.
    fn is_poisoned(&self) -> bool {
        false
    }
}

bitflags! {
    #[derive(Clone, Copy)]
    struct Flags: u32 {
        const IS_THERE = 1;
    }
}

/// A set of primitives for each fault.
pub(crate) struct Set {
    mutex: Mutex<u32>,
    writers: RwLock<u32>,
    semaphore: Semaphore,
    condvar: (Mutex<bool>, Condvar),
    event: Event<Flags>,
    once: Once<u32>,
    channel: Channel<u32, 4>,
    queue: (WaitQueue, AtomicBool),
    words: IrqMutex<u32>,
    rest: [Rest; 4],
}

/// What has no state of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Local,
    BlockOn,
    Scope,
    Sleep,
}

impl Set {
    pub(crate) const fn new() -> Self {
        Self {
            mutex: Mutex::new(0),
            writers: RwLock::new(0),
            semaphore: Semaphore::new(1),
            condvar: (Mutex::new(false), Condvar::new()),
            event: Event::new(Flags::empty()),
            once: Once::new(),
            channel: Channel::new(),
            queue: (WaitQueue::new(), AtomicBool::new(false)),
            words: IrqMutex::new(0),
            rest: [Rest::Local, Rest::BlockOn, Rest::Scope, Rest::Sleep],
        }
    }

    pub(crate) fn all(&'static self) -> [&'static dyn Primitive; 13] {
        let [local, block_on, scope, sleep] = &self.rest;
        [
            &self.mutex,
            &self.writers,
            &self.semaphore,
            &self.condvar,
            &self.event,
            &self.once,
            &self.channel,
            &self.queue,
            &self.words,
            local,
            block_on,
            scope,
            sleep,
        ]
    }
}

const ENTER_AND_WAIT: &[Can] = &[Can::Enter, Can::Wait];
const GUARD: &[Can] = &[Can::Enter, Can::Wait, Can::Forget];

impl Primitive for Mutex<u32> {
    fn name(&self) -> &'static str {
        "Mutex"
    }
    fn can(&self) -> &'static [Can] {
        GUARD
    }
    fn is_poisoned(&self) -> bool {
        self.is_poisoned()
    }
    fn enter(&self, inside: &mut dyn FnMut()) {
        let mut guard = self.lock();
        inside();
        *guard += 1;
    }
    #[expect(clippy::mem_forget, reason = "that is the fault")]
    fn forget(&self) {
        core::mem::forget(self.lock());
    }
    fn wait(&self, deadline: Nanoseconds, then: &mut dyn FnMut()) -> bool {
        self.lock_until(deadline).map(|_guard| then()).is_ok()
    }
}

impl Primitive for RwLock<u32> {
    fn name(&self) -> &'static str {
        "RwLock"
    }
    fn can(&self) -> &'static [Can] {
        GUARD
    }
    fn is_poisoned(&self) -> bool {
        self.is_poisoned()
    }
    fn enter(&self, inside: &mut dyn FnMut()) {
        let mut guard = self.write();
        inside();
        *guard += 1;
    }
    #[expect(clippy::mem_forget, reason = "that is the fault")]
    fn forget(&self) {
        core::mem::forget(self.write());
    }
    fn wait(&self, deadline: Nanoseconds, then: &mut dyn FnMut()) -> bool {
        self.read_until(deadline).map(|_guard| then()).is_ok()
    }
}

impl Primitive for Semaphore {
    fn name(&self) -> &'static str {
        "Semaphore"
    }
    fn can(&self) -> &'static [Can] {
        GUARD
    }
    fn mend(&self) -> bool {
        self.available() > 0 || self.release(1).is_ok()
    }
    fn enter(&self, inside: &mut dyn FnMut()) {
        if self.acquire().is_ok() {
            inside();
            self.release(1).expect("below the limit");
        }
    }
    fn forget(&self) {
        let _acquired = self.acquire();
    }
    fn wait(&self, deadline: Nanoseconds, then: &mut dyn FnMut()) -> bool {
        let is_acquired = self.acquire_until(deadline).is_ok();
        if is_acquired {
            then();
            self.release(1).expect("below the limit");
        }
        is_acquired
    }
}

impl Primitive for (Mutex<bool>, Condvar) {
    fn name(&self) -> &'static str {
        "Condvar"
    }
    fn can(&self) -> &'static [Can] {
        ENTER_AND_WAIT
    }
    fn is_poisoned(&self) -> bool {
        self.0.is_poisoned()
    }
    fn enter(&self, inside: &mut dyn FnMut()) {
        let mut guard = self.0.lock();
        let _waited = self.1.wait_while(&mut guard, |is_set| {
            inside();
            *is_set = true;
            false
        });
        drop(guard);
        self.1.notify_all();
    }
    fn hold(&self, until: &mut dyn FnMut()) {
        until();
        *self.0.lock() = true;
        self.1.notify_all();
    }
    fn wait(&self, deadline: Nanoseconds, then: &mut dyn FnMut()) -> bool {
        let Ok(mut guard) = self.0.lock_until(deadline) else {
            return false;
        };
        let waited = self
            .1
            .wait_while_until(&mut guard, deadline, |is_set| !*is_set);
        drop(guard);
        waited.map(|_| then()).is_ok()
    }
}

impl Primitive for Event<Flags> {
    fn name(&self) -> &'static str {
        "Event"
    }
    fn can(&self) -> &'static [Can] {
        &[Can::Wait]
    }
    fn mend(&self) -> bool {
        self.set(Flags::IS_THERE);
        true
    }
    fn enter(&self, inside: &mut dyn FnMut()) {
        inside();
        self.set(Flags::IS_THERE);
    }
    fn wait(&self, deadline: Nanoseconds, then: &mut dyn FnMut()) -> bool {
        self.wait_until(Wanted::any(Flags::IS_THERE), deadline)
            .map(|_| then())
            .is_ok()
    }
}

impl Primitive for Once<u32> {
    fn name(&self) -> &'static str {
        "Once"
    }
    fn can(&self) -> &'static [Can] {
        ENTER_AND_WAIT
    }
    fn enter(&self, inside: &mut dyn FnMut()) {
        self.call_once(|| {
            inside();
            1
        });
    }
    fn wait(&self, deadline: Nanoseconds, then: &mut dyn FnMut()) -> bool {
        self.call_once_until(deadline, || 2).map(|_| then()).is_ok()
    }
}

impl Primitive for Channel<u32, 4> {
    fn name(&self) -> &'static str {
        "Channel"
    }
    fn can(&self) -> &'static [Can] {
        ENTER_AND_WAIT
    }
    fn mend(&self) -> bool {
        self.try_send(1).is_ok()
    }
    fn enter(&self, inside: &mut dyn FnMut()) {
        inside();
        let _sent = self.try_send(1);
    }
    fn wait(&self, deadline: Nanoseconds, then: &mut dyn FnMut()) -> bool {
        let message = self.recv_until(deadline);
        let is_received = message.is_ok();
        if let Ok(message) = message {
            then();
            let _sent = self.try_send(message);
        }
        is_received
    }
}

impl Primitive for (WaitQueue, AtomicBool) {
    fn name(&self) -> &'static str {
        "WaitQueue"
    }
    fn can(&self) -> &'static [Can] {
        ENTER_AND_WAIT
    }
    fn mend(&self) -> bool {
        self.1.store(true, Relaxed);
        self.0.wake_one();
        true
    }
    fn enter(&self, inside: &mut dyn FnMut()) {
        let _waited = self.0.wait_while(|| {
            inside();
            false
        });
        self.1.store(true, Relaxed);
        self.0.wake_all();
    }
    fn hold(&self, until: &mut dyn FnMut()) {
        until();
        self.1.store(true, Relaxed);
        self.0.wake_one();
    }
    fn wait(&self, deadline: Nanoseconds, then: &mut dyn FnMut()) -> bool {
        let waited = self.0.wait_while_until(deadline, || !self.1.load(Relaxed));
        // It is true for all, and each that was served wakes the next. Who was not leaves that to the queue.
        if waited.is_ok() {
            self.0.wake_one();
            then();
        }
        waited.is_ok()
    }
}

impl Primitive for IrqMutex<u32> {
    fn name(&self) -> &'static str {
        "IrqMutex"
    }
    fn can(&self) -> &'static [Can] {
        &[Can::EnterQuietly]
    }
    fn enter(&self, inside: &mut dyn FnMut()) {
        let mut guard = self.lock();
        inside();
        *guard += 1;
    }
    fn wait(&self, _deadline: Nanoseconds, then: &mut dyn FnMut()) -> bool {
        self.try_lock().map(|_guard| then()).is_some()
    }
}

static LOCAL: FiberLocal<u32> = FiberLocal::new();

impl Primitive for Rest {
    fn name(&self) -> &'static str {
        match self {
            Self::Local => "FiberLocal",
            Self::BlockOn => "block_on",
            Self::Scope => "scope",
            Self::Sleep => "sleep",
        }
    }
    fn can(&self) -> &'static [Can] {
        match self {
            Self::Sleep => &[],
            _ => &[Can::Enter],
        }
    }
    fn enter(&self, inside: &mut dyn FnMut()) {
        match self {
            Self::Local => LOCAL.bind(&1, inside),
            Self::BlockOn => block_on(poll_fn(|_context| {
                inside();
                Poll::Ready(())
            })),
            Self::Scope => scope(|_scope| inside()),
            Self::Sleep => inside(),
        }
    }
    fn wait(&self, deadline: Nanoseconds, then: &mut dyn FnMut()) -> bool {
        if *self == Self::Sleep {
            let _slept = sleep_until(deadline);
        }
        self.enter(then);
        true
    }
}
