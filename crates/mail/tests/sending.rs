//! Mails handed to a server that says what a test has it say.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use taskyard_mail::{Link, Mail, MailError, Mailer, Template};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;
use tokio::time::Instant;

const SENDER: &str = "Taskyard <server@example.com>";

fn mail() -> Mail {
    Mail {
        to: "user@example.com".to_owned(),
        subject: "Task failed: größer".to_owned(),
        content: "Task **failed**.\n.\n..dots".to_owned(),
        link: Some(Link {
            text: "Inspect Task".to_owned(),
            href: "https://tasks.example.com/tasks/abc".to_owned(),
        }),
        reply_to: Some("owner@example.com".to_owned()),
        template: Template::Simple,
    }
}

/// Answers of a server that differ from the usual: to what begins a line, to `greeting`, or to `mail`.
/// With an empty one it falls silent and time passes at once.
type Answers = &'static [(&'static str, &'static str)];

/// Serves connections one after the other; where, and the lines it is sent.
async fn server(answers: Answers) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("smtp://{}", listener.local_addr().expect("an address"));
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (connection, _) = listener.accept().await.expect("a connection");
            let mut connection = BufReader::new(connection);
            let mut line = "greeting".to_owned();
            let mut is_mail = false;
            loop {
                let is_end = line == ".";
                if !is_mail || is_end {
                    let key = if is_end { "mail" } else { &line };
                    let answer = answer(answers, key);
                    if answer.is_empty() {
                        tokio::time::pause();
                        std::future::pending::<()>().await;
                    }
                    is_mail = answer.starts_with("354");
                    let answer = format!("{answer}\r\n");
                    connection.write_all(answer.as_bytes()).await.expect("sent");
                }
                let mut next = String::new();
                if connection.read_line(&mut next).await.unwrap_or(0) == 0 {
                    break;
                }
                line = next.strip_suffix("\r\n").expect("a line's end").to_owned();
                drop(tell.send(line.clone()));
            }
        }
    });
    (url, told)
}

fn answer(answers: Answers, line: &str) -> &'static str {
    let usual = [
        ("greeting", "220 hello"),
        ("EHLO", "250-hello\r\n250 AUTH PLAIN LOGIN"),
        ("AUTH", "235 hello"),
        ("MAIL", "250 ok"),
        ("RCPT", "250 ok"),
        ("DATA", "354 go on"),
        ("mail", "250 taken"),
        ("QUIT", "221 bye"),
    ];
    let mut all = answers.iter().chain(&usual);
    let found = all.find(|(start, _)| line.starts_with(start));
    found.map_or("500 what?", |(_, answer)| answer)
}

/// What comes of a mail to a server with these answers, and what that server was sent.
async fn outcome(answers: Answers) -> (Result<(), MailError>, Vec<String>) {
    let (url, mut told) = server(answers).await;
    let outcome = Mailer::new(&url, SENDER)
        .expect("a mailer")
        .send(&mail())
        .await;
    let mut lines = Vec::new();
    while let Ok(line) = told.try_recv() {
        lines.push(line);
    }
    (outcome, lines)
}

#[tokio::test]
async fn a_mail_arrives_with_its_headers_and_both_its_parts() {
    let (outcome, lines) = outcome(&[]).await;
    assert_eq!(outcome, Ok(()));
    assert_eq!(
        lines[1..4],
        [
            "MAIL FROM:<server@example.com>",
            "RCPT TO:<user@example.com>",
            "DATA"
        ]
    );
    let text = lines[4..].join("\n");
    for expected in [
        "From: Taskyard <server@example.com>",
        "To: user@example.com",
        "Reply-To: owner@example.com",
        "Subject: Task failed: =?utf-8?b?Z3LDtsOfZXI=?=",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "multipart/alternative",
        "text/plain; charset=utf-8",
        "Task **failed**.\n..\n...dots\n\nInspect Task: https://tasks.example.com/tasks/abc\n",
        "text/html; charset=utf-8",
        "<strong>failed</strong>",
        "\"@type\":\"ViewAction\"",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    assert!(
        text.contains("Message-ID: <") && text.contains("\nDate: "),
        "{text}"
    );
}

#[tokio::test]
async fn who_wrote_a_mail_that_may_not_be_sent_is_told_before_anything_is_connected_to() {
    let mailer = Mailer::new("smtp://127.0.0.1:1", SENDER).expect("a mailer");
    let link = Link {
        text: "a".to_owned(),
        href: "javascript:alert(1)".to_owned(),
    };
    let to = "a@example.com\r\nRCPT TO:<b@example.com>".to_owned();
    let reply_to = Some("a@example.com\r\nBcc: b@example.com".to_owned());
    for (mail, expected) in [
        (
            Mail {
                link: Some(link),
                ..mail()
            },
            "link",
        ),
        (Mail { to, ..mail() }, "address"),
        (Mail { reply_to, ..mail() }, "address"),
    ] {
        let error = mailer.send(&mail).await.expect_err("refused");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.is_temporary());
    }
    for sender in [
        "",
        "Taskyard",
        "a@example.com\r\nBcc: b@example.com",
        "ä@example.com",
    ] {
        let error = Mailer::new("smtp://127.0.0.1", sender).expect_err(sender);
        assert!(matches!(error, MailError::Sender(_)), "{error}");
    }
}

#[tokio::test]
async fn a_refusal_is_temporary_or_final_as_the_server_says() {
    let cases: [(Answers, u16); 8] = [
        (&[("greeting", "421 busy")], 421),
        (&[("greeting", "554 not you")], 554),
        (&[("MAIL", "451-try\r\n451 later")], 451),
        (&[("RCPT", "450 greylisted")], 450),
        (&[("RCPT", "550 nobody of that name")], 550),
        (&[("DATA", "554 no")], 554),
        (&[("mail", "452 the disk is full")], 452),
        (&[("mail", "552 that is spam")], 552),
    ];
    for (answers, expected) in cases {
        let (outcome, _) = outcome(answers).await;
        let error = outcome.expect_err("a refusal");
        let MailError::Refused { code, text } = &error else {
            panic!("{answers:?}: {error:?}");
        };
        assert_eq!(*code, expected);
        assert_eq!(error.is_temporary(), expected < 500);
        assert!(!text.is_empty() && !text.contains('\n'), "{text:?}");
    }
}

#[tokio::test]
async fn a_server_that_makes_no_sense_is_trouble_that_may_pass() {
    let cases: [Answers; 5] = [
        &[("greeting", "SSH-2.0-OpenSSH")],
        &[("EHLO", "2")],
        &[("MAIL", "999 what")],
        &[("DATA", "250 ok")],
        &[("mail", "354 go on")],
    ];
    for answers in cases {
        let (outcome, _) = outcome(answers).await;
        let error = outcome.expect_err("trouble");
        assert!(
            matches!(error, MailError::Connection(_)),
            "{answers:?}: {error:?}"
        );
        assert!(error.is_temporary());
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_trouble_that_may_pass() {
    // Taken, so that nobody else is there, but not listened at.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().unwrap()).expect("a port");
    let url = format!("smtp://{}", socket.local_addr().expect("an address"));
    let mailer = Mailer::new(&url, SENDER).expect("a mailer");
    let error = mailer.send(&mail()).await.expect_err("nobody");
    assert!(matches!(error, MailError::Connection(_)), "{error:?}");
    assert!(error.is_temporary());
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up_wherever_it_does() {
    let cases: [(Answers, &str, u64); 6] = [
        (&[("greeting", "")], "a greeting", 30),
        (&[("EHLO", "")], "a greeting", 30),
        (&[("MAIL", "")], "MAIL", 30),
        (&[("RCPT", "")], "RCPT", 30),
        (&[("DATA", "")], "DATA", 30),
        (&[("mail", "")], "the mail", 60),
    ];
    for (answers, step, limit) in cases {
        let (outcome, _) = outcome(answers).await;
        let limit = Duration::from_secs(limit);
        assert_eq!(
            outcome,
            Err(MailError::TimedOut { step, limit }),
            "{answers:?}"
        );
        assert!(outcome.unwrap_err().is_temporary());
        tokio::time::resume();
    }
}

#[tokio::test]
async fn nobody_waits_for_the_goodbye() {
    let (url, mut told) = server(&[("QUIT", "")]).await;
    let mailer = Mailer::new(&url, SENDER).expect("a mailer");
    let begun = Instant::now();
    mailer.send(&mail()).await.expect("taken");
    assert!(begun.elapsed() < Duration::from_secs(5));
    while told.recv().await.expect("a line") != "QUIT" {}
}

/// The system takes connections for a listener that never looks at them.
#[tokio::test(start_paused = true)]
async fn mails_that_wait_for_their_turn_are_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("smtp://{}", listener.local_addr().expect("an address"));
    let mailer = Mailer::new(&url, SENDER).expect("a mailer");
    let sends: Vec<_> = (0..40)
        .map(|_| {
            let mailer = mailer.clone();
            tokio::spawn(async move {
                let begun = Instant::now();
                (mailer.send(&mail()).await, begun.elapsed())
            })
        })
        .collect();
    let mut waited = 0;
    for send in sends {
        let (outcome, took) = send.await.expect("an outcome");
        let Err(MailError::TimedOut { step, .. }) = outcome else {
            panic!("{outcome:?}");
        };
        waited += usize::from(step == "a mail");
        // Tokio's clock has a resolution of a millisecond.
        assert!(took < Duration::from_millis(120_100), "{took:?}");
    }
    // In turns of eight, each of which takes half a minute.
    assert!((8..=16).contains(&waited), "{waited}");
}

#[tokio::test]
async fn without_the_tls_that_is_wanted_nothing_is_sent() {
    let (url, mut told) = server(&[]).await;
    let url = url.replace("smtp://", "smtp://user:hunter2@");
    let mailer = Mailer::new(&format!("{url}?tls=required"), SENDER).expect("a mailer");
    let error = mailer.send(&mail()).await.expect_err("no STARTTLS");
    assert!(error.to_string().contains("STARTTLS"), "{error}");
    assert!(error.is_temporary());
    let url = url.replace("smtp://", "smtps://");
    let mailer = Mailer::new(&url, SENDER).expect("a mailer");
    drop(told.recv().await.expect("EHLO"));
    assert!(told.try_recv().is_err(), "nothing but EHLO is sent");
    // This server greets instead of beginning TLS.
    let error = mailer.send(&mail()).await.expect_err("no TLS");
    assert!(matches!(error, MailError::Connection(_)), "{error:?}");
}

#[tokio::test]
async fn a_password_goes_to_the_server_and_nowhere_else() {
    // \0user\0hunter2
    const SENT: &str = "AUTH PLAIN AHVzZXIAaHVudGVyMg==";
    let (url, mut told) = server(&[]).await;
    let with_password = |url: &str| url.replace("smtp://", "smtp://user:hunter2@");
    let mailer = Mailer::new(&with_password(&url), SENDER).expect("a mailer");
    mailer.send(&mail()).await.expect("taken");
    drop(told.recv().await);
    assert_eq!(told.recv().await.as_deref(), Some(SENT));
    assert!(!format!("{mailer:?} {mailer:#?}").contains("hunter2"));
    let cases: [(Answers, Option<u16>); 4] = [
        (
            &[("AUTH", "535 not with AHVzZXIAaHVudGVyMg== or hunter2")],
            Some(535),
        ),
        (
            &[("AUTH", "454 AHVzZXIAaHVudGVyMg== or hunter2, later")],
            Some(454),
        ),
        (&[("AUTH", "AHVzZXIAaHVudGVyMg== or hunter2")], None),
        (&[("EHLO", "250 AUTH SOMETHING")], None),
    ];
    for (answers, code) in cases {
        let (url, _told) = server(answers).await;
        let mailer = Mailer::new(&with_password(&url), SENDER).expect("a mailer");
        let error = mailer.send(&mail()).await.expect_err("no login");
        match code {
            Some(code) => assert_eq!(error, MailError::Login { code }),
            None => assert!(matches!(error, MailError::Connection(_)), "{error:?}"),
        }
        assert_eq!(error.is_temporary(), code != Some(535));
        let said = format!("{error} {error:?}");
        assert!(
            !said.contains("hunter2") && !said.contains("AHVzZXIA"),
            "{said}"
        );
    }
}
