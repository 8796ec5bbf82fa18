//! Artifacts as records: made, replaced, listed, followed.

use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use taskyard_access::slugid;
use taskyard_store::on_both_databases;
use taskyard_store::testing::Kind;
use tokio::runtime::Handle;

use crate::answer::Answer;
use crate::groups::pages;
use crate::histories::for_all;
use crate::house::{House, merged};

const HOUR: Duration = Duration::from_hours(1);

/// A request for an artifact of each type.
fn of_type(house: &House, storage_type: &str) -> Value {
    let expires = house.later(2 * HOUR);
    match storage_type {
        "s3" => json!({"storageType": "s3", "expires": expires, "contentType": "text/plain"}),
        "reference" => json!({"storageType": "reference", "expires": expires,
            "contentType": "text/plain", "url": "https://elsewhere.example.com/x?y=z"}),
        "link" => json!({"storageType": "link", "expires": expires, "artifact": "target"}),
        "azure" | "object" => json!({"storageType": storage_type, "expires": expires,
            "contentType": "text/plain"}),
        "blob" => json!({"storageType": "blob", "expires": expires, "contentType": "text/plain",
            "contentSha256": "00".repeat(32), "contentLength": 5}),
        _ => json!({"storageType": "error", "expires": expires,
            "reason": "file-missing-on-worker", "message": "it is not there"}),
    }
}

async fn create(house: &House, id: &str, name: &str, body: Value) -> Answer {
    house
        .call("createArtifact", &[id, "0", name], Some(body))
        .await
}

async fn link(house: &House, id: &str, name: &str, target: &str) {
    let body = merged(of_type(house, "link"), json!({"artifact": target}));
    create(house, id, name, body).await.granted();
}

/// What stands under a name in a web of links.
#[derive(Debug, Clone, Copy)]
enum Knot {
    Nothing,
    /// A link to the knot so much further on, or back to the first ones.
    Link(usize),
    Reference,
    Error,
}

/// Knots, and whether the caller may see each of them.
fn web() -> impl Strategy<Value = Vec<(Knot, bool)>> {
    let knot = prop_oneof![
        30 => Just(Knot::Link(1)),
        5 => (0..40_usize).prop_map(Knot::Link),
        1 => Just(Knot::Nothing),
        2 => Just(Knot::Reference),
        1 => Just(Knot::Error),
    ];
    prop::collection::vec((knot, prop::bool::weighted(0.98)), 1..40)
}

/// Where the links lead from the first knot, as statuses of getArtifact and of artifact.
fn end_of(web: &[(Knot, bool)]) -> (u16, u16) {
    let (mut at, mut seen) = (0, HashSet::from([0]));
    loop {
        let (knot, may) = web[at];
        match knot {
            _ if !may => return (403, 403),
            Knot::Nothing => return (404, 404),
            Knot::Reference => return (303, 200),
            Knot::Error => return (424, 200),
            Knot::Link(by) => {
                at = (at + by) % web.len();
                if !seen.insert(at) {
                    return (400, 400);
                }
            }
        }
    }
}

async fn follow(house: &House, id: &str, web: &[(Knot, bool)]) -> Result<(), String> {
    let prefix = slugid::nice();
    let name = |at: usize| format!("{prefix}/{at}");
    let mut scopes = Vec::new();
    for (at, (knot, may)) in web.iter().enumerate() {
        match knot {
            Knot::Nothing => {}
            Knot::Link(by) => link(house, id, &name(at), &name((at + by) % web.len())).await,
            Knot::Reference => {
                create(house, id, &name(at), of_type(house, "reference"))
                    .await
                    .granted();
            }
            Knot::Error => {
                create(house, id, &name(at), of_type(house, "error"))
                    .await
                    .granted();
            }
        }
        if *may {
            scopes.push(format!("queue:get-artifact:{}", name(at)));
        }
    }
    let who = house.with(scopes);
    let expected = end_of(web);
    for (method, args, expected) in [
        ("getArtifact", vec![id, "0"], expected.0),
        ("getLatestArtifact", vec![id], expected.0),
        ("artifact", vec![id, "0"], expected.1),
        ("latestArtifact", vec![id], expected.1),
    ] {
        let first = name(0);
        let args = [args, vec![first.as_str()]].concat();
        let answer = house.call_as(&who, method, &args, None).await;
        if answer.status != expected {
            return Err(format!("{method} gets {answer:?} instead of {expected}"));
        }
    }
    Ok(())
}

/// Those that are there as soon as they are made.
const TYPES: [&str; 5] = ["s3", "azure", "reference", "link", "error"];
const ALL_TYPES: [&str; 7] = [
    "s3",
    "azure",
    "blob",
    "object",
    "reference",
    "link",
    "error",
];

on_both_databases! {
    /// I33
    async fn links_lead_to_their_end_in_any_web(kind) {
        let cases = match kind {
            Kind::Sqlite => 100,
            Kind::Postgres => 30,
        };
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({})).await;
        let handle = Handle::current();
        for_all(cases, web(), |web| handle.block_on(follow(&house, &id, &web)));
    }

    async fn each_type_is_made_and_told_about(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({})).await;
        for storage_type in TYPES {
            let name = format!("public/{storage_type}");
            let request = of_type(&house, storage_type);
            let made = create(&house, &id, &name, request.clone()).await.granted();
            assert_eq!(made["storageType"], storage_type);
            assert_eq!(made.get("putUrl").is_some(), ["s3", "azure"].contains(&storage_type));
            let content_type = request.get("contentType").cloned()
                .unwrap_or(json!("application/binary"));
            let expected = json!({"storageType": storage_type, "name": name,
                "expires": request["expires"], "contentType": content_type});
            for (method, args) in [
                ("artifactInfo", vec![id.as_str(), "0", &name]), ("latestArtifactInfo", vec![&id, &name]),
            ] {
                assert_eq!(house.call(method, &args, None).await.granted(), expected);
            }
        }
        let listed = house.call("listArtifacts", &[&id, "0"], None).await.granted();
        let names: Vec<&str> = listed["artifacts"].as_array().unwrap().iter()
            .map(|artifact| artifact["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["public/azure", "public/error", "public/link", "public/reference", "public/s3"]);
        assert_eq!(house.call("listLatestArtifacts", &[&id], None).await.granted(), listed);
    }

    async fn a_length_is_kept_as_it_was_first_said(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({})).await;
        let body = merged(of_type(&house, "s3"), json!({"contentLength": 12_345_678_901_u64}));
        create(&house, &id, "a", body.clone()).await.granted();
        create(&house, &id, "a", merged(body, json!({"contentLength": 5}))).await.granted();
        let info = house.call("artifactInfo", &[&id, "0", "a"], None).await.granted();
        assert_eq!(info["contentLength"], 12_345_678_901_u64);
    }

    async fn requests_that_fit_no_type_are_refused(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({})).await;
        for body in [
            json!({}), json!({"storageType": "s3"}), json!({"storageType": "blob"}),
            json!({"storageType": "azure"}), json!({"storageType": "object"}),
            merged(of_type(&house, "azure"), json!({"contentLength": 5})),
            merged(of_type(&house, "blob"), json!({"contentSha256": "00"})),
            merged(of_type(&house, "blob"), json!({"contentLength": null})),
            merged(of_type(&house, "blob"), json!({"contentLength": -1})),
            merged(of_type(&house, "blob"), json!({"parts": []})),
            merged(of_type(&house, "blob"), json!({"parts": [{"sha256": "00".repeat(32)}]})),
            merged(of_type(&house, "blob"), json!({"contentEncoding": "x".repeat(256)})),
            merged(of_type(&house, "s3"), json!({"contentType": null})),
            merged(of_type(&house, "s3"), json!({"contentType": "x".repeat(256)})),
            merged(of_type(&house, "s3"), json!({"url": "https://x"})),
            merged(of_type(&house, "s3"), json!({"contentLength": -1})),
            merged(of_type(&house, "s3"), json!({"expires": "never"})),
            merged(of_type(&house, "reference"), json!({"url": null})),
            merged(of_type(&house, "reference"), json!({"url": "not a url"})),
            merged(of_type(&house, "link"), json!({"artifact": null})),
            merged(of_type(&house, "error"), json!({"reason": "other"})),
            merged(of_type(&house, "error"), json!({"message": "x".repeat(4097)})),
            merged(of_type(&house, "error"), json!({"message": null})),
        ] {
            create(&house, &id, "a", body).await.refused(400, "InputValidationError");
        }
        create(&house, &id, "a", of_type(&house, "s3")).await.granted();
    }

    async fn the_run_must_take_artifacts(kind) {
        let house = House::new(kind).await;
        let expires = house.later(3 * HOUR);
        let fields = json!({"expires": expires});
        let id = house.create(fields.clone()).await;
        let body = of_type(&house, "error");
        let refused = async |id: &str, body: &Value, status: u16, code: &str, told: &str| {
            let message = create(&house, id, "a", body.clone()).await.refused(status, code);
            assert!(message.contains(told), "{message}");
        };
        refused(&slugid::nice(), &body, 400, "InputError", "does not exist").await;
        refused(&id, &body, 400, "InputError", "never claimed").await;
        let run = house.call("createArtifact", &[&id, "1", "a"], Some(body.clone())).await;
        run.refused(400, "InputError");
        house.claim(1).await;
        let late = merged(body.clone(), json!({"expires": house.later(3 * HOUR + HOUR)}));
        refused(&id, &late, 400, "InputError", "later than its task").await;
        let past = merged(body.clone(), json!({"expires": house.earlier(Duration::from_mins(16))}));
        refused(&id, &past, 400, "InputError", "in the past").await;
        let recent = merged(body.clone(), json!({"expires": house.earlier(Duration::from_mins(14))}));
        create(&house, &id, "recent", recent).await.granted();
        // As long as the task, to the millisecond and in another spelling.
        let exact = expires.replace('Z', "999+00:00");
        create(&house, &id, "exact", merged(body.clone(), json!({"expires": exact}))).await.granted();
        for method in ["reportCompleted", "reportFailed"] {
            let (id, _) = house.claimed(fields.clone()).await;
            create(&house, &id, "before", body.clone()).await.granted();
            house.call(method, &[&id, "0"], None).await.status_of();
            refused(&id, &body, 409, "RequestConflict", "running").await;
        }
        let reason = Some(json!({"reason": "internal-error"}));
        house.call("reportException", &[&id, "0"], reason).await.status_of();
        house.wait(Duration::from_mins(24));
        create(&house, &id, "soon after", body.clone()).await.granted();
        house.wait(Duration::from_mins(2));
        refused(&id, &body, 409, "RequestConflict", "25 minutes").await;
    }

    async fn what_may_replace_what(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({})).await;
        for first in ALL_TYPES {
            for second in ALL_TYPES {
                let name = format!("{first}-{second}");
                create(&house, &id, &name, of_type(&house, first)).await.granted();
                let answer = create(&house, &id, &name, of_type(&house, second)).await;
                let allowed = first == second || (first, second) == ("reference", "link");
                if allowed {
                    answer.granted();
                } else {
                    answer.refused(409, "RequestConflict");
                }
                let info = house.call("artifactInfo", &[&id, "0", &name], None).await;
                if TYPES.contains(&first) {
                    let stands = if allowed { second } else { first };
                    assert_eq!(info.granted()["storageType"], stands);
                } else {
                    info.refused(404, "ResourceNotFound");
                }
            }
        }
        let changes = [
            ("s3", json!({"contentType": "text/html"}), false),
            ("reference", json!({"contentType": "text/html"}), false),
            ("reference", json!({"url": "https://other.example.com/"}), true),
            ("link", json!({"artifact": "other"}), false),
            ("error", json!({"message": "other"}), false),
            ("blob", json!({"contentSha256": "11".repeat(32)}), false),
            ("blob", json!({"contentLength": 6}), false),
            ("blob", json!({"contentEncoding": "gzip"}), false),
            ("blob", json!({"parts": [{"sha256": "22".repeat(32), "size": 5}]}), false),
            ("object", json!({"contentType": "text/html"}), false),
            ("s3", json!({"expires": house.later(HOUR)}), false),
            ("s3", json!({"expires": house.later(3 * HOUR)}), true),
        ];
        for (at, (storage_type, change, allowed)) in changes.into_iter().enumerate() {
            let (name, first) = (format!("change-{at}"), of_type(&house, storage_type));
            create(&house, &id, &name, first.clone()).await.granted();
            let answer = create(&house, &id, &name, merged(first, change.clone())).await;
            assert_eq!(answer.status, if allowed { 200 } else { 409 }, "{storage_type} {change}");
            if allowed && change.get("expires").is_some() && storage_type == "s3" {
                let info = house.call("artifactInfo", &[&id, "0", &name], None).await.granted();
                assert_eq!(info["expires"], change["expires"]);
            }
        }
    }

    async fn each_type_is_fetched_in_its_own_way(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({})).await;
        for storage_type in TYPES {
            create(&house, &id, storage_type, of_type(&house, storage_type)).await.granted();
        }
        create(&house, &id, "target", of_type(&house, "reference")).await.granted();
        let url = "https://elsewhere.example.com/x?y=z";
        for (name, found) in [("reference", "reference"), ("link", "reference"), ("s3", "s3"), ("azure", "azure")] {
            for (method, args) in [("getArtifact", vec![id.as_str(), "0", name]), ("getLatestArtifact", vec![&id, name])] {
                let answer = house.call(method, &args, None).await;
                assert_eq!(answer.status, 303, "{answer:?}");
                assert_eq!(answer.header("x-taskcluster-artifact-storage-type"), found);
                assert_eq!(answer.json["storageType"], found);
                assert_eq!(answer.json["url"], answer.header("location"));
                if found == "reference" {
                    assert_eq!(answer.header("location"), url);
                }
            }
            for (method, args) in [("artifact", vec![id.as_str(), "0", name]), ("latestArtifact", vec![&id, name])] {
                let body = house.call(method, &args, None).await.granted();
                // Those who ask so know nothing of the old types.
                assert_eq!(body["storageType"], if found == "azure" { "s3" } else { found });
                assert!(body["url"].as_str().unwrap().starts_with("http"));
            }
        }
        let expected = json!({"reason": "file-missing-on-worker", "message": "it is not there"});
        let answer = house.call("getArtifact", &[&id, "0", "error"], None).await;
        assert_eq!((answer.status, &answer.json), (424, &expected));
        assert_eq!(answer.header("x-taskcluster-artifact-storage-type"), "error");
        let answer = house.call("getLatestArtifact", &[&id, "error"], None).await;
        assert_eq!((answer.status, &answer.json), (424, &expected));
        let content = house.call("artifact", &[&id, "0", "error"], None).await.granted();
        assert_eq!(content, merged(expected, json!({"storageType": "error"})));
    }

    async fn what_is_not_there_is_not_found(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({})).await;
        let nowhere = slugid::nice();
        let unscheduled = slugid::nice();
        house.create_as(&unscheduled, json!({"dependencies": [unscheduled]})).await;
        let huge = "9".repeat(30);
        for task in [&id, &nowhere, &unscheduled] {
            for (method, args) in [
                ("getArtifact", vec![task.as_str(), "0", "x"]), ("artifact", vec![task, "0", "x"]),
                ("artifactInfo", vec![task, "0", "x"]), ("getLatestArtifact", vec![task, "x"]),
                ("latestArtifact", vec![task, "x"]), ("latestArtifactInfo", vec![task, "x"]),
                ("listArtifacts", vec![task, "1"]), ("getArtifact", vec![task, &huge, "x"]),
            ] {
                house.call(method, &args, None).await.refused(404, "ResourceNotFound");
            }
        }
        house.call("listLatestArtifacts", &[&unscheduled], None).await.refused(404, "ResourceNotFound");
    }

    async fn links_are_followed_to_their_end_within_the_callers_scopes(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({})).await;
        create(&house, &id, "end", of_type(&house, "reference")).await.granted();
        link(&house, &id, "link-30", "end").await;
        for at in (1..30).rev() {
            link(&house, &id, &format!("link-{at}"), &format!("link-{}", at + 1)).await;
        }
        let first = [id.as_str(), "0", "link-1"];
        assert_eq!(house.call("getArtifact", &first, None).await.status, 303);
        house.call("artifactInfo", &first, None).await.granted();
        let all = house.with(["queue:get-artifact:link-*", "queue:get-artifact:end"]);
        assert_eq!(house.call_as(&all, "getArtifact", &first, None).await.status, 303);
        let some = house.with(["queue:get-artifact:link-*"]);
        let message = house.call_as(&some, "getArtifact", &first, None).await
            .refused(403, "InsufficientScopes");
        assert!(message.contains("queue:get-artifact:end") && message.contains("link-17"), "{message}");
        // Circles, and links that lead nowhere.
        link(&house, &id, "self", "self").await;
        link(&house, &id, "a", "b").await;
        link(&house, &id, "b", "a").await;
        link(&house, &id, "lost", "nowhere").await;
        for (name, status, code) in [("self", 400, "InputError"), ("a", 400, "InputError"), ("lost", 404, "ResourceNotFound")] {
            for method in ["getArtifact", "artifact"] {
                house.call(method, &[&id, "0", name], None).await.refused(status, code);
            }
        }
        link(&house, &id, "to-error", "oops").await;
        create(&house, &id, "oops", of_type(&house, "error")).await.granted();
        assert_eq!(house.call("getArtifact", &[&id, "0", "to-error"], None).await.status, 424);
    }

    async fn what_has_expired_is_gone_before_it_is_forgotten(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({})).await;
        let short = json!({"expires": house.later(Duration::from_mins(5))});
        create(&house, &id, "a", merged(of_type(&house, "reference"), short.clone())).await.granted();
        link(&house, &id, "to-a", "a").await;
        house.wait(Duration::from_mins(6));
        for name in ["a", "to-a"] {
            for (method, args) in [
                ("getArtifact", vec![id.as_str(), "0", name]), ("getLatestArtifact", vec![&id, name]),
                ("artifact", vec![&id, "0", name]), ("latestArtifact", vec![&id, name]),
            ] {
                house.call(method, &args, None).await.refused(410, "ResourceExpired");
            }
        }
        house.call("artifactInfo", &[&id, "0", "a"], None).await.granted();
        house.wait(Duration::from_mins(31));
        house.sweep().await;
        house.call("artifactInfo", &[&id, "0", "a"], None).await.refused(404, "ResourceNotFound");
        house.call("getArtifact", &[&id, "0", "a"], None).await.refused(404, "ResourceNotFound");
    }

    async fn names_may_be_anything_printable_up_to_their_length(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({})).await;
        let long = "n".repeat(1024);
        let names = ["a", " ", "a b", "a//b", "/a", "a/", "../../x", "..", "%2F", "a?b=c#d", "a%",
            "~!@$^&*()+={}[]|\\:;\"'<>,.", "public/logs/live.log", &long];
        let body = of_type(&house, "error");
        for name in names {
            create(&house, &id, name, body.clone()).await.granted();
            let info = house.call("artifactInfo", &[&id, "0", name], None).await.granted();
            assert_eq!(info["name"], name);
            assert_eq!(house.call("getLatestArtifact", &[&id, name], None).await.status, 424);
        }
        let listed = pages(&house, "listArtifacts", &[&id, "0"], 3, "artifacts").await;
        let mut listed: Vec<&str> = listed.iter().map(|found| found["name"].as_str().unwrap()).collect();
        let mut expected = names.to_vec();
        expected.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, expected, "each once");
        create(&house, &id, &"n".repeat(1025), body.clone()).await.refused(400, "InputError");
        for name in ["ü", "a\nb", "a\u{0}b", "a\u{7f}b", "\t"] {
            create(&house, &id, name, body.clone()).await.refused(400, "InvalidRequestArguments");
        }
        // Curl and browsers leave slashes as they are.
        let plain = crate::ask::Ask::new("GET", &format!("/api/queue/v1/task/{id}/artifacts/public/logs/live.log"));
        assert_eq!(house.ask(plain.by(house.root())).await.status, 424);
    }

    async fn listings_come_in_pages_of_any_size(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({})).await;
        let expected: Vec<String> = (0..11).map(|at| format!("name-{at:02}")).collect();
        for name in &expected {
            create(&house, &id, name, of_type(&house, "error")).await.granted();
        }
        for limit in [1, 3, 10, 11, 12] {
            for (method, args) in [("listArtifacts", vec![id.as_str(), "0"]), ("listLatestArtifacts", vec![&id])] {
                let listed = pages(&house, method, &args, limit, "artifacts").await;
                let names: Vec<&str> = listed.iter().map(|found| found["name"].as_str().unwrap()).collect();
                assert_eq!(names, expected, "{method} {limit}");
            }
        }
    }

    async fn the_latest_artifacts_are_those_of_the_last_run(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({})).await;
        create(&house, &id, "a", of_type(&house, "error")).await.granted();
        let reason = Some(json!({"reason": "worker-shutdown"}));
        house.call("reportException", &[&id, "0"], reason).await.status_of();
        house.call("getLatestArtifact", &[&id, "a"], None).await.refused(404, "ResourceNotFound");
        let latest = house.call("listLatestArtifacts", &[&id], None).await.granted();
        assert_eq!(latest, json!({"artifacts": []}));
        assert_eq!(house.call("getArtifact", &[&id, "0", "a"], None).await.status, 424);
    }
}
