//! What a debugger is told about threads: their list, names and states.

use std::collections::VecDeque;

use super::fibers::Fiber;
use super::look::Processor;
use super::packet::hex;
use super::thread_id::ThreadId;

/// An answer that is no longer than this fits into the packets of any debugger.
pub(super) const MOST_BYTES: usize = 3500;

/// A processor, or a fiber that does not run.
#[derive(Clone, Debug)]
pub(super) struct Thread {
    pub(super) id: ThreadId,
    /// The fiber's name, or the processor's with the name of the fiber that it runs.
    pub(super) name: String,
    /// What it does.
    pub(super) state: String,
    pub(super) is_processor: bool,
}

impl Thread {
    pub(super) fn of_processor(processor: &Processor) -> Self {
        Self {
            id: processor.id,
            name: processor.fiber.clone().unwrap_or_default(),
            state: String::new(),
            is_processor: true,
        }
    }

    pub(super) fn of_fiber(id: ThreadId, fiber: &Fiber) -> Self {
        Self {
            id,
            name: fiber.title(),
            state: fiber.description(),
            is_processor: false,
        }
    }

    /// Adds what QEMU says about a processor, for instance `CPU#0 [running]`.
    pub(super) fn add_what_qemu_says(&mut self, says: &str) {
        let parts = says.split_once(" [");
        let Some((name, state)) =
            parts.and_then(|(name, rest)| Some((name, rest.strip_suffix(']')?)))
        else {
            says.clone_into(&mut self.state);
            return;
        };
        self.name = [name, &*self.name].join(" ").trim_end().to_owned();
        state.trim_end().clone_into(&mut self.state);
    }
}

/// The answer to `qThreadExtraInfo`: one line of text.
pub(super) fn extra_info(thread: &Thread) -> Vec<u8> {
    let text = format!("{} [{}]", thread.name, thread.state);
    hex(text.as_bytes()).into_bytes()
}

/// The answer to `qThreadStopInfo`, by which LLDB learns names.
pub(super) fn stop_info(thread: &Thread, stopped: Option<u64>) -> Vec<u8> {
    let signal = if thread.is_processor && thread.id.number() == stopped {
        "05"
    } else {
        "00"
    };
    format!("T{signal}thread:{};{}", thread.id, name_of(thread)).into_bytes()
}

/// The name of a thread, as an answer about a stop has it.
pub(super) fn name_of(thread: &Thread) -> String {
    format!("hexname:{};", hex(thread.name.as_bytes()))
}

/// The thread that a stop is about.
pub(super) fn stopped_id(payload: &[u8]) -> Option<ThreadId> {
    let pairs = payload.strip_prefix(b"T")?.get(2..)?;
    let mut words = pairs.split(|byte| *byte == b';');
    ThreadId::parse(words.find_map(|word| word.strip_prefix(b"thread:"))?)
}

/// The number of the thread that a stop is about.
pub(super) fn stopped(payload: &[u8]) -> Option<u64> {
    stopped_id(payload)?.number()
}

/// The next part of the list of threads, as `qfThreadInfo` and `qsThreadInfo` want it.
pub(super) fn next_ids(listing: &mut VecDeque<String>) -> Vec<u8> {
    let mut ids = String::new();
    while let Some(id) = listing.front()
        && ids.len() + id.len() < MOST_BYTES
    {
        ids.push(if ids.is_empty() { 'm' } else { ',' });
        ids += id;
        listing.pop_front();
    }
    if ids.is_empty() {
        ids.push('l');
    }
    ids.into_bytes()
}

/// All threads, as `qXfer:threads:read` wants them. (gdb manual, section "Thread List Format")
pub(super) fn xml(threads: &[Thread]) -> String {
    let mut xml = "<?xml version=\"1.0\"?>\n<threads>\n".to_owned();
    for thread in threads {
        let (name, state) = (escaped(&thread.name), escaped(&thread.state));
        xml += &format!("<thread id=\"{}\"", thread.id);
        if !name.is_empty() {
            xml += &format!(" name=\"{name}\"");
        }
        xml += &format!(">{state}</thread>\n");
    }
    xml += "</threads>\n";
    xml
}

/// A text inside of XML. Control characters are not allowed there at all.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '&' => escaped += "&amp;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&apos;",
            control if control.is_control() => escaped.push('?'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(id: &str, name: &str, state: &str) -> Thread {
        Thread {
            id: ThreadId::parse(id.as_bytes()).expect("a thread-id"),
            name: name.to_owned(),
            state: state.to_owned(),
            is_processor: false,
        }
    }

    #[test]
    fn a_processor_has_the_name_of_its_fiber() {
        let mut busy = thread("1", "showman", "");
        busy.add_what_qemu_says("CPU#0 [running]");
        assert_eq!((&*busy.name, &*busy.state), ("CPU#0 showman", "running"));
        let mut idle = thread("2", "", "");
        idle.add_what_qemu_says("CPU#1 [halted ]");
        assert_eq!((&*idle.name, &*idle.state), ("CPU#1", "halted"));
        let mut other = thread("2", "showman", "");
        other.add_what_qemu_says("core 1");
        assert_eq!((&*other.name, &*other.state), ("showman", "core 1"));
    }

    #[test]
    fn a_long_list_comes_in_parts_and_each_thread_once() {
        let all: Vec<String> = (10_000..12_000).map(|id| format!("p1.{id:x}")).collect();
        let mut listing = all.iter().cloned().collect();
        let mut seen = Vec::new();
        loop {
            let part = String::from_utf8(next_ids(&mut listing)).expect("text");
            assert!(part.len() <= MOST_BYTES);
            let Some(ids) = part.strip_prefix('m') else {
                assert_eq!(part, "l");
                break;
            };
            seen.extend(ids.split(',').map(str::to_owned));
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn no_name_breaks_the_description() {
        let threads = [
            thread("p1.2711", "a \"b\" <c> & 'd'\n", "new"),
            thread("1", "", "halted"),
        ];
        let expected = "<?xml version=\"1.0\"?>\n<threads>\n\
            <thread id=\"p1.2711\" name=\"a &quot;b&quot; &lt;c&gt; &amp; &apos;d&apos;?\">new</thread>\n\
            <thread id=\"1\">halted</thread>\n</threads>\n";
        assert_eq!(xml(&threads), expected);
        let told = String::from_utf8(stop_info(&threads[0], None)).expect("text");
        assert_eq!(told.matches(';').count(), 2, "{told}");
    }

    #[test]
    fn the_thread_of_a_stop_is_found() {
        assert_eq!(stopped(b"T05thread:p01.02;"), Some(2));
        assert_eq!(stopped(b"T02watch:1000;thread:0a;"), Some(10));
        for payload in ["S05", "T05", "T0", "W00", "T05thread:x;", "OK", ""] {
            assert_eq!(stopped(payload.as_bytes()), None, "{payload:?}");
        }
    }
}
