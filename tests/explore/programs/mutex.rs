//! Mutexes: one owner, the next is who has waited longest, and the owner has the level of the highest who waits.

use super::MOST_FIBERS;
use crate::baton;
use crate::dice::{choose, note};
use crate::machine::{MAIN, is_alone, point, some_deadline, until};
use crate::stage::Stage;
use kfiber::platform::NEVER;
use kfiber::scheduler::{self, FiberId, current_name};
use kfiber::sync::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::Arc;

const MUTEXES: usize = 3;

/// What is believed of one mutex; exact where nothing else runs at the same time.
#[derive(Default)]
struct Belief {
    owner: Option<usize>,
    line: VecDeque<usize>,
}

#[derive(Default)]
struct Beliefs {
    mutexes: [Belief; MUTEXES],
    /// The fibers' own levels, and who they are.
    players: Vec<(u8, Option<FiberId>)>,
}

struct Bench {
    mutexes: [Mutex<u32>; MUTEXES],
    beliefs: baton::Mutex<Beliefs>,
}

impl Bench {
    fn believe<R>(&self, f: impl FnOnce(&mut Beliefs) -> R) -> R {
        f(&mut self.beliefs.lock().expect("no holder panics"))
    }

    fn lock(&self, of: usize, me: usize, deadline: u64) -> Option<MutexGuard<'_, u32>> {
        self.believe(|beliefs| {
            let belief = &mut beliefs.mutexes[of];
            match belief.owner {
                None => belief.owner = Some(me),
                Some(_) => belief.line.push_back(me),
            }
        });
        let guard = if deadline == NEVER {
            Some(self.mutexes[of].lock())
        } else {
            let wait = || self.mutexes[of].lock_until(deadline).ok();
            until(deadline, wait, Option::is_none)
        };
        note(|| format!("{} has mutex {of}: {}", current_name(), guard.is_some()));
        self.believe(|beliefs| {
            let belief = &mut beliefs.mutexes[of];
            let is_owner = belief.owner == Some(me);
            belief.line.retain(|other| *other != me);
            assert!(
                !is_alone() || is_owner == guard.is_some(),
                "whose turn it was"
            );
        });
        guard
    }

    fn unlock(&self, of: usize, guard: MutexGuard<'_, u32>) {
        self.believe(|beliefs| {
            let belief = &mut beliefs.mutexes[of];
            belief.owner = belief.line.pop_front();
        });
        drop(guard);
    }

    /// Each has its own level, or that of the highest who waits for what it has.
    fn check_levels(&self) {
        if !is_alone() {
            return;
        }
        self.believe(|beliefs| {
            let mut levels: Vec<u8> = beliefs.players.iter().map(|player| player.0).collect();
            for _ in 0..levels.len() {
                for belief in &beliefs.mutexes {
                    let highest = belief.line.iter().map(|waiter| levels[*waiter]).max();
                    if let (Some(owner), Some(highest)) = (belief.owner, highest) {
                        levels[owner] = levels[owner].max(highest);
                    }
                }
            }
            for info in MAIN.fibers() {
                let mut players = beliefs.players.iter();
                if let Some(index) = players.position(|player| player.1 == Some(info.id)) {
                    assert_eq!(info.priority.level(), levels[index], "level of {index}");
                }
            }
        });
    }
}

pub(super) fn play(stage: &mut Stage) {
    let bench = Arc::new(Bench {
        mutexes: [const { Mutex::new(0) }; MUTEXES],
        beliefs: baton::Mutex::default(),
    });
    let mut all = 0;
    for me in 0..2 + choose(MOST_FIBERS - 1) {
        let bench = bench.clone();
        let rounds = 1 + choose(3);
        all += rounds;
        let level = [16, 16, 20, 8, 31, 3][choose(6)];
        bench.believe(|beliefs| beliefs.players.push((level, None)));
        stage.fiber_at(level, "of the mutex", move || {
            bench.believe(|beliefs| beliefs.players[me].1 = scheduler::current());
            for _ in 0..rounds {
                // In the order of their numbers, so that nobody waits in a cycle.
                let mut guards = Vec::new();
                for of in 0..MUTEXES {
                    if of == MUTEXES - 1 || choose(2) == 1 {
                        let may_fail = of < MUTEXES - 1;
                        let deadline = if may_fail { some_deadline() } else { NEVER };
                        guards.extend(bench.lock(of, me, deadline).map(|guard| (of, guard)));
                        bench.check_levels();
                        point();
                    }
                }
                for (_, guard) in &mut guards {
                    let before = **guard;
                    point();
                    **guard = before + 1;
                }
                while !guards.is_empty() {
                    let (of, guard) = guards.swap_remove(choose(guards.len()));
                    bench.unlock(of, guard);
                    bench.check_levels();
                    point();
                }
            }
        });
    }
    stage.end(move || {
        let bench = Arc::into_inner(bench).expect("all have ended");
        assert!(!bench.mutexes.iter().any(Mutex::is_locked), "is locked");
        let [.., last] = bench.mutexes;
        assert_eq!(last.into_inner(), u32::try_from(all).expect("few"));
    });
}
