//! The channel.

use crate::{Log, panic_of, settle, world};
use core::time::Duration;
use kfiber::platform::{Host, Platform};
use kfiber::scheduler;
use kfiber::sync::{Channel, RecvError, SendErrorKind};
use std::sync::Arc;

#[test]
fn messages_arrive_in_the_order_in_which_they_were_sent() {
    world!(S, CELLS);
    static CHANNEL: Channel<u32, 3> = Channel::new();
    S.spawn(&CELLS, || {
        for number in 0..20 {
            CHANNEL.send(number).unwrap();
        }
        CHANNEL.close();
    })
    .unwrap()
    .detach();
    let receiver = S
        .spawn(&CELLS, || {
            let mut all = Vec::new();
            while let Ok(number) = CHANNEL.recv() {
                all.push(number);
                assert!(CHANNEL.len() <= 3);
            }
            all
        })
        .unwrap();
    S.run();
    assert!(receiver.try_join().unwrap().into_iter().eq(0..20));
}

#[test]
fn messages_of_senders_that_wait_come_after_those_that_are_in_it() {
    world!(S, CELLS);
    static CHANNEL: Channel<u32, 2> = Channel::new();
    for number in 0..5 {
        S.spawn(&CELLS, move || CHANNEL.send(number).unwrap())
            .unwrap()
            .detach();
    }
    S.run_until_idle();
    assert_eq!(CHANNEL.len(), 2);
    assert_eq!(CHANNEL.try_send(9).unwrap_err().message, 9);
    for number in 0..5 {
        assert_eq!(CHANNEL.try_recv(), Ok(number));
        assert_eq!(CHANNEL.len(), (4 - number as usize).min(2));
        // The place went to a sender that waits, so nobody barges in.
        assert_eq!(CHANNEL.try_send(9).is_err(), number < 3);
        if number >= 3 {
            break;
        }
    }
    S.run();
}

#[test]
fn receivers_are_served_in_the_order_of_arrival() {
    world!(S, CELLS, LOG);
    static CHANNEL: Channel<u32, 4> = Channel::new();
    for name in ["a", "b", "c"] {
        S.spawn(&CELLS, move || {
            let message = CHANNEL.recv().unwrap();
            LOG.say(format!("{name}{message}"));
        })
        .unwrap()
        .detach();
    }
    S.spawn(&CELLS, || {
        CHANNEL.send(1).unwrap();
        assert_eq!(CHANNEL.try_recv(), Err(RecvError::Empty), "it is a's");
        CHANNEL.send(2).unwrap();
        CHANNEL.send(3).unwrap();
        assert!(CHANNEL.is_empty());
    })
    .unwrap()
    .detach();
    S.run();
    assert_eq!(LOG.all(), "a1 b2 c3");
}

#[test]
fn without_room_each_send_waits_for_its_receiver() {
    world!(S, CELLS, LOG);
    static CHANNEL: Channel<u32, 0> = Channel::new();
    assert_eq!(CHANNEL.try_send(1).unwrap_err().kind, SendErrorKind::Full);
    S.spawn(&CELLS, || {
        for number in 0..3 {
            CHANNEL.send(number).unwrap();
            LOG.say(format!("sent{number}"));
        }
    })
    .unwrap()
    .detach();
    S.run_until_idle();
    assert_eq!(LOG.all(), "");
    for number in 0..3 {
        assert_eq!(CHANNEL.try_recv(), Ok(number));
        S.run_until_idle();
    }
    S.run();
    assert_eq!(LOG.all(), "sent0 sent1 sent2");
}

#[test]
fn an_interrupt_sends_and_receives() {
    world!(S, CELLS, LOG);
    static CHANNEL: Channel<u32, 1> = Channel::new();
    S.spawn(&CELLS, || LOG.say(CHANNEL.recv().unwrap()))
        .unwrap()
        .detach();
    S.run_until_idle();
    Host::interrupt(|| {
        CHANNEL.try_send(5).unwrap();
        CHANNEL.try_send(6).unwrap();
        assert_eq!(CHANNEL.try_send(7).unwrap_err().message, 7);
        assert_eq!(CHANNEL.try_recv(), Ok(6));
    });
    S.run();
    assert_eq!(LOG.all(), "5");
}

#[test]
fn a_message_that_found_no_room_in_time_is_given_back() {
    world!(S, CELLS);
    static CHANNEL: Channel<String, 1> = Channel::new();
    let sender = S
        .spawn(&CELLS, || {
            CHANNEL.send("first".to_owned()).unwrap();
            let timeout = Duration::from_nanos(9);
            let error = CHANNEL
                .send_timeout("second".to_owned(), timeout)
                .unwrap_err();
            (error.message, error.kind, scheduler::now())
        })
        .unwrap();
    S.run();
    assert_eq!(
        sender.try_join().unwrap(),
        ("second".to_owned(), SendErrorKind::TimedOut, 9)
    );
    assert_eq!(CHANNEL.try_recv().unwrap(), "first");
    assert_eq!(CHANNEL.try_recv(), Err(RecvError::Empty));
}

#[test]
fn a_receiver_times_out_and_misses_nothing_later() {
    world!(S, CELLS);
    static CHANNEL: Channel<u32, 1> = Channel::new();
    let receiver = S
        .spawn(&CELLS, || {
            let late = CHANNEL.recv_timeout(Duration::from_nanos(5));
            CHANNEL.send(4).unwrap();
            (late, CHANNEL.recv_until(0), CHANNEL.recv_until(0))
        })
        .unwrap();
    S.run();
    let late = Err(RecvError::TimedOut);
    assert_eq!(receiver.try_join().unwrap(), (late, Ok(4), late));
    assert_eq!(S.platform().now(), 5);
}

#[test]
fn a_deadline_in_the_past_sends_if_there_is_room() {
    world!(S, CELLS);
    static CHANNEL: Channel<u32, 1> = Channel::new();
    S.platform().advance(3);
    let sender = S
        .spawn(&CELLS, || {
            let first = CHANNEL.send_until(1, 2).is_ok();
            (first, CHANNEL.send_until(2, 2).unwrap_err().kind)
        })
        .unwrap();
    S.run();
    assert_eq!(sender.try_join().unwrap(), (true, SendErrorKind::TimedOut));
}

#[test]
fn cancelled_fibers_leave_their_places() {
    world!(S, CELLS);
    static EMPTY: Channel<u32, 1> = Channel::new();
    static FULL: Channel<u32, 1> = Channel::new();
    FULL.try_send(0).unwrap();
    let receivers = [(); 2].map(|()| S.spawn(&CELLS, || EMPTY.recv()).unwrap());
    let senders = [1, 2].map(|number| S.spawn(&CELLS, move || FULL.send(number)).unwrap());
    S.run_until_idle();
    receivers[0].cancel();
    senders[0].cancel();
    S.run_until_idle();
    EMPTY.try_send(7).unwrap();
    assert_eq!(FULL.try_recv(), Ok(0));
    S.run();
    let received = receivers.map(|fiber| fiber.try_join().unwrap());
    assert_eq!(received, [Err(RecvError::Cancelled), Ok(7)]);
    let [cancelled, sent] = senders.map(|fiber| fiber.try_join().unwrap());
    let error = cancelled.unwrap_err();
    assert_eq!((error.message, error.kind), (1, SendErrorKind::Cancelled));
    sent.unwrap();
    assert_eq!(FULL.try_recv(), Ok(2));
}

#[test]
fn one_that_is_served_and_cancelled_keeps_its_message() {
    world!(S, CELLS);
    static CHANNEL: Channel<u32, 1> = Channel::new();
    let receiver = S.spawn(&CELLS, || CHANNEL.recv_until(50)).unwrap();
    S.run_until_idle();
    CHANNEL.try_send(7).unwrap();
    receiver.cancel();
    S.platform().advance(60);
    S.run();
    assert_eq!(receiver.try_join().unwrap(), Ok(7));
}

#[test]
fn closing_gives_messages_back_and_lets_the_rest_be_received() {
    world!(S, CELLS);
    static CHANNEL: Channel<u32, 1> = Channel::new();
    CHANNEL.try_send(1).unwrap();
    let sender = S.spawn(&CELLS, || CHANNEL.send(2)).unwrap();
    S.run_until_idle();
    assert!(!CHANNEL.is_closed());
    CHANNEL.close();
    CHANNEL.close();
    assert!(CHANNEL.is_closed());
    S.run();
    let error = sender.try_join().unwrap().unwrap_err();
    assert_eq!((error.message, error.kind), (2, SendErrorKind::Closed));
    let error = CHANNEL.try_send(3).unwrap_err();
    assert_eq!((error.message, error.kind), (3, SendErrorKind::Closed));
    assert_eq!(CHANNEL.try_recv(), Ok(1));
    assert_eq!(CHANNEL.try_recv(), Err(RecvError::Closed));
}

#[test]
fn closing_wakes_all_receivers() {
    world!(S, CELLS);
    static CHANNEL: Channel<u32, 1> = Channel::new();
    let receivers = [(); 3].map(|()| S.spawn(&CELLS, || CHANNEL.recv()).unwrap());
    S.spawn(&CELLS, || Host::interrupt(|| CHANNEL.close()))
        .unwrap()
        .detach();
    S.run();
    for receiver in receivers {
        assert_eq!(receiver.try_join().unwrap(), Err(RecvError::Closed));
    }
    let late = S
        .spawn(&CELLS, || (CHANNEL.recv(), CHANNEL.send(1)))
        .unwrap();
    S.run();
    let (received, sent) = late.try_join().unwrap();
    assert_eq!(received, Err(RecvError::Closed));
    assert_eq!(sent.unwrap_err().kind, SendErrorKind::Closed);
}

#[test]
fn each_message_is_dropped_once() {
    world!(S, CELLS);
    let message = Arc::new(());
    let channel = Channel::<Arc<()>, 3>::new();
    for _ in 0..2 {
        for _ in 0..3 {
            channel.try_send(Arc::clone(&message)).unwrap();
        }
        assert_eq!(Arc::strong_count(&message), 4);
        drop(channel.try_send(Arc::clone(&message)).unwrap_err());
        drop(channel.try_recv().unwrap());
        assert_eq!(Arc::strong_count(&message), 3);
        channel.try_recv().unwrap();
        channel.try_recv().unwrap();
    }
    channel.try_send(Arc::clone(&message)).unwrap();
    drop(channel);
    assert_eq!(Arc::strong_count(&message), 1);
    static HANDED: Channel<Arc<()>, 0> = Channel::new();
    let receiver = S.spawn(&CELLS, || HANDED.recv()).unwrap();
    S.run_until_idle();
    HANDED.try_send(Arc::clone(&message)).unwrap();
    assert_eq!(Arc::strong_count(&message), 2);
    S.run();
    drop(receiver.try_join().unwrap().unwrap());
    assert_eq!(Arc::strong_count(&message), 1);
}

#[test]
fn many_to_many() {
    world!(S, CELLS);
    static CHANNEL: Channel<(u32, u32), 2> = Channel::new();
    let senders = [0, 1, 2].map(|sender| {
        S.spawn(&CELLS, move || {
            for number in 0..30 {
                CHANNEL.send((sender, number)).unwrap();
            }
        })
        .unwrap()
    });
    let receivers = [(); 2].map(|()| {
        S.spawn(&CELLS, || {
            let mut all = Vec::new();
            while let Ok(message) = CHANNEL.recv() {
                all.push(message);
            }
            all
        })
        .unwrap()
    });
    S.spawn(&CELLS, move || {
        for sender in senders {
            sender.join().unwrap();
        }
        CHANNEL.close();
    })
    .unwrap()
    .detach();
    S.run();
    let mut all = Vec::new();
    for receiver in receivers {
        let part = receiver.try_join().unwrap();
        for sender in 0..3 {
            let numbers = part.iter().filter(|(from, _)| *from == sender);
            assert!(
                numbers.is_sorted(),
                "in order from each sender to each receiver"
            );
        }
        all.extend(part);
    }
    all.sort_unstable();
    assert!(
        all.into_iter()
            .eq((0..3).flat_map(|a| (0..30).map(move |b| (a, b))))
    );
}

#[test]
fn waiting_where_it_is_forbidden_panics_even_with_room() {
    world!(S, CELLS);
    static CHANNEL: Channel<u32, 1> = Channel::new();
    assert!(panic_of(|| CHANNEL.send(1)).contains("outside of a fiber"));
    assert!(panic_of(|| CHANNEL.recv()).contains("outside of a fiber"));
    S.spawn(&CELLS, || {
        let message = Host::interrupt(|| panic_of(|| CHANNEL.send(1)));
        assert!(message.contains("in an interrupt handler"), "{message}");
        let message = scheduler::without_waiting(|| panic_of(|| CHANNEL.recv()));
        assert!(message.contains("`without_waiting`"), "{message}");
        settle();
    })
    .unwrap()
    .detach();
    S.run();
    assert!(CHANNEL.is_empty());
}

#[test]
fn errors_say_what_to_do() {
    static LOG: Log = Log::new();
    let channel = Channel::<u32, 0>::new();
    LOG.say(channel.try_send(1).unwrap_err());
    LOG.say(channel.try_recv().unwrap_err());
    assert_eq!(
        LOG.all(),
        "the channel is full: `send` waits for room the channel is empty: `recv` waits for a message"
    );
}
