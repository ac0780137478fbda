//! The truth to compare with: follows every call, return and switch as it happens, and knows no unwind table.
//!
//! It sees the registers before each instruction. A `call` pushes where it will return to, with the
//! registers that a caller gets back. A `ret` pops that. A switch is a jump with the stack pointer of
//! another context in rcx and its address in rdx, or with both in the block in rsi or r10. It is over
//! when control arrives there. From the first instruction behind such a jump on, the caller is the
//! context to come.

use tests_qemu::exceptions::TrapFrame;

/// Deepest chain of calls on one stack.
const MAX_DEPTH: usize = 48;
/// Stacks of a scene: the one it begins on, and three fibers.
pub(super) const CONTEXTS: usize = 4;

/// Where a block has the second of its two contexts.
const OWN_AT: u64 = 0x20;

/// Where a function goes on when what it called returns, and the registers that it then has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) ip: u64,
    pub(super) sp: u64,
    pub(super) rbp: u64,
    pub(super) rbx: u64,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    place: Place,
    /// Which function was called there.
    callee: u64,
}

#[derive(Clone, Copy, Debug)]
struct Context {
    frames: [Frame; MAX_DEPTH],
    depth: usize,
    /// Where it went on or will go on, and how deep it then is.
    saved: (Place, usize),
    /// How far it has returned since it went on there.
    lowest: usize,
    /// It was left, or has not begun.
    is_waiting: bool,
    /// Who resumed it, while it runs or is waited for.
    parent: Option<usize>,
    /// Who resumed it last.
    last_parent: Option<usize>,
}

impl Context {
    const NONE: Self = Self {
        frames: [Frame {
            place: Place {
                ip: 0,
                sp: 0,
                rbp: 0,
                rbx: 0,
            },
            callee: 0,
        }; MAX_DEPTH],
        depth: 0,
        saved: (
            Place {
                ip: 0,
                sp: 0,
                rbp: 0,
                rbx: 0,
            },
            0,
        ),
        lowest: 0,
        is_waiting: false,
        parent: None,
        last_parent: None,
    };
}

/// What can be seen before an instruction.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    ip: u64,
    sp: u64,
    rbp: u64,
    rbx: u64,
    code: [u8; 8],
}

impl Seen {
    const fn new(frame: &TrapFrame) -> Self {
        Self {
            ip: frame.rip,
            sp: frame.rsp,
            rbp: frame.rbp,
            rbx: frame.rbx,
            // SAFETY: The processor is about to execute these bytes; what follows them is the kernel's image as well.
            code: unsafe { (frame.rip as *const [u8; 8]).read_unaligned() },
        }
    }

    const fn place(&self, ip: u64) -> Place {
        Place {
            ip,
            sp: self.sp,
            rbp: self.rbp,
            rbx: self.rbx,
        }
    }

    const fn is_call(&self) -> bool {
        match self.code {
            [0xe8, ..] => true,
            [0xff, modrm, ..] | [0x40..=0x4f, 0xff, modrm, ..] => (modrm >> 3) & 7 == 2,
            _ => false,
        }
    }

    const fn is_return(&self) -> bool {
        self.code[0] == 0xc3
    }

    /// Where the instruction behind a direct jump lies.
    const fn behind_jump(&self) -> Option<u64> {
        match self.code[0] {
            0xe9 => Some(self.ip + 5),
            0xeb => Some(self.ip + 2),
            _ => None,
        }
    }
}

/// What a fiber that does not run has as its resumer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Link {
    /// Nobody.
    Cut,
    /// Still the one that it suspended itself to, who is about to cut the link.
    Left,
    /// Already the one that is about to resume it, who will go on there.
    Made(Place),
}

/// What the shadow knows of a scene.
#[derive(Debug)]
pub(super) struct Shadow {
    contexts: [Context; CONTEXTS],
    running: usize,
    /// The context that the switch in progress leads to.
    target: Option<usize>,
    is_symmetric: bool,
    before: Option<Seen>,
    /// Switches that were completed.
    pub(super) switches: u64,
}

impl Shadow {
    pub(super) const fn new() -> Self {
        Self {
            contexts: [Context::NONE; CONTEXTS],
            running: 0,
            target: None,
            is_symmetric: false,
            before: None,
            switches: 0,
        }
    }

    /// Begins a scene. In a symmetric one a switch makes nobody the other's parent.
    pub(super) const fn begin(&mut self, is_symmetric: bool) {
        *self = Self {
            is_symmetric,
            ..Self::new()
        };
    }

    /// The callers of the first function that is watched, from the innermost to the outermost.
    pub(super) fn set_callers(&mut self, callers: &[Place]) {
        let context = &mut self.contexts[0];
        context.depth = callers.len();
        for (frame, caller) in context.frames.iter_mut().zip(callers.iter().rev()) {
            frame.place = *caller;
        }
    }

    /// A new fiber, which will begin at `place`.
    pub(super) const fn add(&mut self, index: usize, place: Place) {
        self.contexts[index] = Context {
            saved: (place, 0),
            is_waiting: true,
            ..Context::NONE
        };
    }

    /// Learns what the last instruction did.
    pub(super) fn step(&mut self, frame: &TrapFrame) {
        let now = Seen::new(frame);
        if let Some(before) = self.before.replace(now) {
            self.follow(&before, &now, frame);
        }
    }

    fn follow(&mut self, before: &Seen, now: &Seen, frame: &TrapFrame) {
        if let Some(target) = self.target {
            let (place, _) = self.contexts[target].saved;
            if now.ip == place.ip {
                self.land(target, now, place);
            }
            return;
        }
        let context = &mut self.contexts[self.running];
        if before.is_call() && now.sp == before.sp - 8 {
            let ip = tests_unwind::read(now.sp).expect("a call pushed it");
            assert!(
                (1..9).contains(&(ip - before.ip)),
                "a call returns behind itself"
            );
            context.frames[context.depth] = Frame {
                place: before.place(ip),
                callee: now.ip,
            };
            context.depth += 1;
        } else if before.is_return() {
            context.depth -= 1;
            context.lowest = context.lowest.min(context.depth);
            let place = context.frames[context.depth].place;
            assert_eq!(
                now.place(now.ip),
                place,
                "a function returned with other registers"
            );
        } else if let Some(landing) = before.behind_jump() {
            // SAFETY: The instruction that the processor is about to execute.
            let loads_sp = unsafe { (frame.rip as *const [u8; 4]).read() };
            let context = match loads_sp {
                [0x48, 0x8b, 0x66, 0x30] => Some(frame.rsi + OWN_AT), // mov rsp, [rsi + 0x30]
                [0x48, 0x8b, 0x66, 0x10] => Some(frame.rsi),          // mov rsp, [rsi + 0x10]
                [0x49, 0x8b, 0x62, 0x30] => Some(frame.r10 + OWN_AT), // mov rsp, [r10 + 0x30]
                _ => None,
            };
            let word = |at| context.and_then(|context| tests_unwind::read(context + at));
            let to = self.waiting().find(|&index| {
                let (place, _) = self.contexts[index].saved;
                (place.ip, place.sp) == (frame.rdx, frame.rcx)
                    || (Some(place.ip), Some(place.sp)) == (word(8), word(16))
            });
            if let Some(to) = to {
                self.leave(to, now.place(landing));
            }
        } else if let Some((parent, place)) = self.parent_of_ended(now) {
            self.land(parent, now, place);
        }
    }

    /// A switch to `to` has begun; who runs will go on at `place`.
    fn leave(&mut self, to: usize, place: Place) {
        let from = self.running;
        let context = &mut self.contexts[from];
        context.saved = (place, context.depth);
        context.lowest = context.depth;
        context.is_waiting = true;
        self.target = Some(to);
        if !self.is_symmetric && self.contexts[from].parent != Some(to) {
            self.contexts[to].parent = Some(from);
            self.contexts[to].last_parent = Some(from);
        }
    }

    fn land(&mut self, target: usize, now: &Seen, place: Place) {
        assert_eq!(
            now.place(now.ip),
            place,
            "a context goes on with other registers"
        );
        if self.contexts[self.running].parent == Some(target) {
            self.contexts[self.running].parent = None;
        }
        self.contexts[target].is_waiting = false;
        self.running = target;
        self.target = None;
        self.switches += 1;
    }

    /// A fiber whose body has returned, so that nothing is left to return to, goes on where its resumer waits.
    fn parent_of_ended(&self, now: &Seen) -> Option<(usize, Place)> {
        let context = &self.contexts[self.running];
        let parent = context.parent.filter(|_| context.depth == 0)?;
        let (place, _) = self.contexts[parent].saved;
        (place.ip == now.ip).then_some((parent, place))
    }

    /// Whether a switch is in progress.
    pub(super) const fn is_switching(&self) -> bool {
        self.target.is_some()
    }

    /// Which context runs, or is about to.
    pub(super) fn running(&self) -> usize {
        self.target.unwrap_or(self.running)
    }

    /// The function that was called last on the running stack, and where its caller goes on.
    pub(super) fn innermost_call(&self) -> Option<(u64, Place)> {
        let context = &self.contexts[self.running];
        let frame = context.frames.get(context.depth.checked_sub(1)?)?;
        Some((frame.callee, frame.place))
    }

    /// Calls `visit` with each caller of the instruction that comes next; the answer is whether the outermost one is the
    /// kernel's, and not a fiber that nobody resumed.
    pub(super) fn callers(&self, visit: impl FnMut(Place)) -> bool {
        match self.target {
            Some(target) => self.frames_of(target, Link::Cut, visit),
            None => self.chain(self.running, self.contexts[self.running].depth, visit),
        }
    }

    /// While a switch is in progress: the callers of the function that left.
    pub(super) fn callers_of_left(&self, visit: impl FnMut(Place)) -> bool {
        self.chain(self.running, self.contexts[self.running].depth, visit)
    }

    /// As [`callers`](Self::callers), for a context that does not run, beginning with where it will go on.
    pub(super) fn frames_of(&self, index: usize, link: Link, mut visit: impl FnMut(Place)) -> bool {
        let context = &self.contexts[index];
        let (place, depth) = context.saved;
        visit(place);
        let (parent, (place, parent_depth)) = match link {
            Link::Cut => return self.chain(index, depth, visit),
            Link::Left => {
                let parent = context.last_parent.expect("it was resumed");
                (parent, self.contexts[parent].saved)
            }
            Link::Made(place) => (self.running, (place, self.contexts[self.running].depth)),
        };
        self.own_frames(index, depth, &mut visit);
        visit(place);
        self.chain(parent, parent_depth, visit)
    }

    /// Whether the function to which a fiber suspended itself last has returned: a link to it leads nowhere.
    pub(super) const fn has_resumer_returned(&self, index: usize) -> bool {
        let parent = self.contexts[index].last_parent.expect("it was resumed");
        let (_, depth) = self.contexts[parent].saved;
        self.contexts[parent].lowest < depth
    }

    /// Contexts that were left or have not begun.
    pub(super) fn waiting(&self) -> impl Iterator<Item = usize> {
        (0..CONTEXTS).filter(|&index| self.contexts[index].is_waiting)
    }

    /// Whether it is a fiber that is suspended or new, and not one that waits for what it resumed.
    pub(super) fn is_suspended(&self, index: usize) -> bool {
        index != 0
            && self.contexts[index].is_waiting
            && self.contexts[index].parent.is_none()
            && self.running() != index
    }

    fn chain(&self, index: usize, depth: usize, mut visit: impl FnMut(Place)) -> bool {
        let (mut index, mut depth) = (index, depth);
        loop {
            self.own_frames(index, depth, &mut visit);
            let Some(parent) = self.contexts[index].parent else {
                return index == 0;
            };
            let (place, parent_depth) = self.contexts[parent].saved;
            visit(place);
            (index, depth) = (parent, parent_depth);
        }
    }

    fn own_frames(&self, index: usize, depth: usize, visit: &mut impl FnMut(Place)) {
        for frame in self.contexts[index].frames[..depth].iter().rev() {
            visit(frame.place);
        }
    }
}
