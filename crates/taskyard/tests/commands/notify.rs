//! The `taskyard notify` command against a server that has nothing to send with.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::ended::Ended;
use crate::house::House;

const ADDRESS: &str = "someone@example.com";

/// Runs `taskyard notify` as the root client.
async fn notify(house: &House, arguments: &[&str]) -> Ended {
    Ended::of(house.command("notify", arguments)).await
}

/// The same, which must succeed; what is printed.
async fn done(house: &House, arguments: &[&str]) -> String {
    notify(house, arguments).await.printed()
}

/// The newest notification in the outbox.
async fn newest(house: &House) -> Value {
    let line = done(house, &["--json", "outbox", "--limit", "1"]).await;
    serde_json::from_str(&line).unwrap()
}

fn mail<'a>(subject: &'a str, content: &'a str) -> [&'a str; 6] {
    ["email", ADDRESS, "--subject", subject, "--content", content]
}

#[tokio::test]
async fn a_mail_is_what_its_options_say() {
    let house = House::start().await;
    let file = house.folder.path().join("mail.md");
    std::fs::write(&file, "# It is *done*\n").unwrap();
    let send = [
        "email",
        ADDRESS,
        "--subject",
        "Build\tdone",
        "--link",
        "https://example.com/build",
        "--link-text",
        "Look at it",
        "--reply-to",
        "other@example.com",
        "--fullscreen",
        file.to_str().unwrap(),
    ];
    assert_eq!(done(&house, &send).await, "");
    let kept = newest(&house).await;
    assert_eq!(
        (&kept["kind"], &kept["address"], &kept["state"]),
        (&json!("email"), &json!(ADDRESS), &json!("kept"))
    );
    assert_eq!(
        kept["body"],
        json!({"address": ADDRESS, "subject": "Build\tdone", "content": "# It is *done*\n",
            "link": {"text": "Look at it", "href": "https://example.com/build"},
            "replyTo": "other@example.com", "template": "fullscreen"})
    );

    let mut piped = house.command("notify", &["email", ADDRESS, "--subject", "Piped", "-"]);
    piped
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(b"from a pipe").await.unwrap();
    drop(pipe);
    Ended::with(child.wait_with_output().await.unwrap()).printed();
    done(&house, &mail("Said", "- outright")).await;

    let outbox = done(&house, &["outbox"]).await;
    let ends: Vec<&str> = outbox
        .lines()
        .map(|line| line.splitn(3, '\t').last().unwrap())
        .collect();
    assert_eq!(
        ends,
        [
            "email\tsomeone@example.com\tkept\tSaid",
            "email\tsomeone@example.com\tkept\tPiped",
            "email\tsomeone@example.com\tkept\tBuild\\tdone",
        ]
    );
    let two = done(&house, &["outbox", "--limit", "2"]).await;
    let all = done(&house, &["outbox", "--limit", "0"]).await;
    assert_eq!((two.lines().count(), all.lines().count()), (2, 3));
}

#[tokio::test]
async fn what_is_sent_twice_is_dropped_and_that_is_told() {
    let house = House::start().await;
    let once = notify(&house, &mail("Once", "and no more")).await;
    assert_eq!((once.code, once.messages.as_str()), (Some(0), ""));
    let twice = notify(&house, &mail("Once", "and no more")).await;
    assert_eq!((twice.code, twice.output.as_str()), (Some(0), ""));
    assert!(twice.messages.contains("nothing is sent"), "{twice:?}");
    let mut again = vec!["--json"];
    again.extend(mail("Once", "and no more"));
    assert_eq!(done(&house, &again).await, "{\"accepted\":false}\n");
    again.truncate(1);
    again.extend(mail("Once", "and something else"));
    assert_eq!(done(&house, &again).await, "{\"accepted\":true}\n");
    assert_eq!(done(&house, &["outbox"]).await.lines().count(), 2);
}

#[tokio::test]
async fn messages_go_where_they_are_to_go() {
    let house = House::start().await;
    let file = house.folder.path().join("message.json");
    std::fs::write(&file, r#"{"x": [1]}"#).unwrap();
    let from_file = format!("@{}", file.display());
    done(&house, &["pulse", "some.key", &from_file]).await;
    let published = newest(&house).await;
    assert_eq!(
        (
            &published["kind"],
            &published["address"],
            &published["state"]
        ),
        (&json!("pulse"), &json!("some.key"), &json!("sent"))
    );
    assert_eq!(published["body"]["message"], json!({"x": [1]}));
    done(&house, &["pulse", "some.key", r#"{"x": 2}"#]).await;
    assert_eq!(newest(&house).await["body"]["message"], json!({"x": 2}));
    let wrong = notify(&house, &["pulse", "some.key", "[]"]).await;
    assert!(
        wrong.code == Some(2) && wrong.messages.contains("the message is no JSON object"),
        "{wrong:?}"
    );

    let room = "!room:example.com";
    done(&house, &["matrix", room, "hello", "--html", "<b>hello</b>"]).await;
    let kept = newest(&house).await;
    assert_eq!(
        (&kept["kind"], &kept["address"], &kept["state"]),
        (&json!("matrix-room"), &json!(room), &json!("kept"))
    );
    assert_eq!(
        kept["body"],
        json!({"roomId": room, "body": "hello", "msgtype": "m.notice",
            "format": "org.matrix.custom.html", "formattedBody": "<b>hello</b>"})
    );

    done(&house, &["slack", "C0123", "hello"]).await;
    let kept = newest(&house).await;
    assert_eq!(
        (&kept["kind"], &kept["address"], &kept["body"]["text"]),
        (&json!("slack-channel"), &json!("C0123"), &json!("hello"))
    );

    for (to, kind) in [("#channel", "irc-channel"), ("someone", "irc-user")] {
        done(&house, &["irc", to, "hello"]).await;
        let asked = newest(&house).await;
        assert_eq!(
            (&asked["kind"], &asked["address"], &asked["body"]["message"]),
            (&json!(kind), &json!(to), &json!("hello"))
        );
    }
}

#[tokio::test]
async fn nothing_is_sent_to_an_address_on_the_denylist() {
    let house = House::start().await;
    assert_eq!(done(&house, &["denylist", "list"]).await, "");
    let add = ["denylist", "add", "email", ADDRESS];
    done(&house, &add).await;
    done(&house, &add).await;
    done(&house, &["denylist", "add", "irc-channel", "#a\tb"]).await;
    assert_eq!(
        done(&house, &["denylist", "list"]).await,
        format!("email\t{ADDRESS}\nirc-channel\t#a\\tb\n")
    );
    let listed = done(&house, &["--json", "denylist", "list"]).await;
    let first: Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    assert_eq!(
        first,
        json!({"notificationType": "email", "notificationAddress": ADDRESS})
    );
    let denied = notify(&house, &mail("Never", "seen")).await;
    assert!(
        denied.code == Some(2) && denied.messages.contains("DenylistedAddress"),
        "{denied:?}"
    );
    for _ in 0..2 {
        done(&house, &["denylist", "remove", "email", ADDRESS]).await;
    }
    done(&house, &mail("Seen", "at last")).await;
    assert_eq!(done(&house, &["outbox"]).await.lines().count(), 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_call_is_told() {
    let house = House::start().await;
    for (arguments, message) in [
        (vec!["denylist", "add", "fax", "1"], "slack-channel"),
        (vec!["email", ADDRESS, "--content", "c"], "--subject"),
        (
            vec!["email", ADDRESS, "--subject", "s", "--link", "https://a"],
            "--link-text",
        ),
        (
            vec!["email", ADDRESS, "--subject", "s", "--content", "c", "file"],
            "cannot be used with",
        ),
        (vec!["outbox", "--limit", "1001"], "1001"),
        // The server says these.
        (mail("", "c").to_vec(), "subject"),
        (
            vec!["email", "nobody", "--subject", "s", "--content", "c"],
            "address",
        ),
    ] {
        let refused = notify(&house, &arguments).await;
        assert!(
            refused.code == Some(2) && refused.messages.contains(message),
            "{arguments:?}: {refused:?}"
        );
    }
}
