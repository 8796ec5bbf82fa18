//! Artifacts of type blob and azure: uploaded as clients of old do it.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};
use taskyard_store::on_both_databases;
use taskyard_store::testing::Kind;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::house::{CLAIM, House, Place, merged};
use crate::transfers::{PLACES, noise};
use crate::who::Who;

fn sha256(bytes: &[u8]) -> String {
    let hash = digest(&SHA256, bytes);
    hash.as_ref()
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// A request for a blob of these bytes, in parts of `size` if it is not 0.
fn blob(house: &House, bytes: &[u8], size: usize) -> Value {
    let mut body = json!({"storageType": "blob", "expires": house.later(CLAIM),
        "contentType": "text/x-test", "contentSha256": sha256(bytes),
        "contentLength": bytes.len()});
    if size > 0 {
        let parts = bytes.chunks(size);
        body["parts"] = parts
            .map(|part| json!({"sha256": sha256(part), "size": part.len()}))
            .collect();
    }
    body
}

/// A blob that was created, and not yet uploaded.
struct Blob {
    id: String,
    requests: Vec<Value>,
}

impl Blob {
    async fn new(house: &House, body: Value) -> Self {
        let (id, _) = house.claimed(json!({})).await;
        let requests = Self::create(house, &id, body).await;
        Blob { id, requests }
    }

    async fn create(house: &House, id: &str, body: Value) -> Vec<Value> {
        let made = house
            .call("createArtifact", &[id, "0", "b"], Some(body))
            .await
            .granted();
        assert_eq!(made["storageType"], "blob");
        made["requests"].as_array().expect("requests").clone()
    }

    /// Makes a request exactly as it was told.
    fn request(&self, number: usize, bytes: &[u8]) -> Ask {
        let request = &self.requests[number];
        let (method, url) = (&request["method"], &request["url"]);
        let mut ask = Ask::new(
            method.as_str().expect("a method"),
            url.as_str().expect("a URL"),
        );
        for (name, value) in request["headers"].as_object().expect("headers") {
            let name = match name.as_str() {
                "content-type" => "content-type",
                "content-length" => "content-length",
                "content-encoding" => "content-encoding",
                other => panic!("an unknown header {other}"),
            };
            ask = ask.header(name, value.as_str().expect("text"));
        }
        ask.body(bytes)
    }

    async fn upload(&self, house: &House, number: usize, bytes: &[u8]) -> String {
        let answer = house.ask(self.request(number, bytes)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.header("etag").to_owned()
    }

    async fn complete(&self, house: &House, etags: &[String]) -> Answer {
        let body = Some(json!({"etags": etags}));
        house
            .call("completeArtifact", &[&self.id, "0", "b"], body)
            .await
    }

    async fn fetch(&self, house: &House) -> Answer {
        let found = house.call("getArtifact", &[&self.id, "0", "b"], None).await;
        assert_eq!(found.status, 303, "{found:?}");
        house.ask(Ask::new("GET", found.header("location"))).await
    }

    async fn is_missing(&self, house: &House) {
        for method in ["getArtifact", "artifact", "artifactInfo"] {
            let answer = house.call(method, &[&self.id, "0", "b"], None).await;
            answer.refused(404, "ResourceNotFound");
        }
        let listed = house
            .call("listArtifacts", &[&self.id, "0"], None)
            .await
            .granted();
        let listed = listed["artifacts"].as_array().expect("artifacts");
        assert!(listed.iter().all(|artifact| artifact["name"] != "b"));
    }
}

on_both_databases! {
    async fn a_blob_is_uploaded_at_once(kind) {
        for place in PLACES {
            let house = House::at(kind, place).await;
            let bytes = noise(300_000);
            let upload = Blob::new(&house, blob(&house, &bytes, 0)).await;
            assert_eq!(upload.requests.len(), 1);
            let etag = upload.upload(&house, 0, &bytes).await;
            upload.is_missing(&house).await;
            let done = upload.complete(&house, &[etag]).await;
            assert_eq!((done.status, done.body.len()), (204, 0));
            let found = house.call("getArtifact", &[&upload.id, "0", "b"], None).await;
            for (header, value) in [
                ("artifact-storage-type", "blob"),
                ("location-content-sha256", &sha256(&bytes)),
                ("location-transfer-sha256", &sha256(&bytes)),
                ("location-content-length", "300000"),
                ("location-transfer-length", "300000"),
                ("location-content-encoding", "identity"),
                ("location-content-type", "text/x-test"),
            ] {
                assert_eq!(found.header(&format!("x-taskcluster-{header}")), value, "{header}");
            }
            let fetched = upload.fetch(&house).await;
            assert!(fetched.body == bytes);
            assert_eq!(fetched.header("content-type"), "text/x-test");
            let info = house.call("artifactInfo", &[&upload.id, "0", "b"], None).await.granted();
            assert_eq!(info["storageType"], "blob");
            let content = house.call("artifact", &[&upload.id, "0", "b"], None).await.granted();
            assert_eq!(content["storageType"], "s3", "as newer clients fetch it");
        }
    }

    async fn a_blob_is_uploaded_in_parts(kind) {
        for place in PLACES {
            let house = House::at(kind, place).await;
            let bytes = noise(21_000_000);
            // The last part is shorter, the others take more than one piece of a bucket.
            let size = 9_000_000;
            let body = blob(&house, &bytes, size);
            let upload = Blob::new(&house, body.clone()).await;
            assert_eq!(upload.requests.len(), 3);
            let parts: Vec<&[u8]> = bytes.chunks(size).collect();
            let mut etags = vec![String::new(); 3];
            // In any order, and again if need be.
            for number in [2, 0, 1, 0] {
                etags[number] = upload.upload(&house, number, parts[number]).await;
            }
            let again = Blob { id: upload.id.clone(), requests: Blob::create(&house, &upload.id, body).await };
            etags[1] = again.upload(&house, 1, parts[1]).await;
            let mut unique = etags.clone();
            unique.sort();
            unique.dedup();
            assert_eq!(unique.len(), 3, "a list of equal tags would be refused");
            assert_eq!(upload.complete(&house, &etags).await.status, 204);
            assert!(upload.fetch(&house).await.body == bytes);
            let source = house.call("getArtifact", &[&upload.id, "0", "b"], None).await;
            let part = Ask::new("GET", source.header("location"))
                .header("range", "bytes=8999990-18000010");
            assert!(house.ask(part).await.body == bytes[8_999_990..=18_000_010]);
            // Completing again is fine; so are the same bytes, as another attempt sends them.
            assert_eq!(upload.complete(&house, &etags).await.status, 204);
            assert_eq!(upload.upload(&house, 1, parts[1]).await, etags[1]);
        }
    }

    async fn what_is_encoded_is_served_as_it_was_sent(kind) {
        let house = House::new(kind).await;
        let sent = b"as if it were gzip";
        let body = merged(blob(&house, b"the content itself, which is longer", 0), json!({
            "contentEncoding": "gzip",
            "transferSha256": sha256(sent).to_uppercase(),
            "transferLength": sent.len(),
        }));
        let upload = Blob::new(&house, body).await;
        let etag = upload.upload(&house, 0, sent).await;
        assert_eq!(upload.complete(&house, &[etag]).await.status, 204);
        let found = house.call("getArtifact", &[&upload.id, "0", "b"], None).await;
        assert_eq!(found.header("x-taskcluster-location-content-encoding"), "gzip");
        assert_eq!(found.header("x-taskcluster-location-content-length"), "35");
        assert_eq!(found.header("x-taskcluster-location-transfer-length"), "18");
        let fetched = upload.fetch(&house).await;
        assert_eq!(fetched.header("content-encoding"), "gzip");
        assert_eq!(fetched.body, sent.as_slice());
    }

    async fn bytes_that_are_not_what_was_told_are_refused_and_leave_nothing(kind) {
        for place in PLACES {
            let house = House::at(kind, place).await;
            let upload = Blob::new(&house, blob(&house, b"abcdefgh", 4)).await;
            let url = upload.requests[0]["url"].as_str().expect("a URL").to_owned();
            for (bytes, announced) in [
                ("abcx", Some("4")), ("abc", Some("3")), ("abc", Some("4")), ("abcde", Some("5")),
                ("abcde", Some("4")), ("abcde", None), ("abc", None), ("", None), ("efgh", None),
            ] {
                let mut ask = Ask::new("PUT", &url).body(bytes);
                if let Some(announced) = announced {
                    ask = ask.header("content-length", announced);
                }
                let answer = house.ask(ask).await;
                assert_eq!(answer.status, 400, "{bytes} {announced:?}");
            }
            assert_eq!(house.stored().await, 0, "{place:?}");
            upload.is_missing(&house).await;
        }
    }

    async fn a_blob_is_complete_with_all_its_parts_in_order(kind) {
        let house = House::new(kind).await;
        let upload = Blob::new(&house, blob(&house, b"abcdefgh", 4)).await;
        let refused = async |etags: &[String], told: &str| {
            let message = upload.complete(&house, etags).await.refused(400, "InputError");
            assert!(message.contains(told), "{message}");
        };
        refused(&[], "0, 1").await;
        let second = upload.upload(&house, 1, b"efgh").await;
        refused(std::slice::from_ref(&second), "missing").await;
        let first = upload.upload(&house, 0, b"abcd").await;
        refused(&[], "2 parts").await;
        refused(std::slice::from_ref(&first), "2 parts").await;
        refused(&[second.clone(), first.clone()], "order").await;
        refused(&[first.clone(), "made up".to_owned()], "made up").await;
        refused(&[first.clone(), second.clone(), "more".to_owned()], "3 ETags").await;
        let newer = upload.upload(&house, 0, b"abcd").await;
        refused(&[first, second.clone()], "order").await;
        upload.is_missing(&house).await;
        // Without quotes, and with what clients say that saw none.
        let etags = [newer.trim_matches('"').to_owned(), "NOETAG".to_owned()];
        assert_eq!(upload.complete(&house, &etags).await.status, 204);
        assert_eq!(upload.fetch(&house).await.body, "abcdefgh");
    }

    async fn parts_that_make_another_whole_are_refused(kind) {
        let house = House::new(kind).await;
        let wrong = merged(blob(&house, b"abcdefgh", 4), json!({"contentSha256": sha256(b"other")}));
        let upload = Blob::new(&house, wrong).await;
        let etags = [upload.upload(&house, 0, b"abcd").await, upload.upload(&house, 1, b"efgh").await];
        let message = upload.complete(&house, &etags).await.refused(400, "InputError");
        assert!(message.contains(&sha256(b"abcdefgh")), "{message}");
        upload.is_missing(&house).await;
    }

    async fn requests_that_contradict_themselves_are_refused(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({})).await;
        let many: Vec<Value> = (0..10_001)
            .map(|at| json!({"sha256": sha256(format!("{at}").as_bytes()), "size": 1}))
            .collect();
        for wrong in [
            json!({"parts": [{"sha256": sha256(b"x"), "size": 7}]}),
            json!({"parts": [{"sha256": sha256(b"x"), "size": 9_007_199_254_740_991_u64},
                {"sha256": sha256(b"y"), "size": 9_007_199_254_740_991_u64}]}),
            json!({"parts": many, "contentLength": 10_001}),
            json!({"transferLength": 7}),
            json!({"transferSha256": sha256(b"x")}),
        ] {
            let body = merged(blob(&house, b"abcdefgh", 0), wrong);
            let answer = house.call("createArtifact", &[&id, "0", "b"], Some(body)).await;
            answer.refused(400, "InputError");
        }
        house.call("artifactInfo", &[&id, "0", "b"], None).await.refused(404, "ResourceNotFound");
    }

    async fn only_blobs_that_are_there_are_completed_by_those_who_may(kind) {
        let house = House::new(kind).await;
        let upload = Blob::new(&house, blob(&house, b"abcd", 0)).await;
        let etags = [upload.upload(&house, 0, b"abcd").await];
        let body = || Some(json!({"etags": etags}));
        house.call("completeArtifact", &[&upload.id, "0", "c"], body()).await.refused(404, "ResourceNotFound");
        house.call("completeArtifact", &[&upload.id, "1", "b"], body()).await.refused(404, "ResourceNotFound");
        let plain = json!({"storageType": "s3", "contentType": "a/b", "expires": house.later(CLAIM)});
        house.call("createArtifact", &[&upload.id, "0", "s"], Some(plain)).await.granted();
        house.call("completeArtifact", &[&upload.id, "0", "s"], body()).await.refused(400, "InputError");
        let args = [upload.id.as_str(), "0", "b"];
        for scopes in [
            vec![], vec!["queue:create-artifact:b".to_owned()],
            vec!["assume:worker-id:group/worker".to_owned()],
            vec!["queue:create-artifact:b".to_owned(), "assume:worker-id:group/other".to_owned()],
        ] {
            let who = house.with(scopes);
            house.call_as(&who, "completeArtifact", &args, body()).await.refused(403, "InsufficientScopes");
        }
        house.call_as(&Who::Nobody, "completeArtifact", &args, body()).await.refused(403, "InsufficientScopes");
        upload.is_missing(&house).await;
        let old = house.with(["queue:create-artifact:b", "assume:worker-id:group/worker"]);
        let done = house.call_as(&old, "completeArtifact", &args, body()).await;
        assert_eq!(done.status, 204);
        let new = house.with([format!("queue:create-artifact:{}/0", upload.id)]);
        assert_eq!(house.call_as(&new, "completeArtifact", &args, body()).await.status, 204);
    }

    async fn after_its_run_a_blob_is_not_completed_any_more(kind) {
        let house = House::new(kind).await;
        let upload = Blob::new(&house, blob(&house, b"abcd", 0)).await;
        house.call("reportCompleted", &[&upload.id, "0"], None).await.status_of();
        let etag = upload.upload(&house, 0, b"abcd").await;
        upload.complete(&house, &[etag]).await.refused(409, "RequestConflict");
        upload.is_missing(&house).await;
    }

    async fn a_blob_that_was_never_completed_goes_with_its_parts(kind) {
        for place in PLACES {
            let house = House::at(kind, place).await;
            let upload = Blob::new(&house, blob(&house, b"abcdefgh", 4)).await;
            upload.upload(&house, 1, b"efgh").await;
            assert_eq!(house.stored().await, 1);
            house.wait(CLAIM + Duration::from_mins(31));
            house.sweep().await;
            assert_eq!(house.stored().await, 0);
        }
    }

    /// One PUT, answered as that cloud answers it.
    async fn an_azure_artifact_is_uploaded_as_a_block_blob(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({})).await;
        let body = json!({"storageType": "azure", "contentType": "text/x-test", "expires": house.later(CLAIM)});
        let made = house.call("createArtifact", &[&id, "0", "a"], Some(body)).await.granted();
        assert_eq!((&made["storageType"], &made["contentType"]), (&json!("azure"), &json!("text/x-test")));
        let put = Ask::new("PUT", made["putUrl"].as_str().unwrap())
            .header("x-ms-blob-type", "BlockBlob")
            .header("x-ms-blob-content-type", "text/x-test")
            .header("content-length", "4")
            .body("abcd");
        assert_eq!(house.ask(put).await.status, 201);
        let found = house.call("getArtifact", &[&id, "0", "a"], None).await;
        assert_eq!(found.header("x-taskcluster-artifact-storage-type"), "azure");
        assert_eq!(house.ask(Ask::new("GET", found.header("location"))).await.body, "abcd");
    }
}

/// Both methods of that name and path, told apart by what is sent.
#[tokio::test]
async fn a_body_that_finishes_nothing_is_refused_as_newer_clients_know_it() {
    let house = House::at(Kind::Sqlite, Place::Folder).await;
    let upload = Blob::new(&house, blob(&house, b"abcd", 0)).await;
    let args = [upload.id.as_str(), "0", "b"];
    for (method, body) in [
        ("finishArtifact", json!({})),
        ("finishArtifact", json!({"uploadId": "short"})),
        ("finishArtifact", json!({"other": []})),
        ("completeArtifact", json!({"etags": "x"})),
        ("completeArtifact", json!({"etags": ["x", "x"]})),
        ("completeArtifact", json!({"etags": [], "more": 1})),
    ] {
        let answer = house.call(method, &args, Some(body)).await;
        answer.refused(400, "InputValidationError");
    }
    house
        .call("finishArtifact", &args, None)
        .await
        .refused(400, "MalformedPayload");
}
