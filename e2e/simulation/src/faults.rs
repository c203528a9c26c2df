//! What goes wrong, and when: all of it a function of the seed and of the order of requests.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::api::{Effect, Handling, Interceptor, Key, Refusal, Reply, Request, Verb};
use crate::models::pods::Fate;
use crate::mutants::Mutant;
use crate::trace::Trace;

/// What the names of operators begin with.
pub const OPERATOR: &str = "operator-";
/// What the names of operators begin with that lead beside another.
pub const SECOND: &str = "operator-second-";

/// How late caches are that the answer to a question is overtaken by: longer than the operator waits before it asks.
const BLIND: Duration = Duration::from_secs(100);
/// How long such an answer takes.
const LATE_ANSWER: Duration = Duration::from_secs(5);
/// How long each stage of a pod takes meanwhile.
const SLOW_STAGE: Duration = Duration::from_secs(25);

/// When the operator dies, relative to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the write reached the API server.
    Before,
    /// After it was carried out, before the operator heard of it.
    After,
    /// The write is on its way meanwhile, and carried out so much later.
    Late(Duration),
}

/// An operator that leads beside another, as one does that has not noticed yet that it lost the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Second {
    /// How long it leads, from the beginning.
    pub leads_for: Duration,
    /// How late its watches are.
    pub lag: Duration,
}

/// What shall go wrong.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Where chance begins.
    pub seed: u64,
    /// The operator dies at its write of this number, counted from 1.
    pub crash: Option<(u64, Moment)>,
    /// Everything else that can go wrong, by chance, for so long from the beginning.
    pub storm: Option<Duration>,
    /// Whether the operator's clock jumps by an hour, both ways, in the storm.
    pub clock_jumps: bool,
    /// Another operator that believes to lead, for a while from the beginning.
    pub second: Option<Second>,
    /// The caches of Jobs and pods are late by more than a minute until the operator asks the API server about a Job. The
    /// watches then overtake the answer, and say that somebody deleted the Job meanwhile. Pods take their time.
    pub overtakes: bool,
    /// A fault of the operator itself, which must be noticed.
    pub mutant: Option<Mutant>,
    /// Whether the trace is printed as it goes on.
    pub is_printed: bool,
}

struct State {
    drawn: u64,
    writes: u64,
    dead: BTreeSet<String>,
    lived: BTreeSet<String>,
    /// The Job that the operator asked about, and that somebody deletes in the next moment.
    asked_about: Option<Key>,
    has_asked: bool,
}

/// Decides what goes wrong.
pub struct Faults {
    plan: Plan,
    began: Instant,
    trace: Trace,
    state: Mutex<State>,
    crashed: Notify,
}

impl Faults {
    /// Faults that begin now.
    pub fn new(plan: Plan, trace: Trace) -> Arc<Self> {
        let state = State {
            drawn: 0,
            writes: 0,
            dead: BTreeSet::new(),
            lived: BTreeSet::new(),
            asked_about: None,
            has_asked: false,
        };
        Arc::new(Self { plan, began: Instant::now(), trace, state: Mutex::new(state), crashed: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often operators wrote. Renewals of the Lease do not count.
    pub fn writes(&self) -> u64 {
        self.state().writes
    }

    /// Waits until this operator is to die.
    pub async fn crash(&self, actor: &str) {
        loop {
            let notified = self.crashed.notified();
            if self.state().dead.contains(actor) {
                return;
            }
            notified.await;
        }
    }

    /// An operator begins to live.
    pub fn lives(&self, actor: &str) {
        self.state().lived.insert(actor.to_owned());
    }

    /// By how many seconds the clock of operators is wrong.
    pub fn skew(&self) -> i64 {
        if !self.plan.clock_jumps || !self.is_storming() {
            return 0;
        }
        match self.hash("clock", self.epoch(97)) % 5 {
            0 => 3600,
            1 => -3600,
            _ => 0,
        }
    }

    fn is_storming(&self) -> bool {
        self.plan.storm.is_some_and(|storm| self.began.elapsed() < storm)
    }

    /// The number of the present stretch of so many seconds.
    fn epoch(&self, seconds: u64) -> u64 {
        self.began.elapsed().as_secs() / seconds
    }

    fn hash(&self, what: &str, number: u64) -> u64 {
        let start = what.bytes().fold(self.plan.seed ^ 0x5EA7, |hash, byte| mix(hash ^ u64::from(byte)));
        mix(start ^ mix(number))
    }

    /// How long each stage of a pod takes.
    pub fn pace(&self) -> Duration {
        if self.plan.overtakes {
            return SLOW_STAGE;
        }
        let slower = if self.plan.storm.is_some() { self.hash("pace", 0) % 12 } else { 0 };
        Duration::from_millis(900 + 1000 * slower)
    }

    /// By how much the deeds of people are stretched.
    pub fn stretch(&self) -> u64 {
        if self.plan.storm.is_some() { 1 + self.hash("stretch", 0) % 4 } else { 1 }
    }

    /// How a pod ends, where chance has it that it comes to grief.
    pub fn grief(&self, step: &str, before: usize) -> Option<Fate> {
        self.plan.storm?;
        match self.hash(step, 7000 + u64::try_from(before).unwrap_or(0)) % 12 {
            0 => Some(Fate::Fails(1)),
            1 => Some(Fate::Evicted),
            _ => None,
        }
    }

    /// What somebody deletes by hand in this second, if anything: a Job or a pod, of so many.
    pub fn mischief(&self, of: u64) -> Option<u64> {
        (self.is_storming() && of > 0 && self.draw(50) == 0).then(|| self.draw(of))
    }

    /// The Job that the operator asked about, and whose end overtakes the answer.
    pub fn overtaken(&self) -> Option<Key> {
        self.state().asked_about.take()
    }

    /// What the operator asks about a Job is answered late, the first time.
    fn overtake(&self, request: &Request, well: &mut Handling) {
        let mut state = self.state();
        if !self.plan.overtakes || state.has_asked || request.key.kind != "Job" || !matches!(request.verb, Verb::Get) {
            return;
        }
        (state.has_asked, state.asked_about) = (true, Some(request.key.clone()));
        well.back = LATE_ANSWER;
    }

    /// A number from 0 to `below`, exclusively.
    fn draw(&self, below: u64) -> u64 {
        let mut state = self.state();
        state.drawn += 1;
        let drawn = state.drawn;
        drop(state);
        self.hash("draw", drawn) % below.max(1)
    }

    /// All operators whose names begin so die.
    pub fn die_all(&self, called: &str, how: &str) {
        let lived: Vec<String> = self.state().lived.iter().filter(|name| name.starts_with(called)).cloned().collect();
        lived.iter().for_each(|name| self.die(name, how));
    }

    fn die(&self, actor: &str, how: &str) {
        self.trace.note(actor, how);
        self.state().dead.insert(actor.to_owned());
        self.crashed.notify_waiters();
    }

    /// The operator dies at this write.
    fn crash_at(&self, actor: &str, request: &Request, moment: Moment, mut well: Handling) -> Handling {
        let what = format!("{} {}", request.verb_name(), request.key);
        let (effect, how) = match moment {
            Moment::Before => (Effect::Nothing, format!("DIES before: {what}")),
            Moment::After => (Effect::Applied, format!("DIES after: {what}")),
            Moment::Late(delay) => {
                (Effect::AppliedAfter(delay), format!("DIES; carried out {} s later: {what}", delay.as_secs()))
            }
        };
        // What the operator sent is carried out at once, whatever becomes of the task that waits for the answer.
        if moment == Moment::After {
            well.effect = Effect::AppliedAfter(Duration::ZERO);
        } else {
            well.effect = effect;
        }
        well.there = Duration::ZERO;
        well.reply = Reply::Never;
        self.die(actor, &how);
        well
    }

    /// What chance does to a request in the storm.
    fn storm(&self, actor: &str, request: &Request, mut well: Handling) -> Handling {
        let is_lease = request.key.kind == "Lease";
        let is_stream = matches!(request.verb, Verb::List(..) | Verb::Watch(..));
        let note = |what: &str| self.trace.note(actor, &format!("{what}: {} {}", request.verb_name(), request.key));
        if matches!(request.verb, Verb::Create(_))
            && request.key.kind == "Job"
            && self.hash("quota", self.epoch(61)).is_multiple_of(6)
        {
            note("REFUSED by quota");
            well.effect = Effect::Nothing;
            well.reply = Reply::Refused(Refusal::quota(request.resource, &request.key.name));
            return well;
        }
        // A Lease is written every other second: it alone would have most of the faults.
        match self.draw(if is_lease { 8000 } else { 1000 }) {
            0..40 if request.is_write() => {
                note("LOST reply");
                well.reply = Reply::Broken;
            }
            40..80 => {
                note("LOST request");
                well.effect = Effect::Nothing;
                well.reply = Reply::Broken;
            }
            80..120 if request.is_write() && !matches!(request.verb, Verb::Create(_)) => {
                note("CONFLICT");
                well.effect = Effect::Nothing;
                well.reply = Reply::Refused(Refusal::new(409, "Conflict", "the object has been modified"));
            }
            120..180 => {
                let refusal = match self.draw(4) {
                    0 => Refusal::new(429, "TooManyRequests", "the server has received too many requests"),
                    1 => {
                        Refusal::new(503, "ServiceUnavailable", "the server is currently unable to handle the request")
                    }
                    2 => Refusal::new(504, "Timeout", "request did not complete within the allotted timeout"),
                    _ => Refusal::new(500, "InternalError", "etcdserver: leader changed"),
                };
                note(&format!("ANSWERED {}", refusal.code));
                // After a timeout nobody knows whether it was carried out.
                if refusal.code != 504 || self.draw(2) == 0 || is_stream {
                    well.effect = Effect::Nothing;
                }
                well.reply = Reply::Refused(refusal);
            }
            180..195 if !is_stream => {
                note("NO answer");
                if self.draw(2) == 0 {
                    well.effect = Effect::Nothing;
                }
                well.reply = Reply::Never;
            }
            195..225 if request.is_write() && !is_lease => {
                let moment = match self.draw(3) {
                    0 => Moment::Before,
                    1 => Moment::After,
                    // Until the API server gives the request up.
                    _ => Moment::Late(Duration::from_secs(1 + self.draw(58))),
                };
                return self.crash_at(actor, request, moment, well);
            }
            225..270 => well.there = Duration::from_millis(100 + self.draw(3000)),
            270..300 => well.back = Duration::from_millis(100 + self.draw(3000)),
            _ => {}
        }
        well
    }
}

impl Interceptor for Faults {
    fn rewrite(&self, actor: &str, request: &mut Request) {
        if let (Some(mutant), true) = (self.plan.mutant, actor.starts_with(OPERATOR)) {
            let number = self.writes();
            mutant.rewrite(request, number);
        }
    }

    fn handling(&self, actor: &str, request: &Request) -> Handling {
        if !actor.starts_with(OPERATOR) {
            return Handling::well(Duration::ZERO, Duration::ZERO);
        }
        let there = Duration::from_micros(500 + self.draw(1000));
        let mut well = Handling::well(there, Duration::from_micros(500 + self.draw(1000)));
        self.overtake(request, &mut well);
        if self.state().dead.contains(actor) {
            return Handling { effect: Effect::Nothing, reply: Reply::Never, ..well };
        }
        if request.is_write() && request.key.kind != "Lease" {
            let mut state = self.state();
            state.writes += 1;
            let writes = state.writes;
            drop(state);
            if let Some((number, moment)) = self.plan.crash
                && number == writes
            {
                return self.crash_at(actor, request, moment, well);
            }
        }
        if self.is_storming() { self.storm(actor, request, well) } else { well }
    }

    fn handled(&self, actor: &str, request: &Request, answer: &Result<Arc<Value>, Refusal>) {
        if let (Err(refusal), true, true) = (answer, request.is_write(), actor.starts_with(OPERATOR)) {
            let what =
                format!("is answered {} {}: {} {}", refusal.code, refusal.reason, request.verb_name(), request.key);
            self.trace.note(actor, &what);
        }
    }

    fn lag(&self, actor: &str, kind: &str) -> Duration {
        if let (true, Some(second)) = (actor.starts_with(SECOND), self.plan.second) {
            return second.lag;
        }
        if self.plan.overtakes
            && actor.starts_with(OPERATOR)
            && ["Job", "Pod"].contains(&kind)
            && !self.state().has_asked
        {
            return BLIND;
        }
        if !actor.starts_with(OPERATOR) || !self.is_storming() {
            return Duration::from_millis(if actor.starts_with(OPERATOR) { 2 } else { 0 });
        }
        match self.hash(kind, self.epoch(31)) % 12 {
            0 => Duration::from_secs(5),
            1 => Duration::from_secs(40),
            2 => Duration::from_secs(150),
            3 | 4 => Duration::from_millis(700),
            _ => Duration::from_millis(2),
        }
    }

    fn is_silent(&self, actor: &str, kind: &str, opened: Instant) -> bool {
        let is_old = opened.elapsed() > Duration::from_secs(20);
        actor.starts_with(OPERATOR)
            && is_old
            && self.is_storming()
            && self.hash(kind, 1000 + self.epoch(83)).is_multiple_of(20)
    }
}

/// The finalizer of SplitMix64.
const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}
