//! What the documentation says a scheduler does, as plain data: who is ready, who waits for what, and who is next.

use std::collections::{BTreeMap, VecDeque};

/// Where a fiber lives.
pub(crate) type Slot = usize;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    TimedOut,
    Cancelled,
}

/// What a fiber waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Park,
    Sleep,
    Join(Slot),
    Future(Slot),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub(crate) kind: Kind,
    pub(crate) deadline: Option<u64>,
    /// Cancelling does not end it.
    pub(crate) is_shielded: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Fiber {
    pub(crate) level: usize,
    pub(crate) is_parked: bool,
    pub(crate) is_woken: bool,
    pub(crate) has_token: bool,
    pub(crate) is_notified: bool,
    pub(crate) is_cancelled: bool,
    pub(crate) is_finished: bool,
    pub(crate) is_detached: bool,
    pub(crate) wait: Option<Wait>,
    pub(crate) outcome: Option<Outcome>,
    /// It has polled a future, which is pending.
    has_polled: bool,
    /// It polls when it runs again, whether it was notified or not.
    is_to_poll: bool,
    sleeps: Option<(u64, u64)>,
    /// Who is told of its end, and whether by a waker.
    joiner: Option<(Slot, bool)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Mail {
    Fiber(Slot),
    Timer,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) fibers: BTreeMap<Slot, Fiber>,
    rings: BTreeMap<usize, VecDeque<Slot>>,
    inbox: VecDeque<Mail>,
    sleepers: BTreeMap<(u64, u64), Slot>,
    arrivals: u64,
    pub(crate) now: u64,
    pub(crate) current: Option<Slot>,
}

impl Model {
    fn fiber(&mut self, slot: Slot) -> &mut Fiber {
        self.fibers.get_mut(&slot).expect("a fiber lives there")
    }

    /// The running one.
    pub(crate) fn running(&mut self) -> &mut Fiber {
        let slot = self.current.expect("a fiber runs");
        self.fiber(slot)
    }

    pub(crate) fn live(&self) -> usize {
        self.fibers
            .values()
            .filter(|fiber| !fiber.is_finished)
            .count()
    }

    /// A new fiber, made by a fiber or by an interrupt handler.
    pub(crate) fn spawn(&mut self, slot: Slot, level: usize, by_interrupt: bool) {
        let mut fiber = Fiber {
            level,
            ..Fiber::default()
        };
        (fiber.is_parked, fiber.is_woken) = (by_interrupt, by_interrupt);
        assert!(self.fibers.insert(slot, fiber).is_none());
        if by_interrupt {
            self.inbox.push_back(Mail::Fiber(slot));
        } else {
            self.enqueue(slot);
        }
    }

    fn enqueue(&mut self, slot: Slot) {
        let level = self.fiber(slot).level;
        self.rings.entry(level).or_default().push_back(slot);
    }

    /// Somebody other than the owner wakes a fiber, or an id is used.
    pub(crate) fn signal(&mut self, slot: Slot, set: impl FnOnce(&mut Fiber)) {
        let fiber = self.fiber(slot);
        if fiber.is_finished {
            return;
        }
        set(fiber);
        if fiber.is_parked && !fiber.is_woken {
            self.inbox.push_back(Mail::Fiber(slot));
        }
        self.fiber(slot).is_woken = true;
    }

    fn wake_as_owner(&mut self, slot: Slot) {
        let fiber = self.fiber(slot);
        if fiber.is_parked && !fiber.is_woken {
            fiber.is_parked = false;
            self.enqueue(slot);
        } else {
            fiber.is_woken = true;
        }
    }

    pub(crate) fn timer_interrupt(&mut self) {
        if !self.inbox.contains(&Mail::Timer) {
            self.inbox.push_back(Mail::Timer);
        }
    }

    fn drain(&mut self) {
        for mail in core::mem::take(&mut self.inbox) {
            match mail {
                Mail::Timer => self.wake_sleepers(),
                Mail::Fiber(slot) => {
                    let fiber = self.fiber(slot);
                    (fiber.is_parked, fiber.is_woken) = (false, false);
                    self.enqueue(slot);
                }
            }
        }
    }

    fn wake_sleepers(&mut self) {
        while let Some((&key, &slot)) = self.sleepers.first_key_value()
            && key.0 <= self.now
        {
            self.sleepers.remove(&key);
            self.fiber(slot).sleeps = None;
            self.wake_as_owner(slot);
        }
    }

    fn first_ready(&self) -> Option<Slot> {
        let mut rings = self.rings.values().rev();
        rings.find_map(|ring| ring.front().copied())
    }

    /// The loop begins to run.
    pub(crate) fn start(&mut self) {
        self.go_on();
    }

    /// The running fiber yields.
    pub(crate) fn yield_now(&mut self) {
        self.rotate();
        self.go_on();
    }

    fn rotate(&mut self) {
        let level = self.running().level;
        self.drain();
        self.rings
            .get_mut(&level)
            .expect("it is ready")
            .rotate_left(1);
        self.current = self.first_ready();
    }

    /// The running fiber waits; its outcome is there when it runs again.
    pub(crate) fn wait(&mut self, wait: Wait) {
        let slot = self.current.expect("a fiber runs");
        if let Kind::Join(other) | Kind::Future(other) = wait.kind {
            self.fiber(other).joiner = Some((slot, matches!(wait.kind, Kind::Future(_))));
        }
        self.fiber(slot).has_polled = matches!(wait.kind, Kind::Future(_));
        self.fiber(slot).wait = Some(wait);
        self.go_on();
    }

    /// The running fiber ends.
    pub(crate) fn exit(&mut self) {
        let slot = self.current.expect("a fiber runs");
        match self.fiber(slot).joiner.take() {
            Some((joiner, true)) => self.signal(joiner, |fiber| fiber.is_notified = true),
            Some((joiner, false)) => self.wake_as_owner(joiner),
            None => {}
        }
        self.leave_ring(slot);
        self.drain();
        self.current = self.first_ready();
        let fiber = self.fiber(slot);
        fiber.is_finished = true;
        if fiber.is_detached {
            self.fibers.remove(&slot);
        }
        self.go_on();
    }

    fn leave_ring(&mut self, slot: Slot) {
        let level = self.fiber(slot).level;
        let ring = self.rings.get_mut(&level).expect("it is ready");
        assert_eq!(ring.pop_front(), Some(slot), "the running one is the first");
    }

    /// Goes on until a fiber runs that has something to show, or none is left.
    fn go_on(&mut self) {
        loop {
            let Some(slot) = self.current.or_else(|| self.root()) else {
                return;
            };
            self.current = Some(slot);
            let Some(wait) = self.fiber(slot).wait else {
                return;
            };
            self.stop_sleeping(slot);
            let fiber = self.fiber(slot);
            if core::mem::take(&mut fiber.has_polled) && core::mem::take(&mut fiber.is_notified) {
                // It was notified before, or while it polled: the others run once.
                fiber.is_to_poll = true;
                self.rotate();
                continue;
            }
            if let Some(outcome) = self.look(slot, wait) {
                let fiber = self.fiber(slot);
                (fiber.wait, fiber.outcome) = (None, Some(outcome));
                return;
            }
            if self.fiber(slot).has_polled {
                continue;
            }
            if let Some(deadline) = wait.deadline {
                self.arrivals += 1;
                let key = (deadline, self.arrivals);
                self.sleepers.insert(key, slot);
                self.fiber(slot).sleeps = Some(key);
            }
            let fiber = self.fiber(slot);
            if fiber.is_woken {
                fiber.is_woken = false;
                continue;
            }
            fiber.is_parked = true;
            self.leave_ring(slot);
            self.drain();
            self.current = self.first_ready();
        }
    }

    fn stop_sleeping(&mut self, slot: Slot) {
        if let Some(key) = self.fiber(slot).sleeps.take() {
            self.sleepers.remove(&key);
        }
    }

    /// What a waiting fiber sees when it looks.
    fn look(&mut self, slot: Slot, wait: Wait) -> Option<Outcome> {
        let now = self.now;
        let is_done = match wait.kind {
            Kind::Park => core::mem::take(&mut self.fiber(slot).has_token),
            Kind::Sleep => false,
            Kind::Join(other) => self.fiber(other).is_finished,
            Kind::Future(other) => {
                let is_finished = self.fiber(other).is_finished;
                let fiber = self.fiber(slot);
                // It polls when it was notified, and leaves a notification behind for one around it.
                let is_to_poll = core::mem::take(&mut fiber.is_to_poll);
                let polls = is_to_poll || core::mem::take(&mut fiber.is_notified);
                if polls && is_finished {
                    (fiber.is_notified, fiber.is_woken) = (true, true);
                }
                fiber.has_polled = polls && !is_finished;
                polls && is_finished
            }
        };
        if is_done {
            Some(Outcome::Done)
        } else if !wait.is_shielded && self.fiber(slot).is_cancelled {
            Some(Outcome::Cancelled)
        } else {
            let is_late = wait.deadline.is_some_and(|deadline| now >= deadline);
            is_late.then_some(Outcome::TimedOut)
        }
    }

    /// The run loop's own context: mail, the clock, and sleep.
    fn root(&mut self) -> Option<Slot> {
        loop {
            self.drain();
            self.wake_sleepers();
            if let Some(slot) = self.first_ready() {
                return Some(slot);
            }
            if self.live() == 0 {
                return None;
            }
            let (&(deadline, _), _) = self
                .sleepers
                .first_key_value()
                .expect("someone has a deadline");
            self.now = self.now.max(deadline);
        }
    }

    /// Whether `slot` is `of`, or waits for its end, perhaps through others, until that comes; by futures too if
    /// `with_futures`.
    pub(crate) fn waits_for(&self, mut slot: Slot, of: Slot, with_futures: bool) -> bool {
        loop {
            if slot == of {
                return true;
            }
            let Some(fiber) = self.fibers.get(&slot) else {
                return false;
            };
            slot = match fiber.wait {
                // One that is asked to end will not wait on.
                Some(Wait {
                    kind: Kind::Join(next),
                    deadline: None,
                    is_shielded,
                    ..
                }) if is_shielded || !fiber.is_cancelled => next,
                Some(Wait {
                    kind: Kind::Future(next),
                    ..
                }) if with_futures => next,
                _ => return false,
            };
        }
    }

    /// A join that failed: nobody is told any more.
    pub(crate) fn forget_joiner(&mut self, slot: Slot) {
        self.fiber(slot).joiner = None;
    }
}
