//! Event groups: who waits gets what it wants as soon as it is there, in the order of arrival, and clears it at once.

use super::MOST_FIBERS;
use crate::baton::Mutex;
use crate::dice::{choose, note};
use crate::machine::{is_alone, point, some_deadline, until};
use crate::stage::Stage;
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use kfiber::scheduler::{WaitError, current_name};
use kfiber::sync::bitflags::bitflags;
use kfiber::sync::{Event, Wanted};
use std::collections::BTreeMap;
use std::sync::Arc;

bitflags! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Word: u32 { const _ = !0; }
}

/// How many flags are used.
const FLAGS: usize = 3;
const ALL: u32 = (1 << FLAGS) - 1;

#[derive(Clone, Copy, Debug)]
struct Wish {
    flags: u32,
    needs_all: bool,
    clears: bool,
}

/// What is believed of the event; exact where nothing else runs at the same time.
#[derive(Default)]
struct Belief {
    set: u32,
    tickets: usize,
    line: Vec<(usize, Wish)>,
    found: BTreeMap<usize, u32>,
}

impl Belief {
    fn serve(&mut self) {
        let line = core::mem::take(&mut self.line);
        for (ticket, wish) in line {
            let found = wish.flags & self.set;
            if found == 0 || (wish.needs_all && found != wish.flags) {
                self.line.push((ticket, wish));
                continue;
            }
            self.found.insert(ticket, found);
            if wish.clears {
                self.set &= !found;
            }
        }
    }
}

#[derive(Debug)]
struct Bench {
    event: Event<Word>,
    belief: Mutex<Belief>,
    left: AtomicUsize,
}

impl core::fmt::Debug for Belief {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:b}, {:?}", self.set, self.line)
    }
}

impl Bench {
    fn believe<R>(&self, f: impl FnOnce(&mut Belief) -> R) -> R {
        f(&mut self.belief.lock().expect("no holder panics"))
    }

    fn set(&self, flags: u32) {
        let expected = self.believe(|belief| {
            belief.set |= flags;
            belief.serve();
            belief.set
        });
        let set = self.event.set(Word::from_bits_retain(flags)).bits();
        assert!(!is_alone() || set == expected, "{set:b}, {expected:b}");
    }

    fn wait(&self, wish: Wish) {
        let deadline = some_deadline();
        let ticket = self.believe(|belief| {
            belief.tickets += 1;
            // Whoever waits does not want what is there; so the new one alone may get something.
            belief.line.push((belief.tickets, wish));
            belief.serve();
            belief.tickets
        });
        let flags = Word::from_bits_retain(wish.flags);
        let wanted = if wish.needs_all {
            Wanted::all(flags)
        } else {
            Wanted::any(flags)
        };
        let wanted = if wish.clears {
            wanted.and_clear()
        } else {
            wanted
        };
        let wait = || self.event.wait_until(wanted, deadline);
        let result = until(deadline, wait, |result| *result == Err(WaitError::TimedOut));
        note(|| format!("{} finds {result:?} of {wish:?}", current_name()));
        let expected = self.believe(|belief| {
            belief.line.retain(|(other, _)| *other != ticket);
            belief.found.remove(&ticket)
        });
        assert!(
            !is_alone() || expected == result.ok().map(|found| found.bits()),
            "is to be {expected:?}"
        );
    }
}

pub(super) fn play(stage: &mut Stage) {
    let bench = Arc::new(Bench {
        event: Event::new(Word::empty()),
        belief: Mutex::default(),
        left: AtomicUsize::new(200),
    });
    for _ in 0..2 + choose(MOST_FIBERS - 1) {
        let bench = bench.clone();
        let rounds = 1 + choose(3);
        stage.fiber("of the event", move || {
            for _ in 0..rounds {
                match choose(4) {
                    3 => {
                        let flags = choose(1 << FLAGS);
                        bench.set(u32::try_from(flags).expect("few"));
                    }
                    2 => {
                        let flags = 1 << choose(FLAGS);
                        bench.believe(|belief| belief.set &= !flags);
                        let _before = bench.event.clear(Word::from_bits_retain(flags));
                    }
                    _ => bench.wait(Wish {
                        flags: 1 + u32::try_from(choose((1 << FLAGS) - 1)).expect("few"),
                        needs_all: choose(2) == 1,
                        clears: choose(2) == 1,
                    }),
                }
                point();
            }
        });
        stage.that_may_be_cancelled();
    }
    stage.device(move || {
        let left = bench.left.load(SeqCst);
        if left > 0 {
            bench.left.store(left - 1, SeqCst);
            let flags = if left.is_multiple_of(8) {
                ALL
            } else {
                1 << choose(FLAGS)
            };
            bench.set(flags);
        }
        left > 0
    });
}
