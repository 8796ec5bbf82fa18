//! Bodies that their senders compressed.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::json;
use taskyard_access::slugid;
use taskyard_store::testing::Kind;

use crate::ask::Ask;
use crate::house::House;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(bytes).expect("memory takes it");
    packed.finish().expect("memory takes it")
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
    packed.write_all(bytes).expect("memory takes it");
    packed.finish().expect("memory takes it")
}

/// A request whose body is sent as `sent`, and signed as what it is.
fn packed(house: &House, target: &str, body: &str, sent: Vec<u8>, encoding: &str) -> Ask {
    Ask::new("PUT", target)
        .json_text(body)
        .header("content-encoding", encoding)
        .parts(vec![Ok(sent.into())])
        .by(house.root())
}

#[tokio::test]
async fn a_compressed_body_means_what_it_was_before() {
    let house = House::new(Kind::Sqlite).await;
    let mut definition = house.definition();
    definition["payload"] = json!({"text": "long enough ".repeat(2000)});
    let body = definition.to_string();
    let tries = [
        ("gzip", gzip(body.as_bytes())),
        ("GZIP", gzip(body.as_bytes())),
        ("deflate", deflate(body.as_bytes())),
        ("identity", body.clone().into_bytes()),
    ];
    for (encoding, sent) in tries {
        let id = slugid::nice();
        let target = format!("/api/queue/v1/task/{id}");
        let ask = packed(&house, &target, &body, sent, encoding);
        house.ask(ask).await.status_of();
        let task = house.call("task", &[&id], None).await.granted();
        assert_eq!(task["payload"], definition["payload"], "{encoding}");
    }
}

#[tokio::test]
async fn a_compressed_body_that_is_broken_or_unknown_is_malformed() {
    let house = House::new(Kind::Sqlite).await;
    let body = house.definition().to_string();
    let mut cut = gzip(body.as_bytes());
    cut.truncate(cut.len() / 2);
    for (encoding, sent) in [
        ("gzip", b"not packed at all".to_vec()),
        ("gzip", cut),
        ("deflate", gzip(body.as_bytes())),
        ("br", body.clone().into_bytes()),
        ("gzip, gzip", gzip(&gzip(body.as_bytes()))),
    ] {
        let id = slugid::nice();
        let target = format!("/api/queue/v1/task/{id}");
        let ask = packed(&house, &target, &body, sent, encoding);
        house.ask(ask).await.refused(400, "MalformedPayload");
        house
            .call("status", &[&id], None)
            .await
            .refused(404, "ResourceNotFound");
    }
}

/// Ten mebibytes are allowed, however few bytes they come in.
#[tokio::test]
async fn a_body_that_becomes_too_large_is_refused() {
    let house = House::new(Kind::Sqlite).await;
    let limit = 10 * 1024 * 1024;
    let bomb = vec![b' '; limit + 1];
    let sent = gzip(&bomb);
    assert!(sent.len() < 64 * 1024);
    let target = format!("/api/queue/v1/task/{}", slugid::nice());
    let ask = packed(&house, &target, "", sent, "gzip");
    house.ask(ask).await.refused(413, "InputTooLarge");
    // Several members in a row are one body.
    let mut sent = gzip(&vec![b' '; limit]);
    sent.extend(gzip(b"{}"));
    let ask = packed(&house, &target, "", sent, "gzip");
    house.ask(ask).await.refused(413, "InputTooLarge");
}
