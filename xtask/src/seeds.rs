//! What the random tests draw their seeds from.

use std::env;
use std::process::Command;

pub(crate) use cargo_kfiber::qemu_test::random_seed;

use crate::console;

/// Read by the library's random tests.
const START: &str = "KFIBER_START";
/// Read by the property tests.
const PROPERTIES: &str = "PROPTEST_RNG_SEED";
/// The committed seed.
const COMMITTED: u32 = 1;

/// Where seeds come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seeds {
    /// Always the same: a failure is the same for everybody who runs the tests.
    Committed,
    /// Others in every run, so that the runs together see more than one could. They are printed.
    Random,
}

impl Seeds {
    /// Random ones if that is so.
    pub(crate) const fn new(are_random: bool) -> Self {
        if are_random {
            Self::Random
        } else {
            Self::Committed
        }
    }

    /// The seed of the tests in QEMU.
    pub(crate) fn in_qemu(self) -> u32 {
        match self {
            Self::Committed => COMMITTED,
            Self::Random => random_seed(),
        }
    }

    /// Tells the tests on the host. What the person who runs them has set in the environment stays.
    pub(crate) fn tell(self, command: &mut Command) {
        for (name, value) in self.variables(|name| env::var_os(name).is_some()) {
            if self == Self::Random {
                console::say(format!("{name}={value}"));
            }
            command.env(name, value);
        }
    }

    fn variables(self, is_set: impl Fn(&str) -> bool) -> Vec<(&'static str, String)> {
        let mut variables = vec![(PROPERTIES, self.in_qemu().to_string())];
        if self == Self::Random {
            variables.push((START, "random".to_owned()));
        }
        variables.retain(|(name, _)| !is_set(name));
        variables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_seeds_are_the_same_every_time() {
        let seeds = [(); 4].map(|()| Seeds::Committed.in_qemu());
        assert_eq!(seeds, [COMMITTED; 4]);
        let told = Seeds::Committed.variables(|_| false);
        assert_eq!(told, [(PROPERTIES, COMMITTED.to_string())]);
    }

    #[test]
    fn random_seeds_differ_from_run_to_run() {
        let seeds = [(); 4].map(|()| Seeds::Random.in_qemu());
        assert!(
            seeds.iter().any(|seed| *seed != seeds[0]),
            "{seeds:?} are all the same"
        );
        let told = Seeds::Random.variables(|_| false);
        assert_eq!(told[1], (START, "random".to_owned()));
    }

    #[test]
    fn seeds_that_are_set_in_the_environment_stay() {
        let told = Seeds::Random.variables(|name| name == PROPERTIES);
        assert_eq!(told, [(START, "random".to_owned())]);
        assert_eq!(Seeds::Committed.variables(|_| true), []);
    }
}
