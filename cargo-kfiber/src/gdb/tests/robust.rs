//! Connections that break, packets that are damaged, and debuggers that ask for anything.

use super::Debugger;
use super::machine::{Machine, kernel};
use crate::gdb::kernel::Current;

#[test]
fn without_a_kernel_everything_passes_through() {
    let packets = [
        "qSupported",
        "Hg1",
        "g",
        "m1000,8",
        "qfThreadInfo",
        "T1",
        "vMustReplyEmpty",
        "vFile:setfs:0",
    ];
    let mut debugger = Debugger::new(None, Machine::new(1));
    let answers = packets.map(|packet| debugger.ask(packet));
    assert_eq!(answers[0], "PacketSize=1000;QStartNoAckMode+");
    assert_eq!(answers[3..], ["0000000000000000", "m01", "", "", ""]);
    let (result, machine) = debugger.end();
    result.expect("the debugger ends it");
    assert_eq!(machine.log, packets);
}

#[test]
fn what_is_damaged_is_sent_again() {
    let mut machine = Machine::new(1);
    machine.is_noisy = true;
    let mut debugger = Debugger::new(Some(kernel(Current::Unknown)), machine);
    // To the session.
    debugger.write(b"$qC#00");
    assert_eq!(debugger.next().as_deref(), Some("Again"));
    // From the machine, and at the debugger.
    assert_eq!(debugger.ask("m1000,1"), "00");
    debugger.write(b"-");
    assert_eq!(debugger.next().as_deref(), Some("00"));
    let (_, machine) = debugger.end();
    assert_eq!(machine.log, ["m1000,1", "-"]);
}

#[test]
fn acknowledgements_stop_when_the_debugger_says_so() {
    use std::io::Read as _;
    let debugger = Debugger::new(Some(kernel(Current::Unknown)), Machine::new(1));
    let mut stream = debugger.stream.try_clone().expect("a socket");
    let mut debugger = Debugger {
        items: crate::gdb::packet::Items::new(stream.try_clone().expect("a socket")),
        ..debugger
    };
    debugger.send("QStartNoAckMode");
    let mut bytes = [0; 7];
    stream.read_exact(&mut bytes).expect("an answer");
    assert_eq!(&bytes, b"+$OK#9a");
    debugger.send("m1000,1");
    stream.read_exact(&mut bytes[..6]).expect("an answer");
    assert_eq!(&bytes[..6], b"$00#60");
}

#[test]
fn a_machine_that_goes_ends_the_session() {
    for packet in ["g", "qfThreadInfo", "vCont;c"] {
        let mut machine = Machine::new(1);
        machine.dies_at = Some(packet);
        let mut debugger = Debugger::new(Some(kernel(Current::Unknown)), machine);
        debugger.send(packet);
        assert_eq!(debugger.next(), None, "{packet}");
        let (result, _) = debugger.end();
        assert!(
            result.is_err_and(|error| error.to_string().contains("QEMU")),
            "{packet}"
        );
    }
}

#[test]
fn a_machine_that_is_killed_need_not_answer() {
    let mut machine = Machine::new(1);
    machine.dies_at = Some("vKill");
    let mut debugger = Debugger::new(Some(kernel(Current::Unknown)), machine);
    assert_eq!(debugger.ask("vKill;1"), "OK");
    assert_eq!(debugger.next(), None);
}

#[test]
fn no_packet_ends_the_session() {
    let mut seed = 0x5eed_u64;
    let mut random = move |below: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let words = [
        "Hg",
        "Hc",
        "T",
        "qfThreadInfo",
        "qsThreadInfo",
        "qThreadExtraInfo,",
        "qThreadStopInfo",
        "g",
        "p",
        "P",
        "G",
        "qXfer:threads:read::",
        "m1000,1",
        "qSupported",
        "2711",
        "p1.",
        "-1",
        "0",
        ",",
        ":",
        ";",
        "ffffffffffffffff",
        "x",
        "?",
        "-2",
        "vCont?",
        "\u{fffd}",
        "}",
        "#",
        "*",
    ];
    let mut machine = Machine::new(2);
    machine.add_fiber("one", 0, 1);
    let mut debugger = Debugger::new(Some(kernel(Current::Unknown)), machine);
    for _ in 0..3000 {
        let count = random(4);
        let payload: String = (0..=count)
            .map(|_| words[usize::try_from(random(words.len() as u64)).expect("a small number")])
            .collect();
        // What is no single packet on the way, what only goes to the machine, and what has no answer.
        if payload.contains('#') || payload.starts_with(['m', 'k', 'c', 's', 'C', 'S', 'F']) {
            continue;
        }
        debugger.ask(&payload);
    }
    assert_eq!(debugger.ask("qfThreadInfo"), "m1,2,2711");
    debugger.end().0.expect("the debugger ends it");
}

#[test]
fn a_kernel_that_does_not_exist_is_named_before_anybody_waits() {
    let folder = tempfile::tempdir().expect("a folder for a test");
    let missing = folder.path().join("missing");
    // Without that check the command ends too, because it cannot listen there.
    let arguments = crate::gdb::Arguments {
        kernel: missing.clone(),
        qemu: "localhost:1".to_owned(),
        listen: "nowhere".to_owned(),
        slide: 0,
        once: true,
    };
    let error = crate::gdb::command(&arguments).expect_err("there is no such kernel");
    let said = error.to_string();
    assert!(
        said.contains(&missing.display().to_string()) && said.contains("build it"),
        "{said}"
    );
}
