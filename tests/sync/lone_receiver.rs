//! A fiber that waits alone at an empty channel: its wait ends in every way, and others may come.

use crate::world;
use core::time::Duration;
use kfiber::platform::{Host, Platform};
use kfiber::scheduler::{JoinHandle, Scheduler};
use kfiber::sync::{Channel, RecvError};
use std::sync::Arc;

type Received = Result<u32, RecvError>;

/// What the fiber has received by now.
fn end_of(scheduler: &'static Scheduler<Host>, fiber: JoinHandle<Received>) -> Received {
    scheduler.run();
    fiber.try_join().unwrap()
}

/// A channel, and a fiber that waits at it without a deadline.
macro_rules! one_waits {
    ($scheduler:ident, $cells:ident, $channel:ident, $fiber:ident) => {
        world!($scheduler, $cells);
        static $channel: Channel<u32, 2> = Channel::new();
        let $fiber = $scheduler.spawn(&$cells, || $channel.recv()).unwrap();
        $scheduler.run_until_idle();
        assert!(!$fiber.is_finished());
    };
}

#[test]
fn it_is_sent_a_message_by_a_fiber_and_the_channel_stays_empty() {
    one_waits!(S, CELLS, CHANNEL, receiver);
    let sender = S.spawn(&CELLS, || {
        CHANNEL.send(1).unwrap();
        assert!(CHANNEL.is_empty(), "it is the receiver's");
        CHANNEL.send(2).unwrap();
        CHANNEL.len()
    });
    assert_eq!(end_of(&S, receiver), Ok(1));
    assert_eq!(sender.unwrap().try_join().unwrap(), 1);
    assert_eq!(CHANNEL.try_recv(), Ok(2));
}

#[test]
fn it_is_sent_a_message_by_an_interrupt_handler() {
    one_waits!(S, CELLS, CHANNEL, receiver);
    Host::interrupt(|| {
        CHANNEL.try_send(1).unwrap();
        assert_eq!(
            CHANNEL.try_recv(),
            Err(RecvError::Empty),
            "it is the receiver's"
        );
        CHANNEL.try_send(2).unwrap();
        CHANNEL.try_send(3).unwrap();
        assert_eq!(CHANNEL.try_send(4).unwrap_err().message, 4);
    });
    assert_eq!(end_of(&S, receiver), Ok(1));
    assert_eq!(CHANNEL.len(), 2);
}

#[test]
fn it_is_cancelled_and_leaves_nothing_behind() {
    one_waits!(S, CELLS, CHANNEL, receiver);
    receiver.cancel();
    assert_eq!(end_of(&S, receiver), Err(RecvError::Cancelled));
    CHANNEL.try_send(1).unwrap();
    assert_eq!(CHANNEL.len(), 1);
    assert_eq!(CHANNEL.try_recv(), Ok(1));
}

#[test]
fn it_keeps_a_message_that_comes_before_it_is_cancelled() {
    one_waits!(S, CELLS, CHANNEL, receiver);
    CHANNEL.try_send(1).unwrap();
    receiver.cancel();
    assert_eq!(end_of(&S, receiver), Ok(1));
}

#[test]
fn it_is_cancelled_before_a_message_comes_and_takes_it_all_the_same() {
    one_waits!(S, CELLS, CHANNEL, receiver);
    receiver.cancel();
    CHANNEL.try_send(1).unwrap();
    assert_eq!(end_of(&S, receiver), Ok(1));
    assert!(CHANNEL.is_empty());
}

#[test]
fn it_times_out_and_leaves_nothing_behind() {
    world!(S, CELLS);
    static CHANNEL: Channel<u32, 2> = Channel::new();
    let timeout = Duration::from_nanos(7);
    let receiver = S.spawn(&CELLS, move || CHANNEL.recv_timeout(timeout));
    assert_eq!(end_of(&S, receiver.unwrap()), Err(RecvError::TimedOut));
    assert_eq!(S.platform().now(), 7);
    CHANNEL.try_send(1).unwrap();
    assert_eq!(CHANNEL.try_recv(), Ok(1));
}

#[test]
fn it_receives_before_its_deadline() {
    world!(S, CELLS);
    static CHANNEL: Channel<u32, 0> = Channel::new();
    let receiver = S.spawn(&CELLS, || CHANNEL.recv_until(7)).unwrap();
    S.spawn(&CELLS, || CHANNEL.send(1).unwrap())
        .unwrap()
        .detach();
    assert_eq!(end_of(&S, receiver), Ok(1));
}

#[test]
fn it_learns_that_the_channel_is_closed_by_a_fiber() {
    one_waits!(S, CELLS, CHANNEL, receiver);
    S.spawn(&CELLS, || CHANNEL.close()).unwrap().detach();
    assert_eq!(end_of(&S, receiver), Err(RecvError::Closed));
}

#[test]
fn it_learns_that_the_channel_is_closed_by_an_interrupt_handler() {
    one_waits!(S, CELLS, CHANNEL, receiver);
    Host::interrupt(|| {
        CHANNEL.close();
        CHANNEL.try_send(1).unwrap_err();
    });
    assert_eq!(end_of(&S, receiver), Err(RecvError::Closed));
}

#[test]
fn it_keeps_a_message_that_comes_before_the_channel_is_closed() {
    one_waits!(S, CELLS, CHANNEL, receiver);
    CHANNEL.try_send(1).unwrap();
    CHANNEL.close();
    assert_eq!(end_of(&S, receiver), Ok(1));
}

#[test]
fn it_gets_company_and_is_served_first() {
    one_waits!(S, CELLS, CHANNEL, first);
    let second = S.spawn(&CELLS, || CHANNEL.recv()).unwrap();
    S.run_until_idle();
    CHANNEL.try_send(1).unwrap();
    // The second is alone now.
    CHANNEL.try_send(2).unwrap();
    CHANNEL.try_send(3).unwrap();
    assert_eq!(end_of(&S, first), Ok(1));
    assert_eq!(second.try_join().unwrap(), Ok(2));
    assert_eq!(CHANNEL.try_recv(), Ok(3));
}

#[test]
fn it_gets_company_that_leaves_again_and_is_cancelled() {
    one_waits!(S, CELLS, CHANNEL, first);
    let second = S.spawn(&CELLS, || CHANNEL.recv_until(9)).unwrap();
    S.run_until_idle();
    second.cancel();
    S.run_until_idle();
    assert_eq!(second.try_join().unwrap(), Err(RecvError::Cancelled));
    first.cancel();
    assert_eq!(end_of(&S, first), Err(RecvError::Cancelled));
    CHANNEL.try_send(1).unwrap();
    assert_eq!(CHANNEL.len(), 1);
}

#[test]
fn it_leaves_its_company_which_is_served_alone() {
    one_waits!(S, CELLS, CHANNEL, first);
    let second = S.spawn(&CELLS, || CHANNEL.recv()).unwrap();
    S.run_until_idle();
    first.cancel();
    S.run_until_idle();
    assert_eq!(first.try_join().unwrap(), Err(RecvError::Cancelled));
    CHANNEL.try_send(1).unwrap();
    assert!(CHANNEL.is_empty());
    assert_eq!(end_of(&S, second), Ok(1));
}

#[test]
fn a_look_at_the_channel_does_not_change_its_place() {
    one_waits!(S, CELLS, CHANNEL, first);
    assert!(CHANNEL.is_empty() && !CHANNEL.is_closed());
    let second = S.spawn(&CELLS, || CHANNEL.recv()).unwrap();
    S.run_until_idle();
    assert!(CHANNEL.is_empty() && !CHANNEL.is_closed());
    CHANNEL.try_send(1).unwrap();
    CHANNEL.try_send(2).unwrap();
    assert_eq!(end_of(&S, first), Ok(1));
    assert_eq!(second.try_join().unwrap(), Ok(2));
}

#[test]
fn what_it_is_given_is_dropped_once() {
    world!(S, CELLS);
    static CHANNEL: Channel<Arc<()>, 1> = Channel::new();
    let message = Arc::new(());
    let receiver = S.spawn(&CELLS, || CHANNEL.recv()).unwrap();
    S.run_until_idle();
    CHANNEL.try_send(Arc::clone(&message)).unwrap();
    assert_eq!(Arc::strong_count(&message), 2);
    S.run();
    let received = receiver.try_join().unwrap();
    assert_eq!(Arc::strong_count(&message), 2);
    drop(received);
    assert_eq!(Arc::strong_count(&message), 1);
}

#[test]
fn it_waits_again_and_again() {
    // One round is as the next.
    const ROUNDS: u32 = if cfg!(miri) { 10 } else { 100 };
    world!(S, CELLS);
    static THERE: Channel<u32, 2> = Channel::new();
    static BACK: Channel<u32, 0> = Channel::new();
    S.spawn(&CELLS, || {
        while let Ok(number) = THERE.recv() {
            BACK.send(number + 1).unwrap();
        }
        BACK.close();
    })
    .unwrap()
    .detach();
    let sum = S.spawn(&CELLS, || {
        let mut sum = 0;
        for number in 0..ROUNDS {
            THERE.send(number).unwrap();
            sum += BACK.recv().unwrap();
        }
        THERE.close();
        assert_eq!(BACK.recv(), Err(RecvError::Closed));
        sum
    });
    S.run();
    assert_eq!(sum.unwrap().try_join().unwrap(), ROUNDS * (ROUNDS + 1) / 2);
}
