//! A program with a mistake, for the proof that schedules find such: it looks, and only then says that it waits.

use crate::baton::Mutex;
use crate::machine::point;
use crate::stage::Stage;
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
use kfiber::scheduler::{self, Unparker};
use std::sync::Arc;

#[derive(Default)]
struct Bench {
    is_ready: AtomicBool,
    waiter: Mutex<Option<Unparker>>,
}

pub(super) fn play(stage: &mut Stage) {
    let bench: Arc<Bench> = Arc::default();
    for _ in 0..2 {
        stage.fiber("bystander", || (0..5).for_each(|_| point()));
    }
    let waiter = bench.clone();
    stage.fiber("who looks too early", move || {
        if waiter.is_ready.load(SeqCst) {
            return;
        }
        point(); // here it is lost
        *waiter.waiter.lock().expect("no holder panics") = scheduler::unparker();
        scheduler::park().expect("nobody asks it to end");
    });
    stage.device(move || {
        let is_first = !bench.is_ready.swap(true, SeqCst);
        let waiter = *bench.waiter.lock().expect("no holder panics");
        if let Some(waiter) = waiter.filter(|_| is_first) {
            waiter.unpark();
        }
        is_first
    });
}
