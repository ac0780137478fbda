//! Tokens that wander between cores are neither lost nor doubled.

use crate::cores::{Cells, run, scheduler};
use core::sync::atomic::{AtomicUsize, Ordering};
use kfiber::platform::Core;
use kfiber::scheduler::{Builder, JoinHandle};
use kfiber::sync::Channel;

const CORES: usize = 4;
const FIBERS: usize = 16;
const TOKENS: usize = 64;
const PASSES: usize = 400;

struct Token {
    number: usize,
    passes: usize,
}

type Mail = Channel<Token, TOKENS>;

/// What all fibers of a game share.
struct Game {
    mail: [Mail; FIBERS],
    /// How often each token has ended.
    ends: [AtomicUsize; TOKENS],
    ended: AtomicUsize,
}

impl Game {
    fn play(&self, number: usize) {
        let mut random = number as u64 + 1;
        while let Ok(mut token) = self.mail[number].recv() {
            token.passes += 1;
            if token.passes == PASSES {
                self.ends[token.number].fetch_add(1, Ordering::Relaxed);
                if self.ended.fetch_add(1, Ordering::Relaxed) == TOKENS - 1 {
                    self.mail.iter().for_each(Mail::close);
                }
                continue;
            }
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let next = (random >> 33) as usize % FIBERS;
            self.mail[next].send(token).unwrap();
        }
    }
}

/// Passes the tokens among fibers that the function spreads over the cores.
fn play(cells: &'static Cells<FIBERS>, spread: impl Fn(Builder, usize) -> Builder) {
    let scheduler = scheduler::<CORES>();
    let game: &'static Game = Box::leak(Box::new(Game {
        mail: [const { Channel::new() }; FIBERS],
        ends: [const { AtomicUsize::new(0) }; TOKENS],
        ended: AtomicUsize::new(0),
    }));
    for number in 0..TOKENS {
        let token = Token { number, passes: 0 };
        assert!(game.mail[number % FIBERS].try_send(token).is_ok());
    }
    let fibers: Vec<JoinHandle<()>> = (0..FIBERS)
        .map(|number| {
            spread(scheduler.builder(), number)
                .spawn(cells, move || game.play(number))
                .unwrap()
        })
        .collect();
    run(scheduler);
    for fiber in fibers {
        fiber.try_join().unwrap();
    }
    for end in &game.ends {
        assert_eq!(
            end.load(Ordering::Relaxed),
            1,
            "a token was lost or doubled"
        );
    }
}

#[test]
fn tokens_passed_at_random_between_pinned_fibers_are_conserved() {
    static CELLS: Cells<FIBERS> = Cells::new();
    play(&CELLS, |builder, number| builder.on(Core(number % CORES)));
}

#[test]
fn tokens_passed_at_random_between_fibers_of_any_core_are_conserved() {
    static CELLS: Cells<FIBERS> = Cells::new();
    play(&CELLS, |builder, _number| builder);
}
