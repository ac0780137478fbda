//! When keys are typed to a whole kernel: once it waits for them, and each of its cores has run a fiber. The last key
//! ends the kernel, so a core that begins late is waited for.

use std::sync::Mutex;

use super::verdict;

/// What is typed. Earlier keys would be the firmware's.
const KEYS: &[u8] = b"kq";

/// What the kernel has not said yet.
pub(super) struct Keys {
    awaited: Mutex<Vec<String>>,
}

impl Keys {
    /// For a kernel that runs on so many cores.
    pub(super) fn after_all_of(cores: u32) -> Self {
        let mut awaited = vec![verdict::PROMPT.to_owned()];
        awaited.extend((0..cores).map(verdict::last_of_core));
        Self {
            awaited: Mutex::new(awaited),
        }
    }

    /// Returns what to type after this line.
    pub(super) fn after(&self, line: &str) -> &'static [u8] {
        let mut awaited = self.awaited.lock().expect("no holder panics");
        let before = awaited.len();
        // Firmware may have printed something in front of it, and ends lines in another way.
        awaited.retain(|words| !line.contains(words.trim_end()));
        if before > 0 && awaited.is_empty() {
            KEYS
        } else {
            &[]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_typed_once_and_after_all_cores() {
        let keys = Keys::after_all_of(2);
        let lines = [
            "worker: 1 on core 0\n",
            "worker: 2 on core 1\r\n",
            "\x1b[Hkeyboard: press keys, and q to end\n",
            "worker: 2 on core 1\n",
        ];
        for line in lines {
            assert_eq!(keys.after(line), b"", "after {line:?}");
        }
        assert_eq!(keys.after("worker: 2 on core 0\n"), KEYS);
        assert_eq!(keys.after("worker: 2 on core 0\n"), b"");
    }

    #[test]
    fn a_kernel_with_one_core_has_no_workers() {
        let keys = Keys::after_all_of(0);
        assert_eq!(keys.after(verdict::PROMPT), KEYS);
    }
}
