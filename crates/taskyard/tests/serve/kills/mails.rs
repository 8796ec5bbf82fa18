//! kill -9 while mails are sent: all arrive, and those that are known to have been sent are not sent
//! again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use taskyard_client::slugid;
use taskyard_client::taskcluster::{
    Email, Notification, NotificationState, NotificationType, Notified, Notify,
};
use tokio::task::JoinSet;

use crate::caller::{Caller, once};
use crate::mail_server::MailServer;
use crate::postgres::Remote;
use crate::process::{Ground, PATIENCE, Server, soon};

/// Kills while mails are sent.
const ROUNDS: u32 = 3;
/// Mails that wait for an answer when a server is killed.
const HELD: usize = 5;
/// Who does the same at the same time, and how often each does it on one server.
const CALLERS: usize = 3;
const WORKERS: usize = 2;
const TIMES: usize = 10;
/// After so long another server sends what one that was killed was about to send.
const TAKEOVER: Duration = Duration::from_mins(6);

/// Addresses to which mails are owed: these were asked for, and that was acknowledged.
type Ledger = Arc<Mutex<BTreeSet<String>>>;

fn address() -> String {
    format!("{}@example.com", slugid::nice())
}

fn notify(server: &Server) -> Notify {
    Notify::new(once(taskyard_client::Options::new(&server.url))).unwrap()
}

/// Asks for mails, unless the server goes away before.
async fn call(notify: Notify, ledger: Ledger) {
    for _ in 0..TIMES {
        let address = address();
        let mail = Email::new(&address, "A call", "*asked* for it");
        let Ok(notified) = notify.email(&mail).await else {
            return;
        };
        assert_eq!(notified, Notified::Accepted);
        ledger.lock().unwrap().insert(address);
    }
}

/// Completes tasks of which somebody wants to hear, unless the server goes away before.
async fn complete(caller: Caller, worker: String, ledger: Ledger) {
    for _ in 0..TIMES {
        let address = address();
        let queue = format!("prov/{worker}");
        let route = format!("notify.email.{address}.on-completed");
        let fields = json!({"taskQueueId": queue, "routes": [route]});
        let id = slugid::nice();
        if caller.create(&id, fields).await.is_err() {
            return;
        }
        let path = ["task", &id, "runs", "0", "claim"];
        let body = json!({"workerGroup": "group", "workerId": worker});
        let claimed = caller.call(taskyard_client::Method::POST, &path, Some(&body));
        if claimed.await.is_err() || caller.complete(&id, 0).await.is_err() {
            return;
        }
        ledger.lock().unwrap().insert(address);
    }
}

async fn serve(ground: &Ground, mails: &MailServer) -> Server {
    // Mails have links to the server, which are the same wherever it listens.
    let root = ["--root-url", "http://tasks.example.com"];
    let mut command = ground.command(&["--dev", "--log-level", "error"]);
    command
        .args(root)
        .env("TASKYARD_NOTIFY_SMTP_URL", &mails.url)
        .env("TASKYARD_NOTIFY_SENDER", "Tasks <server@example.com>");
    Server::spawn(command).await
}

/// What became of each notification, by its address; none was accepted twice.
async fn outbox(notify: &Notify) -> BTreeMap<String, Notification> {
    let mut outbox = BTreeMap::new();
    for notification in soon(notify.outbox_all()).await.unwrap() {
        assert_eq!(notification.kind, NotificationType::Email);
        let address = notification.address.clone();
        if let Some(other) = outbox.insert(address, notification) {
            panic!("accepted twice: {other:?}");
        }
    }
    outbox
}

/// Waits until everything that is owed was sent, and nothing waits any more.
async fn until_sent(notify: &Notify, owed: &BTreeSet<String>) -> BTreeMap<String, Notification> {
    let looking = async {
        loop {
            let outbox = outbox(notify).await;
            let is_sent = |it: &Notification| it.state == NotificationState::Sent;
            let is_owed_nothing = owed.iter().all(|address| outbox.contains_key(address));
            if is_owed_nothing && outbox.values().all(is_sent) {
                return outbox;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if let Ok(outbox) = tokio::time::timeout(PATIENCE, looking).await {
        return outbox;
    }
    panic!("in the end: {owed:?} {:?}", outbox(notify).await)
}

async fn check(ground: &Ground) {
    let mails = MailServer::start().await;
    let ledger = Ledger::default();
    // How often those had been sent that a server which was killed had noted as sent.
    let mut noted = BTreeMap::new();
    let mut held = BTreeSet::new();
    for round in 0..ROUNDS {
        let server = serve(ground, &mails).await;
        note(&mut noted, &server, &mails).await;
        server.advance(TAKEOVER * round).await;
        let mut load = JoinSet::new();
        for _ in 0..CALLERS {
            load.spawn(call(notify(&server), Arc::clone(&ledger)));
        }
        for number in 0..WORKERS {
            let caller = Caller::anonymous(&server.url);
            let worker = format!("worker-{number}");
            load.spawn(complete(caller, worker, Arc::clone(&ledger)));
        }
        mails.holds(HELD).await;
        server.kill().await;
        held.extend(mails.give_up());
        while let Some(ended) = soon(load.join_next()).await {
            ended.unwrap();
        }
    }

    mails.open();
    let server = serve(ground, &mails).await;
    note(&mut noted, &server, &mails).await;
    assert!(!noted.is_empty(), "some were sent before the last kill");
    server.advance(TAKEOVER * ROUNDS).await;
    let mut owed = ledger.lock().unwrap().clone();
    owed.extend(held.iter().cloned());
    let outbox = until_sent(&notify(&server), &owed).await;
    let received = mails.received().mails;
    for (address, notification) in &outbox {
        let times = received.get(address).copied().unwrap_or_default();
        assert!(times > 0, "{notification:?} has not arrived");
        assert!(
            times <= notification.attempts as usize,
            "each attempt sends one mail: {times} of {notification:?}"
        );
    }
    // Nobody had said that these were taken.
    for address in &held {
        assert!(received[address] > 1, "{address} was not tried again");
    }
    for (address, times) in &noted {
        assert_eq!(received[address], *times, "{address} was sent to again");
    }
    assert!(
        received.keys().all(|address| outbox.contains_key(address)),
        "nobody else was sent anything"
    );
}

/// Remembers how often what is noted as sent was received by now.
async fn note(noted: &mut BTreeMap<String, usize>, server: &Server, mails: &MailServer) {
    let outbox = outbox(&notify(server)).await;
    let received = mails.received().mails;
    for (address, notification) in outbox {
        if notification.state == NotificationState::Sent {
            let times = received.get(&address).copied().unwrap_or_default();
            noted.entry(address).or_insert(times);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mail_arrives_whatever_is_killed_on_sqlite() {
    check(&Ground::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mail_arrives_whatever_is_killed_on_postgres() {
    let remote = Remote::new().await;
    check(&Ground::on_postgres(&remote.url)).await;
    remote.end().await;
}
