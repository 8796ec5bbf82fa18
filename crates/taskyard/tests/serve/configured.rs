//! What stands in the configuration file and shows from outside: clients, and trusted proxies.

use taskyard_access::sign::{Destination, nonce};
use taskyard_access::{Credentials, Signer};
use taskyard_engine::clock::Clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::process::{Ground, ROOT, ROOT_TOKEN, ended, soon};

const TARGET: &str = "/api/auth/v1/scopes/current";

/// Asks for something as a client and as if through a proxy that ends HTTPS; the status and the
/// body.
async fn through_proxy(url: &str, target: &str, client_id: &str, token: &str) -> (u16, String) {
    let credentials = Credentials {
        client_id: client_id.to_owned(),
        access_token: token.into(),
        certificate: None,
    };
    let to = Destination {
        target,
        host: "tasks.example.com",
        port: 443,
    };
    let seconds = Clock::default().now().millis() / 1000;
    let signer = Signer::new(&credentials, None).unwrap();
    let request = reqwest::Client::new()
        .get(format!("{url}{target}"))
        .header("host", to.host)
        .header("x-forwarded-proto", "https")
        .header(
            "authorization",
            signer.authorization_header("GET", &to, seconds, &nonce(), None),
        );
    let answer = soon(request.send()).await.unwrap();
    let status = answer.status().as_u16();
    (status, soon(answer.text()).await.unwrap())
}

#[tokio::test]
async fn a_proxy_is_believed_by_its_address() {
    for (proxies, status) in [
        (None, 401),
        (Some("192.0.2.0/24"), 401),
        (Some("192.0.2.0/24,127.0.0.1"), 200),
    ] {
        let ground = Ground::new();
        let arguments: Vec<&str> = proxies
            .iter()
            .flat_map(|proxies| ["--trusted-proxies", proxies])
            .collect();
        let server = ground.serve(&arguments).await;
        let answer = through_proxy(&server.url, TARGET, ROOT, ROOT_TOKEN).await;
        assert_eq!(answer.0, status, "{proxies:?}: {}", answer.1);
        server.kill().await;
    }
}

#[tokio::test]
async fn clients_of_the_file_come_and_go_with_it() {
    let ground = Ground::new();
    let file = ground.path().join("taskyard.toml");
    let name = file.to_str().unwrap();
    let token = "a-token-from-the-file-0123456789";
    let text = format!(
        "trusted-proxies = ['127.0.0.1']\n\
         [clients.'static/ci']\naccess-token = '{token}'\nscopes = ['assume:static/ci']\n\
         [roles.'static/ci']\nscopes = ['auth:current-scopes', 'a:*']\n"
    );
    for (text, status) in [
        (text.as_str(), 200),
        (text.as_str(), 200),
        ("trusted-proxies = ['127.0.0.1']\n", 401),
    ] {
        std::fs::write(&file, text).unwrap();
        let server = ground.serve(&["--config", name]).await;
        let answer = through_proxy(&server.url, TARGET, "static/ci", token).await;
        assert_eq!(answer.0, status, "{}", answer.1);
        assert_eq!(answer.1.contains("a:*"), status == 200, "{}", answer.1);
        server.kill().await;
    }
    let circle = "[roles.'static/a']\nscopes = ['assume:static/a']\n";
    std::fs::write(&file, circle).unwrap();
    let (code, message) = ended(ground.command(&["--config", name])).await;
    assert_eq!(code, Some(2));
    assert!(message.contains("static/a"), "{message}");
}

/// Something that accepts requests and refuses them all, until it is dropped.
async fn refuser() -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 16 * 1024];
            let _read = stream.read(&mut request).await.unwrap();
            let answer =
                b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        }
    });
    (url, serving)
}

#[tokio::test]
async fn keys_of_services_outside_are_not_in_the_log() {
    let (url, serving) = refuser().await;
    let ground = Ground::new();
    let file = ground.path().join("taskyard.toml");
    let text = format!(
        "trusted-proxies = ['127.0.0.1']\n\
         [[aws]]\naccess-key-id = 'AKID'\nsecret-access-key = 'the-aws-secret'\n\
         buckets = ['bucket']\nsts-url = '{url}'\n\
         [azure.account]\nkey = 'dGhlLWF6dXJlLWtleS1vZi1hLXRlc3Q='\ntable-url = '{url}'\n\
         [sentry]\nurl = '{url}'\norganization = 'o'\nteam = 't'\ntoken = 'the-sentry-token'\n\
         [clients.'static/ci']\naccess-token = 'the-token-of-a-client-in-the-file'\n"
    );
    std::fs::write(&file, text).unwrap();
    let arguments = ["--log-level", "trace", "--config", file.to_str().unwrap()];
    let server = ground.serve(&arguments).await;
    for path in [
        "/api/auth/v1/aws/s3/read-only/bucket/a",
        "/api/auth/v1/azure/account/table/table1/read-write",
        "/api/auth/v1/sentry/project/dsn",
    ] {
        let answer = through_proxy(&server.url, path, ROOT, ROOT_TOKEN).await;
        assert_eq!(answer.0, 500, "{path}: {}", answer.1);
    }
    server.signal("TERM").await;
    let log = String::from_utf8(server.ended().await.stderr).unwrap();
    for service in ["Security Token Service", "Azure", "Sentry"] {
        assert!(log.contains(service), "it was a talkative log: {log}");
    }
    for secret in [
        "the-aws-secret",
        "dGhlLWF6",
        "the-sentry-token",
        "the-token-of-a-client",
        "sig=",
    ] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is in the log");
    }
    serving.abort();
}
