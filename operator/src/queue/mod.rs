//! The queue of keys: each key once, never with two workers at a time, and delayed where asked. Namespaces take turns,
//! and within a namespace its pipelines do, so that no burst of one holds up another.
//!
//! Our own and not `kube_runtime::Controller`, since its five instances would each watch Jobs and pods for themselves,
//! and it takes keys in order of arrival, so that one namespace's burst delays all others.

pub(crate) mod object_key;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::{Notify, mpsc};
use tokio_util::time::{DelayQueue, delay_queue};

use crate::queue::object_key::ObjectKey;

/// The waiting keys of a namespace: its lanes take turns.
#[derive(Debug, Default)]
struct Lanes {
    waiting: BTreeMap<String, VecDeque<ObjectKey>>,
    order: VecDeque<String>,
}

#[derive(Debug, Default)]
struct State {
    /// Keys that wait for a worker, by namespace.
    waiting: BTreeMap<String, Lanes>,
    /// The namespaces with waiting keys, whose turn it is first.
    order: VecDeque<String>,
    /// The waiting keys, for a quick look.
    queued: HashSet<ObjectKey>,
    /// Keys that a worker has.
    taken: HashSet<ObjectKey>,
    /// Keys that were added while a worker had them.
    again: BTreeSet<ObjectKey>,
    closed: bool,
}

impl State {
    fn add(&mut self, key: ObjectKey, lane: impl FnOnce(&ObjectKey) -> String) -> bool {
        if self.taken.contains(&key) {
            self.again.insert(key);
            return false;
        }
        if !self.queued.insert(key.clone()) {
            return false;
        }
        let lane = lane(&key);
        let lanes = self.waiting.entry(key.namespace.clone()).or_default();
        if lanes.order.is_empty() {
            self.order.push_back(key.namespace.clone());
        }
        let list = lanes.waiting.entry(lane.clone()).or_default();
        if list.is_empty() {
            lanes.order.push_back(lane);
        }
        list.push_back(key);
        true
    }

    fn take(&mut self) -> Option<ObjectKey> {
        let namespace = self.order.pop_front()?;
        let lanes = self.waiting.get_mut(&namespace)?;
        let lane = lanes.order.pop_front()?;
        let list = lanes.waiting.get_mut(&lane)?;
        let key = list.pop_front()?;
        if list.is_empty() {
            lanes.waiting.remove(&lane);
        } else {
            lanes.order.push_back(lane);
        }
        if lanes.order.is_empty() {
            self.waiting.remove(&namespace);
        } else {
            self.order.push_back(namespace);
        }
        self.queued.remove(&key);
        self.taken.insert(key.clone());
        Some(key)
    }

    fn done(&mut self, key: &ObjectKey, lane: impl FnOnce(&ObjectKey) -> String) -> bool {
        self.taken.remove(key);
        self.again.remove(key) && self.add(key.clone(), lane)
    }
}

/// The queue. All methods may be called from any task.
pub(crate) struct Queue {
    lane: Box<dyn Fn(&ObjectKey) -> String + Send + Sync>,
    state: Mutex<State>,
    ready: Notify,
    later: mpsc::UnboundedSender<(ObjectKey, Option<Duration>)>,
}

impl Queue {
    /// A queue, and the task that moves delayed keys into it when their time has come.
    /// Keys of one `lane` follow each other; the lanes of a namespace take turns.
    pub(crate) fn new(
        lane: impl Fn(&ObjectKey) -> String + Send + Sync + 'static,
    ) -> (std::sync::Arc<Self>, impl Future<Output = ()>) {
        let (later, mut delayed) = mpsc::unbounded_channel();
        let queue =
            std::sync::Arc::new(Self { lane: Box::new(lane), state: Mutex::default(), ready: Notify::new(), later });
        let weak = std::sync::Arc::downgrade(&queue);
        let task = async move {
            let mut timers: DelayQueue<ObjectKey> = DelayQueue::new();
            let mut set: HashMap<ObjectKey, delay_queue::Key> = HashMap::new();
            loop {
                tokio::select! {
                    biased;
                    asked = delayed.recv() => {
                        let Some((key, delay)) = asked else { return };
                        if let Some(timer) = set.remove(&key) {
                            timers.remove(&timer);
                        }
                        if let Some(delay) = delay {
                            set.insert(key.clone(), timers.insert(key, delay));
                        }
                    }
                    Some(expired) = timers.next(), if !timers.is_empty() => {
                        let Some(queue) = weak.upgrade() else { return };
                        let key = expired.into_inner();
                        set.remove(&key);
                        queue.add(key);
                    }
                }
            }
        };
        (queue, task)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent between any two statements that could panic: there are none.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a key; one that waits already waits once.
    pub(crate) fn add(&self, key: ObjectKey) {
        if self.state().add(key, &self.lane) {
            self.ready.notify_one();
        }
    }

    /// Adds a key once this has passed, or, without it, not before somebody adds it. Each key has one timer, set by its
    /// last plan: a key that is planned often does not come ever more often.
    pub(crate) fn add_after(&self, key: ObjectKey, delay: Option<Duration>) {
        // The receiver lives as long as the process.
        let _ = self.later.send((key, delay));
    }

    /// The next key; `None` once the queue is closed. The caller must call [`Queue::done`].
    pub(crate) async fn take(&self) -> Option<ObjectKey> {
        loop {
            let ready = self.ready.notified();
            {
                let mut state = self.state();
                if state.closed {
                    // Wake the next worker, who shall see it, too.
                    self.ready.notify_one();
                    return None;
                }
                if let Some(key) = state.take() {
                    if !state.order.is_empty() {
                        self.ready.notify_one();
                    }
                    return Some(key);
                }
            }
            ready.await;
        }
    }

    /// A worker is done with a key.
    pub(crate) fn done(&self, key: &ObjectKey) {
        if self.state().done(key, &self.lane) {
            self.ready.notify_one();
        }
    }

    /// How many keys wait.
    pub(crate) fn depth(&self) -> usize {
        self.state().queued.len()
    }

    /// Lets every worker end after its present key.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.ready.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::queue::object_key::Primary;

    fn key(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey { kind: Primary::Run, namespace: namespace.into(), name: name.into() }
    }

    /// One lane for each namespace.
    fn whole(_: &ObjectKey) -> String {
        String::new()
    }

    #[test]
    fn lanes_of_a_namespace_take_turns() {
        let mut state = State::default();
        let lane = |key: &ObjectKey| key.name.split('-').next().unwrap_or_default().to_owned();
        for name in ["a-1", "a-2", "a-3", "b-1"] {
            state.add(key("ns", name), lane);
        }
        let order: Vec<_> = std::iter::from_fn(|| state.take()).map(|key| key.name).collect();
        assert_eq!(order, ["a-1", "b-1", "a-2", "a-3"]);
    }

    #[test]
    fn namespaces_take_turns() {
        let mut state = State::default();
        for name in ["1", "2", "3"] {
            state.add(key("a", name), whole);
        }
        state.add(key("b", "1"), whole);
        let order: Vec<_> = std::iter::from_fn(|| state.take()).map(|k| format!("{}{}", k.namespace, k.name)).collect();
        assert_eq!(order, ["a1", "b1", "a2", "a3"]);
    }

    #[test]
    fn a_key_that_is_added_while_it_is_worked_on_comes_again() {
        let mut state = State::default();
        state.add(key("a", "1"), whole);
        let taken = state.take().unwrap();
        state.add(key("a", "1"), whole);
        assert_eq!(state.take(), None);
        state.done(&taken, whole);
        assert_eq!(state.take(), Some(taken));
    }

    proptest! {
        /// Whatever is added is taken afterwards, and no key is ever with two workers.
        #[test]
        fn no_key_is_lost_or_taken_twice(steps in prop::collection::vec((0..3u8, 0..4u8, 0..3u8), 0..200)) {
            let mut state = State::default();
            let mut wanted: BTreeSet<ObjectKey> = BTreeSet::new();
            let mut held: Vec<ObjectKey> = vec![];
            for (action, name, namespace) in steps {
                match action {
                    0 => {
                        let key = key(&namespace.to_string(), &name.to_string());
                        wanted.insert(key.clone());
                        state.add(key, whole);
                    }
                    1 => if let Some(key) = state.take() {
                        prop_assert!(!held.contains(&key));
                        wanted.remove(&key);
                        held.push(key);
                    },
                    _ => if let Some(key) = held.pop() { state.done(&key, whole); },
                }
            }
            for key in held.drain(..) { state.done(&key, whole); }
            while let Some(key) = state.take() { wanted.remove(&key); }
            prop_assert!(wanted.is_empty(), "{wanted:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_has_one_timer_and_the_last_word_counts() {
        let (queue, task) = Queue::new(whole);
        tokio::spawn(task);
        let key = key("a", "1");
        for seconds in [1, 50, 10] {
            queue.add_after(key.clone(), Some(Duration::from_secs(seconds)));
        }
        let began = tokio::time::Instant::now();
        assert_eq!(queue.take().await, Some(key.clone()));
        // Timers have milliseconds.
        assert_eq!(began.elapsed().as_secs(), 10);
        queue.done(&key);
        let nothing_more = tokio::time::timeout(Duration::from_secs(3600), queue.take()).await;
        assert!(nothing_more.is_err(), "an earlier timer is still there");
        queue.add_after(key.clone(), Some(Duration::from_secs(5)));
        queue.add_after(key, None);
        assert!(tokio::time::timeout(Duration::from_secs(3600), queue.take()).await.is_err());
    }

    #[tokio::test]
    async fn closing_ends_all_workers() {
        let (queue, _task) = Queue::new(whole);
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move { queue.take().await })
            })
            .collect();
        queue.close();
        for worker in workers {
            assert_eq!(worker.await.unwrap(), None);
        }
    }
}
