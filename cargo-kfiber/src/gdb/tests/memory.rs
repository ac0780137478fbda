//! Memory in which fibers are looked for: damaged, random, or not there.

use std::collections::BTreeMap;

use super::machine::{LAYOUT, LIST, Machine, kernel};
use crate::gdb::fibers::{self, Memory};
use crate::gdb::kernel::Current;

struct Played(BTreeMap<u64, u8>);

impl Memory for Played {
    fn read(&mut self, address: u64, length: usize) -> Option<Vec<u8>> {
        let end = address.checked_add(length as u64)?;
        (address..end)
            .map(|address| self.0.get(&address).copied())
            .collect()
    }
}

fn names(machine: Machine) -> Vec<String> {
    let fibers = fibers::all(&kernel(Current::Unknown), &mut Played(machine.memory));
    fibers.into_iter().map(|fiber| fiber.name).collect()
}

#[test]
fn a_damaged_link_ends_the_list() {
    let mut machine = Machine::new(1);
    machine.add_fiber("lost", 0, 1);
    let second = machine.add_fiber("second", 0, 1);
    machine.add_fiber("third", 0, 1);
    machine.write(second + LAYOUT.link_check, &[0xff, 0xff]);
    assert_eq!(names(machine), ["second", "third"]);
}

#[test]
fn a_list_that_closes_a_circle_ends() {
    let mut machine = Machine::new(1);
    let first = machine.add_fiber("first", 0, 1);
    machine.add_fiber("second", 0, 1);
    let link = machine.word(LIST);
    let check = (link ^ 0xf1be_57ac_f1be_57ac).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
    machine.set(first + LAYOUT.next_of_all, link);
    machine.write(first + LAYOUT.link_check, &check.to_le_bytes()[..2]);
    assert_eq!(names(machine), ["first", "second"]);
}

#[test]
fn the_top_of_what_lies_directly_below_a_stack_is_not_in_it() {
    let mut machine = Machine::new(1);
    let header = machine.add_fiber("one", 0, 1);
    let bottom = machine.word(header + LAYOUT.stack_bottom);
    let fibers = fibers::all(&kernel(Current::Unknown), &mut Played(machine.memory));
    let holds = [bottom, bottom + 8, header - 8, header].map(|rsp| fibers[0].holds(rsp));
    assert_eq!(holds, [false, true, true, false]);
}

#[test]
fn a_list_that_leads_nowhere_is_empty() {
    for link in [1, 8, u64::MAX - 63, 0x7000_0000_0000] {
        let mut machine = Machine::new(1);
        machine.set(LIST, link);
        assert_eq!(names(machine), [""; 0], "{link:#x}");
    }
    let mut nothing = Played(BTreeMap::new());
    assert!(fibers::all(&kernel(Current::Unknown), &mut nothing).is_empty());
}

/// Memory in which everything is a number of a generator.
struct Random(u64);

impl Memory for Random {
    fn read(&mut self, _: u64, length: usize) -> Option<Vec<u8>> {
        let mut next = || {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 56) as u8
        };
        let mut bytes: Vec<u8> = (0..length).map(|_| next()).collect();
        if length == 8 {
            bytes[0] &= 0xc0;
        }
        Some(bytes)
    }
}

#[test]
fn random_memory_is_looked_at_without_harm() {
    for seed in 0..2000 {
        fibers::all(&kernel(Current::Unknown), &mut Random(seed));
    }
}
