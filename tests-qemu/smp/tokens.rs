//! Tokens go from fiber to fiber across all cores, at random. None is lost, none is doubled.

use core::{
    array,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

use kfiber::{
    scheduler::{JoinHandle, yield_now},
    sync::Channel,
};
use tests_qemu::{command_line, cores, cpu::Random, interrupts::start_timer, kernel_test, println};

use crate::team;

/// Fibers, as many on each core as on any other.
const FIBERS: usize = 32;
/// Tokens under way at a time. Fewer than fibers, so that most of them wait.
const TOKENS: usize = 24;
/// How often a token is handed on, all tokens together.
const ROUNDS: u64 = 50_000;

/// Room for all tokens, so that nobody waits to send.
static MAIL: [Channel<u64, TOKENS>; FIBERS] = [const { Channel::new() }; FIBERS];
/// How often tokens may still be handed on.
static LEFT: AtomicU64 = AtomicU64::new(0);
/// Tokens that came to rest, and their sum.
static RESTED: AtomicU64 = AtomicU64::new(0);
static SUM: AtomicU64 = AtomicU64::new(0);
/// Of all deliveries, those to a fiber that was last seen on another core.
static ACROSS: AtomicU64 = AtomicU64::new(0);
/// The core on which each fiber was seen last.
static SEEN_ON: [AtomicUsize; FIBERS] = [const { AtomicUsize::new(0) }; FIBERS];

kernel_test! {
    /// `rounds=N` on the command line asks for another number.
    fn two_cores_lose_no_token() cores(2) timeout(600) {
        team::start();
        pass_tokens(true);
    }

    fn four_cores_lose_no_token() cores(4) timeout(600) {
        team::start();
        pass_tokens(true);
    }

    fn eight_cores_lose_no_token() cores(8) timeout(600) {
        team::start();
        pass_tokens(true);
    }

    /// The fibers are not pinned: cores that have nothing to do get some.
    fn fibers_that_move_lose_no_token() cores(4) timeout(600) {
        team::start();
        pass_tokens(false);
    }

    /// Each core's timer interrupts it all the time.
    fn no_token_is_lost_in_a_storm_of_interrupts() cores(4) timeout(600) {
        team::start();
        cores::on_all(|core| start_timer(40_000 + 1_000 * u32::try_from(core).expect("small")));
        IS_STORM.store(1, Ordering::Relaxed);
        pass_tokens(true);
    }
}

/// Whether timers are periodic.
static IS_STORM: AtomicUsize = AtomicUsize::new(0);

fn pass_tokens(are_pinned: bool) {
    let rounds = command_line::rounds(ROUNDS);
    LEFT.store(rounds, Ordering::Relaxed);
    let count = cores::count();
    let fibers: [JoinHandle<()>; FIBERS] = array::from_fn(|index| {
        if are_pinned {
            team::spawn_on(index % count, move || post_office(index))
        } else {
            team::spawn(move || post_office(index))
        }
    });
    for token in 0..TOKENS {
        MAIL[token % FIBERS]
            .try_send(token as u64)
            .expect("there is room for all");
    }
    team::run();
    for fiber in fibers {
        fiber.try_join().expect("all have ended");
    }
    let across = ACROSS.load(Ordering::Relaxed);
    println!("{rounds} deliveries, {across} to another core");
    let tokens = TOKENS as u64;
    assert_eq!(RESTED.load(Ordering::Relaxed), tokens, "tokens at the end");
    assert_eq!(
        SUM.load(Ordering::Relaxed),
        tokens * (tokens - 1) / 2,
        "their sum"
    );
    assert!(
        !are_pinned || across > rounds / 4,
        "too few deliveries went to another core"
    );
}

/// Hands on what arrives, until the rounds are over.
fn post_office(index: usize) {
    let mut random = Random::new(command_line::seed() + index as u64);
    while let Ok(token) = MAIL[index].recv() {
        let here = cores::this();
        SEEN_ON[index].store(here, Ordering::Relaxed);
        let is_over = LEFT
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| {
                left.checked_sub(1)
            })
            .is_err();
        if is_over {
            SUM.fetch_add(token, Ordering::Relaxed);
            if RESTED.fetch_add(1, Ordering::AcqRel) + 1 == TOKENS as u64 {
                MAIL.iter().for_each(Channel::close);
            }
            continue;
        }
        let to = usize::try_from(random.below(FIBERS as u64)).expect("small");
        if SEEN_ON[to].load(Ordering::Relaxed) != here {
            ACROSS.fetch_add(1, Ordering::Relaxed);
        }
        MAIL[to].try_send(token).expect("there is room for all");
        if random.below(8) == 0 {
            yield_now();
        }
    }
}
