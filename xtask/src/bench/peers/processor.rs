//! What kind of processor the figures are from, which their file is named after.

use std::fmt;

/// Where the figures are committed: one file of tables and one picture for each kind of processor.
pub(super) const FOLDER: &str = "docs/peers";

/// What kind of processor it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Processor {
    name: String,
    /// Family and model. The same name may stand on processors that have little in common.
    version: Option<(u32, u32)>,
    is_virtual: bool,
}

impl Processor {
    /// From what Linux says in `/proc/cpuinfo`.
    pub(super) fn of(information: &str) -> Self {
        let value = |key: &str| {
            let mut pairs = information.lines().filter_map(|line| line.split_once(':'));
            let (_, value) = pairs.find(|(found, _)| found.trim() == key)?;
            Some(value.trim())
        };
        let number = |key| value(key)?.parse().ok();
        Self {
            name: value("model name").unwrap_or("unknown").to_owned(),
            version: number("cpu family").zip(number("model")),
            is_virtual: value("flags").is_some_and(|flags| flags.contains(" hypervisor")),
        }
    }

    /// Where its tables are, without the ending.
    pub(super) fn path(&self) -> String {
        let name = self
            .name
            .replace("(R)", "")
            .replace("(TM)", "")
            .to_lowercase();
        let mut words: Vec<_> = name
            .split(|character: char| !character.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
        if let Some((family, model)) = self.version {
            words.extend([family.to_string(), model.to_string()]);
        }
        format!("{FOLDER}/{}", words.join("-"))
    }
}

impl fmt::Display for Processor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some((family, model)) = self.version {
            write!(f, ", family {family}, model {model}")?;
        }
        f.write_str(if self.is_virtual {
            ", virtual machine"
        } else {
            ""
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Processor;

    const INFORMATION: &str = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\n\
        model name\t: Intel(R) Xeon(R) Processor @ 2.0GHz\nflags\t\t: fpu vme hypervisor lahf_lm\n";

    #[test]
    fn a_file_is_named_after_name_family_and_model() {
        let processor = Processor::of(INFORMATION);
        assert_eq!(
            processor.path(),
            "docs/peers/intel-xeon-processor-2-0ghz-6-143"
        );
    }

    #[test]
    fn a_virtual_machine_is_called_so() {
        let processor = Processor::of(INFORMATION).to_string();
        assert_eq!(
            processor,
            "Intel(R) Xeon(R) Processor @ 2.0GHz, family 6, model 143, virtual machine"
        );
        let processor = Processor::of(&INFORMATION.replace("hypervisor", "")).to_string();
        assert!(processor.ends_with("model 143"), "{processor}");
    }

    #[test]
    fn a_processor_that_says_nothing_is_unknown() {
        let processor = Processor::of("");
        assert_eq!(processor.to_string(), "unknown");
        assert_eq!(processor.path(), "docs/peers/unknown");
    }
}
