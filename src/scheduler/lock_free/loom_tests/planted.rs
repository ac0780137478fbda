//! Mistakes planted into the models of several cores, each of which loses a wake-up; and loops that
//! end while others ask them for something.

use super::super::state::State;
use super::cores::{Team, sleep_against_post};
use super::model;
use crate::atomic::planted;
use core::sync::atomic::Ordering::{Acquire, Relaxed};
use loom::sync::Arc;
use loom::thread;

#[test]
#[should_panic(expected = "deadlock")]
fn loom_without_the_barrier_a_wake_up_is_lost() {
    planted::NO_BARRIER.set(true);
    sleep_against_post("sleep against post without the barrier");
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_without_the_kick_a_core_sleeps_on() {
    model("sleep against post without the kick", || {
        let team = Team::new(false);
        team.roster.enter(0);
        let poster = {
            let team = Arc::clone(&team);
            thread::spawn(move || {
                // SAFETY: it is in no inbox, and lives as long as the inbox.
                unsafe { team.loops[0].inbox.push(&raw const team.fiber) };
                team.roster.wake(0)
            })
        };
        assert!(team.until_taken(0));
        let _was_asleep = poster.join().expect("does not panic");
    });
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_a_loop_that_is_read_before_the_bit_is_set_loses_a_wake_up() {
    model("two wakers, and a loop read too early", || {
        let team = Team::new(true);
        for index in [0, 1] {
            team.roster.enter(index);
        }
        assert!(team.fiber.state.park());
        let waker = {
            let team = Arc::clone(&team);
            thread::spawn(move || {
                let too_early = team.place.load(Acquire);
                team.signal_to(too_early, State::give_token);
            })
        };
        let other = {
            let team = Arc::clone(&team);
            thread::spawn(move || team.signal(State::cancel))
        };
        // Whoever comes first, the fiber goes on in loop 1, and waits there for the other.
        assert!(team.until_taken(0));
        team.give(1);
        assert!(team.until_taken(1));
        while !(team.fiber.state.is_cancelled() && team.fiber.state.take_token()) {
            if team.fiber.state.park() {
                assert!(team.until_taken(1), "nobody posts it there");
            }
        }
        waker.join().expect("does not panic");
        other.join().expect("does not panic");
    });
}

#[test]
fn loom_a_request_against_the_end_of_the_asked() {
    model("a request against the end of the asked", || {
        let team = Team::new(true);
        // One fiber runs in loop 0, and another is ready behind it.
        team.live.store(2, Relaxed);
        for index in [0, 1] {
            team.roster.enter(index);
        }
        let runs = Arc::new(core::sync::atomic::AtomicUsize::new(0));
        let asked = {
            let (team, runs) = (Arc::clone(&team), Arc::clone(&runs));
            thread::spawn(move || {
                if team.roster.sleepers() & 2 != 0 {
                    team.give(1);
                } else {
                    runs.fetch_add(1, Relaxed);
                    team.end();
                }
                team.end();
                if let Some(sleeper) = team.roster.leave(0) {
                    team.rouse(sleeper);
                }
            })
        };
        if team.until_taken(1) {
            runs.fetch_add(1, Relaxed);
            team.end();
        }
        asked.join().expect("does not panic");
        assert_eq!(runs.load(Relaxed), 1, "the ready fiber");
        assert!(!team.drain(0) && !team.drain(1), "left behind");
    });
}

#[test]
fn loom_a_spawn_on_a_core_against_its_end() {
    model("a spawn on a core against its end", || {
        let team = Team::new(false);
        team.live.store(0, Relaxed);
        team.roster.enter(0);
        let spawner = {
            let team = Arc::clone(&team);
            thread::spawn(move || {
                team.live.fetch_add(1, Relaxed);
                team.post(0);
            })
        };
        // `run` returns if it has seen no fiber; the next one finds it.
        let is_taken = team.until_taken(0);
        let _sleeper = team.roster.leave(0);
        spawner.join().expect("does not panic");
        if !is_taken {
            team.roster.enter(0);
            assert!(team.until_taken(0), "lost");
        }
    });
}
