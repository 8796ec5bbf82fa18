//! Signatures and signed URLs: what holds, and what is refused with which reason.

use http::header::AUTHORIZATION;
use serde_json::json;
use taskyard_access::sign::Destination;
use taskyard_access::{Signer, slugid};
use taskyard_store::on_both_databases;
use taskyard_store::testing::Kind;

use crate::ask::Ask;
use crate::house::{House, merged};
use crate::who::Who;

const PREFIX: &str = "/api/queue/v1";

#[tokio::test]
async fn credentials_that_do_not_hold_are_refused_with_the_reason() {
    let house = House::new(Kind::Sqlite).await;
    let id = slugid::nice();
    let Who::Holder(root) = house.root() else {
        unreachable!()
    };
    let path = format!("{PREFIX}/task/{id}/status");
    let plain = |header: &str| Ask::new("GET", &path).header("authorization", header);
    let with = |change: &dyn Fn(&mut taskyard_access::Credentials)| {
        let mut credentials = root.clone();
        change(&mut credentials);
        Ask::new("GET", &path).by(Who::Holder(credentials))
    };
    let cases = [
        (plain("Basic abc"), "Unauthorized"),
        (plain("Hawk"), "Bad Request"),
        (plain("Hawk id=\"root\""), "Missing attributes"),
        (
            with(&|credentials| credentials.client_id = "nobody".to_owned()),
            "nobody",
        ),
        (
            with(&|credentials| credentials.access_token = "wrong".into()),
            "Bad mac",
        ),
        (
            with(&|credentials| credentials.certificate = Some("{}".to_owned())),
            "certificate",
        ),
    ];
    for (ask, told) in cases {
        let answer = house.ask(ask).await;
        let message = answer.refused(401, "AuthenticationFailed");
        assert!(message.contains(told), "{message}");
        assert_eq!(answer.header("www-authenticate"), "hawk");
    }
    // A signature of 16 minutes ago, and one for another path or body.
    let ask = Ask::new("GET", &path).by(house.root());
    let stale = ask.sign(house.clock.now().minus(std::time::Duration::from_mins(16)));
    let answer = crate::answer::Answer::read(house.service.answer(stale).await).await;
    assert!(
        answer
            .refused(401, "AuthenticationFailed")
            .contains("Stale")
    );
    let mut request = Ask::new("GET", &path)
        .by(house.root())
        .sign(house.clock.now());
    *request.uri_mut() = format!("{path}/").parse().unwrap();
    let answer = crate::answer::Answer::read(house.service.answer(request).await).await;
    assert!(
        answer
            .refused(401, "AuthenticationFailed")
            .contains("Bad mac")
    );
    let body = house.definition();
    let ask = Ask::new("PUT", &format!("{PREFIX}/task/{id}"))
        .by(house.root())
        .json(&body);
    let mut request = ask.sign(house.clock.now());
    *request.body_mut() = merged(body, json!({"retries": 1})).to_string().into();
    let answer = crate::answer::Answer::read(house.service.answer(request).await).await;
    assert!(
        answer
            .refused(401, "AuthenticationFailed")
            .contains("payload hash")
    );
    // Two headers.
    let mut request = Ask::new("GET", &path)
        .by(house.root())
        .sign(house.clock.now());
    let header = request.headers()[AUTHORIZATION].clone();
    request.headers_mut().append(AUTHORIZATION, header);
    let answer = crate::answer::Answer::read(house.service.answer(request).await).await;
    answer.refused(401, "AuthenticationFailed");
}

on_both_databases! {
    async fn a_signed_url_opens_what_it_was_signed_for(kind) {
        let house = House::new(kind).await;
        let id = house.create(json!({})).await;
        let Who::Holder(root) = house.root() else { unreachable!() };
        let signer = Signer::new(&root, None).unwrap();
        let path = format!("{PREFIX}/task/{id}/status");
        let to = Destination { target: &path, host: "queue.test", port: 80 };
        let until = house.clock.now().millis() / 1000 + 60;
        let target = signer.signed_target(&to, until);
        house.ask(Ask::new("GET", &target)).await.status_of();
        house.ask(Ask::new("HEAD", &target)).await;
        house.ask(Ask::new("GET", &format!("{target}x"))).await.refused(401, "AuthenticationFailed");
        let other = target.replace("/status", "");
        house.ask(Ask::new("GET", &other)).await.refused(401, "AuthenticationFailed");
        let both = house.ask(Ask::new("GET", &target).by(house.root())).await;
        both.refused(401, "AuthenticationFailed");
        house.wait(std::time::Duration::from_secs(61));
        let late = house.ask(Ask::new("GET", &target)).await;
        assert!(late.refused(401, "AuthenticationFailed").contains("expired"));
    }
}
