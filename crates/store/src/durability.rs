//! Answers wait here until what they tell is on disk.
//!
//! On PostgreSQL a COMMIT that is answered is durable. On SQLite a COMMIT only writes to the
//! write-ahead log; a thread of its own syncs the log and answers everybody whose commit it held
//! by then. Meanwhile the writer runs the closures of the next batch, which grows until the disk is
//! free for it. What a closure or a read saw may be a commit that is not on disk yet: its answer
//! waits for that as well.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use parking_lot::{Condvar, Mutex};

use crate::error::Error;
use crate::job::Job;
use crate::tx::Effects;

/// What is told to the outside once it is certain to last.
#[derive(Default)]
pub(crate) struct Delivery {
    pub(crate) effects: Effects,
    pub(crate) answers: Vec<Box<dyn Job>>,
}

/// Keeps deliveries back until the log is on disk.
#[derive(Default)]
pub(crate) struct Durability {
    state: Mutex<State>,
    /// Something has to be synced, or the store closes.
    changed: Condvar,
    /// The disk is free, or there is a closure to run.
    writer: Condvar,
    writer_waits: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Commits that have begun: their changes may be seen from here on.
    begun: u64,
    /// Commits that are written to the log, or have failed.
    ended: u64,
    /// Of those, how many a sync has covered.
    durable: u64,
    /// In the order of the commit each waits for.
    waiting: VecDeque<(u64, Delivery)>,
    /// Why the log cannot be trusted any more.
    broken: Option<Error>,
    is_closing: bool,
}

impl Durability {
    /// To be called before a COMMIT, and [`Durability::commit_ended`] after it.
    pub(crate) fn commit_begins(&self) {
        self.state.lock().begun += 1;
    }

    /// The COMMIT was answered, well or not.
    pub(crate) fn commit_ended(&self) {
        self.state.lock().ended += 1;
        self.changed.notify_one();
    }

    /// Whether anything may still be answered.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.state.lock().broken.clone().map_or(Ok(()), Err)
    }

    /// Keeps `delivery` until every commit that has begun by now is on disk; gives it back if that
    /// is so already.
    pub(crate) fn keep(&self, delivery: Delivery) -> Option<Delivery> {
        let mut state = self.state.lock();
        if state.begun == state.durable {
            return Some(delivery);
        }
        if let Some(error) = &state.broken {
            let error = lost(error);
            drop(state);
            refuse(delivery, &error);
            return None;
        }
        let needs = state.begun;
        state.waiting.push_back((needs, delivery));
        None
    }

    /// Waits while the disk is busy with earlier commits and there is `nothing_to_do`; `false` once
    /// it is free.
    pub(crate) fn wait_for_disk(&self, nothing_to_do: impl FnOnce() -> bool) -> bool {
        let mut state = self.state.lock();
        if state.ended == state.durable || state.broken.is_some() {
            return false;
        }
        self.writer_waits.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if nothing_to_do() {
            self.writer.wait(&mut state);
        }
        self.writer_waits.store(false, Ordering::SeqCst);
        true
    }

    /// To be called after a closure was handed to the writer.
    pub(crate) fn nudge(&self) {
        // Either this sees that the writer waits, or the writer sees the closure.
        fence(Ordering::SeqCst);
        if self.writer_waits.swap(false, Ordering::SeqCst) {
            drop(self.state.lock());
            self.writer.notify_one();
        }
    }

    /// No commit begins from here on.
    pub(crate) fn close(&self) {
        self.state.lock().is_closing = true;
        self.changed.notify_one();
    }

    /// Syncs with `sync` whenever a commit has ended, and hands what waited for it to `deliver`,
    /// until closed.
    pub(crate) fn run(
        &self,
        mut sync: impl FnMut() -> io::Result<()>,
        mut deliver: impl FnMut(Delivery),
    ) {
        let mut due = Vec::new();
        while let Some(target) = self.next_target() {
            let outcome = sync();
            let mut state = self.state.lock();
            match outcome {
                Ok(()) => {
                    state.durable = target;
                    while state.waiting.front().is_some_and(|(at, _)| *at <= target) {
                        due.extend(state.waiting.pop_front());
                    }
                    drop(state);
                    self.writer.notify_one();
                    for (_, delivery) in due.drain(..) {
                        deliver(delivery);
                    }
                }
                Err(error) => {
                    // The kernel reports a failed write once and may have dropped the pages: a
                    // second sync that succeeds would prove nothing. Only what a restart finds in
                    // the log is certain.
                    tracing::error!(%error, "the write-ahead log cannot be synced; restart");
                    let broken = Error::Unavailable(format!(
                        "the write-ahead log could not be synced: {error}. Check the disk and \
                         restart."
                    ));
                    let waiting = std::mem::take(&mut state.waiting);
                    state.broken = Some(broken.clone());
                    drop(state);
                    self.writer.notify_one();
                    for (_, delivery) in waiting {
                        refuse(delivery, &lost(&broken));
                    }
                    return;
                }
            }
        }
    }

    /// Waits for commits to sync; `None` once closed.
    fn next_target(&self) -> Option<u64> {
        let mut state = self.state.lock();
        while state.ended == state.durable {
            if state.is_closing {
                return None;
            }
            self.changed.wait(&mut state);
        }
        Some(state.ended)
    }
}

fn lost(broken: &Error) -> Error {
    Error::Lost(broken.to_string())
}

fn refuse(delivery: Delivery, error: &Error) {
    for job in delivery.answers {
        job.refuse(error.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use tokio::sync::oneshot;

    use super::*;
    use crate::job::Call;
    use crate::tx::Tx;

    /// The answer of somebody whose closure has run.
    type Answer = oneshot::Receiver<Result<(), Error>>;

    /// A disk that is done, or fails, when the test says so.
    struct Disk {
        begun: Receiver<()>,
        outcome: Sender<io::Result<()>>,
    }

    fn with_disk(test: impl FnOnce(&Durability, &Disk)) {
        let durability = Durability::default();
        let (begins, begun) = channel();
        let (outcome, outcomes) = channel();
        let sync = move || {
            begins.send(()).ok();
            outcomes.recv().unwrap_or(Ok(()))
        };
        let deliver = |delivery: Delivery| delivery.answers.into_iter().for_each(Job::answer);
        std::thread::scope(|scope| {
            scope.spawn(|| durability.run(sync, deliver));
            let disk = Disk { begun, outcome };
            test(&durability, &disk);
            durability.close();
        });
    }

    /// Somebody who waits for what `durability` has seen so far.
    fn answer(durability: &Durability) -> Answer {
        let (job, answer) = Call::open(|_: &mut Tx<'_>| Ok(()));
        let delivery = Delivery {
            answers: vec![job],
            ..Delivery::default()
        };
        if let Some(delivery) = durability.keep(delivery) {
            delivery.answers.into_iter().for_each(Job::answer);
        }
        answer
    }

    fn commit(durability: &Durability) {
        durability.commit_begins();
        durability.commit_ended();
    }

    fn is_open(answer: &mut Answer) -> bool {
        matches!(answer.try_recv(), Err(oneshot::error::TryRecvError::Empty))
    }

    #[test]
    fn nobody_is_answered_before_a_sync_that_began_after_their_commit() {
        with_disk(|durability, disk| {
            commit(durability);
            let mut first = answer(durability);
            disk.begun.recv().expect("the first sync");
            // This one is not in the log yet when the disk is told to keep it.
            commit(durability);
            let mut second = answer(durability);
            assert!(is_open(&mut first));
            disk.outcome.send(Ok(())).expect("the disk listens");
            disk.begun.recv().expect("the second sync");
            assert!(first.blocking_recv().is_ok());
            assert!(is_open(&mut second));
            disk.outcome.send(Ok(())).expect("the disk listens");
            assert!(second.blocking_recv().is_ok());
        });
    }

    #[test]
    fn a_read_that_may_have_seen_a_commit_waits_for_it_and_no_other_read_does() {
        with_disk(|durability, disk| {
            assert!(!is_open(&mut answer(durability)));
            // Readers may see the commit from here on, before the writer knows how it ended.
            durability.commit_begins();
            let mut read = answer(durability);
            assert!(is_open(&mut read));
            durability.commit_ended();
            disk.begun.recv().expect("a sync");
            disk.outcome.send(Ok(())).expect("the disk listens");
            assert!(read.blocking_recv().is_ok());
            assert!(!is_open(&mut answer(durability)));
        });
    }

    #[test]
    fn a_log_that_cannot_be_synced_is_never_trusted_again() {
        with_disk(|durability, disk| {
            commit(durability);
            let waiting = answer(durability);
            disk.begun.recv().expect("a sync");
            disk.outcome
                .send(Err(io::Error::other("gone")))
                .expect("the disk listens");
            let told = waiting.blocking_recv().expect("an answer");
            assert!(matches!(told, Err(Error::Lost(_))), "{told:?}");
            assert!(matches!(durability.check(), Err(Error::Unavailable(_))));
            let told = answer(durability).blocking_recv().expect("an answer");
            assert!(matches!(told, Err(Error::Lost(_))), "{told:?}");
        });
    }

    #[test]
    fn the_writer_waits_for_the_disk_or_for_a_closure() {
        with_disk(|durability, disk| {
            assert!(!durability.wait_for_disk(|| true), "the disk is free");
            commit(durability);
            disk.begun.recv().expect("a sync");
            assert!(durability.wait_for_disk(|| false), "there is a closure");
            std::thread::scope(|scope| {
                let waiting = scope.spawn(|| while durability.wait_for_disk(|| true) {});
                disk.outcome.send(Ok(())).expect("the disk listens");
                waiting.join().expect("the writer goes on");
            });
        });
    }
}
