//! The bytes of artifacts: plain PUT and GET at the URLs that the queue gives out. Everything holds
//! for a folder and for a bucket.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use taskyard_store::on_both_databases;
use taskyard_store::testing::Kind;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::house::{CLAIM, House, Place, SOON};

pub(crate) const PLACES: [Place; 2] = [Place::Folder, Place::Bucket];

/// An artifact of type s3: its run, its name, and where its bytes go.
pub(crate) struct Upload {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) url: String,
}

impl Upload {
    pub(crate) async fn new(house: &House, name: &str) -> Self {
        Self::lasting(house, name, CLAIM).await
    }

    /// One that expires so much later than now.
    pub(crate) async fn lasting(house: &House, name: &str, time: Duration) -> Self {
        let (id, _) = house.claimed(json!({})).await;
        let url = Self::url(house, &id, name, time).await;
        Upload {
            id,
            name: name.to_owned(),
            url,
        }
    }

    async fn url(house: &House, id: &str, name: &str, time: Duration) -> String {
        let body = json!({"storageType": "s3", "contentType": "text/x-test", "expires": house.later(time)});
        let made = house
            .call("createArtifact", &[id, "0", name], Some(body))
            .await
            .granted();
        made["putUrl"].as_str().expect("a URL").to_owned()
    }

    pub(crate) fn put(&self, bytes: impl Into<Vec<u8>>) -> Ask {
        put(&self.url, bytes)
    }

    /// Where the bytes come from.
    pub(crate) async fn source(&self, house: &House) -> String {
        let answer = house
            .call("getArtifact", &[&self.id, "0", &self.name], None)
            .await;
        assert_eq!(answer.status, 303);
        answer.header("location").to_owned()
    }

    pub(crate) async fn fetch(&self, house: &House) -> Answer {
        house.ask(Ask::new("GET", &self.source(house).await)).await
    }
}

pub(crate) fn put(url: &str, bytes: impl Into<Vec<u8>>) -> Ask {
    let bytes = bytes.into();
    let length = bytes.len().to_string();
    Ask::new("PUT", url)
        .header("content-length", length)
        .body(bytes)
}

/// Bytes of which no two stretches are alike.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| ((at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u8)
        .collect()
}

/// Every file below a folder.
pub(crate) fn files(folder: &Path) -> Vec<std::path::PathBuf> {
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
        for place in PLACES {
            let house = House::at(kind, place).await;
            let upload = Upload::new(&house, "public/a b.txt").await;
            let nothing = upload.fetch(&house).await;
            assert_eq!(nothing.status, 404, "nothing has been uploaded yet");
            let mut etags = Vec::new();
            for bytes in [b"first".to_vec(), Vec::new(), vec![0, 255, 10, 13], noise(3_000_000)] {
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
                assert!(!etags.contains(&etag), "each upload has a tag of its own");
                etags.push(etag);
            }
            // Those that were replaced stay for their readers, and go half an hour later.
            assert_eq!(house.stored().await, 4, "{place:?}");
            house.sweep().await;
            assert_eq!(house.stored().await, 4, "{place:?}");
            house.wait(Duration::from_mins(31));
            house.sweep().await;
            assert_eq!(house.stored().await, 1, "{place:?}");
        }
    }
}

/// Beyond what is put into a bucket at once, and at its borders.
#[tokio::test]
async fn long_uploads_come_back_whole_and_in_part() {
    const PIECE: usize = 8 * 1024 * 1024;
    for place in PLACES {
        let house = House::at(Kind::Sqlite, place).await;
        let upload = Upload::new(&house, "a").await;
        for length in [PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 12_345] {
            let bytes = noise(length);
            let pieces = bytes
                .chunks(700_001)
                .map(|piece| Ok(Bytes::copy_from_slice(piece)));
            let ask = Ask::new("PUT", &upload.url)
                .header("content-length", length.to_string())
                .parts(pieces.collect());
            assert_eq!(house.ask(ask).await.status, 200, "{place:?} {length}");
            let found = upload.fetch(&house).await;
            assert!(found.body == bytes, "{place:?} {length}");
            let source = upload.source(&house).await;
            for (first, last) in [
                (0, 0),
                (PIECE - 2, length - 1),
                (length - 1, length - 1),
                (5, length - 5),
            ] {
                let range = format!("bytes={first}-{last}");
                let part = house
                    .ask(Ask::new("GET", &source).header("range", range))
                    .await;
                assert_eq!(part.status, 206);
                assert!(
                    part.body == bytes[first..=last],
                    "{place:?} {length} {first}"
                );
            }
        }
        house.wait(CLAIM + Duration::from_mins(61));
        house.sweep().await;
        assert_eq!(house.stored().await, 0, "{place:?}");
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
    for place in PLACES {
        let house = House::at(Kind::Sqlite, place).await;
        let upload = Upload::new(&house, "a").await;
        for (sent, told) in [("gzip", "gzip"), ("identity", ""), ("zstd", "zstd")] {
            let put = upload
                .put("no gzip at all")
                .header("content-encoding", sent);
            assert_eq!(house.ask(put).await.status, 200);
            // Whatever the caller would accept.
            for accepted in ["identity", "gzip", ""] {
                let get = Ask::new("GET", &upload.source(&house).await)
                    .header("accept-encoding", accepted);
                let found = house.ask(get).await;
                assert_eq!(found.header("content-encoding"), told);
                assert_eq!(found.body, "no gzip at all");
            }
        }
        let endless = upload
            .put("x")
            .header("content-encoding", "gzip,".repeat(60));
        assert_eq!(house.ask(endless).await.status, 400);
    }
}

#[tokio::test]
async fn a_part_of_the_bytes_may_be_asked_for() {
    for place in PLACES {
        let house = House::at(Kind::Sqlite, place).await;
        let upload = Upload::new(&house, "a").await;
        let put = house.ask(upload.put("0123456789")).await;
        assert_eq!(put.status, 200);
        let source = upload.source(&house).await;
        for (range, status, told, bytes) in [
            ("bytes=0-3", 206, "bytes 0-3/10", "0123"),
            ("bytes=4-", 206, "bytes 4-9/10", "456789"),
            ("bytes=-2", 206, "bytes 8-9/10", "89"),
            ("bytes=-200", 206, "bytes 0-9/10", "0123456789"),
            ("bytes=5-500", 206, "bytes 5-9/10", "56789"),
            ("bytes=0-0", 206, "bytes 0-0/10", "0"),
            ("bytes=10-", 416, "bytes */10", ""),
            ("bytes=-0", 416, "bytes */10", ""),
            ("bytes=0-1,3-4", 416, "bytes */10", ""),
            ("nonsense", 200, "", "0123456789"),
        ] {
            let answer = house
                .ask(Ask::new("GET", &source).header("range", range))
                .await;
            assert_eq!(answer.status, status, "{range}");
            assert_eq!(answer.header("content-range"), told, "{range}");
            assert_eq!(answer.body, bytes);
            if status != 416 {
                assert_eq!(answer.header("content-length"), bytes.len().to_string());
            }
        }
        let etag = put.header("etag");
        for (condition, value, status) in [
            ("if-range", etag, 206),
            ("if-range", "\"another\"", 200),
            ("if-none-match", etag, 304),
            ("if-none-match", "*", 304),
            ("if-none-match", "\"another\"", 206),
        ] {
            let ask = Ask::new("GET", &source)
                .header("range", "bytes=0-3")
                .header(condition, value);
            assert_eq!(house.ask(ask).await.status, status, "{condition} {value}");
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
}

#[tokio::test]
async fn nothing_can_be_asked_for_in_part_of_nothing() {
    for place in PLACES {
        let house = House::at(Kind::Sqlite, place).await;
        let upload = Upload::new(&house, "a").await;
        assert_eq!(house.ask(upload.put("")).await.status, 200);
        let source = upload.source(&house).await;
        for (range, status) in [("bytes=0-", 416), ("bytes=-5", 416), ("", 200)] {
            let answer = house
                .ask(Ask::new("GET", &source).header("range", range))
                .await;
            assert_eq!((answer.status, answer.body.len()), (status, 0), "{range}");
        }
    }
}

#[tokio::test]
async fn an_upload_without_an_announced_length_is_taken_to_its_end() {
    for place in PLACES {
        let house = House::at(Kind::Sqlite, place).await;
        let upload = Upload::new(&house, "a").await;
        let parts =
            ["one ", "", "two ", "three"].map(|part| Ok(Bytes::from_static(part.as_bytes())));
        let ask = Ask::new("PUT", &upload.url).parts(parts.into());
        assert_eq!(house.ask(ask).await.status, 200);
        assert_eq!(upload.fetch(&house).await.body, "one two three");
    }
}

/// Nothing is left of what came to nothing, once those who clear it away had their turn.
async fn settles(house: &House, wanted: usize) {
    let settled = async {
        while house.stored().await != wanted || !remains(house).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, settled)
        .await
        .expect("what is left of an upload is removed");
}

/// Files of uploads that have not ended.
fn remains(house: &House) -> Vec<std::path::PathBuf> {
    let mut files = files(house.folder.path());
    files.retain(|file| file.to_string_lossy().contains('#'));
    files
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_what_was_there_before() {
    // More than one piece, so that some of it is stored before it breaks off.
    let long = || Ok(Bytes::from(noise(9_000_000)));
    for place in PLACES {
        let house = House::at(Kind::Sqlite, place).await;
        let upload = Upload::new(&house, "a").await;
        for uploaded in [None, Some("whole")] {
            if let Some(bytes) = uploaded {
                assert_eq!(house.ask(upload.put(bytes)).await.status, 200);
            }
            let before = house.stored().await;
            let broken = vec![long(), Err(std::io::Error::other("gone"))];
            let ask = Ask::new("PUT", &upload.url).parts(broken);
            assert_eq!(house.ask(ask).await.status, 400);
            let short = Ask::new("PUT", &upload.url)
                .header("content-length", "10000000")
                .parts(vec![long()]);
            assert_eq!(house.ask(short).await.status, 400);
            settles(&house, before).await;
            let found = upload.fetch(&house).await;
            match uploaded {
                Some(bytes) => assert_eq!(found.body, bytes),
                None => assert_eq!(found.status, 404),
            }
        }
    }
}

#[tokio::test]
async fn an_upload_whose_sender_went_away_leaves_no_remains() {
    for place in PLACES {
        let house = House::at(Kind::Sqlite, place).await;
        let upload = Upload::new(&house, "a").await;
        let endless = futures_util::StreamExt::chain(
            futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from(noise(9_000_000)))]),
            futures_util::stream::pending(),
        );
        let request = http::Request::put(upload.url.trim_start_matches(crate::house::ROOT_URL))
            .body(axum::body::Body::from_stream(endless))
            .unwrap();
        let transfers = std::sync::Arc::clone(&house.transfers);
        let taking = tokio::spawn(async move { transfers.answer(request).await });
        while house.stored().await == 0 && remains(&house).is_empty() {
            tokio::task::yield_now().await;
        }
        taking.abort();
        drop(taking.await);
        settles(&house, 0).await;
    }
}

#[tokio::test]
async fn an_upload_larger_than_any_may_be_is_refused_at_once() {
    let house = House::new(Kind::Sqlite).await;
    let upload = Upload::new(&house, "a").await;
    let ask = Ask::new("PUT", &upload.url)
        .header("content-length", ((5_u64 << 30) + 1).to_string())
        .parts(vec![Ok(Bytes::from_static(b"x"))]);
    assert_eq!(house.ask(ask).await.status, 413);
    settles(&house, 0).await;
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

    /// A worker may send what it has after all is over, as with the bucket of another.
    async fn an_upload_may_end_after_its_run(kind) {
        let house = House::new(kind).await;
        let upload = Upload::new(&house, "a").await;
        house.call("reportCompleted", &[&upload.id, "0"], None).await.status_of();
        assert_eq!(house.ask(upload.put("late")).await.status, 200);
        assert_eq!(upload.fetch(&house).await.body, "late");
        let body = json!({"storageType": "s3", "contentType": "text/x-test",
            "expires": house.later(CLAIM)});
        let again = house.call("createArtifact", &[&upload.id, "0", "a"], Some(body)).await;
        again.refused(409, "RequestConflict");
    }

    async fn names_that_look_like_paths_stay_names(kind) {
        for place in PLACES {
            let house = House::at(kind, place).await;
            let (id, _) = house.claimed(json!({})).await;
            let long = "n".repeat(1024);
            let names = [
                "../../../etc/passwd", "..", "/etc/passwd", "drafts", "a/../b", "b", "%2e%2e/x",
                "a#1", "*", &long,
            ];
            for name in names {
                let url = Upload::url(&house, &id, name, CLAIM).await;
                let answer = house.ask(put(&url, name)).await;
                assert_eq!(answer.status, 200, "{name}");
            }
            for name in names {
                let upload = Upload { id: id.clone(), name: name.to_owned(), url: String::new() };
                assert_eq!(upload.fetch(&house).await.body, name.as_bytes());
            }
            assert_eq!(house.stored().await, names.len());
            if place == Place::Folder {
                assert_eq!(files(house.folder.path()).len(), names.len());
            }
        }
    }

    async fn the_bytes_go_with_their_record(kind) {
        for place in PLACES {
            let house = House::at(kind, place).await;
            let upload = Upload::new(&house, "a").await;
            house.ask(upload.put(noise(9_000_000))).await;
            assert_eq!(house.stored().await, if place == Place::Folder { 1 } else { 2 });
            house.wait(CLAIM + Duration::from_mins(31));
            house.sweep().await;
            assert_eq!(house.stored().await, 0);
        }
    }
}

#[tokio::test]
async fn a_disk_that_takes_nothing_is_told_as_a_passing_trouble() {
    let house = House::new(Kind::Sqlite).await;
    let upload = Upload::new(&house, "a").await;
    let (folder, aside) = (house.folder.path(), house.folder.path().with_extension("x"));
    std::fs::rename(folder, &aside).unwrap();
    std::fs::write(folder, "in the way").unwrap();
    assert_eq!(house.ask(upload.put("x")).await.status, 503);
    std::fs::remove_file(folder).unwrap();
    std::fs::rename(&aside, folder).unwrap();
    assert_eq!(house.ask(upload.put("x")).await.status, 200);
    let source = upload.source(&house).await;
    for file in files(folder) {
        std::fs::remove_file(file).unwrap();
    }
    assert_eq!(house.ask(Ask::new("GET", &source)).await.status, 503);
}
