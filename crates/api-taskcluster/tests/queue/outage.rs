//! A database that is away or full: 503, and all is well again when it is back.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use taskyard_access::slugid;
use taskyard_store::testing::{DATABASE_URL, Kind};
use taskyard_store::{Config, Key};

use crate::answer::Answer;
use crate::house::{House, SOON, merged};

/// Runs a statement on the tests' PostgreSQL server.
async fn administer(sql: String) {
    tokio::task::spawn_blocking(move || {
        let server = std::env::var(DATABASE_URL).expect("a server for tests");
        let mut client = postgres::Client::connect(&server, postgres::NoTls).expect("it answers");
        client.batch_execute(&sql).expect("it does as told");
    })
    .await
    .expect("it runs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_is_told_as_a_passing_trouble() {
    let house = House::new(Kind::Postgres).await;
    let (id, claim) = house.claimed(json!({})).await;
    let Config::Postgres(config) = house.database.config() else {
        unreachable!()
    };
    let url = config.url.split('?').next().unwrap_or_default();
    let name = url.rsplit('/').next().unwrap_or_default().to_owned();
    administer(format!(
        "ALTER DATABASE {name} ALLOW_CONNECTIONS false; \
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    ))
    .await;
    let new = slugid::nice();
    let definition = house.definition();
    let worker = json!({"workerGroup": "g", "workerId": "w"});
    let calls: [(&str, Vec<&str>, Option<Value>); 8] = [
        ("status", vec![&id], None),
        ("task", vec![&id], None),
        ("createTask", vec![&new], Some(definition.clone())),
        ("claimWork", vec![crate::house::QUEUE], Some(worker)),
        ("reclaimTask", vec![&id, "0"], None),
        ("reportCompleted", vec![&id, "0"], None),
        ("cancelTask", vec![&id], None),
        ("listTaskGroup", vec![&id], None),
    ];
    // All at once, as each of them waits a few seconds for the database.
    let answers = calls
        .iter()
        .map(|(method, args, body)| house.call(method, args, body.clone()));
    for answer in futures_util::future::join_all(answers).await {
        let message = answer.refused(503, "ServiceUnavailable");
        assert!(
            !message.contains("postgres://") && !message.contains("password"),
            "{message}"
        );
    }
    // What needs no database is answered, and so is what is refused before it is asked.
    house.call("ping", &[], None).await.granted();
    let invalid = merged(definition.clone(), json!({"retries": 99}));
    house
        .call("createTask", &[&new], Some(invalid))
        .await
        .refused(400, "InputValidationError");
    let nobody = crate::who::Who::Nobody;
    house
        .call_as(&nobody, "status", &[&id], None)
        .await
        .refused(403, "InsufficientScopes");

    administer(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
    let status = at_last(&house, "status", &[&id], None).await.status_of();
    assert_eq!(status, claim["status"], "nothing has happened meanwhile");
    at_last(&house, "status", &[&new], None)
        .await
        .refused(404, "ResourceNotFound");
    at_last(&house, "createTask", &[&new], Some(definition))
        .await
        .status_of();
    at_last(&house, "reportCompleted", &[&id, "0"], None)
        .await
        .status_of();
}

/// Calls a method as clients do: again, as long as the answer is 503.
async fn at_last(house: &House, method: &str, args: &[&str], body: Option<Value>) -> Answer {
    let began = Instant::now();
    loop {
        let answer = house.call(method, args, body.clone()).await;
        if answer.status != 503 {
            return answer;
        }
        assert!(began.elapsed() < SOON, "it should be back: {answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_full_disk_refuses_changes_and_answers_questions() {
    let house = House::new(Kind::Sqlite).await;
    let (id, _) = house.claimed(json!({})).await;
    let limit = async |pragma: &'static str| {
        let key = Key::of("limit");
        let set = house.store.write(key, move |tx| {
            tx.query(pragma, &[], |row| row.get::<i64>(0))
        });
        assert_eq!(set.await.expect("it is set").len(), 1);
    };
    // Not below what is there, so this is as full as it can be.
    limit("PRAGMA max_page_count = 1").await;
    let fill = json!({"payload": {"fill": "x".repeat(100_000)}});
    for _ in 0..3 {
        let new = slugid::nice();
        let body = merged(house.definition(), fill.clone());
        let answer = house.call("createTask", &[&new], Some(body)).await;
        answer.refused(503, "ServiceUnavailable");
        house
            .call("status", &[&new], None)
            .await
            .refused(404, "ResourceNotFound");
        assert_eq!(house.status(&id).await["state"], "running");
    }
    limit("PRAGMA max_page_count = 1000000").await;
    house.create(fill).await;
    house
        .call("reportCompleted", &[&id, "0"], None)
        .await
        .status_of();
}
