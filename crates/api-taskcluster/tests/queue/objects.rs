//! Objects, and the artifacts that are objects.

use std::time::Duration;

use serde_json::{Value, json};
use taskyard_access::slugid;
use taskyard_store::on_both_databases;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::house::{CLAIM, House, merged};
use crate::transfers::{PLACES, noise};
use crate::who::Who;

const NAME: &str = "some/object name";
const HOUR: Duration = Duration::from_hours(1);

fn upload(house: &House, upload_id: &str) -> Value {
    json!({"projectId": "project", "uploadId": upload_id, "expires": house.later(48 * HOUR),
        "proposedUploadMethods": {}})
}

fn inline(bytes: &[u8]) -> Value {
    use base64::Engine as _;
    let data = base64::engine::general_purpose::STANDARD.encode(bytes);
    json!({"dataInline": {"contentType": "text/x-test", "objectData": data}})
}

fn by_put(length: usize) -> Value {
    json!({"putUrl": {"contentType": "text/x-test", "contentLength": length}})
}

async fn begin(house: &House, body: &Value, methods: Value) -> Answer {
    let body = merged(body.clone(), json!({"proposedUploadMethods": methods}));
    house.call("createUpload", &[NAME], Some(body)).await
}

/// Sends bytes to a URL with the headers that were told.
async fn send(house: &House, begun: &Value, bytes: Vec<u8>) -> Answer {
    let told = &begun["uploadMethod"]["putUrl"];
    let mut ask = Ask::new("PUT", told["url"].as_str().expect("a URL"));
    for (name, value) in told["headers"].as_object().expect("headers") {
        let name = match name.as_str() {
            "Content-Type" => "content-type",
            "Content-Length" => "content-length",
            "Content-Encoding" => "content-encoding",
            "Content-Disposition" => "content-disposition",
            other => panic!("an unknown header {other}"),
        };
        ask = ask.header(name, value.as_str().expect("text"));
    }
    house.ask(ask.body(bytes)).await
}

fn finished(upload_id: &str, hashes: Value) -> Value {
    json!({"projectId": "project", "uploadId": upload_id, "hashes": hashes})
}

async fn is_missing(house: &House) {
    let accepted = Some(json!({"acceptDownloadMethods": {"getUrl": true}}));
    let start = house.call("startDownload", &[NAME], accepted).await;
    start.refused(404, "ResourceNotFound");
    for method in ["object", "download"] {
        house
            .call(method, &[NAME], None)
            .await
            .refused(404, "ResourceNotFound");
    }
}

on_both_databases! {
    async fn an_object_is_uploaded_in_the_way_that_is_chosen_and_downloaded_again(kind) {
        for place in PLACES {
            let house = House::at(kind, place).await;
            for bytes in [Vec::new(), b"x".to_vec(), noise(8191), noise(9_000_000)] {
                let id = slugid::nice();
                let name = format!("object-{}", bytes.len());
                let mut methods = by_put(bytes.len());
                if bytes.len() < 8192 {
                    methods = merged(methods, inline(&bytes));
                }
                let body = merged(upload(&house, &id), json!({"proposedUploadMethods": methods}));
                let begun = house.call("createUpload", &[&name], Some(body.clone())).await.granted();
                assert_eq!(begun["expires"], body["expires"], "as it was sent");
                if bytes.len() < 8192 {
                    assert_eq!(begun["uploadMethod"], json!({"dataInline": true}));
                } else {
                    let headers = &begun["uploadMethod"]["putUrl"]["headers"];
                    assert_eq!(headers, &json!({"Content-Type": "text/x-test",
                        "Content-Length": "9000000", "Content-Encoding": "identity"}));
                    assert_eq!(send(&house, &begun, bytes.clone()).await.status, 200);
                }
                let hashes = json!({"sha512": "ab".repeat(64)});
                let done = house.call("finishUpload", &[&name], Some(finished(&id, hashes.clone()))).await;
                assert_eq!(done.granted(), json!({}));
                let known = house.call("object", &[&name], None).await.granted();
                assert_eq!((&known["projectId"], &known["hashes"]), (&json!("project"), &hashes));
                for accepted in ["getUrl", "simple"] {
                    let body = Some(json!({"acceptDownloadMethods": {accepted: true}}));
                    let told = house.call("startDownload", &[&name], body).await.granted();
                    assert_eq!(told["method"], accepted);
                    assert_eq!(told.get("hashes").is_some(), accepted == "getUrl");
                    let found = house.ask(Ask::new("GET", told["url"].as_str().unwrap())).await;
                    assert!(found.status == 200 && found.body == bytes);
                    assert_eq!(found.header("content-type"), "text/x-test");
                }
                let both = Some(json!({"acceptDownloadMethods": {"simple": true, "getUrl": true}}));
                assert_eq!(house.call("startDownload", &[&name], both).await.granted()["method"], "getUrl");
                let none = Some(json!({"acceptDownloadMethods": {}}));
                house.call("startDownload", &[&name], none).await.refused(406, "NoMatchingMethod");
                let moved = house.call("download", &[&name], None).await;
                assert_eq!(moved.status, 303);
                assert!(house.ask(Ask::new("GET", moved.header("location"))).await.body == bytes);
            }
        }
    }

    async fn an_upload_that_says_something_else_is_refused(kind) {
        let house = House::new(kind).await;
        let id = slugid::nice();
        let body = upload(&house, &id);
        begin(&house, &body, json!({})).await.granted();
        is_missing(&house).await;
        begin(&house, &body, by_put(4)).await.granted();
        for other in [
            json!({"projectId": "other"}), json!({"uploadId": slugid::nice()}),
            json!({"expires": house.later(49 * HOUR)}),
        ] {
            begin(&house, &merged(body.clone(), other), json!({})).await.refused(409, "RequestConflict");
        }
        let another = house.call("createUpload", &["another"], Some(body.clone())).await;
        another.refused(409, "RequestConflict");
        let hashed = |hash: &str| merged(body.clone(), json!({"hashes": {"sha256": hash.repeat(32)}}));
        begin(&house, &hashed("ab"), json!({})).await.granted();
        begin(&house, &hashed("cd"), json!({})).await.refused(409, "RequestConflict");
        let bad = json!({"dataInline": {"contentType": "a/b", "objectData": "no base64!"}});
        begin(&house, &body, bad).await.refused(400, "InputError");
        begin(&house, &body, by_put(4)).await.granted();
        for wrong in [
            json!({"projectId": ""}), json!({"projectId": "a b"}), json!({"uploadId": "x"}),
            json!({"expires": "never"}), json!({"proposedUploadMethods": null}),
            json!({"proposedUploadMethods": {"carrier": {}}}), json!({"hashes": {"sha256": "x"}}),
            json!({"proposedUploadMethods": {"putUrl": {"contentType": "a/b"}}}),
            json!({"proposedUploadMethods":
                {"dataInline": {"contentType": "a/b", "objectData": "x".repeat(10_927)}}}),
        ] {
            let body = merged(body.clone(), wrong.clone());
            let answer = house.call("createUpload", &[NAME], Some(body)).await;
            answer.refused(400, "InputValidationError");
        }
        assert_eq!(house.stored().await, 0, "nothing stays of what was refused");
    }

    async fn an_upload_is_finished_by_whom_it_was_begun(kind) {
        let house = House::new(kind).await;
        let id = slugid::nice();
        let finish = async |body: Option<Value>| house.call("finishUpload", &[NAME], body).await;
        finish(Some(finished(&id, json!({})))).await.refused(404, "ResourceNotFound");
        let body = upload(&house, &id);
        let begun = begin(&house, &body, by_put(4)).await.granted();
        finish(Some(finished(&id, json!({})))).await.refused(400, "InputError");
        for (bytes, status) in [("abc", 400), ("abcde", 400), ("abcd", 200)] {
            assert_eq!(send(&house, &begun, bytes.into()).await.status, status, "{bytes}");
        }
        let other = json!({"projectId": "other", "uploadId": id});
        finish(Some(other)).await.refused(400, "InputError");
        finish(Some(finished(&slugid::nice(), json!({})))).await.refused(409, "RequestConflict");
        let wrong = finish(Some(finished(&id, json!({"sha256": "00".repeat(32)})))).await;
        wrong.refused(400, "InputError");
        is_missing(&house).await;
        let sha256 = "88d4266fd4e6338d13b845fcf289579d209c897823b9217da3e161936f031589";
        let told = json!({"sha256": sha256, "own": "anything"});
        finish(Some(finished(&id, told.clone()))).await.granted();
        finish(Some(finished(&id, told))).await.granted();
        finish(Some(finished(&id, json!({})))).await.granted();
        finish(Some(finished(&id, json!({"sha256": "00".repeat(32)})))).await.refused(409, "RequestConflict");
        finish(Some(finished(&id, json!({"new": "x"})))).await.refused(409, "RequestConflict");
        begin(&house, &body, json!({})).await.refused(409, "RequestConflict");
        assert_eq!(send(&house, &begun, b"efgh".to_vec()).await.status, 409);
        let moved = house.call("download", &[NAME], None).await;
        assert_eq!(house.ask(Ask::new("GET", moved.header("location"))).await.body, "abcd");
    }

    async fn objects_are_for_those_who_may(kind) {
        let house = House::new(kind).await;
        let id = slugid::nice();
        let body = merged(upload(&house, &id), json!({"proposedUploadMethods": inline(b"abcd")}));
        let upload = house.with([format!("object:upload:project:{NAME}")]);
        let download = house.with([format!("object:download:{NAME}")]);
        let other = house.with(["object:upload:other:*", "object:upload:project:x", "object:download:x"]);
        let accepted = Some(json!({"acceptDownloadMethods": {"simple": true}}));
        let calls = [
            (&upload, "createUpload", Some(body)),
            (&upload, "finishUpload", Some(finished(&id, json!({})))),
            (&download, "startDownload", accepted),
            (&download, "object", None),
            (&download, "download", None),
        ];
        for (who, method, body) in calls {
            for refused in [&other, &Who::Nobody, if *method == *"createUpload" { &download } else { &other }] {
                let answer = house.call_as(refused, method, &[NAME], body.clone()).await;
                answer.refused(403, "InsufficientScopes");
            }
            house.call_as(who, method, &[NAME], body).await.granted();
        }
    }

    async fn an_object_goes_when_it_expires_or_was_never_finished(kind) {
        for place in PLACES {
            let house = House::at(kind, place).await;
            let (kept, lost) = (slugid::nice(), slugid::nice());
            let methods = json!({"proposedUploadMethods": inline(b"abcd")});
            let body = merged(upload(&house, &lost), methods.clone());
            house.call("createUpload", &["lost"], Some(body)).await.granted();
            let body = merged(upload(&house, &kept), methods);
            house.call("createUpload", &[NAME], Some(body)).await.granted();
            house.call("finishUpload", &[NAME], Some(finished(&kept, json!({})))).await.granted();
            assert_eq!(house.stored().await, 2);
            house.wait(25 * HOUR);
            house.sweep().await;
            assert_eq!(house.stored().await, 1);
            house.call("object", &[NAME], None).await.granted();
            house.wait(23 * HOUR + Duration::from_mins(1));
            is_missing(&house).await;
            house.sweep().await;
            assert_eq!(house.stored().await, 0);
        }
    }

    /// What nobody should see as a page of this site.
    async fn pages_are_for_saving(kind) {
        let house = House::new(kind).await;
        let id = slugid::nice();
        let methods = json!({"putUrl": {"contentType": "text/html", "contentLength": 4}});
        let begun = begin(&house, &upload(&house, &id), methods).await.granted();
        let headers = &begun["uploadMethod"]["putUrl"]["headers"];
        assert_eq!(headers["Content-Disposition"], "attachment");
        assert_eq!(send(&house, &begun, b"<p>x".to_vec()).await.status, 200);
        house.call("finishUpload", &[NAME], Some(finished(&id, json!({})))).await.granted();
        let moved = house.call("download", &[NAME], None).await;
        let found = house.ask(Ask::new("GET", moved.header("location"))).await;
        assert_eq!(found.header("content-disposition"), "attachment");
    }

    async fn an_object_artifact_comes_and_goes_by_credentials_of_its_own(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({"projectId": "project"})).await;
        let args = [id.as_str(), "0", "public/a b"];
        let body = json!({"storageType": "object", "contentType": "text/x-test",
            "expires": house.later(CLAIM)});
        let create = async || {
            let made = house.call("createArtifact", &args, Some(body.clone())).await;
            made.granted()
        };
        let made = create().await;
        let object = format!("t/{id}/0/public/a b");
        assert_eq!((&made["name"], &made["projectId"]), (&json!(object), &json!("project")));
        assert_eq!(made["expires"], body["expires"]);
        assert_eq!(create().await["uploadId"], made["uploadId"], "the same upload goes on");
        let upload_id = made["uploadId"].as_str().unwrap();
        let client = made["credentials"]["clientId"].as_str().unwrap();
        assert_eq!(client, format!("artifact-upload/{id}/0/on/group/worker"));
        let worker = Who::of_claim(&made);
        let finish = async |body: Value| house.call("finishArtifact", &args, Some(body)).await;
        let named = json!({"uploadId": upload_id});
        finish(named.clone()).await.refused(400, "InputError");
        let begin = json!({"projectId": "project", "uploadId": upload_id,
            "expires": made["expires"], "proposedUploadMethods": inline(b"abcd")});
        house.call_as(&worker, "createUpload", &["other"], Some(begin.clone())).await
            .refused(403, "InsufficientScopes");
        house.call_as(&worker, "createUpload", &[&object], Some(begin)).await.granted();
        finish(named.clone()).await.refused(400, "InputError");
        let hashes = Some(finished(upload_id, json!({"sha256": "88d4266fd4e6338d13b845fcf289579d209c897823b9217da3e161936f031589"})));
        house.call_as(&worker, "finishUpload", &[&object], hashes).await.granted();
        house.call("artifactInfo", &args, None).await.refused(404, "ResourceNotFound");
        finish(json!({"uploadId": slugid::nice()})).await.refused(400, "InputError");
        assert_eq!(finish(named.clone()).await.status, 204);
        assert_eq!(finish(named).await.status, 204);
        assert_eq!(create().await["uploadId"], made["uploadId"]);
        // Fetched with credentials, or by a redirect.
        let content = house.call("artifact", &args, None).await.granted();
        assert_eq!((&content["storageType"], &content["name"]), (&json!("object"), &json!(object)));
        let reader = Who::of_claim(&content);
        let accepted = Some(json!({"acceptDownloadMethods": {"getUrl": true}}));
        let told = house.call_as(&reader, "startDownload", &[&object], accepted.clone()).await.granted();
        assert_eq!(house.ask(Ask::new("GET", told["url"].as_str().unwrap())).await.body, "abcd");
        house.call_as(&reader, "startDownload", &["other"], accepted).await
            .refused(403, "InsufficientScopes");
        let moved = house.call("getArtifact", &args, None).await;
        assert_eq!(moved.status, 303);
        assert_eq!(house.ask(Ask::new("GET", moved.header("location"))).await.body, "abcd");
        house.call("artifactInfo", &args, None).await.granted();
        // Only what is an object, and is there.
        house.call("finishArtifact", &[&id, "0", "none"], Some(json!({"uploadId": upload_id}))).await
            .refused(404, "ResourceNotFound");
        house.call("finishArtifact", &[&id, "1", args[2]], Some(json!({"uploadId": upload_id}))).await
            .refused(404, "ResourceNotFound");
        let plain = json!({"storageType": "s3", "contentType": "a/b", "expires": house.later(CLAIM)});
        house.call("createArtifact", &[&id, "0", "s"], Some(plain)).await.granted();
        house.call("finishArtifact", &[&id, "0", "s"], Some(json!({"uploadId": upload_id}))).await
            .refused(400, "InputError");
    }
}
