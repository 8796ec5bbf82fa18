//! claimWork, claimTask and reclaimTask: who gets what, in which order, and for how long.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use taskyard_store::on_both_databases;
use taskyard_store::testing::Kind;
use tokio::runtime::Handle;

use crate::histories::for_all;
use crate::house::{CLAIM, House, QUEUE, SOON, moment};

/// The ids of the tasks that were claimed, in order.
fn ids(claims: &[Value]) -> Vec<String> {
    let id = |claim: &Value| {
        claim["status"]["taskId"]
            .as_str()
            .expect("an id")
            .to_owned()
    };
    claims.iter().map(id).collect()
}

/// Claims in the background.
fn claiming(house: &Arc<House>, tasks: usize) -> tokio::task::JoinHandle<Vec<Value>> {
    let house = Arc::clone(house);
    tokio::spawn(async move { house.claim(tasks).await })
}

/// Waits until `count` callers wait for work.
async fn waiting(house: &House, handles: &[&tokio::task::JoinHandle<Vec<Value>>]) {
    // A claim that finds nothing commits nothing; what can be observed is that it was answered
    // neither before nor after a write that came behind it.
    for _ in 0..3 {
        house
            .call("taskQueueCounts", &[QUEUE], None)
            .await
            .granted();
        tokio::task::yield_now().await;
    }
    assert!(handles.iter().all(|handle| !handle.is_finished()));
}

/// A caller of claimWork.
#[derive(Debug, Clone)]
struct Caller {
    /// How many runs it asks for.
    count: usize,
    /// After how many turns of the others it hangs up, if it does.
    patience: Option<u32>,
}

fn callers() -> impl Strategy<Value = Vec<Caller>> {
    let patience = prop::option::weighted(0.6, 0..60_u32);
    let caller = (1..5_usize, patience).prop_map(|(count, patience)| Caller { count, patience });
    prop::collection::vec(caller, 4..16)
}

/// Lets callers that may hang up claim from a queue with as many tasks as they could ask for, and
/// looks after what became of each task.
async fn claim_and_hang_up(house: &Arc<House>, callers: &[Caller]) -> Result<(), String> {
    let number = taskyard_access::slugid::v4().to_lowercase();
    let queue = format!("prov/w{}", number.replace(['_', '-'], "x"));
    let create = async |_| house.create(json!({"taskQueueId": queue})).await;
    let asked: usize = callers.iter().map(|caller| caller.count).sum();
    let (early, late) = (0..asked / 2, asked / 2..asked);
    let mut all = Vec::from_iter(futures_util::future::join_all(early.map(create)).await);
    let handles: Vec<_> = callers
        .iter()
        .map(|caller| {
            let (house, queue, count) = (Arc::clone(house), queue.clone(), caller.count);
            tokio::spawn(async move {
                let body = json!({"workerGroup": "g", "workerId": "w", "tasks": count});
                let answer = house.call("claimWork", &[&queue], Some(body)).await;
                ids(answer.granted()["tasks"].as_array().expect("tasks"))
            })
        })
        .collect();
    for turn in 0..60 {
        for (caller, handle) in callers.iter().zip(&handles) {
            if caller.patience == Some(turn) {
                handle.abort();
            }
        }
        tokio::task::yield_now().await;
    }
    all.extend(futures_util::future::join_all(late.map(create)).await);
    let mut told = HashSet::new();
    for (caller, handle) in callers.iter().zip(handles) {
        match tokio::time::timeout(SOON, handle).await.expect("soon") {
            Ok(claimed) => {
                if claimed.is_empty() || claimed.len() > caller.count {
                    return Err(format!("{caller:?} got {claimed:?}"));
                }
                for id in claimed {
                    if !told.insert(id.clone()) {
                        return Err(format!("{id} was handed out twice"));
                    }
                }
            }
            Err(error) => assert!(error.is_cancelled() && caller.patience.is_some(), "{error}"),
        }
    }
    for id in &told {
        house
            .call("reportCompleted", &[id, "0"], None)
            .await
            .status_of();
    }
    // What is claimed but nobody was told of comes back when the claims have ended; a claim may
    // have been under way even now.
    loop {
        let counts = house
            .call("taskQueueCounts", &[&queue], None)
            .await
            .granted();
        if counts["pendingTasks"] == 0 && counts["claimedTasks"] == 0 {
            break;
        }
        if counts["pendingTasks"] == 0 {
            house.wait(CLAIM + Duration::from_secs(1));
            house.sweep().await;
            continue;
        }
        let body = json!({"workerGroup": "g", "workerId": "w", "tasks": 32});
        let claims = house
            .call("claimWork", &[&queue], Some(body))
            .await
            .granted();
        for claim in claims["tasks"].as_array().expect("tasks") {
            let (id, run) = (&claim["status"]["taskId"], claim["runId"].to_string());
            let id = id.as_str().expect("an id");
            house
                .call("reportCompleted", &[id, &run], None)
                .await
                .status_of();
        }
    }
    for id in &all {
        let status = house.status(id).await;
        let ends: Vec<&str> = status["runs"]
            .as_array()
            .expect("runs")
            .iter()
            .filter_map(|run| run["reasonResolved"].as_str())
            .collect();
        let is_right = match ends[..] {
            ["completed"] => true,
            // Claimed for one who was gone.
            ["claim-expired", "completed"] => !told.contains(id),
            _ => false,
        };
        if !is_right {
            return Err(format!("{id} ended as {ends:?}"));
        }
    }
    Ok(())
}

on_both_databases! {
    /// I9, I11: nothing is handed out twice, and what was on its way to one who hung up is not lost.
    async fn callers_that_hang_up_lose_nothing(kind) {
        let cases = match kind {
            Kind::Sqlite => 32,
            Kind::Postgres => 12,
        };
        let house = Arc::new(House::new(kind).await);
        let handle = Handle::current();
        for_all(cases, callers(), |callers| {
            handle.block_on(claim_and_hang_up(&house, &callers))
        });
    }

    async fn a_claim_tells_all_that_a_worker_needs(kind) {
        let house = House::new(kind).await;
        let before = house.clock.now().trunc_millis();
        let (id, claim) = house.claimed(json!({"payload": {"x": [1]}})).await;
        let after = house.clock.now();
        assert_eq!(claim["runId"], 0);
        assert_eq!(claim["workerGroup"], "group");
        assert_eq!(claim["workerId"], "worker");
        assert_eq!(claim["task"], house.call("task", &[&id], None).await.granted());
        assert_eq!(claim["status"], house.status(&id).await);
        let run = &claim["status"]["runs"][0];
        assert_eq!(run["state"], "running");
        assert_eq!(run["workerGroup"], "group");
        assert_eq!(run["workerId"], "worker");
        assert_eq!(run["takenUntil"], claim["takenUntil"]);
        let started = moment(&run["started"]);
        assert!(started >= before && started <= after);
        assert_eq!(moment(&claim["takenUntil"]), started.plus(CLAIM));
        assert!(run.get("resolved").is_none() && run.get("reasonResolved").is_none());
    }

    async fn urgent_tasks_come_first_and_equal_ones_in_their_order(kind) {
        let house = House::new(kind).await;
        let mut expected = Vec::new();
        for priority in ["low", "highest", "lowest", "high", "very-low", "medium", "very-high"] {
            for _ in 0..2 {
                expected.push((priority, house.create(json!({"priority": priority})).await));
            }
        }
        let order = ["highest", "very-high", "high", "medium", "low", "very-low", "lowest"];
        expected.sort_by_key(|(priority, _)| order.iter().position(|known| known == priority));
        let expected: Vec<String> = expected.into_iter().map(|(_, id)| id).collect();
        let mut claims = house.claim(5).await;
        assert_eq!(claims.len(), 5, "no more than asked for");
        claims.extend(house.claim(32).await);
        assert_eq!(ids(&claims), expected);
    }

    async fn a_claim_takes_from_its_own_queue_only(kind) {
        let house = House::new(kind).await;
        house.create(json!({"taskQueueId": "prov/other"})).await;
        let id = house.create(json!({})).await;
        assert_eq!(ids(&house.claim(32).await), [id]);
    }

    async fn what_a_worker_may_ask_for_is_checked(kind) {
        let house = House::new(kind).await;
        for body in [
            json!({}), json!({"workerGroup": "g"}), json!({"workerId": "w"}),
            json!({"workerGroup": "", "workerId": "w"}),
            json!({"workerGroup": "g", "workerId": "a.b"}),
            json!({"workerGroup": "g".repeat(39), "workerId": "w"}),
            json!({"workerGroup": "g", "workerId": "w", "tasks": 0}),
            json!({"workerGroup": "g", "workerId": "w", "tasks": 33}),
            json!({"workerGroup": "g", "workerId": "w", "tasks": 1.5}),
            json!({"workerGroup": "g", "workerId": "w", "tasks": "1"}),
            json!({"workerGroup": "g", "workerId": "w", "more": 1}),
        ] {
            let answer = house.call("claimWork", &[QUEUE], Some(body)).await;
            answer.refused(400, "InputValidationError");
        }
        let (first, second) = (house.create(json!({})).await, house.create(json!({})).await);
        let one = json!({"workerGroup": "g", "workerId": "w"});
        let answer = house.call("claimWork", &[QUEUE], Some(one)).await.granted();
        assert_eq!(ids(answer["tasks"].as_array().unwrap()), [first]);
        let two = json!({"workerGroup": "g", "workerId": "w", "tasks": 2.0});
        let answer = house.call("claimWork", &[QUEUE], Some(two)).await.granted();
        assert_eq!(ids(answer["tasks"].as_array().unwrap()), [second]);
    }

    async fn a_waiting_claim_is_answered_as_soon_as_there_is_work(kind) {
        let house = Arc::new(House::new(kind).await);
        let claim = claiming(&house, 5);
        waiting(&house, &[&claim]).await;
        let id = house.create(json!({})).await;
        let claims = tokio::time::timeout(SOON, claim).await.expect("soon");
        assert_eq!(ids(&claims.unwrap()), [id]);
    }

    async fn each_of_many_tasks_goes_to_exactly_one_of_many_waiting_workers(kind) {
        let house = Arc::new(House::new(kind).await);
        let claims: Vec<_> = (0..10).map(|_| claiming(&house, 1)).collect();
        waiting(&house, &claims.iter().collect::<Vec<_>>()).await;
        let mut expected = Vec::new();
        for _ in 0..10 {
            expected.push(house.create(json!({})).await);
        }
        let mut claimed = Vec::new();
        for claim in claims {
            let claims = tokio::time::timeout(SOON, claim).await.expect("soon").unwrap();
            claimed.extend(ids(&claims));
        }
        claimed.sort();
        expected.sort();
        assert_eq!(claimed, expected);
    }

    async fn whatever_makes_a_run_pending_wakes_a_waiting_claim(kind) {
        let house = Arc::new(House::new(kind).await);
        let required = house.create(json!({"taskQueueId": "prov/other"})).await;
        let dependent = house.create(json!({"dependencies": [required]})).await;
        let other = json!({"workerGroup": "g", "workerId": "w"});
        house.call("claimWork", &["prov/other"], Some(other)).await.granted();
        // A dependency that completes.
        let claim = claiming(&house, 1);
        waiting(&house, &[&claim]).await;
        house.call("reportCompleted", &[&required, "0"], None).await.status_of();
        let claims = tokio::time::timeout(SOON, claim).await.expect("soon");
        assert_eq!(ids(&claims.unwrap())[0], dependent);
        // A retry.
        let claim = claiming(&house, 1);
        waiting(&house, &[&claim]).await;
        let reason = Some(json!({"reason": "worker-shutdown"}));
        house.call("reportException", &[&dependent, "0"], reason).await.status_of();
        let claims = tokio::time::timeout(SOON, claim).await.expect("soon");
        assert_eq!(claims.unwrap()[0]["runId"], 1);
        // A rerun.
        house.call("cancelTask", &[&dependent], None).await.status_of();
        let claim = claiming(&house, 1);
        waiting(&house, &[&claim]).await;
        house.call("rerunTask", &[&dependent], None).await.status_of();
        let claims = tokio::time::timeout(SOON, claim).await.expect("soon");
        assert_eq!(claims.unwrap()[0]["runId"], 2);
        // A task that is scheduled by hand.
        let own = taskyard_access::slugid::nice();
        house.create_as(&own, json!({"dependencies": [own]})).await;
        let claim = claiming(&house, 1);
        waiting(&house, &[&claim]).await;
        house.call("scheduleTask", &[&own], None).await.status_of();
        let claims = tokio::time::timeout(SOON, claim).await.expect("soon");
        assert_eq!(ids(&claims.unwrap()), [own]);
    }

    async fn a_claim_that_nobody_waits_for_any_more_takes_nothing(kind) {
        let house = Arc::new(House::new(kind).await);
        let claim = claiming(&house, 1);
        waiting(&house, &[&claim]).await;
        claim.abort();
        assert!(claim.await.unwrap_err().is_cancelled());
        let id = house.create(json!({})).await;
        assert_eq!(house.status(&id).await["state"], "pending");
        assert_eq!(ids(&house.claim(1).await), [id]);
    }

    async fn a_server_that_stops_answers_waiting_claims_with_nothing(kind) {
        let house = Arc::new(House::new(kind).await);
        let claim = claiming(&house, 1);
        waiting(&house, &[&claim]).await;
        house.draining.cancel();
        // By itself it would be answered after twenty seconds.
        let claims = tokio::time::timeout(Duration::from_secs(15), claim).await.expect("soon");
        assert!(claims.unwrap().is_empty());
        // What is there is still given.
        let id = house.create(json!({})).await;
        assert_eq!(ids(&house.claim(1).await), [id]);
    }

    async fn one_run_is_claimed_by_its_number(kind) {
        let house = House::new(kind).await;
        let id = house.create(json!({})).await;
        let body = Some(json!({"workerGroup": "g", "workerId": "w"}));
        let claim = house.call("claimTask", &[&id, "0"], body.clone()).await.granted();
        assert_eq!(claim["status"]["state"], "running");
        assert_eq!(claim["task"]["taskQueueId"], QUEUE);
        // The same worker is told the same again; another one is refused.
        house.wait(Duration::from_secs(5));
        let again = house.call("claimTask", &[&id, "0"], body.clone()).await.granted();
        assert_eq!(again["takenUntil"], claim["takenUntil"]);
        let other = Some(json!({"workerGroup": "g", "workerId": "other"}));
        house.call("claimTask", &[&id, "0"], other).await.refused(409, "RequestConflict");
        house.call("claimTask", &[&id, "1"], body.clone()).await.refused(404, "ResourceNotFound");
        let nowhere = taskyard_access::slugid::nice();
        house.call("claimTask", &[&nowhere, "0"], body.clone()).await.refused(404, "ResourceNotFound");
        house.call("reportCompleted", &[&id, "0"], None).await.status_of();
        house.call("claimTask", &[&id, "0"], body.clone()).await.refused(409, "RequestConflict");
        let late = house.create(json!({})).await;
        house.wait(Duration::from_mins(61));
        house.call("claimTask", &[&late, "0"], body).await.refused(409, "RequestConflict");
    }

    async fn a_run_that_was_claimed_as_work_cannot_be_claimed_by_its_number(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({})).await;
        let holder = Some(json!({"workerGroup": "group", "workerId": "worker"}));
        let before = house.status(&id).await;
        house.call("claimTask", &[&id, "0"], holder).await.refused(409, "RequestConflict");
        assert_eq!(house.status(&id).await, before);
    }

    async fn a_run_that_was_claimed_by_number_is_claimed_no_more(kind) {
        let house = House::new(kind).await;
        let (first, second) = (house.create(json!({})).await, house.create(json!({})).await);
        let body = Some(json!({"workerGroup": "g", "workerId": "w"}));
        house.call("claimTask", &[&first, "0"], body).await.granted();
        assert_eq!(ids(&house.claim(2).await), [second]);
    }

    async fn a_reclaim_lasts_from_now_and_brings_new_credentials(kind) {
        let house = House::new(kind).await;
        let (id, claim) = house.claimed(json!({})).await;
        house.wait(Duration::from_mins(10));
        let answer = house.call("reclaimTask", &[&id, "0"], None).await.granted();
        assert!(answer.get("task").is_none());
        assert!(moment(&answer["takenUntil"]) >= moment(&claim["takenUntil"]).plus(Duration::from_mins(10)));
        assert_eq!(answer["status"]["runs"][0]["takenUntil"], answer["takenUntil"]);
        assert_eq!(answer["workerId"], "worker");
        assert_ne!(answer["credentials"]["clientId"], claim["credentials"]["clientId"]);
        // The claim does not end when the first one would have.
        house.wait(Duration::from_mins(15));
        house.sweep().await;
        assert_eq!(house.status(&id).await["state"], "running");
    }

    async fn what_cannot_be_reclaimed_is_a_conflict(kind) {
        let house = House::new(kind).await;
        let id = house.create(json!({})).await;
        house.call("reclaimTask", &[&id, "0"], None).await.refused(409, "RequestConflict");
        house.call("reclaimTask", &[&id, "1"], None).await.refused(404, "ResourceNotFound");
        let nowhere = taskyard_access::slugid::nice();
        house.call("reclaimTask", &[&nowhere, "0"], None).await.refused(404, "ResourceNotFound");
        house.claim(1).await;
        house.call("cancelTask", &[&id], None).await.status_of();
        house.call("reclaimTask", &[&id, "0"], None).await.refused(409, "RequestConflict");
        let (id, _) = house.claimed(json!({})).await;
        house.wait(Duration::from_mins(61));
        house.call("reclaimTask", &[&id, "0"], None).await.refused(409, "RequestConflict");
    }

    async fn a_claim_that_is_not_renewed_ends_and_the_task_is_tried_again(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({"retries": 1})).await;
        house.wait(CLAIM.saturating_sub(Duration::from_mins(1)));
        house.sweep().await;
        assert_eq!(house.status(&id).await["state"], "running");
        house.wait(Duration::from_mins(1));
        house.sweep().await;
        let status = house.status(&id).await;
        assert_eq!((&status["state"], &status["retriesLeft"]), (&json!("pending"), &json!(0)));
        assert_eq!(status["runs"][0]["reasonResolved"], "claim-expired");
        assert_eq!(status["runs"][0]["state"], "exception");
        assert_eq!(status["runs"][1]["reasonCreated"], "retry");
        for method in ["reclaimTask", "reportCompleted", "reportFailed"] {
            house.call(method, &[&id, "0"], None).await.refused(409, "RequestConflict");
        }
        let claims = house.claim(1).await;
        assert_eq!(claims[0]["runId"], 1);
        house.wait(CLAIM + Duration::from_secs(1));
        house.sweep().await;
        let status = house.status(&id).await;
        assert_eq!((&status["state"], status["runs"].as_array().unwrap().len()), (&json!("exception"), 2));
        assert_eq!(status["runs"][1]["reasonResolved"], "claim-expired");
    }

    async fn a_retry_waits_behind_those_that_wait_already(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({})).await;
        let other = house.create(json!({})).await;
        let reason = Some(json!({"reason": "intermittent-task"}));
        house.call("reportException", &[&id, "0"], reason).await.status_of();
        assert_eq!(ids(&house.claim(2).await), [other, id]);
    }
}

/// With a clock that jumps when everybody waits, 20 seconds take no time.
#[tokio::test(start_paused = true)]
async fn a_claim_that_finds_nothing_is_answered_after_twenty_seconds() {
    let house = House::new(Kind::Sqlite).await;
    let began = tokio::time::Instant::now();
    let answer = house
        .call(
            "claimWork",
            &[QUEUE],
            Some(json!({"workerGroup": "g", "workerId": "w"})),
        )
        .await;
    assert_eq!(answer.granted(), json!({"tasks": []}));
    let took = began.elapsed();
    assert!(
        took >= Duration::from_secs(20) && took < Duration::from_secs(22),
        "{took:?}"
    );
}
