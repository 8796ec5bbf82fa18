//! Calls on real sockets: what is refused, what is bounded, what is trusted.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::IntoResponse;
use taskyard_outbound::{Answer, Call, Client, Failure, Forbidden, Rules, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn client(settings: Settings) -> Client {
    Client::new(&settings).expect("a client")
}

fn loopback() -> Settings {
    Settings {
        rules: Rules::with_loopback(),
        ..Settings::default()
    }
}

async fn get(client: &Client, url: &str) -> Result<Answer, Failure> {
    let call = Call {
        method: Method::GET,
        url: url.parse().expect("a URL"),
        headers: HeaderMap::new(),
        body: None,
        deadline: Duration::from_secs(20),
    };
    client.call(call).await
}

/// A server that answers `/to?<url>` with a redirect there, `/loop` with one to itself, and counts
/// everything else.
async fn server() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let router = Router::new().fallback(move |request: Request| {
        let counted = Arc::clone(&counted);
        async move {
            if request.uri().path() == "/loop" {
                return (StatusCode::FOUND, [(header::LOCATION, "/loop")]).into_response();
            }
            match request.uri().query() {
                Some(to) if request.uri().path() == "/to" => {
                    let to = [(header::LOCATION, to.to_owned())];
                    (StatusCode::FOUND, to).into_response()
                }
                _ => {
                    counted.fetch_add(1, Ordering::SeqCst);
                    "here".into_response()
                }
            }
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    (port, count)
}

#[tokio::test]
async fn a_name_is_refused_for_the_address_behind_it() {
    let (port, count) = server().await;
    let careful = client(Settings::default());
    for host in ["localhost", "127.0.0.1", "127.1", "[::1]"] {
        let failure = get(&careful, &format!("http://{host}:{port}/")).await;
        let Err(Failure::Forbidden(Forbidden::Address { address, .. })) = failure else {
            panic!("{host}: {failure:?}");
        };
        assert!(address.is_loopback());
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
    let open = client(loopback());
    for host in ["localhost", "127.0.0.1"] {
        let answer = get(&open, &format!("http://{host}:{port}/"))
            .await
            .expect("an answer");
        assert_eq!((answer.status, &answer.body[..]), (200, &b"here"[..]));
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_or_followed_to_where_one_may_go() {
    let (port, count) = server().await;
    let here = format!("http://127.0.0.1:{port}");
    let not_following = client(loopback());
    let answer = get(&not_following, &format!("{here}/to?{here}/"))
        .await
        .expect("an answer");
    assert_eq!(answer.status, 302);
    let following = client(Settings {
        redirects: 3,
        ..loopback()
    });
    let answer = get(&following, &format!("{here}/to?{here}/"))
        .await
        .expect("an answer");
    assert_eq!(answer.status, 200);
    for forbidden in [
        "http://169.254.169.254/",
        "http://[fe80::1]/",
        "ftp://127.0.0.1/",
    ] {
        let failure = get(&following, &format!("{here}/to?{forbidden}")).await;
        let refused = matches!(failure, Err(Failure::Forbidden(_)))
            // A scheme that cannot be called at all is no redirect.
            || matches!(&failure, Ok(answer) if answer.status == 302)
            || matches!(failure, Err(Failure::Unreachable(_)) if forbidden.starts_with("ftp"));
        assert!(refused, "{forbidden}: {failure:?}");
    }
    let failure = get(&following, &format!("{here}/loop")).await;
    assert!(
        matches!(&failure, Err(Failure::Unreachable(why)) if why.contains("too many redirects")),
        "{failure:?}"
    );
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn of_a_long_answer_only_the_beginning_is_kept_and_the_rest_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.expect("a connection");
        let mut head = [0; 1024];
        let _count = connection.read(&mut head).await.expect("a request");
        connection
            .write_all(b"HTTP/1.1 200 OK\r\n\r\n")
            .await
            .expect("written");
        while connection.write_all(&[b'x'; 8192]).await.is_ok() {}
    });
    let bounded = client(Settings {
        keep: 10,
        read: 100_000,
        ..loopback()
    });
    let answer = get(&bounded, &url).await.expect("an answer");
    assert_eq!(&answer.body[..], b"xxxxxxxxxx");
}

#[tokio::test]
async fn a_certificate_is_checked_against_the_authorities_one_trusts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!(
        "https://localhost:{}/",
        listener.local_addr().expect("an address").port()
    );
    let certificate = include_bytes!("certificates/server.der").to_vec().into();
    let key = include_bytes!("certificates/server-key.der").to_vec();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key).into();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a certificate");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let Ok(mut connection) = acceptor.accept(connection).await else {
                continue;
            };
            let mut head = [0; 1024];
            drop(connection.read(&mut head).await);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            drop(connection.write_all(answer).await);
            drop(connection.shutdown().await);
        }
    });
    let stranger = get(&client(loopback()), &url).await;
    let Err(Failure::Unreachable(why)) = stranger else {
        panic!("{stranger:?}");
    };
    assert!(why.contains("certificate"), "{why}");
    let authority = include_bytes!("certificates/authority.pem").to_vec();
    let trusting = client(Settings {
        roots: vec![authority],
        ..loopback()
    });
    assert_eq!(get(&trusting, &url).await.expect("an answer").status, 200);
    let careless = client(Settings {
        skip_tls_verification: true,
        ..loopback()
    });
    assert_eq!(get(&careless, &url).await.expect("an answer").status, 200);
}

#[tokio::test]
async fn a_proxy_makes_the_calls_and_addresses_are_still_checked() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let proxy = format!(
        "http://localhost:{}",
        listener.local_addr().expect("an address").port()
    );
    let (asked, mut asks) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut head = vec![0; 1024];
            let count = connection.read(&mut head).await.unwrap_or(0);
            head.truncate(count);
            drop(asked.send(String::from_utf8_lossy(&head).into_owned()));
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            drop(connection.write_all(answer).await);
        }
    });
    let client = client(Settings {
        proxy: Some(proxy),
        ..Settings::default()
    });
    let answer = get(&client, "http://handler.invalid/path")
        .await
        .expect("an answer");
    assert_eq!(answer.status, 200);
    let ask = asks.recv().await.expect("it was asked");
    assert!(
        ask.starts_with("GET http://handler.invalid/path HTTP/1.1"),
        "{ask}"
    );
    let failure = get(&client, "http://169.254.169.254/").await;
    assert!(matches!(failure, Err(Failure::Forbidden(_))), "{failure:?}");
}
