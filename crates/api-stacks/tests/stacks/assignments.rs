//! Agents that ask for any job are handed one.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};
use taskyard_engine::task::{self, Priority, State, Worker};
use taskyard_store::on_both_databases;

use crate::yard::{STACK, Wanted, Yard};

/// An agent that takes what it is handed.
struct Agent<'a> {
    yard: &'a Yard,
    access: String,
}

impl<'a> Agent<'a> {
    async fn with(yard: &'a Yard, token: &str, more: &Value) -> Self {
        let mut body = json!({"name": "a", "meta_data": ["queue=default", "os=linux"]});
        for (name, value) in more.as_object().expect("fields") {
            body[name] = value.clone();
        }
        let answer = yard
            .call(token, "POST", "register", Some(&body))
            .await
            .expect(200);
        let access = answer["access_token"].as_str().expect("a token").to_owned();
        Agent { yard, access }
    }

    async fn new(yard: &'a Yard) -> Self {
        Self::with(yard, &yard.token, &json!({})).await
    }

    async fn ping(&self) -> Value {
        self.yard
            .call(&self.access, "GET", "ping", None)
            .await
            .expect(200)
    }

    /// The job that it is to accept.
    async fn handed(&self) -> Option<String> {
        let answer = self.ping().await;
        let job = answer.get("job")?["id"].as_str().expect("an id").to_owned();
        assert_eq!(answer, json!({"job": {"id": job, "state": "assigned"}}));
        Some(job)
    }

    async fn accept(&self, job: &str) -> crate::raw::Answer {
        let path = format!("jobs/{job}/accept");
        self.yard.call(&self.access, "PUT", &path, None).await
    }

    /// Runs a job that it has accepted.
    async fn run(&self, job: &str, end: Value) {
        let call = async |word: &str, body: &Value| {
            let path = format!("jobs/{job}/{word}");
            self.yard
                .call(&self.access, "PUT", &path, Some(body))
                .await
                .expect(200)
        };
        call("start", &json!({})).await;
        assert_eq!(self.ping().await, json!({}), "one job at a time");
        call("finish", &end).await;
    }
}

fn wanted(priority: Priority, rules: &[&str]) -> Wanted {
    let definition = json!({
        "payload": {"command": "x", "agents": rules}, "metadata": {"name": "test"},
    });
    Wanted {
        priority,
        definition,
        ..Wanted::default()
    }
}

on_both_databases! {
    async fn an_agent_is_handed_the_most_urgent_job_that_suits_it(kind) {
        let yard = Yard::new(kind).await;
        let jobs = yard.jobs(vec![
            wanted(Priority::Low, &["os=linux"]),
            wanted(Priority::Highest, &["os=darwin"]),
            wanted(Priority::High, &["os=*"]),
        ]).await;
        let [low, foreign, high] = &jobs[..] else { panic!("three jobs") };
        let (one, two) = (Agent::new(&yard).await, Agent::new(&yard).await);
        // The answer may be lost: it is the same until the job is accepted.
        for _ in 0..2 {
            assert_eq!(one.handed().await.as_ref(), Some(high));
        }
        assert_eq!(two.handed().await.as_ref(), Some(low));
        let darwin = json!({"meta_data": ["os=darwin"]});
        let three = Agent::with(&yard, &yard.token, &darwin).await;
        assert_eq!(three.handed().await.as_ref(), Some(foreign));
        assert_eq!(Agent::new(&yard).await.ping().await, json!({}));

        // Nobody else gets it meanwhile.
        assert_eq!(yard.state(high).await, "assigned");
        assert_eq!(yard.listed().await, Vec::<String>::new());
        assert_eq!(yard.reserve(STACK, &jobs).await, Vec::<String>::new());
        let finish = format!("stacks/{STACK}/jobs/{high}/finish");
        yard.post(&finish, &json!({"detail": "x"})).await.refused(422);
        let worker = Worker { group: "g".to_owned(), id: "w".to_owned() };
        let (now, until) = (yard.now(), yard.now().plus(Duration::from_mins(20)));
        let claimed = yard.write(move |tx| {
            task::claim_work(tx, now, "stacks/default", &worker, 10, until)
        }).await.expect("the worker is not quarantined");
        assert!(claimed.is_empty());
        two.accept(high).await.refused(422);

        let told = one.accept(high).await.expect(200);
        assert_eq!((&told["id"], &told["state"]), (&json!(high), &json!("accepted")));
        assert!(told["token"].as_str().is_some_and(|it| it.starts_with("bkaj_")));
        assert_eq!(yard.state(high).await, "accepted");
        one.accept(high).await.expect(200);
        one.run(high, json!({"exit_status": "0"})).await;
        assert_eq!(yard.runs(high).await, [(State::Completed, Some("completed"))]);
        assert_eq!(one.ping().await, json!({}));
        one.accept(high).await.refused(422);
    }

    async fn a_job_that_is_not_accepted_is_handed_to_somebody_else(kind) {
        let yard = Yard::new(kind).await;
        let job = yard.job(Wanted::default()).await;
        let (silent, next) = (Agent::new(&yard).await, Agent::new(&yard).await);
        assert_eq!(silent.handed().await.as_ref(), Some(&job));
        yard.advance(Duration::from_secs(30));
        yard.sweep().await;
        assert_eq!(next.ping().await, json!({}));
        yard.advance(Duration::from_secs(31));
        assert_eq!(yard.state(&job).await, "scheduled");
        silent.accept(&job).await.refused(422);
        yard.sweep().await;
        assert_eq!(next.handed().await.as_ref(), Some(&job));
        silent.accept(&job).await.refused(422);
        next.accept(&job).await.expect(200);
        // One that was accepted is its agent's for as long as that is heard of.
        yard.advance(Duration::from_secs(181));
        yard.sweep().await;
        let lost = (State::Exception, Some("claim-expired"));
        assert_eq!(yard.runs(&job).await, [lost, (State::Pending, None)]);
        assert_eq!(silent.handed().await.as_ref(), Some(&job));
    }

    async fn each_job_is_handed_to_one_of_those_who_ask_at_once(kind) {
        let yard = Yard::new(kind).await;
        let jobs = yard.jobs(vec![Wanted::default(); 10]).await;
        let agents = futures_util::future::join_all((0..25).map(|_| Agent::new(&yard))).await;
        let mut handed: Vec<(usize, String)> = Vec::new();
        // Who comes away empty-handed asks again.
        while handed.len() < jobs.len() {
            let asked = (0..agents.len()).filter(|at| handed.iter().all(|(known, _)| known != at));
            let asked = asked.map(async |at| (at, agents[at].handed().await));
            for (at, job) in futures_util::future::join_all(asked).await {
                handed.extend(job.map(|job| (at, job)));
            }
        }
        let different: HashSet<&String> = handed.iter().map(|(_, job)| job).collect();
        assert_eq!((handed.len(), different.len()), (10, 10));
        for (at, job) in &handed {
            agents[*at].accept(job).await.expect(200);
        }
    }

    async fn who_is_not_to_be_handed_jobs_is_not(kind) {
        let yard = Yard::new(kind).await;
        let job = yard.job(Wanted::default()).await;
        let ignored = json!({"ignore_in_dispatches": true});
        let ignored = Agent::with(&yard, &yard.token, &ignored).await;
        assert_eq!(ignored.ping().await, json!({}));
        let gpu = yard.issue(&json!({"queues": ["gpu"]})).await;
        let gpus = Agent::with(&yard, &gpu, &json!({"meta_data": ["queue=gpu"]})).await;
        assert_eq!(gpus.ping().await, json!({}));
        // Only the first of several queues counts, and nobody serves one that the token is not for.
        let both = json!({"meta_data": ["queue=gpu", "queue=default"]});
        let both = Agent::with(&yard, &gpu, &both).await;
        assert_eq!(both.ping().await, json!({}));

        let agent = Agent::new(&yard).await;
        let operator = yard.client("operator", &["stacks:pause-queue:default"]).await;
        yard.call(&operator, "POST", "queues/default/pause", None).await.expect(200);
        assert_eq!(agent.ping().await, json!({}));
        yard.call(&operator, "POST", "queues/default/resume", None).await.expect(200);
        yard.call(&agent.access, "POST", "pause", Some(&json!({}))).await.expect(200);
        assert_eq!(agent.ping().await["action"], "pause");
        assert_eq!(yard.state(&job).await, "scheduled");
        yard.call(&agent.access, "POST", "resume", Some(&json!({}))).await.expect(200);
        assert_eq!(agent.handed().await.as_ref(), Some(&job));
        agent.accept(&job).await.expect(200);
        // One that leaves after its job says so with its report.
        let last = json!({"exit_status": "0", "ignore_agent_in_dispatches": true});
        agent.run(&job, last).await;
        yard.job(Wanted::default()).await;
        assert_eq!(agent.ping().await, json!({}));
        let unknown = "01234567-89ab-4def-8123-456789abcdef";
        agent.accept(unknown).await.refused(422);
    }
}
