//! The bytes of artifacts: plain PUT and GET at the URLs that the queue gives out.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use taskyard_store::on_both_databases;
use taskyard_store::testing::Kind;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::house::{CLAIM, House};

/// An artifact of type s3: its run, its name, and where its bytes go.
struct Upload {
    id: String,
    name: String,
    url: String,
}

impl Upload {
    async fn new(house: &House, name: &str) -> Self {
        let (id, _) = house.claimed(json!({})).await;
        let url = Self::url(house, &id, name).await;
        Upload {
            id,
            name: name.to_owned(),
            url,
        }
    }

    async fn url(house: &House, id: &str, name: &str) -> String {
        let body = json!({"storageType": "s3", "contentType": "text/x-test", "expires": house.later(CLAIM)});
        let made = house
            .call("createArtifact", &[id, "0", name], Some(body))
            .await
            .granted();
        made["putUrl"].as_str().expect("a URL").to_owned()
    }

    fn put(&self, bytes: impl Into<Vec<u8>>) -> Ask {
        let bytes = bytes.into();
        let length = bytes.len().to_string();
        Ask::new("PUT", &self.url)
            .header("content-length", length)
            .body(bytes)
    }

    /// Where the bytes come from.
    async fn source(&self, house: &House) -> String {
        let answer = house
            .call("getArtifact", &[&self.id, "0", &self.name], None)
            .await;
        assert_eq!(answer.status, 303);
        answer.header("location").to_owned()
    }

    async fn fetch(&self, house: &House) -> Answer {
        house.ask(Ask::new("GET", &self.source(house).await)).await
    }
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

on_both_databases! {
    async fn what_was_uploaded_is_what_is_downloaded(kind) {
        let house = House::new(kind).await;
        let upload = Upload::new(&house, "public/a b.txt").await;
        let nothing = upload.fetch(&house).await;
        assert_eq!(nothing.status, 404, "nothing has been uploaded yet");
        for bytes in [b"first".to_vec(), Vec::new(), vec![0, 255, 10, 13], vec![b'x'; 3_000_000]] {
            let answer = house.ask(upload.put(bytes.clone())).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let etag = answer.header("etag").to_owned();
            assert!(etag.starts_with('"') && etag.len() > 2);
            let found = upload.fetch(&house).await;
            assert_eq!(found.status, 200);
            assert!(found.body == bytes, "{} bytes, not {}", found.body.len(), bytes.len());
            assert_eq!(found.header("etag"), etag);
            assert_eq!(found.header("content-type"), "text/x-test");
            assert_eq!(found.header("content-length"), bytes.len().to_string());
            assert_eq!(found.header("access-control-allow-origin"), "*");
            assert_eq!(found.header("x-content-type-options"), "nosniff");
            assert!(found.header("content-security-policy").contains("sandbox"));
            assert!(!found.headers.contains_key("content-encoding"));
        }
        assert_eq!(files(house.folder.path()).len(), 1, "later ones took its place");
    }
}

#[tokio::test]
async fn a_sender_may_send_what_credentials_it_likes() {
    let house = House::new(Kind::Sqlite).await;
    let upload = Upload::new(&house, "a").await;
    for header in ["Hawk garbage", "Basic Zm9v", "Bearer x"] {
        let put = upload.put("x").header("authorization", header);
        assert_eq!(house.ask(put).await.status, 200);
        let get = Ask::new("GET", &upload.source(&house).await).header("authorization", header);
        assert_eq!(house.ask(get).await.status, 200);
    }
}

#[tokio::test]
async fn an_encoding_is_remembered_and_the_bytes_stay_as_they_are() {
    let house = House::new(Kind::Sqlite).await;
    let upload = Upload::new(&house, "a").await;
    for (sent, told) in [("gzip", "gzip"), ("identity", ""), ("zstd", "zstd")] {
        let put = upload
            .put("no gzip at all")
            .header("content-encoding", sent);
        assert_eq!(house.ask(put).await.status, 200);
        let found = upload.fetch(&house).await;
        assert_eq!(found.header("content-encoding"), told);
        assert_eq!(found.body, "no gzip at all");
    }
}

#[tokio::test]
async fn a_part_of_the_bytes_may_be_asked_for() {
    let house = House::new(Kind::Sqlite).await;
    let upload = Upload::new(&house, "a").await;
    assert_eq!(house.ask(upload.put("0123456789")).await.status, 200);
    let source = upload.source(&house).await;
    for (range, status, told, bytes) in [
        ("bytes=0-3", 206, "bytes 0-3/10", "0123"),
        ("bytes=4-", 206, "bytes 4-9/10", "456789"),
        ("bytes=-2", 206, "bytes 8-9/10", "89"),
        ("bytes=5-500", 206, "bytes 5-9/10", "56789"),
        ("bytes=0-0", 206, "bytes 0-0/10", "0"),
        ("bytes=10-", 416, "bytes */10", ""),
        ("bytes=0-1,3-4", 200, "", "0123456789"),
        ("nonsense", 200, "", "0123456789"),
    ] {
        let answer = house
            .ask(Ask::new("GET", &source).header("range", range))
            .await;
        assert_eq!(answer.status, status, "{range}");
        assert_eq!(answer.header("content-range"), told, "{range}");
        if status != 416 {
            assert_eq!(answer.body, bytes);
            assert_eq!(answer.header("content-length"), bytes.len().to_string());
        }
    }
    let head = house.ask(Ask::new("HEAD", &source)).await;
    assert_eq!(
        (head.status, head.header("content-length"), head.body.len()),
        (200, "10", 0)
    );
    let preflight = house.ask(Ask::new("OPTIONS", &source)).await;
    assert_eq!(preflight.status, 204);
    assert!(
        preflight
            .header("access-control-allow-methods")
            .contains("PUT")
    );
}

#[tokio::test]
async fn an_upload_without_an_announced_length_is_taken_to_its_end() {
    let house = House::new(Kind::Sqlite).await;
    let upload = Upload::new(&house, "a").await;
    let parts = ["one ", "", "two ", "three"].map(|part| Ok(Bytes::from_static(part.as_bytes())));
    let ask = Ask::new("PUT", &upload.url).parts(parts.into());
    assert_eq!(house.ask(ask).await.status, 200);
    assert_eq!(upload.fetch(&house).await.body, "one two three");
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_what_was_there_before() {
    let house = House::new(Kind::Sqlite).await;
    let upload = Upload::new(&house, "a").await;
    let broken = || -> Vec<std::io::Result<Bytes>> {
        vec![
            Ok(Bytes::from_static(b"half")),
            Err(std::io::Error::other("gone")),
        ]
    };
    let short = || vec![Ok(Bytes::from_static(b"half"))];
    for uploaded in [None, Some("whole")] {
        if let Some(bytes) = uploaded {
            assert_eq!(house.ask(upload.put(bytes)).await.status, 200);
        }
        let before = files(house.folder.path());
        assert_eq!(
            house
                .ask(Ask::new("PUT", &upload.url).parts(broken()))
                .await
                .status,
            400
        );
        let announced = Ask::new("PUT", &upload.url)
            .header("content-length", "100")
            .parts(short());
        assert_eq!(house.ask(announced).await.status, 400);
        assert_eq!(files(house.folder.path()), before, "no remains");
        let found = upload.fetch(&house).await;
        match uploaded {
            Some(bytes) => assert_eq!(found.body, bytes),
            None => assert_eq!(found.status, 404),
        }
    }
}

#[tokio::test]
async fn an_upload_whose_sender_went_away_leaves_no_remains() {
    let house = House::new(Kind::Sqlite).await;
    let upload = Upload::new(&house, "a").await;
    let endless = futures_util::StreamExt::chain(
        futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"half"))]),
        futures_util::stream::pending(),
    );
    let request = http::Request::put(upload.url.trim_start_matches(crate::house::ROOT_URL))
        .body(axum::body::Body::from_stream(endless))
        .unwrap();
    let transfers = std::sync::Arc::clone(&house.transfers);
    let taking = tokio::spawn(async move { transfers.answer(request).await });
    while files(house.folder.path()).is_empty() {
        tokio::task::yield_now().await;
    }
    taking.abort();
    drop(taking.await);
    assert!(files(house.folder.path()).is_empty());
}

#[tokio::test]
async fn what_a_stopped_server_left_unfinished_is_cleared_at_the_next_start() {
    let house = House::new(Kind::Sqlite).await;
    let upload = Upload::new(&house, "a").await;
    assert_eq!(house.ask(upload.put("whole")).await.status, 200);
    let drafts = house.folder.path().join("drafts");
    std::fs::write(drafts.join("remains"), "half").unwrap();
    house.files.remove_drafts().await.unwrap();
    assert_eq!(files(&drafts).len(), 0);
    assert_eq!(upload.fetch(&house).await.body, "whole");
}

on_both_databases! {
    async fn a_url_opens_one_thing_for_a_while(kind) {
        let house = House::new(kind).await;
        let upload = Upload::new(&house, "a").await;
        house.ask(upload.put("x")).await;
        let source = upload.source(&house).await;
        // Not for what it was not made for.
        assert_eq!(house.ask(Ask::new("GET", &upload.url)).await.status, 405);
        assert_eq!(house.ask(Ask::new("PUT", &source).body("y")).await.status, 405);
        assert_eq!(house.ask(Ask::new("DELETE", &source)).await.status, 405);
        // Not when it was changed, or made up.
        let mut damaged = upload.url.clone();
        damaged.pop();
        for url in [
            damaged, format!("{}A", upload.url), format!("{}x", source.trim_end_matches(char::is_alphanumeric)),
            upload.url.replace("/0?", "/1?"), upload.url.replace('?', "/?"), format!("{source}&more=1"),
            upload.url.split('?').next().unwrap_or_default().to_owned(),
            "/artifacts/".to_owned(), "/artifacts/x".to_owned(), "/artifacts/../../etc/passwd".to_owned(),
            "/artifacts/%2e%2e%2f%2e%2e%2fetc%2fpasswd".to_owned(),
        ] {
            for verb in ["GET", "PUT"] {
                let answer = house.ask(Ask::new(verb, &url).body("y")).await;
                assert_eq!(answer.status, 403, "{verb} {url}");
            }
        }
        assert_eq!(upload.fetch(&house).await.body, "x");
        // Not for ever: 30 minutes down, 45 up.
        house.wait(Duration::from_mins(31));
        assert_eq!(house.ask(Ask::new("GET", &source)).await.status, 403);
        assert_eq!(house.ask(upload.put("y")).await.status, 200);
        house.wait(Duration::from_mins(15));
        assert_eq!(house.ask(upload.put("z")).await.status, 403);
    }

    async fn no_bytes_come_after_their_artifact_is_forgotten(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({})).await;
        let soon = house.later(Duration::from_mins(1));
        let body = json!({"storageType": "s3", "contentType": "a/b", "expires": soon});
        let made = house.call("createArtifact", &[&id, "0", "a"], Some(body)).await.granted();
        let url = made["putUrl"].as_str().unwrap();
        house.wait(Duration::from_mins(15));
        assert_eq!(house.ask(Ask::new("PUT", url).body("x")).await.status, 200);
        house.wait(Duration::from_mins(2));
        assert_eq!(house.ask(Ask::new("PUT", url).body("x")).await.status, 403);
    }

    async fn names_that_look_like_paths_stay_names(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({})).await;
        let long = "n".repeat(1024);
        let names = ["../../../etc/passwd", "..", "/etc/passwd", "drafts", "a/../b", "b", &long];
        let outside: Vec<_> = files(house.folder.path());
        assert!(outside.is_empty());
        for name in names {
            let url = Upload::url(&house, &id, name).await;
            let answer = house.ask(Ask::new("PUT", &url).body(name)).await;
            assert_eq!(answer.status, 200, "{name}");
        }
        for name in names {
            let upload = Upload { id: id.clone(), name: name.to_owned(), url: String::new() };
            assert_eq!(upload.fetch(&house).await.body, name.as_bytes());
        }
        assert_eq!(files(house.folder.path()).len(), names.len());
    }

    async fn the_bytes_go_with_their_record(kind) {
        let house = House::new(kind).await;
        let upload = Upload::new(&house, "a").await;
        house.ask(upload.put("x")).await;
        assert_eq!(files(house.folder.path()).len(), 1);
        house.wait(CLAIM + Duration::from_mins(31));
        house.sweep().await;
        assert!(files(house.folder.path()).is_empty());
    }
}

#[tokio::test]
async fn a_disk_that_takes_nothing_is_told_as_a_passing_trouble() {
    let house = House::new(Kind::Sqlite).await;
    let upload = Upload::new(&house, "a").await;
    let drafts = house.folder.path().join("drafts");
    std::fs::remove_dir(&drafts).unwrap();
    assert_eq!(house.ask(upload.put("x")).await.status, 503);
    std::fs::create_dir(&drafts).unwrap();
    assert_eq!(house.ask(upload.put("x")).await.status, 200);
}
