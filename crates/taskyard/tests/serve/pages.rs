//! The web pages, as programs find them that are no browser: what is refused, and what is never
//! told. What people see is tested with a browser, in `conformance`.

use reqwest::{Client, Method, Response, header};
use serde_json::json;
use taskyard_client::slugid;

use crate::caller::Caller;
use crate::process::{Ground, ROOT, ROOT_TOKEN, Server, soon};

/// A visitor who follows no redirects and keeps no cookies.
async fn asks(server: &Server, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
    let none = reqwest::redirect::Policy::none();
    let client = Client::builder().redirect(none).build().unwrap();
    let mut request = client.request(method, format!("{}{path}", server.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    soon(request.send()).await.unwrap()
}

/// Sends a form as a page of the server would.
async fn posts(server: &Server, path: &str, form: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
        .post(format!("{}{path}", server.url))
        .header(header::ORIGIN, &server.url)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    soon(request.send()).await.unwrap()
}

fn header_of<'a>(response: &'a Response, name: &str) -> &'a str {
    let value = response.headers().get(name);
    value.map_or("", |value| value.to_str().unwrap())
}

/// The cookie of whoever signs in as the root client.
async fn signed_in(server: &Server) -> String {
    let form = format!("clientId={ROOT}&accessToken={ROOT_TOKEN}&back=%2Fhooks");
    let answer = posts(server, "/sign-in", &form, &[]).await;
    assert_eq!(answer.status(), 303);
    assert_eq!(header_of(&answer, "location"), "/hooks");
    let cookie = header_of(&answer, "set-cookie");
    assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
    assert!(!cookie.contains(ROOT_TOKEN), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_page_runs_nothing_that_is_not_the_servers_own() {
    let ground = Ground::new();
    let server = ground.serve(&[]).await;
    for path in ["/", "/hooks", "/nowhere/at/all", "/tasks/none", "/sign-in"] {
        let answer = asks(&server, Method::GET, path, &[]).await;
        if path == "/nowhere/at/all" {
            // Not a page at all: APIs answer.
            assert_eq!(
                header_of(&answer, "content-type"),
                "application/json; charset=utf-8"
            );
            continue;
        }
        let policy = header_of(&answer, "content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{path}: {policy}"
        );
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert_eq!(header_of(&answer, "cache-control"), "no-store", "{path}");
        assert_eq!(
            header_of(&answer, "x-content-type-options"),
            "nosniff",
            "{path}"
        );
    }
    let answer = asks(&server, Method::GET, "/tasks/none/at/all", &[]).await;
    assert_eq!(answer.status(), 404);
    assert_eq!(
        asks(&server, Method::GET, "/assets/../secret.key", &[])
            .await
            .status(),
        404
    );
    let script = asks(&server, Method::GET, "/assets/pages.js", &[]).await;
    assert_eq!(script.status(), 200);
    server.kill().await;
}

#[tokio::test]
async fn other_sites_press_no_buttons() {
    let ground = Ground::new();
    // Here everybody may do everything, so the button is all that stands between.
    let server = ground.serve(&["--dev"]).await;
    let caller = Caller::anonymous(&server.url);
    let id = slugid::nice();
    caller.create(&id, json!({})).await.unwrap();
    let button = format!("/tasks/{id}/cancel");
    let port = server.url.rsplit(':').next().unwrap();
    let rebound = format!("http://evil.example:{port}");
    let foreign: [&[(&str, &str)]; 5] = [
        &[],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", &server.url), ("sec-fetch-site", "cross-site")],
        // A name that its owner points at this machine.
        &[
            ("origin", &rebound),
            ("host", rebound.trim_start_matches("http://")),
        ],
    ];
    for headers in foreign {
        let answer = asks(&server, Method::POST, &button, headers).await;
        assert_eq!(answer.status(), 403, "{headers:?}");
    }
    assert_eq!(asks(&server, Method::GET, &button, &[]).await.status(), 404);
    assert_eq!(caller.status(&id).await.unwrap()["state"], "pending");
    let ours = posts(&server, &button, "", &[]).await;
    assert_eq!(
        (ours.status().as_u16(), header_of(&ours, "location")),
        (303, &*format!("/tasks/{id}"))
    );
    assert_eq!(caller.status(&id).await.unwrap()["state"], "exception");
    server.kill().await;
}

#[tokio::test]
async fn a_session_is_worth_what_its_client_is_worth() {
    let ground = Ground::new();
    let server = ground.serve(&[]).await;
    let id = slugid::nice();
    let caller = Caller::root(&server.url);
    caller.create(&id, json!({})).await.unwrap();
    let button = format!("/tasks/{id}/cancel");

    let wrong = format!("clientId={ROOT}&accessToken=wrong");
    let refused = posts(&server, "/sign-in", &wrong, &[]).await;
    assert_eq!(refused.status(), 401);
    assert_eq!(header_of(&refused, "set-cookie"), "");
    let made_up = [("cookie", "taskyard-session=s1:00000000:AAAA")];
    assert_eq!(posts(&server, &button, "", &made_up).await.status(), 403);

    let cookie = signed_in(&server).await;
    let page = asks(&server, Method::GET, "/hooks", &[("cookie", &cookie)]).await;
    let text = soon(page.text()).await.unwrap();
    assert!(text.contains(ROOT) && !text.contains(ROOT_TOKEN), "{text}");
    // Another server, another key.
    let elsewhere = Ground::new();
    let other = elsewhere.serve(&[]).await;
    let page = asks(&other, Method::GET, "/hooks", &[("cookie", &cookie)]).await;
    assert!(!soon(page.text()).await.unwrap().contains(ROOT));
    other.kill().await;

    let done = posts(&server, &button, "", &[("cookie", &cookie)]).await;
    assert_eq!(done.status(), 303);
    assert_eq!(caller.status(&id).await.unwrap()["state"], "exception");
    let out = posts(&server, "/sign-out", "", &[("cookie", &cookie)]).await;
    assert!(header_of(&out, "set-cookie").contains("Max-Age=0"));
    server.kill().await;
}

#[tokio::test]
async fn a_form_has_an_end() {
    let ground = Ground::new();
    let server = ground.serve(&[]).await;
    let form = format!("clientId={}", "a".repeat(2 * 1024 * 1024));
    assert_eq!(posts(&server, "/sign-in", &form, &[]).await.status(), 400);
    server.kill().await;
}
