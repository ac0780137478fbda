//! All steps: what each of them is as a process, and which have the machine for themselves.

use std::env;
use std::process::Command;

use anyhow::Result;

use super::{needed, side_by_side};
use crate::cli::Ci;
use crate::steps::Counts;
use crate::{test, workspace};

/// Steps whose kernels keep the time of this machine, which is not to be taken from them by what runs beside.
const IN_REAL_TIME: [&str; 8] = [
    "qemu",
    "adapters",
    "demo",
    "demo-cores",
    "demo-trace",
    "demo-keys",
    "traced",
    "soak",
];

/// Runs the steps of these names, and those of `cargo xtask test`, each as this program would with its name.
pub(super) fn run(names: impl Iterator<Item = &'static str>, options: &Ci) -> Result<Counts> {
    needed::install();
    let program = env::current_exe()?;
    let tests: Vec<_> = test::names().collect();
    let command = |name: &str| {
        let mut command = Command::new(&program);
        if tests.contains(&name) {
            command.arg("test").args(options.build.words());
            command.args(options.long.then_some("--random"));
        } else {
            command.args(env::args_os().skip(1));
        }
        command.arg(name);
        command
    };
    let all = names.chain(tests.clone());
    let (alone, beside) = all.partition(|name| IN_REAL_TIME.contains(name));
    let folder = workspace::target_directory()?.join("ci");
    side_by_side::run(in_turn(beside), alone, &folder, command)
}

/// The first, the last, the second, the last but one, and so on. Neighbours in the table build into the same folder, so that
/// one would wait for the other.
fn in_turn(names: Vec<&str>) -> Vec<&str> {
    let backwards = names.iter().rev();
    let pairs = names
        .iter()
        .zip(backwards)
        .flat_map(|(first, last)| [*first, *last]);
    pairs.take(names.len()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_has_its_turn_once() {
        assert_eq!(
            in_turn(vec!["a", "b", "c", "d", "e"]),
            ["a", "e", "b", "d", "c"]
        );
        assert_eq!(in_turn(vec!["a", "b"]), ["a", "b"]);
    }

    #[test]
    fn steps_that_have_the_machine_for_themselves_exist() {
        let tests: Vec<_> = test::names().collect();
        for name in IN_REAL_TIME {
            assert!(tests.contains(&name) || name == "soak", "{name}");
        }
    }
}
