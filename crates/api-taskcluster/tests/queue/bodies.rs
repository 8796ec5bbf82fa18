//! Request bodies: what is read, how much of it, and what is refused.

use serde_json::json;
use taskyard_access::slugid;
use taskyard_store::on_both_databases;
use taskyard_store::testing::Kind;

use crate::ask::Ask;
use crate::house::House;

const PREFIX: &str = "/api/queue/v1";
/// The largest body that is read.
const LIMIT: usize = 10 * 1024 * 1024;

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused_even_without_credentials() {
    let house = House::new(Kind::Sqlite).await;
    let target = format!("{PREFIX}/task/{}", slugid::nice());
    let long = format!("{{\"a\":{}", "[".repeat(10_000));
    let deep = format!(
        "{{\"payload\":{}1{}}}",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let objects = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let cases: [(&[u8], &str); 13] = [
        (b"{", "not JSON"),
        (b"nothing", "not JSON"),
        (b"{} {}", "not JSON"),
        (b"{\"a\":1,}", "not JSON"),
        (b"{\"a\":NaN}", "not JSON"),
        (b"\xff", "not JSON"),
        (b"{\"a\":\"\xff\"}", "not JSON"),
        (b"{\"a\":\"\\ud800\"}", "not JSON"),
        (b"\"text\"", "object or array"),
        (b"null", "object or array"),
        (long.as_bytes(), "not JSON"),
        (deep.as_bytes(), "not JSON"),
        (objects.as_bytes(), "not JSON"),
    ];
    for (body, told) in cases {
        let answer = house.ask(Ask::new("PUT", &target).json_text(body)).await;
        let message = answer.refused(400, "MalformedPayload");
        assert!(message.contains(told), "{message}");
        let payload = answer.json["requestInfo"]["payload"]
            .as_str()
            .expect("the raw text");
        assert_eq!(payload, String::from_utf8_lossy(body));
    }
    // A method that takes no body reads it all the same.
    let cancel = format!("{target}/cancel");
    house
        .ask(Ask::new("POST", &cancel).json_text("{"))
        .await
        .refused(400, "MalformedPayload");
}

#[tokio::test]
async fn a_method_with_input_takes_json_and_says_so() {
    let house = House::new(Kind::Sqlite).await;
    let target = format!("{PREFIX}/task/{}", slugid::nice());
    let body = house.definition().to_string();
    for content_type in [
        "text/plain",
        "application/jsonx",
        "application/x-www-form-urlencoded",
    ] {
        let ask = Ask::new("PUT", &target)
            .header("content-type", content_type)
            .body(body.clone());
        house.ask(ask).await.refused(400, "MalformedPayload");
    }
    house
        .ask(Ask::new("PUT", &target).body(body))
        .await
        .refused(400, "MalformedPayload");
    house
        .ask(Ask::new("PUT", &target))
        .await
        .refused(400, "MalformedPayload");
    // An empty body of JSON is an empty object, whose fields are missing.
    let ask = Ask::new("PUT", &target).json_text("").by(house.root());
    house.ask(ask).await.refused(400, "InputValidationError");
    let ask = Ask::new("PUT", &target).json_text("[]").by(house.root());
    house.ask(ask).await.refused(400, "InputValidationError");
}

on_both_databases! {
    async fn parameters_of_the_media_type_do_not_matter(kind) {
        let house = House::new(kind).await;
        let target = format!("{PREFIX}/task/{}", slugid::nice());
        let body = house.definition().to_string();
        let ask = Ask::new("PUT", &target)
            .header("content-type", "application/json; charset=utf-8")
            .body(body)
            .by(house.root());
        house.ask(ask).await.status_of();
    }

    async fn a_body_of_exactly_ten_mebibytes_is_read_and_one_byte_more_is_not(kind) {
        let house = House::new(kind).await;
        let sized = |size: usize| {
            let mut body = house.definition();
            body["payload"] = json!({"fill": ""});
            let rest = size - body.to_string().len();
            body["payload"] = json!({"fill": "x".repeat(rest)});
            let body = body.to_string();
            assert_eq!(body.len(), size);
            body
        };
        let target = format!("{PREFIX}/task/{}", slugid::nice());
        let too_large = Ask::new("PUT", &target).by(house.root()).json_text(sized(LIMIT + 1));
        let message = house.ask(too_large).await.refused(413, "InputTooLarge");
        assert!(message.contains("10485760"), "{message}");
        // Also when no length was announced.
        let parts = (0..11).map(|_| Ok(vec![b' '; 1024 * 1024].into())).collect();
        let endless = Ask::new("PUT", &target).json_text("").parts(parts);
        house.ask(endless).await.refused(413, "InputTooLarge");
        let fits = Ask::new("PUT", &target).by(house.root()).json_text(sized(LIMIT));
        house.ask(fits).await.status_of();
        let found = house.ask(Ask::new("GET", &target).by(house.root())).await;
        assert!(found.json["payload"]["fill"].as_str().unwrap().len() > LIMIT - 1000);
    }
}

#[tokio::test]
async fn a_sender_that_hangs_up_within_the_body_changes_nothing() {
    let house = House::new(Kind::Sqlite).await;
    let id = slugid::nice();
    let body = house.definition().to_string();
    let half = bytes::Bytes::from(body.as_bytes()[..body.len() / 2].to_vec());
    let broken = std::io::Error::other("gone");
    let ask = Ask::new("PUT", &format!("{PREFIX}/task/{id}"))
        .json_text(body)
        .by(house.root())
        .parts(vec![Ok(half), Err(broken)]);
    house.ask(ask).await.refused(400, "MalformedPayload");
    house
        .call("status", &[&id], None)
        .await
        .refused(404, "ResourceNotFound");
}
