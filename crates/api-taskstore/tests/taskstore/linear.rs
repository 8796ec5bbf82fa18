//! Whether a recorded history of concurrent calls could have happened one after the other.

use std::collections::HashSet;

use crate::model::{Claim, Model, Outcome, Update};

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    Update(Update),
    Claim(Claim),
}

/// A call with its answer. It began after every call whose `end` is below its `begin`.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) begin: u64,
    pub(crate) end: u64,
    pub(crate) asked: Asked,
    pub(crate) outcome: Outcome,
}

impl Call {
    /// The state after this call, if its answer is right in `state`. Time stands still.
    fn follow(&self, state: &Model) -> Option<Model> {
        let mut state = state.clone();
        match (&self.asked, &self.outcome) {
            (Asked::Update(update), Outcome::Refused(refusal)) => {
                (state.judge(0, update).as_ref() == Some(refusal)).then_some(state)
            }
            (Asked::Update(update), Outcome::Done(tasks)) => {
                if state.judge(0, update).is_some() {
                    return None;
                }
                let ids: Vec<i64> = tasks.iter().map(|(id, _)| *id).collect();
                state.apply(0, update, &ids);
                Some(state)
            }
            (Asked::Update(_), Outcome::Nothing) => None,
            (Asked::Claim(claim), outcome) => {
                let gone = state.gone(claim);
                match outcome {
                    Outcome::Refused(refusal) => {
                        (!gone.is_empty() && refusal.depends == gone).then_some(state)
                    }
                    _ if !gone.is_empty() => None,
                    Outcome::Nothing => state.available(0, claim.group).is_empty().then_some(state),
                    Outcome::Done(tasks) => match tasks[..] {
                        [(id, label)] => state.claim(0, claim, label, id).then_some(state),
                        _ => None,
                    },
                }
            }
        }
    }
}

/// Whether some order that respects what came before what explains all answers, from an empty
/// store on. At most 128 calls.
pub(crate) fn is_linearizable(calls: &[Call]) -> bool {
    assert!(calls.len() <= 128);
    search(calls, 0, &Model::default(), &mut HashSet::new())
}

fn search(calls: &[Call], done: u128, state: &Model, seen: &mut HashSet<(u128, Model)>) -> bool {
    let open = || {
        calls
            .iter()
            .enumerate()
            .filter(|(at, _)| done & (1 << at) == 0)
    };
    let Some(first_end) = open().map(|(_, call)| call.end).min() else {
        return true;
    };
    if !seen.insert((done, state.clone())) {
        return false;
    }
    // Only a call that began before any other one ended can be the next.
    open()
        .filter(|(_, call)| call.begin < first_end)
        .any(|(at, call)| {
            call.follow(state)
                .is_some_and(|next| search(calls, done | (1 << at), &next, seen))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Given, Refusal};

    fn add(begin: u64, end: u64, id: i64) -> Call {
        let given = Given { label: 7, after: 0 };
        let update = Update {
            adds: vec![("g", given)],
            ..Update::default()
        };
        let outcome = Outcome::Done(vec![(id, 7)]);
        Call {
            begin,
            end,
            asked: Asked::Update(update),
            outcome,
        }
    }

    fn claim(begin: u64, end: u64, outcome: Outcome) -> Call {
        let claim = Claim {
            owner: 1,
            group: "g",
            seconds: 60,
            depends: Vec::new(),
        };
        Call {
            begin,
            end,
            asked: Asked::Claim(claim),
            outcome,
        }
    }

    fn delete(begin: u64, end: u64, id: i64, outcome: Outcome) -> Call {
        let update = Update {
            owner: 2,
            deletes: vec![id],
            ..Update::default()
        };
        Call {
            begin,
            end,
            asked: Asked::Update(update),
            outcome,
        }
    }

    #[test]
    fn calls_that_overlap_may_have_happened_in_any_order() {
        let nothing = claim(1, 4, Outcome::Nothing);
        assert!(is_linearizable(&[add(2, 3, 1), nothing]));
        let done = claim(1, 4, Outcome::Done(vec![(2, 7)]));
        assert!(is_linearizable(&[add(2, 3, 1), done]));
    }

    #[test]
    fn an_answer_that_overlooks_what_was_done_before_is_found_out() {
        assert!(!is_linearizable(&[
            add(1, 2, 1),
            claim(3, 4, Outcome::Nothing)
        ]));
    }

    #[test]
    fn a_task_that_is_given_twice_is_found_out() {
        let first = claim(3, 6, Outcome::Done(vec![(2, 7)]));
        let second = claim(4, 5, Outcome::Done(vec![(3, 7)]));
        assert!(!is_linearizable(&[add(1, 2, 1), first, second]));
    }

    #[test]
    fn a_refusal_must_have_had_its_reason() {
        let owned = Refusal {
            owned: vec![1],
            ..Refusal::default()
        };
        assert!(!is_linearizable(&[
            add(1, 2, 1),
            delete(3, 4, 1, Outcome::Refused(owned))
        ]));
        let owned = Refusal {
            owned: vec![2],
            ..Refusal::default()
        };
        let claimed = claim(3, 4, Outcome::Done(vec![(2, 7)]));
        assert!(is_linearizable(&[
            add(1, 2, 1),
            claimed,
            delete(5, 6, 2, Outcome::Refused(owned))
        ]));
    }
}
