//! tokio on two cores: as it comes, with two workers; and with a runtime on each core, so that its tasks stay apart.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, mpsc as channels};

use crate::affinity;
use crate::bench::Bench;
use crate::cores::work::{Thought, work};
use crate::cores::{JOB_STEPS, JOBS, check_jobs};
use crate::operations::{Message, exchange};

/// Where the two tasks of a ping-pong run.
#[derive(Clone)]
pub(crate) enum Place {
    /// Anywhere in a runtime with two workers.
    Workers(Arc<Runtime>),
    /// On this thread, and on a thread of its own on this core.
    Apart(usize),
}

/// A runtime with a worker on each of these cores.
pub(crate) fn workers(cores: &[usize]) -> Runtime {
    let (give, take) = mpsc::channel();
    for core in cores {
        give.send(*core).expect("the receiver lives");
    }
    let take = std::sync::Mutex::new(take);
    let start = move || {
        let core = take.lock().expect("nobody panics").try_recv();
        affinity::stay_on(core.expect("there are as many workers"));
    };
    let mut builder = Builder::new_multi_thread();
    let builder = builder.worker_threads(cores.len()).on_thread_start(start);
    builder.build().expect("the system has threads")
}

fn alone() -> Runtime {
    let runtime = Builder::new_current_thread().build();
    runtime.expect("the system has what it needs")
}

impl Place {
    /// Starts the task that answers, for good.
    fn start(&self, task: impl Future<Output = ()> + Send + 'static) {
        match self {
            Self::Workers(runtime) => drop(runtime.spawn(task)),
            Self::Apart(core) => {
                let core = *core;
                thread::spawn(move || {
                    affinity::stay_on(core);
                    alone().block_on(task);
                });
            }
        }
    }

    /// Runs the other task to its end.
    fn run<T: Send + 'static>(
        &self,
        own: &Runtime,
        task: impl Future<Output = T> + Send + 'static,
    ) -> T {
        match self {
            Self::Workers(runtime) => {
                let task = runtime.spawn(task);
                own.block_on(task).expect("it does not panic")
            }
            Self::Apart(_) => own.block_on(task),
        }
    }
}

/// Two tasks and two semaphores.
pub(crate) struct Semaphores {
    place: Place,
    own: Runtime,
    there: Arc<Semaphore>,
    back: Arc<Semaphore>,
    thought: Thought,
}

impl Semaphores {
    pub(crate) fn new(place: Place, thought: Thought) -> Self {
        let (there, back) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (requests, answers) = (Arc::clone(&there), Arc::clone(&back));
        place.start(async move {
            loop {
                requests.acquire().await.expect("it is open").forget();
                thought.think();
                answers.add_permits(1);
            }
        });
        let own = alone();
        Self {
            place,
            own,
            there,
            back,
            thought,
        }
    }
}

impl Bench for Semaphores {
    fn run(&mut self, laps: usize) -> Duration {
        let (there, back, thought) = (
            Arc::clone(&self.there),
            Arc::clone(&self.back),
            self.thought,
        );
        self.place.run(&self.own, async move {
            let start = Instant::now();
            for _ in 0..laps {
                thought.think();
                there.add_permits(1);
                back.acquire().await.expect("it is open").forget();
            }
            thought.taken_from(start.elapsed(), laps)
        })
    }

    fn finish(self: Box<Self>) {}
}

/// Two tasks and two channels.
pub(crate) struct Channels {
    place: Place,
    own: Runtime,
    requests: channels::Sender<Message>,
    answers: Option<channels::Receiver<Message>>,
}

impl Channels {
    pub(crate) fn new(place: Place) -> Self {
        let (requests, mut received) = channels::channel::<Message>(1);
        let (answer, answers) = channels::channel(1);
        place.start(async move {
            while let Some((number, other)) = received.recv().await {
                answer
                    .send((number + 1, other))
                    .await
                    .expect("somebody receives");
            }
        });
        let own = alone();
        Self {
            place,
            own,
            requests,
            answers: Some(answers),
        }
    }
}

impl Bench for Channels {
    fn run(&mut self, laps: usize) -> Duration {
        let requests = self.requests.clone();
        let mut answers = self.answers.take().expect("nobody else runs");
        let exchanging = async move {
            let time = exchange!(
                laps,
                |message| requests.send(message).await.expect("somebody receives"),
                answers.recv().await.expect("somebody sends")
            );
            (time, answers)
        };
        let (time, answers) = self.place.run(&self.own, exchanging);
        self.answers = Some(answers);
        time
    }

    fn finish(self: Box<Self>) {}
}

/// A task for each of many short jobs.
pub(crate) struct Jobs {
    runtime: Arc<Runtime>,
    own: Runtime,
}

impl Jobs {
    pub(crate) fn new(runtime: Arc<Runtime>) -> Self {
        Self {
            runtime,
            own: alone(),
        }
    }
}

impl Bench for Jobs {
    fn run(&mut self, laps: usize) -> Duration {
        let runtime = Arc::clone(&self.runtime);
        let task = self.runtime.spawn(async move {
            let start = Instant::now();
            let spawn = |job: usize| {
                let first = (job % JOBS) as u64;
                runtime.spawn(async move { work(first, JOB_STEPS) })
            };
            let jobs: Vec<_> = (0..laps * JOBS).map(spawn).collect();
            let mut sum = 0_u64;
            for job in jobs {
                sum = sum.wrapping_add(job.await.expect("it does not panic"));
            }
            let time = start.elapsed();
            check_jobs(sum, laps);
            time
        });
        self.own.block_on(task).expect("it does not panic")
    }

    fn finish(self: Box<Self>) {}
}
