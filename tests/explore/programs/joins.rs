//! Joining: every fiber's result is had once by whoever wants it, or dropped once; who waits for an end is told once.

use crate::baton::Mutex;
use crate::dice::{choose, note};
use crate::machine::{MAIN, is_alone, point, some_deadline, until};
use crate::stage::Stage;
use core::future::{Future as _, poll_fn};
use core::pin::Pin;
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use core::task::{Context, Poll, Waker};
use kfiber::scheduler::{
    self, FiberPool, JoinErrorKind, JoinHandle, Priority, SpawnErrorKind, current_name,
};
use std::sync::Arc;
use std::task::Wake;

/// Few, so that they are used again and again, and sometimes there is none.
static HOMES: FiberPool<65536, 8> = FiberPool::new();

pub(super) const fn homes() -> &'static FiberPool<65536, 8> {
    &HOMES
}

#[derive(Default)]
struct Bench {
    made: AtomicUsize,
    dropped: AtomicUsize,
    /// Whoever is told, and how often.
    told: Mutex<Vec<Arc<Told>>>,
    /// Handles that the device has.
    handles: Mutex<Vec<Handle>>,
    left: AtomicUsize,
}

/// What a child returns.
struct Output(Arc<Bench>, usize);
type Handle = (usize, JoinHandle<Output>);

impl Drop for Output {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, SeqCst);
    }
}

/// A waker that counts.
struct Told {
    times: AtomicUsize,
    to: Waker,
}

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        self.times.fetch_add(1, SeqCst);
        self.to.wake_by_ref();
    }
}

fn make(bench: &Arc<Bench>, level: u8) -> Option<Handle> {
    let number = bench.made.fetch_add(1, SeqCst);
    let child = {
        let bench = bench.clone();
        move || {
            for _ in 0..choose(3) {
                point();
            }
            Output(bench, number)
        }
    };
    let priority = Priority::new(level).expect("below 32");
    let builder = MAIN.builder().name("child").priority(priority);
    match builder.spawn(&HOMES, child) {
        Ok(handle) => Some((number, handle)),
        Err(error) => {
            assert!(matches!(error.kind, SpawnErrorKind::PoolExhausted { .. }));
            bench.made.fetch_sub(1, SeqCst);
            None
        }
    }
}

/// Polls until the child has ended, with one waker after the other.
fn poll(bench: &Arc<Bench>, mut handle: JoinHandle<Output>) -> Output {
    let mut last: Option<Arc<Told>> = None;
    let times = |told: &Told| told.times.load(SeqCst);
    let polled = scheduler::block_on(poll_fn(|context| {
        loop {
            let told = Arc::new(Told {
                times: AtomicUsize::new(0),
                to: context.waker().clone(),
            });
            let waker = Waker::from(told.clone());
            let polled = Pin::new(&mut handle).poll(&mut Context::from_waker(&waker));
            if let Some(last) = last.take() {
                let expected = usize::from(polled.is_ready());
                // Elsewhere it may see the end before it is told, or be told before the other has left its stack: one look
                // only.
                let told = times(&last);
                let is_right = told == expected || (!is_alone() && told <= 1);
                assert!(is_right, "it was told {told} times");
                bench.told.lock().expect("no holder panics").push(last);
            }
            let Poll::Pending = polled else {
                return polled;
            };
            last = Some(told);
            point();
            if choose(3) != 2 {
                return Poll::Pending;
            }
        }
    }));
    polled.expect("it does not fail")
}

/// Does one of the things that can be done with a handle.
fn use_up(bench: &Arc<Bench>, (number, handle): Handle) {
    let mut handle = handle;
    loop {
        point();
        match choose(7) {
            0 => {
                let Ok(output) = handle.join() else {
                    panic!("nobody asked this one to end");
                };
                return assert_eq!(output.1, number, "another's result");
            }
            1 => return drop(handle),
            2 => return assert_eq!(poll(bench, handle).1, number, "another's result"),
            3 => {
                return bench
                    .handles
                    .lock()
                    .expect("no holder panics")
                    .push((number, handle));
            }
            4 => {
                let deadline = some_deadline();
                let join = || handle.join_until(deadline);
                let joined = until(
                    deadline,
                    join,
                    |joined| matches!(joined, Err(error) if error.kind == JoinErrorKind::TimedOut),
                );
                match joined {
                    Ok(output) => return assert_eq!(output.1, number, "another's result"),
                    Err(error) => handle = error.handle,
                }
            }
            5 => match handle.try_join() {
                Ok(output) => return assert_eq!(output.1, number, "another's result"),
                Err(error) => handle = error.handle,
            },
            _ => handle.cancel(),
        }
        note(|| format!("{} still has the handle of {number}", current_name()));
    }
}

pub(super) fn play(stage: &mut Stage) {
    let bench: Arc<Bench> = Arc::default();
    bench.left.store(choose(8), SeqCst);
    for _ in 0..1 + choose(4) {
        let bench = bench.clone();
        let rounds = 1 + choose(4);
        stage.fiber("who joins", move || {
            for _ in 0..rounds {
                if let Some(made) = make(&bench, [16, 31, 3][choose(3)]) {
                    point();
                    use_up(&bench, made);
                }
                point();
            }
        });
    }
    let device = bench.clone();
    stage.device(move || {
        let handle = device.handles.lock().expect("no holder panics").pop();
        if let Some((number, handle)) = handle {
            match handle.try_join() {
                Ok(output) => assert_eq!(output.1, number, "another's result"),
                Err(error) => drop(error.handle),
            }
            return false;
        }
        let left = device.left.load(SeqCst);
        if left == 0 {
            return false;
        }
        device.left.store(left - 1, SeqCst);
        let made = make(&device, [16, 31, 3][choose(3)]);
        let mut handles = device.handles.lock().expect("no holder panics");
        let kept = made.filter(|_| choose(2) == 1);
        handles.extend(kept);
        true
    });
    stage.end(move || {
        bench.handles.lock().expect("no holder panics").clear();
        let (made, dropped) = (bench.made.load(SeqCst), bench.dropped.load(SeqCst));
        assert_eq!(dropped, made, "how many results were dropped");
        for told in &*bench.told.lock().expect("no holder panics") {
            assert!(told.times.load(SeqCst) <= 1, "was told more than once");
        }
    });
}
