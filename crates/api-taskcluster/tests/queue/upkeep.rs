//! Bytes that belong to nothing are removed, and no others.

use std::time::{Duration, SystemTime};

use taskyard_api_taskcluster::queue::{remove_broken_off, remove_orphans};
use taskyard_store::on_both_databases;
use taskyard_store::testing::Kind;

use crate::house::House;
use crate::transfers::{PLACES, Upload, files, noise};

on_both_databases! {
    async fn bytes_without_a_record_go_when_they_are_a_day_old(kind) {
        for place in PLACES {
            let house = House::at(kind, place).await;
            let days = Duration::from_hours(72);
            let kept = Upload::lasting(&house, "kept", days).await;
            let lost = Upload::lasting(&house, "lost", days).await;
            for upload in [&kept, &lost] {
                assert_eq!(house.ask(upload.put(noise(9_000_000))).await.status, 200);
            }
            let all = house.stored().await;
            let collect = async || {
                let now = house.clock.now();
                remove_orphans(&house.files, &house.store, now).await.expect("it can be read");
            };
            house.wait(Duration::from_hours(25));
            collect().await;
            assert_eq!(house.stored().await, all, "{place:?}: everything belongs to something");
            // What a database knows that was restored from yesterday.
            let owner = format!("artifact/{}/0/lost", lost.id);
            let forgotten = house.store.write(taskyard_store::Key::of("x"), move |tx| {
                tx.execute("DELETE FROM contents WHERE owner = $1", &[owner.as_str().into()])
            });
            assert_eq!(forgotten.await.expect("the write succeeds"), 1);
            collect().await;
            assert_eq!(house.stored().await, all / 2, "{place:?}: half of it belonged to nothing");
            assert!(kept.fetch(&house).await.body == noise(9_000_000));
        }
    }
}

#[tokio::test]
async fn young_bytes_may_still_get_their_record() {
    for place in PLACES {
        let house = House::at(Kind::Sqlite, place).await;
        let upload = Upload::new(&house, "a").await;
        assert_eq!(house.ask(upload.put("x")).await.status, 200);
        let forgotten = house.store.write(taskyard_store::Key::of("x"), |tx| {
            tx.execute("DELETE FROM contents", &[])
        });
        forgotten.await.expect("the write succeeds");
        house.wait(Duration::from_hours(23));
        let now = house.clock.now();
        remove_orphans(&house.files, &house.store, now)
            .await
            .expect("it can be read");
        assert_eq!(house.stored().await, 1);
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "files are dated by the system")]
async fn what_a_stopped_server_left_unfinished_is_cleared_away() {
    let house = House::new(Kind::Sqlite).await;
    let upload = Upload::new(&house, "a").await;
    assert_eq!(house.ask(upload.put("whole")).await.status, 200);
    let whole = files(house.folder.path()).remove(0);
    let shelf = whole.parent().expect("a shelf");
    let hours_ago = SystemTime::now() - Duration::from_hours(2);
    for (name, is_old) in [("remains#1", true), ("under-way#1", false)] {
        let path = shelf.join(name);
        std::fs::write(&path, "half").unwrap();
        if is_old {
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(hours_ago).unwrap();
        }
    }
    let file = std::fs::File::options().write(true).open(&whole).unwrap();
    file.set_modified(hours_ago).unwrap();
    remove_broken_off(&house.files, house.clock.now())
        .await
        .expect("the folder can be read");
    let mut left = files(house.folder.path());
    left.sort();
    let mut expected = vec![shelf.join("under-way#1"), whole.clone()];
    expected.sort();
    assert_eq!(left, expected);
}
