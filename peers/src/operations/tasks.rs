//! tokio's runtime for one thread, with its own primitives, and with the channels of `flume`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task;

use super::{Message, count, exchange};
use crate::bench::{Bench, Plan};

/// A runtime, and what a task does in it. It returns the time.
struct InTask<F>(Runtime, F);

impl<R: Future<Output = Duration> + Send + 'static, F: Fn(usize) -> R> Bench for InTask<F> {
    fn run(&mut self, laps: usize) -> Duration {
        let task = self.0.spawn((self.1)(laps));
        self.0.block_on(task).expect("it does not panic")
    }

    fn finish(self: Box<Self>) {}
}

fn plan<R: Future<Output = Duration> + Send + 'static>(
    contender: &'static str,
    shape: &'static str,
    timed: impl Fn(usize) -> R + 'static,
) -> Plan {
    Plan::new(contender, shape, || {
        let runtime = Builder::new_current_thread().build();
        InTask(runtime.expect("the system has what it needs"), timed)
    })
}

async fn semaphore(laps: usize) -> Duration {
    let (there, back) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (requests, answers) = (Arc::clone(&there), Arc::clone(&back));
    let other = task::spawn(async move {
        for _ in 0..laps {
            requests.acquire().await.expect("it is open").forget();
            answers.add_permits(1);
        }
    });
    let time = count!(laps, |number| {
        there.add_permits(1);
        back.acquire().await.expect("it is open").forget();
        number += 1;
    });
    other.await.expect("it does not panic");
    time
}

async fn message(laps: usize) -> Duration {
    let (requests, mut received) = mpsc::channel::<Message>(1);
    let (answer, mut answers) = mpsc::channel::<Message>(1);
    let other = task::spawn(async move {
        while let Some((number, other)) = received.recv().await {
            let answered = answer.send((number + 1, other)).await;
            answered.expect("somebody receives");
        }
    });
    let time = exchange!(
        laps,
        |message| requests.send(message).await.expect("somebody receives"),
        answers.recv().await.expect("somebody sends")
    );
    drop(requests);
    other.await.expect("it does not panic");
    time
}

async fn message_of_flume(laps: usize) -> Duration {
    let (requests, received) = flume::bounded::<Message>(1);
    let (answer, answers) = flume::bounded::<Message>(1);
    let other = task::spawn(async move {
        while let Ok((number, other)) = received.recv_async().await {
            let answered = answer.send_async((number + 1, other)).await;
            answered.expect("somebody receives");
        }
    });
    let time = exchange!(
        laps,
        |message| requests
            .send_async(message)
            .await
            .expect("somebody receives"),
        answers.recv_async().await.expect("somebody sends")
    );
    drop(requests);
    other.await.expect("it does not panic");
    time
}

async fn spawn_join(laps: usize) -> Duration {
    count!(laps, |number| {
        let before = number;
        let task = task::spawn(async move { before + 1 });
        number = task.await.expect("it does not panic");
    })
}

async fn mutex(laps: usize) -> Duration {
    let mutex = Mutex::new(0);
    let time = count!(laps, |number| {
        *mutex.lock().await += 1;
        number += 1;
    });
    assert_eq!(*mutex.lock().await, laps, "a turn was lost");
    time
}

/// One of two tasks that yield in turn.
async fn yields(laps: usize) -> Duration {
    let go = move || async move {
        for _ in 0..laps.div_ceil(2) {
            task::yield_now().await;
        }
    };
    let other = task::spawn(go());
    task::yield_now().await;
    let start = Instant::now();
    go().await;
    let time = start.elapsed();
    other.await.expect("it does not panic");
    time
}

/// All of them.
pub(crate) fn plans() -> Vec<Plan> {
    vec![
        plan("tokio", "op_semaphore", semaphore),
        plan("tokio", "op_message", message),
        plan("tokio", "op_spawn_join", spawn_join),
        plan("tokio", "op_mutex", mutex),
        plan("tokio", "op_yield", yields),
        plan("flume", "op_message", message_of_flume),
    ]
}
