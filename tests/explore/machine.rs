//! The machine that a schedule runs on: a clock, and interrupts that come wherever the scheduler asks the platform for
//! something, and wherever a fiber lets them.

use crate::baton;
use crate::baton::Mutex;
use crate::dice::{self, Intrusion, choose, comes, note};
use crate::players;
use crate::schedule;
use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use kfiber::platform::{Core, Host, NEVER, Nanoseconds, Platform, SwitchHook};
use kfiber::scheduler::{self, FiberInfo, FiberState, Scheduler, WaitError};
use std::collections::BTreeMap;

/// More points than any schedule has that comes to an end.
const MOST_POINTS: u64 = 1_000_000;
/// More sleeps than there can be without a fiber that runs in between.
const MOST_SLEEPS: usize = 10_000;

/// With the feature for several cores a schedule may use them.
#[cfg(feature = "smp")]
type Main = Scheduler<Machine, { baton::CORES }>;
#[cfg(not(feature = "smp"))]
type Main = Scheduler<Machine>;

/// The scheduler whose every step is the dice's, and another that runs beside it, in a thread of its own, in some schedules.
pub(crate) static MAIN: Main = Scheduler::new(Machine::new(true));
pub(crate) static BESIDE: Scheduler<Machine> = Scheduler::new(Machine::new(false));

/// Whether all of this schedule happens in one thread, so that what a test believes of it is exact.
static IS_ALONE: AtomicBool = AtomicBool::new(true);
static HAS_HOOK: AtomicBool = AtomicBool::new(false);

std::thread_local! {
    static IS_IN_HANDLER: Cell<bool> = const { Cell::new(false) };
}

pub(crate) fn is_alone() -> bool {
    IS_ALONE.load(SeqCst)
}

/// Says how the next schedule runs.
pub(crate) fn set_up(is_alone: bool, has_hook: bool) {
    IS_ALONE.store(is_alone, SeqCst);
    HAS_HOOK.store(has_hook, SeqCst);
}

pub(crate) struct Machine {
    host: Host,
    /// Whether interrupts come here.
    is_main: bool,
    /// What the timer was set to.
    timer: AtomicU64,
    is_kicked: AtomicBool,
    /// How often it slept since a fiber ran.
    sleeps: AtomicUsize,
    /// The deadlines of those who wait, by a number of each wait's own.
    deadlines: Mutex<BTreeMap<u64, Nanoseconds>>,
    /// How many wait that are not on that list, with a deadline perhaps.
    others: AtomicUsize,
}

impl Machine {
    const fn new(is_main: bool) -> Self {
        Self {
            host: Host::new(),
            is_main,
            timer: AtomicU64::new(NEVER),
            is_kicked: AtomicBool::new(false),
            sleeps: AtomicUsize::new(0),
            deadlines: Mutex::new(BTreeMap::new()),
            others: AtomicUsize::new(0),
        }
    }

    pub(crate) const fn host(&self) -> &Host {
        &self.host
    }

    fn is_timer_due(&self) -> bool {
        if baton::is_playing() {
            return baton::is_timer_due();
        }
        self.timer.load(SeqCst) <= self.host.now()
    }

    /// The machine sleeps, nothing will come, and fibers wait.
    fn sleep_alone(&self) {
        let timer = self.timer.load(SeqCst);
        let first = {
            let deadlines = self.deadlines.lock().expect("no holder panics");
            deadlines.values().copied().min().unwrap_or(NEVER)
        };
        assert!(
            timer == first || (timer < first && self.others.load(SeqCst) > 0),
            "the timer is set to {timer}, not to {first}, the first deadline"
        );
        let how = choose(6);
        if timer == NEVER || how >= 2 {
            let has_come = in_handler(schedule::some_device);
            assert!(
                has_come || timer != NEVER || self.is_kicked.load(SeqCst),
                "fibers wait for ever:\n{}",
                waiting()
            );
        } else if how == 1 {
            // Too early, or too late.
            self.host.advance(choose(60) as u64);
            self.host.kick(Core(0));
        }
        if self.is_kicked.swap(false, SeqCst) || timer == NEVER {
            self.host.kick(Core(0));
        }
    }
}

/// Who waits for what.
fn waiting() -> String {
    let fibers = players::names_of_those_that_have_not_ended();
    format!("{fibers:?}, after {}", dice::trace())
}

fn in_handler<R>(handler: impl FnOnce() -> R) -> R {
    IS_IN_HANDLER.set(true);
    let result = Host::interrupt(handler);
    IS_IN_HANDLER.set(false);
    result
}

/// Time passes, and interrupts come, perhaps. In anything but a handler.
pub(crate) fn pulse() {
    if IS_IN_HANDLER.get() || baton::is_kept() || !(is_alone() || baton::is_playing()) {
        return;
    }
    while comes(Intrusion::Interrupt) {
        let machine = MAIN.platform();
        match choose(4) {
            0 => {
                let _has_come = in_handler(schedule::some_device);
            }
            1 => machine.host.advance(choose(20) as u64),
            2 => in_handler(|| MAIN.timer_interrupt()),
            _ => {
                machine.host.advance(choose(20) as u64);
                if machine.is_timer_due() {
                    in_handler(|| MAIN.timer_interrupt());
                }
            }
        }
    }
}

/// A place in a fiber where anything may come in between.
pub(crate) fn point() {
    assert!(
        dice::points() < MOST_POINTS,
        "the schedule does not come to an end"
    );
    go_on();
    players::check_core();
    pulse();
    baton::step(false);
    if comes(Intrusion::Demotion) {
        note(|| format!("{} is the last to run", scheduler::current_name()));
        let deadline = scheduler::after(core::time::Duration::from_nanos(1));
        scheduler::shield(|| until(deadline, || scheduler::sleep_until(deadline), |_| true))
            .expect("nobody cancels a shielded sleep");
    }
    if comes(Intrusion::Yield) {
        note(|| format!("{} yields", scheduler::current_name()));
        checked_yield();
    }
}

/// Yields, and looks whether everybody ran who was to.
fn checked_yield() {
    if !(is_alone() || baton::is_playing()) || choose(4) != 3 {
        return players::yield_on_record();
    }
    let level = || own().expect("it runs").priority;
    let before = level();
    // Who inherits a level may lose it, and inherit it anew, as the last of it. What is promised is a turn at one's own.
    let has_own = |info: &FiberInfo| {
        let given = players::level_of(info.id).unwrap_or(info.priority.level());
        given >= before.level()
    };
    // What is promised is an order within a core. Another core may be about to post a fiber that it has woken; one that
    // yields is ready for certain.
    let stays_here = |info: &FiberInfo| {
        let is_here = info.core == MAIN.platform().core();
        is_alone() || (is_here && !cfg!(kfiber_threads) && players::does_yield(info.id))
    };
    let ready: Vec<_> = MAIN
        .fibers()
        .filter(|info| matches!(info.state, FiberState::Ready) && info.priority >= before)
        .filter(has_own)
        .filter(stays_here)
        .collect();
    players::yield_on_record();
    let after = level();
    for then in ready {
        let Some(now) = MAIN.fibers().find(|info| info.id == then.id) else {
            continue; // it ran to its end
        };
        let is_excused = after > before || now.priority < before;
        assert!(
            is_excused || now.switches != then.switches,
            "{} of {:?} was ready and did not run, {} of {before:?} yielded",
            then.name,
            then.priority,
            scheduler::current_name()
        );
    }
}

/// The running fiber, if it is one of the main loop's.
pub(crate) fn own() -> Option<FiberInfo> {
    let fiber = scheduler::current()?;
    let mut all = MAIN.fibers();
    all.find(|info| info.id == fiber)
}

/// The time of the running fiber; nothing comes in between where it is asked for.
fn time() -> Nanoseconds {
    if is_alone() {
        MAIN.platform().host.now()
    } else {
        scheduler::now()
    }
}

/// Does what may wait until the deadline, which is on the machine's list meanwhile; `NEVER` is none. The function says
/// whether it timed out.
pub(crate) fn until<R>(
    deadline: Nanoseconds,
    wait: impl FnOnce() -> R,
    has_timed_out: impl FnOnce(&R) -> bool,
) -> R {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, SeqCst);
    let list = || {
        let machine = MAIN.platform();
        machine.deadlines.lock().expect("no holder panics")
    };
    // One that has passed is never slept for.
    let is_listed = is_alone() && deadline != NEVER && deadline > time();
    if is_listed {
        list().insert(number, deadline);
    }
    let result = wait();
    if is_listed {
        list().remove(&number);
    }
    assert!(
        !has_timed_out(&result) || deadline <= time(),
        "a wait has timed out before its deadline"
    );
    result
}

/// As [`until`], for what may wait for other things at the same time.
pub(crate) fn until_loosely(
    deadline: Nanoseconds,
    wait: impl FnOnce() -> Result<(), WaitError>,
) -> Result<(), WaitError> {
    let others = &MAIN.platform().others;
    others.fetch_add(1, SeqCst);
    let result = wait();
    others.fetch_sub(1, SeqCst);
    assert!(
        result != Err(WaitError::TimedOut) || deadline <= time(),
        "a wait has timed out before its deadline"
    );
    result
}

/// A deadline, none in half of all cases.
pub(crate) fn some_deadline() -> Nanoseconds {
    match choose(2) {
        0 => NEVER,
        _ => scheduler::after(core::time::Duration::from_nanos(choose(30) as u64)),
    }
}

// SAFETY: as for `Host`, whose parts do the work: handlers are calls, which are made before `Host::idle` is called and leave
// a kick there; and so does another thread. P1: handlers run with interrupts off.
unsafe impl Platform for Machine {
    fn now(&self) -> Nanoseconds {
        if self.is_main {
            pulse();
        }
        self.host.now()
    }

    fn set_timer(&self, deadline: Nanoseconds) {
        if baton::is_playing() {
            baton::set_timer(deadline);
        } else {
            self.timer.store(deadline, SeqCst);
            self.host.set_timer(deadline);
        }
        if self.is_main {
            pulse();
        }
    }

    fn idle(&self) {
        let sleeps = self.sleeps.fetch_add(1, SeqCst);
        assert!(
            sleeps < MOST_SLEEPS,
            "the loop sleeps again and again, and nothing comes of it"
        );
        if is_alone() {
            self.sleep_alone();
        } else if baton::is_playing() {
            baton::sleep(|| in_handler(schedule::some_device));
            self.host.kick(self.host.core()); // what is left is to turn interrupts on
        }
        self.host.idle();
    }

    fn core(&self) -> Core {
        if baton::is_playing() {
            return Core(baton::here());
        }
        self.host.core()
    }

    fn kick(&self, core: Core) {
        if baton::is_playing() {
            return baton::kick(core.0);
        }
        self.is_kicked.store(true, SeqCst);
        self.host.kick(core);
    }

    fn switch_hook(&self) -> Option<SwitchHook> {
        fn hook(_prev: *const u8, next: *const u8) {
            if next.is_null() {
                return;
            }
            pulse();
        }
        (self.is_main && HAS_HOOK.load(SeqCst)).then_some(hook)
    }
}

/// A fiber runs.
fn go_on() {
    MAIN.platform().sleeps.store(0, SeqCst);
    BESIDE.platform().sleeps.store(0, SeqCst);
}
