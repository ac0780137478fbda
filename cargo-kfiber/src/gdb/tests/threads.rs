//! Which threads a debugger sees, and their registers.

use super::Debugger;
use super::machine::{Machine, WORD, kernel};
use crate::gdb::kernel::Current;

const FINISHED: u64 = 64;
const FAILED: u64 = 256;

/// A machine with two processors and a fiber in each state, of which the first processor runs one.
fn scene() -> Machine {
    let mut machine = Machine::new(2);
    let carpenter = machine.add_fiber("carpenter", 0, 3);
    let apprentice = machine.add_fiber("apprentice", 0, 3);
    machine.wait_for_mutex(apprentice, carpenter);
    machine.add_fiber("ended", FINISHED, 1);
    machine.add_fiber("failed", FAILED, 1);
    let showman = machine.add_fiber("showman", 0, 9);
    machine.processors[0][0] = showman - 0x200;
    machine.add_fiber("new", 0, 0);
    machine
}

fn names(debugger: &mut Debugger) -> Vec<String> {
    let xml = debugger.ask("qXfer:threads:read::0,ffb");
    let lines = xml.lines().filter(|line| line.starts_with("<thread "));
    let names = lines.map(|line| {
        let name = line.split("name=\"").nth(1).unwrap_or("");
        let state = line.split(['<', '>']).nth(2).unwrap_or("");
        format!("{}: {state}", name.split('"').next().unwrap_or(""))
    });
    names.collect()
}

#[test]
fn processors_and_fibers_that_do_not_run_are_threads() {
    let mut debugger = Debugger::new(Some(kernel(Current::Unknown)), scene());
    let supported = debugger.ask("qSupported");
    assert!(supported.contains(";qXfer:threads:read+"), "{supported}");
    assert_eq!(debugger.ask("qfThreadInfo"), "m1,2,2711,2712,2713");
    assert_eq!(debugger.ask("qsThreadInfo"), "l");
    let names = names(&mut debugger);
    // What QEMU says comes with the escape of its `#`.
    let expected = [
        "CPU}\u{3}0 showman: running",
        "CPU}\u{3}0: running",
        "carpenter: ready",
        "apprentice: waiting: Mutex carpenter, at a.rs:7",
        "new: new",
    ];
    assert_eq!(names, expected);
    assert_eq!(
        [debugger.ask("T2711"), debugger.ask("T2714")],
        ["OK", "E16"]
    );
    debugger.end().0.expect("the debugger ends it");
}

#[test]
fn registers_of_a_fiber_are_those_of_its_last_switch() {
    let mut machine = Machine::new(1);
    let header = machine.add_fiber("one", 0, 1);
    let mut debugger = Debugger::new(Some(kernel(Current::Unknown)), machine);
    assert_eq!(debugger.ask("qfThreadInfo"), "m1,2711");
    assert_eq!(debugger.ask("Hg2711"), "OK");
    let all = debugger.ask("g");
    let word = |value: u64| crate::gdb::packet::hex(&value.to_le_bytes());
    assert_eq!(all.len(), 400);
    assert_eq!(&all[16 * 16..17 * 16], word(header + 1));
    assert_eq!(&all[7 * 16..8 * 16], word(header - 0x100));
    assert_eq!(&all[..16], "xxxxxxxxxxxxxxxx");
    assert_eq!(
        [debugger.ask("p10"), debugger.ask("p0")],
        [&*word(header + 1), "E45"]
    );
    assert!(
        debugger
            .ask("P10=0000000000000000")
            .starts_with("E.The fiber one")
    );
    assert!(debugger.ask("G00").starts_with("E."));
    // A processor again.
    assert_eq!(debugger.ask("Hg1"), "OK");
    assert!(debugger.ask("g").starts_with("1111"));
    assert_eq!(debugger.ask("P10=0000000000000000"), "OK");
    let (result, machine) = debugger.end();
    result.expect("the debugger ends it");
    let changes = machine
        .log
        .iter()
        .filter(|packet| packet.starts_with(['P', 'G']));
    assert_eq!(changes.collect::<Vec<_>>(), ["P10=0000000000000000"]);
}

#[test]
fn a_thread_that_is_not_there_is_an_error() {
    let mut debugger = Debugger::new(Some(kernel(Current::Unknown)), scene());
    for packet in [
        "Hg2799",
        "T2799",
        "qThreadExtraInfo,2799",
        "qThreadExtraInfo,x",
        "qThreadStopInfo",
    ] {
        assert_eq!(debugger.ask(packet), "E16", "{packet}");
    }
    debugger.end().0.expect("the debugger ends it");
}

#[test]
fn each_stop_is_looked_at_anew_and_a_fiber_keeps_its_number() {
    let mut machine = scene();
    let (carpenter, showman) = (0x10_1000, 0x10_9000);
    machine
        .stops
        .push_back((0, carpenter - 0x80, 1, "T05thread:01;"));
    machine
        .stops
        .push_back((0, showman - 0x80, 1, "T05thread:01;"));
    let mut debugger = Debugger::new(Some(kernel(Current::Unknown)), machine);
    assert_eq!(debugger.ask("qfThreadInfo"), "m1,2,2711,2712,2713");
    assert_eq!(debugger.ask("vCont;c"), "T05thread:01;");
    // Now the carpenter runs, and the showman has a number.
    assert_eq!(debugger.ask("qfThreadInfo"), "m1,2,2712,2714,2713");
    assert_eq!(debugger.ask("T2711"), "E16");
    assert_eq!(debugger.ask("vCont;c"), "T05thread:01;");
    assert_eq!(debugger.ask("qfThreadInfo"), "m1,2,2711,2712,2713");
    debugger.end().0.expect("the debugger ends it");
}

#[test]
fn where_no_stack_pointer_says_who_runs_the_word_of_the_core_does() {
    let mut machine = scene();
    machine.processors[0][0] = 0x500;
    // The lowest bits say where waiting is forbidden.
    machine.set(WORD, 0x10_9000 | 5);
    let mut debugger = Debugger::new(Some(kernel(Current::At(WORD))), machine);
    assert_eq!(names(&mut debugger)[0], "CPU}\u{3}0 showman: running");
    assert_eq!(names(&mut debugger).len(), 5);
    debugger.end().0.expect("the debugger ends it");
}

#[test]
fn with_several_cores_each_has_a_word_at_its_gs_base() {
    let mut machine = scene();
    let words = [0x2000, 0x3000];
    for (address, fiber) in words.into_iter().zip([0x10_9000_u64, 0x10_1000]) {
        machine.set(address, address);
        machine.set(address + 8, fiber);
    }
    // In user mode the other register has the base.
    machine.processors[0] = [0x500, 0, words[0] - 0x40, 0];
    machine.processors[1] = [0x500, 0, 0x7777, words[1] - 0x40];
    let current = Current::PerCore {
        words: 0x40,
        word: 8,
    };
    let mut debugger = Debugger::new(Some(kernel(current)), machine);
    let names = names(&mut debugger);
    assert_eq!(
        names[..2],
        [
            "CPU}\u{3}0 showman: running",
            "CPU}\u{3}0 carpenter: running"
        ]
    );
    assert_eq!(names.len(), 4);
    debugger.end().0.expect("the debugger ends it");
}

#[test]
fn lldb_learns_names_with_each_stop() {
    let mut machine = scene();
    machine
        .stops
        .push_back((0, 0x10_9000 - 0x80, 1, "T05thread:01;"));
    let mut debugger = Debugger::new(Some(kernel(Current::Unknown)), machine);
    assert_eq!(debugger.ask("QThreadSuffixSupported"), "");
    let name = crate::gdb::packet::hex(b"CPU#0 showman");
    assert_eq!(
        debugger.ask("vCont;c"),
        format!("T05thread:01;hexname:{name};")
    );
    let name = crate::gdb::packet::hex(b"carpenter");
    assert_eq!(
        debugger.ask("qThreadStopInfo2711"),
        format!("T00thread:2711;hexname:{name};")
    );
    debugger.end().0.expect("the debugger ends it");
}

#[test]
fn a_thousand_fibers_are_listed() {
    let mut machine = Machine::new(1);
    for index in 0..1000 {
        machine.add_fiber(&format!("fiber {index}"), 0, 1);
    }
    let mut debugger = Debugger::new(Some(kernel(Current::Unknown)), machine);
    let mut ids = Vec::new();
    let mut part = debugger.ask("qfThreadInfo");
    while let Some(list) = part.strip_prefix('m') {
        ids.extend(list.split(',').map(str::to_owned));
        part = debugger.ask("qsThreadInfo");
    }
    assert_eq!(ids.len(), 1001);
    let (mut xml, mut is_last) = (String::new(), false);
    while !is_last {
        let part = debugger.ask(&format!("qXfer:threads:read::{:x},ffb", xml.len()));
        is_last = part.starts_with('l');
        xml += &part[1..].replace("}\u{3}", "#");
    }
    assert_eq!(xml.matches("<thread ").count(), 1001);
    assert!(xml.contains("name=\"fiber 999\""));
    debugger.end().0.expect("the debugger ends it");
}
