//! Tokens for repositories at GitHub: what it is asked, and what becomes of what it answers.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Value, json};
use taskyard_api_taskcluster::auth::{GithubApp, GithubKey, Guarded};
use taskyard_store::on_both_databases;

use crate::house::{Answer, House};
use crate::outside::signing_key;
use crate::stand_in::{Asked, StandIn};

/// The same key in the form that GitHub gives keys out in.
fn as_github_writes(pem: &str) -> String {
    let body: String = pem.lines().filter(|line| !line.contains("---")).collect();
    let wrapped = STANDARD.decode(body).unwrap();
    // What wraps an RSA key of 2048 bits has always the same length.
    let key = STANDARD.encode(&wrapped[26..]);
    format!("-----BEGIN RSA PRIVATE KEY-----\n{key}\n-----END RSA PRIVATE KEY-----\n")
}

/// An app `bot` at a stand-in, and what its signatures are checked with.
fn github(at: &StandIn) -> (Guarded, DecodingKey) {
    let (pem, check) = signing_key();
    let app = GithubApp {
        id: "4711".to_owned(),
        key: GithubKey::read(&as_github_writes(&pem)).unwrap(),
        api_url: at.url.clone(),
    };
    let guarded = Guarded {
        github: BTreeMap::from([("bot".to_owned(), app)]),
        ..Guarded::default()
    };
    (guarded, check)
}

/// An installation as GitHub tells it.
fn installed(id: u64, login: &str) -> Value {
    json!({"id": id, "account": {"login": login, "type": "Organization"}, "app_slug": "bot"})
}

fn given() -> Value {
    json!({"token": "ghs_x", "expires_at": "2030-01-02T03:04:05Z", "permissions": {}})
}

/// Asks for a token to read one repository.
async fn ask(house: &House, app: &str, owner: &str) -> Answer {
    let body = json!({"repositories": ["Repo"], "permissions": {"contents": "read"}});
    house
        .call("githubRepoToken", &[app, owner], Some(body))
        .await
}

fn what(asked: &[Asked]) -> Vec<&str> {
    asked.iter().map(|it| it.what.as_str()).collect()
}

#[test]
fn a_key_is_read_in_both_forms_and_never_shown() {
    let (pem, _) = signing_key();
    for pem in [as_github_writes(&pem), pem] {
        let key = GithubKey::read(&pem).unwrap();
        assert_eq!(format!("{key:?}"), "GithubKey { .. }");
        assert!(GithubKey::read(&pem[..pem.len() / 2]).is_err());
    }
    assert!(GithubKey::read("").is_err());
}

on_both_databases! {
    async fn an_app_asks_for_a_token_in_its_own_name(kind) {
        let there = StandIn::start().await;
        let (guarded, check) = github(&there);
        let house = House::guarding(kind, guarded).await;
        there.answers(200, installed(7, "OwnEr"));
        there.answers(201, given());
        let body = json!({
            "repositories": ["One", "two.x"],
            "permissions": {"contents": "write", "checks": "read"},
        });
        let args = ["bot", "Owner"];
        let reply = house.call("githubRepoToken", &args, Some(body)).await.granted();
        assert_eq!(reply, json!({"token": "ghs_x", "expires": "2030-01-02T03:04:05.000Z"}));
        let asked = there.asked();
        let token = "POST /app/installations/7/access_tokens";
        assert_eq!(what(&asked), ["GET /orgs/owner/installation", token]);
        let wanted = json!({
            "repositories": ["one", "two.x"],
            "permissions": {"contents": "write", "checks": "read"},
        });
        assert_eq!(asked[1].json(), wanted);
        let now = house.clock.now().millis() / 1000;
        for it in &asked {
            assert_eq!(it.header("accept"), "application/vnd.github+json");
            assert_eq!(it.header("x-github-api-version"), "2022-11-28");
            assert!(it.header("user-agent").starts_with("taskyard/"));
            let assertion = it.header("authorization").strip_prefix("Bearer ").unwrap();
            let said = decode::<Value>(assertion, &check, &Validation::new(Algorithm::RS256));
            let said = said.unwrap().claims;
            assert_eq!(said["iss"], "4711");
            let (iat, exp) = (said["iat"].as_i64().unwrap(), said["exp"].as_i64().unwrap());
            assert!((now - 120..=now - 60).contains(&iat), "{said}");
            assert!(exp > now && exp <= now + 600, "{said}");
        }

        // Where it is installed is remembered for some minutes; tokens are not.
        there.answers(201, given());
        ask(&house, "bot", "owner").await.granted();
        assert_eq!(what(&there.asked()), [token]);
        house.wait(Duration::from_mins(11));
        there.answers(404, json!({"message": "Not Found"}));
        there.answers(200, installed(8, "owner"));
        there.answers(201, given());
        ask(&house, "bot", "owner").await.granted();
        assert_eq!(what(&there.asked()), [
            "GET /orgs/owner/installation",
            "GET /users/owner/installation",
            "POST /app/installations/8/access_tokens",
        ]);
    }

    async fn an_app_that_is_not_there_gives_nothing(kind) {
        let there = StandIn::start().await;
        let house = House::guarding(kind, github(&there).0).await;
        ask(&house, "other", "owner").await.refused(404, "ResourceNotFound");
        for dots in [".", ".."] {
            ask(&house, "bot", dots).await.refused(404, "ResourceNotFound");
        }
        assert_eq!(there.asked().len(), 0, "what is refused is not asked");

        there.answers(404, "{}");
        there.answers(404, "{}");
        ask(&house, "bot", "owner").await.refused(404, "ResourceNotFound");
        // It is installed now, and then it is not any more.
        there.answers(200, installed(7, "owner"));
        there.answers(404, "{}");
        ask(&house, "bot", "owner").await.refused(404, "ResourceNotFound");
        there.answers(200, installed(8, "owner"));
        there.answers(201, given());
        there.asked();
        ask(&house, "bot", "owner").await.granted();
        assert_eq!(there.asked().len(), 2, "the old installation is forgotten");
    }

    async fn an_owner_of_another_name_is_refused(kind) {
        let there = StandIn::start().await;
        let house = House::guarding(kind, github(&there).0).await;
        for (status, body) in [
            (200, installed(7, "somebody")),
            (200, json!({"id": 7, "account": {"slug": "enterprise"}})),
            (200, json!({"id": 7, "account": null})),
            (301, json!({"message": "Moved Permanently"})),
        ] {
            there.answers(status, body);
            ask(&house, "bot", "owner").await.refused(400, "InputError");
            assert_eq!(there.asked().len(), 1, "no token is asked for");
        }
    }

    async fn what_github_does_not_give_is_told_with_its_reason(kind) {
        let there = StandIn::start().await;
        let house = House::guarding(kind, github(&there).0).await;
        there.answers(200, installed(7, "owner"));
        there.answers(422, json!({"message": "no such repository"}));
        let text = ask(&house, "bot", "owner").await.refused(400, "InputError");
        assert!(text.contains("no such repository"), "{text}");
    }

    async fn limits_of_github_are_limits_here(kind) {
        let there = StandIn::start().await;
        let house = House::guarding(kind, github(&there).0).await;
        let spent = [("x-ratelimit-remaining", "0")];
        let pause = [("retry-after", "60"), ("x-ratelimit-remaining", "9")];
        let secondary = json!({"message": "You have exceeded a secondary rate limit."});
        let limits: [(u16, &[_], &Value); 4] = [
            (429, &[], &json!({})),
            (403, &spent, &json!({})),
            (403, &pause, &json!({})),
            (403, &[], &secondary),
        ];
        for (status, headers, body) in limits {
            there.answers_with(status, headers, body);
            ask(&house, "bot", "owner").await.refused(429, "TooManyRequests");
        }
        there.answers(200, installed(7, "owner"));
        for (status, headers, body) in limits {
            there.answers_with(status, headers, body);
            ask(&house, "bot", "owner").await.refused(429, "TooManyRequests");
        }
        let left = [("x-ratelimit-remaining", "9")];
        there.answers_with(403, &left, json!({"message": "hidden reason"}));
        ask(&house, "bot", "owner").await.refused(500, "InternalServerError");
    }

    async fn what_goes_wrong_at_github_is_our_fault_and_not_told(kind) {
        let there = StandIn::start().await;
        let house = House::guarding(kind, github(&there).0).await;
        let no_time = json!({"token": "ghs_hidden", "expires_at": "soon"});
        for (status, body) in [(401, "hidden"), (500, "hidden"), (200, "{"), (200, "{}")] {
            there.answers(status, body);
            let answer = ask(&house, "bot", "owner").await;
            let text = answer.refused(500, "InternalServerError");
            assert!(!text.contains("hidden"), "{text}");
        }
        there.answers(200, installed(7, "owner"));
        for (status, body) in [(401, "hidden"), (302, "hidden"), (201, &no_time.to_string())] {
            there.answers(status, body);
            let answer = ask(&house, "bot", "owner").await;
            let text = answer.refused(500, "InternalServerError");
            assert!(!text.contains("hidden"), "{text}");
        }
        drop(there);
        ask(&house, "bot", "owner").await.refused(500, "InternalServerError");
    }

    async fn exactly_the_permissions_that_scopes_name_are_given(kind) {
        let there = StandIn::start().await;
        let house = House::guarding(kind, github(&there).0).await;
        let scopes = [
            "auth:github-repo-token:bot/owner/one:contents:write",
            "auth:github-repo-token:bot/owner/one:checks:read",
            "auth:github-repo-token:bot/owner/two:contents:write",
            "auth:github-repo-token:bot/owner/three:contents:write",
            "auth:github-repo-token:bot/owner/three:checks:read",
        ];
        let who = house.client("c", &scopes).await;
        let ask = async |app: &str, owner: &str, repositories: Value, permissions: Value| {
            let body = json!({"repositories": repositories, "permissions": permissions});
            house.call_as(Some(&who), "githubRepoToken", &[app, owner], Some(body)).await
        };
        let both = json!({"contents": "write", "checks": "read"});
        let write = json!({"contents": "write"});
        for (app, owner, repositories, permissions) in [
            ("bot", "owner", json!(["one", "two"]), both.clone()),
            ("bot", "owner", json!(["one"]), json!({"contents": "read"})),
            ("bot", "owner", json!(["one"]), json!({"checks": "write"})),
            ("bot", "owner", json!(["one", "four"]), write.clone()),
            ("bot", "owner", json!(["one1"]), write.clone()),
            ("bot", "own", json!(["one"]), write.clone()),
            ("Bot", "owner", json!(["one"]), write.clone()),
        ] {
            let answer = ask(app, owner, repositories, permissions).await;
            answer.refused(403, "InsufficientScopes");
        }
        let missing = ask("bot", "Owner", json!(["One", "Two"]), both.clone()).await;
        let text = missing.refused(403, "InsufficientScopes");
        assert!(text.contains("bot/owner/two:checks:read"), "{text}");
        assert_eq!(there.asked().len(), 0, "nothing is asked without the scopes");
        there.answers(200, installed(7, "owner"));
        there.answers(201, given());
        ask("bot", "OWNER", json!(["ONE", "three"]), both).await.granted();
        assert_eq!(there.asked()[1].json()["repositories"], json!(["one", "three"]));
    }
}
