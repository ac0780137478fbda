//! How the machine goes on.

use super::Debugger;
use super::machine::{Machine, kernel};
use crate::gdb::kernel::Current;

/// A machine with one fiber that does not run, and its header.
fn scene() -> (Machine, u64) {
    let mut machine = Machine::new(1);
    let header = machine.add_fiber("one", 0, 1);
    (machine, header)
}

fn kernel_of_scene() -> Option<crate::gdb::Kernel> {
    Some(kernel(Current::Unknown))
}

#[test]
fn a_stop_request_reaches_the_machine_that_runs() {
    let mut debugger = Debugger::new(kernel_of_scene(), scene().0);
    debugger.send("vCont;c");
    debugger.write(b"\x03");
    assert_eq!(debugger.next().as_deref(), Some("T02thread:01;"));
    assert_eq!(debugger.ask("qfThreadInfo"), "m1,2711");
    debugger.end().0.expect("the debugger ends it");
}

#[test]
fn what_is_for_all_threads_is_for_the_machine() {
    let (mut machine, _) = scene();
    machine.stops.push_back((0, 0x500, 0x400, "T05thread:01;"));
    let mut debugger = Debugger::new(kernel_of_scene(), machine);
    assert_eq!(debugger.ask("vCont;c:2711;c"), "T05thread:01;");
    let (_, machine) = debugger.end();
    assert_eq!(machine.log, ["vCont;c"]);
}

#[test]
fn a_step_of_a_fiber_runs_the_machine_until_the_fiber_goes_on() {
    let (mut machine, header) = scene();
    let (rip, rsp) = (header + 1, header - 0x100);
    // The processor leaves the place where it stopped; another fiber comes by and is left behind; then the right one comes.
    machine.stops.push_back((0, 0x500, 0x401, "T05thread:01;"));
    machine.stops.push_back((0, 0x600, rip, "T05thread:01;"));
    machine
        .stops
        .push_back((0, 0x600, rip + 4, "T05thread:01;"));
    machine.stops.push_back((0, rsp, rip, "T05thread:01;"));
    let mut debugger = Debugger::new(kernel_of_scene(), machine);
    assert_eq!(debugger.ask("?"), "T05thread:01;");
    assert_eq!(debugger.ask("qfThreadInfo"), "m1,2711");
    debugger.send("vCont;s:2711;c");
    let line = debugger.next_line();
    assert!(line.contains("until the fiber one does"), "{line}");
    assert_eq!(debugger.next().as_deref(), Some("T05thread:01;"));
    // The fiber runs, so it is no thread of its own.
    assert_eq!(debugger.ask("qfThreadInfo"), "m1");
    let (_, machine) = debugger.end();
    let log: Vec<&str> = machine.log.iter().map(|packet| &**packet).collect();
    let is_going = |packet: &&str| packet.starts_with(['v', 'Z', 'z']);
    let going: Vec<&str> = log.into_iter().filter(is_going).collect();
    let (set, clear) = (format!("Z0,{rip:x},1"), format!("z0,{rip:x},1"));
    let expected = [
        "vCont;s:1",
        &set,
        "vCont;c",
        &clear,
        "vCont;s:1",
        &set,
        "vCont;c",
        &clear,
    ];
    assert_eq!(going, expected);
}

#[test]
fn another_stop_ends_the_step_of_a_fiber() {
    let (mut machine, header) = scene();
    machine.stops.push_back((0, 0x500, 0x400, "T02thread:01;"));
    let mut debugger = Debugger::new(kernel_of_scene(), machine);
    assert_eq!(debugger.ask("qfThreadInfo"), "m1,2711");
    debugger.send("vCont;s:2711");
    debugger.next_line();
    assert_eq!(debugger.next().as_deref(), Some("T02thread:01;"));
    let (_, machine) = debugger.end();
    let clear = format!("z0,{:x},1", header + 1);
    assert!(machine.log.contains(&clear), "{:?}", machine.log);
}

#[test]
fn the_end_of_the_machine_ends_the_step_of_a_fiber() {
    let (mut machine, _) = scene();
    machine.stops.push_back((0, 0x500, 0x400, "W00"));
    let mut debugger = Debugger::new(kernel_of_scene(), machine);
    assert_eq!(debugger.ask("qfThreadInfo"), "m1,2711");
    debugger.send("vCont;s:2711");
    debugger.next_line();
    assert_eq!(debugger.next().as_deref(), Some("W00"));
}

#[test]
fn a_step_of_a_fiber_that_is_gone_is_an_error() {
    let mut debugger = Debugger::new(kernel_of_scene(), scene().0);
    assert_eq!(debugger.ask("vCont;s:2799"), "E16");
    assert_eq!(debugger.ask("Hc2799"), "OK");
    assert_eq!(debugger.ask("s"), "E16");
}
