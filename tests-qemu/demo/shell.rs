//! The shell: reads a line, does what it says. Without a terminal it plays a script.

use crate::scheduler::SCHEDULER;
use crate::{console, ends, jobs, ps, race, trouble};
use core::sync::atomic::Ordering;
use core::time::Duration;
use kfiber::platform::Platform;
use kfiber::scheduler::{self, FiberPool};
use tests_qemu::{command_line, print, println};

/// What is typed if nobody is there to type.
const SCRIPT: [&str; 18] = [
    "help",
    "spawn pipeline",
    "spawn philosophers",
    "sleep 300",
    "ps",
    "kill producer",
    "kill Hypatia",
    "sleep 200",
    "ps",
    "bench",
    "deadlock",
    "hog",
    "panic",
    "fault",
    "overflow",
    "ps",
    "race",
    "exit",
];

/// The same for a trace, without what would fill the recorder's rings with switches.
const TRACED: [&str; 8] = [
    "spawn pipeline",
    "spawn philosophers",
    "sleep 300",
    "top",
    "kill producer",
    "panic",
    "sleep 100",
    "exit",
];

const HELP: &str =
    "  ps              all fibers: what they do, what they wait for, how much stack they used
  top             the same, renewed until a key is pressed
  spawn JOB       starts pipeline, philosophers or spinner
  kill NAME       asks a fiber to end
  sleep MS        waits for so many milliseconds
  bench           measures the time of a switch
  deadlock        two fibers that lock in opposite order
  hog             a fiber that does not let others run
  panic           a fiber that panics
  fault           a fiber that executes an invalid instruction
  overflow        a fiber that calls itself until its stack is used up
  race            six ways to sort, each in a fiber without a scheduler
  help            shows this list
  exit            ends the kernel; so does Ctrl-D
  Ctrl-C          drops the line, ends `sleep` and `top`, and ends the pictures of `race`";

/// The shell's fiber. Returns whether all went well.
pub(crate) fn run() -> bool {
    let is_terminal = command_line::value("terminal").is_some();
    println!("kfiber demo. Type `help`, or `exit` to leave.");
    let is_traced = cfg!(feature = "trace") && command_line::value("trace").is_some();
    let mut script = if is_traced { &TRACED[..] } else { &SCRIPT }.iter();
    loop {
        print!("\n> ");
        let line;
        let words = if is_terminal {
            line = console::read_line();
            line.as_ref().map_or_else(
                || {
                    println!("exit");
                    "exit"
                },
                console::Line::text,
            )
        } else {
            let line = script.next().expect("the script ends with `exit`");
            println!("{line}");
            line
        };
        let (command, argument) = words.trim().split_once(' ').unwrap_or((words.trim(), ""));
        match command {
            "" => {}
            "help" => println!("{HELP}"),
            "ps" => {
                let _lines = ps::ps();
            }
            "top" if is_terminal => ps::top(),
            "top" => {
                let _lines = ps::ps();
            }
            "spawn" => spawn(argument.trim()),
            "kill" => kill(argument.trim()),
            "sleep" => sleep(argument.trim()),
            "bench" => bench(),
            "race" => race::run(is_terminal),
            "deadlock" => trouble::deadlock(),
            "hog" => trouble::hog(),
            "panic" => ends::panic(),
            "fault" => ends::fault(),
            "overflow" => ends::overflow(),
            "exit" => return leave(is_terminal),
            unknown => println!("there is no command `{unknown}`: type `help`"),
        }
    }
}

fn spawn(name: &str) {
    let Some(job) = jobs::JOBS.iter().find(|job| job.name == name) else {
        println!("there is no job `{name}`; there are:");
        for job in &jobs::JOBS {
            println!("  {:<14}{}", job.name, job.help);
        }
        return;
    };
    match job.start() {
        Ok(()) => println!("{}: {}", job.name, job.help),
        Err(error) => println!("not all of them: {error}"),
    }
}

fn kill(name: &str) {
    match jobs::kill(name) {
        0 => println!("no fiber of that name runs: `ps` shows the names"),
        1 => println!("{name} has ended"),
        count => println!("{count} fibers have ended"),
    }
}

fn sleep(argument: &str) {
    match argument.parse() {
        Ok(milliseconds) => {
            let _is_cut_short = console::wait_for_ctrl_c(Duration::from_millis(milliseconds));
        }
        Err(_) => println!("sleep how many milliseconds? `sleep 500`"),
    }
}

/// Times switches between two fibers.
fn bench() {
    const ROUNDS: u64 = 200_000;
    static CELLS: FiberPool<{ 16 * 1024 }, 2> = FiberPool::new();
    let spin = || {
        for _ in 0..ROUNDS {
            scheduler::yield_now();
        }
    };
    let start = SCHEDULER.platform().now();
    let builder = SCHEDULER
        .builder()
        .name("bench")
        .priority(scheduler::Priority::HIGHEST);
    let fibers = [(); 2].map(|()| {
        builder
            .spawn(&CELLS, spin)
            .expect("the last bench has ended")
    });
    for fiber in fibers {
        fiber.join().expect("the shell is not cancelled");
    }
    let each = (SCHEDULER.platform().now() - start) / (2 * ROUNDS);
    println!(
        "{} switches, {each} ns each. (An emulator's nanoseconds: `cargo xtask bench` counts instructions.)",
        2 * ROUNDS
    );
}

/// Ends all jobs. Returns whether they did what they should have, if the script was played.
fn leave(is_terminal: bool) -> bool {
    for name in jobs::running() {
        let _count = jobs::kill(name);
    }
    let consumed = jobs::CONSUMED.load(Ordering::Relaxed);
    let meals = jobs::MEALS
        .each_ref()
        .map(|meals| meals.load(Ordering::Relaxed));
    println!("{consumed} numbers came through the pipeline; the philosophers ate {meals:?} times.");
    is_terminal || (consumed > 0 && meals.iter().all(|&meals| meals > 0))
}
