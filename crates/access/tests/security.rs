//! What strangers, thieves and careless operators must not get away with.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use taskyard_access::hawk::{Header, Purpose, Signed};
use taskyard_access::sign::Destination;
use taskyard_access::temporary::{self, TemporaryError};
use taskyard_access::*;

const NOW_MS: i64 = 1_741_064_767_890;
const HOST: &str = "tasks.example.com";

fn issuer() -> Arc<Client> {
    Arc::new(Client {
        client_id: "issuer".to_owned(),
        access_token: "issuers-token-of-some-length".into(),
        expires_ms: i64::MAX,
        disabled: false,
        scopes: vec![
            "secret:scope".to_owned(),
            "auth:create-client:named/*".to_owned(),
        ]
        .into(),
    })
}

fn answer(target: &str, authorization: Option<&str>) -> Outcome {
    let request = HawkRequest {
        method: "GET",
        target,
        host: HOST,
        port: 443,
        authorization,
    };
    let find = |client_id: &str| (client_id == "issuer").then(issuer);
    authenticate(&request, NOW_MS, &find, &Roles::default())
}

fn refusal(outcome: Outcome) -> String {
    match outcome {
        Outcome::Failed { message } => message,
        other => panic!("not refused: {other:?}"),
    }
}

fn header(credentials: &Credentials, authorized: Option<&[String]>) -> String {
    let to = Destination {
        target: "/x",
        host: HOST,
        port: 443,
    };
    let signer = Signer::new(credentials, authorized).unwrap();
    signer.authorization_header("GET", &to, NOW_MS / 1000, "n", None)
}

fn permanent(token: &str) -> Credentials {
    Credentials {
        client_id: "issuer".to_owned(),
        access_token: token.into(),
        certificate: None,
    }
}

fn issued(name: Option<&str>, token: &str, scopes: &[&str]) -> Credentials {
    let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    let (start, expiry) = (NOW_MS, NOW_MS + 60_000);
    let made = temporary::create(
        "issuer",
        token,
        name,
        start,
        expiry,
        &scopes,
        &temporary::new_seed(),
    )
    .unwrap();
    Credentials {
        client_id: made.client_id,
        access_token: made.access_token,
        certificate: Some(made.certificate),
    }
}

#[test]
fn a_stranger_learns_no_scopes_from_refusals() {
    let guess = ["guess".to_owned()];
    let message = refusal(answer(
        "/x",
        Some(&header(&permanent("wrong"), Some(&guess))),
    ));
    assert_eq!(message, "Unauthorized: Bad mac");

    let forged = issued(None, "wrong", &["guess"]);
    let message = refusal(answer("/x", Some(&header(&forged, None))));
    assert_eq!(message, "ext.certificate.signature is not valid");
}

#[test]
fn the_holder_is_told_what_is_lacking() {
    let token = issuer().access_token.clone();
    let guess = ["guess".to_owned()];
    let message = refusal(answer(
        "/x",
        Some(&header(&permanent(token.expose()), Some(&guess))),
    ));
    assert!(
        message.contains("secret:scope") && message.contains("guess"),
        "{message}"
    );

    let beyond = issued(None, token.expose(), &["secret:scope", "guess"]);
    let message = refusal(answer("/x", Some(&header(&beyond, None))));
    assert!(
        message.contains("`guess`") && !message.contains("secret:scope"),
        "{message}"
    );

    let misnamed = issued(Some("other"), token.expose(), &[]);
    let message = refusal(answer("/x", Some(&header(&misnamed, None))));
    assert!(message.contains("auth:create-client:other"), "{message}");
}

#[test]
fn temporary_credentials_issue_no_others() {
    let token = issuer().access_token.clone();
    let first = issued(
        Some("named/one"),
        token.expose(),
        &["auth:create-client:named/*"],
    );
    let second = temporary::create(
        "named/one",
        first.access_token.expose(),
        Some("named/two"),
        NOW_MS,
        NOW_MS + 1,
        &[],
        &temporary::new_seed(),
    )
    .unwrap();
    let second = Credentials {
        client_id: second.client_id,
        access_token: second.access_token,
        certificate: Some(second.certificate),
    };
    let message = refusal(answer("/x", Some(&header(&second, None))));
    assert_eq!(message, "Client with clientId 'named/one' not found");
}

#[test]
fn a_time_that_is_no_number_never_passes() {
    for ts in ["soon", "NaN", "inf", "-"] {
        let signed = Signed {
            purpose: Purpose::Header,
            ts,
            nonce: "n",
            method: "GET",
            target: "/x",
            host: HOST,
            port: 443,
            hash: None,
            ext: None,
            app: None,
            dlg: None,
        };
        let mac = signed.mac(issuer().access_token.expose());
        let header = Header {
            id: "issuer",
            ts,
            nonce: "n",
            mac: &mac,
            ..Header::default()
        };
        let message = refusal(answer("/x", Some(&header.to_string())));
        assert_eq!(message, "Unauthorized: Stale timestamp", "{ts}");
    }
}

#[test]
fn a_signed_url_is_no_good_for_another_target() {
    let signer = Signer::new(&permanent(issuer().access_token.expose()), None).unwrap();
    let to = Destination {
        target: "/x?a=1",
        host: HOST,
        port: 443,
    };
    let signed = signer.signed_target(&to, NOW_MS / 1000 + 60);
    assert!(matches!(answer(&signed, None), Outcome::Success(_)));
    let message = refusal(answer(&signed.replace("a=1", "a=2"), None));
    assert_eq!(message, "Unauthorized: Bad mac");

    let request = HawkRequest {
        method: "GET",
        target: &signed,
        host: HOST,
        port: 443,
        authorization: Some("Hawk"),
    };
    assert!(request.has_two_schemes());
    assert!(
        !HawkRequest {
            target: "/x",
            ..request
        }
        .has_two_schemes()
    );
    assert!(
        !HawkRequest {
            authorization: None,
            ..request
        }
        .has_two_schemes()
    );
}

#[test]
fn credentials_that_no_server_accepts_are_not_made() {
    let seed = temporary::new_seed();
    let create = |name, expiry, scope: &str, seed: &str| {
        temporary::create(
            "issuer",
            "token",
            name,
            0,
            expiry,
            &[scope.to_owned()],
            seed,
        )
        .map(|made| made.client_id)
    };
    let month_and_a_bit = 31 * 24 * 3_600_000 + 1;
    assert_eq!(
        create(None, month_and_a_bit, "s", &seed),
        Err(TemporaryError::Span)
    );
    assert_eq!(create(None, -1, "s", &seed), Err(TemporaryError::Span));
    assert_eq!(
        create(None, 1, "é", &seed),
        Err(TemporaryError::Scope("é".to_owned()))
    );
    assert_eq!(create(None, 1, "s", "short"), Err(TemporaryError::Seed));
    let like_issuer = TemporaryError::NamedLikeIssuer("issuer".to_owned());
    assert_eq!(create(Some("issuer"), 1, "s", &seed), Err(like_issuer));
    assert_eq!(
        create(Some("other"), month_and_a_bit - 1, "s", &seed),
        Ok("other".to_owned())
    );
}

#[test]
fn signers_refuse_what_would_break_out_of_the_header() {
    let mut credentials = permanent("token");
    credentials.client_id = "a\", mac=\"b".to_owned();
    assert_eq!(
        Signer::new(&credentials, None).unwrap_err(),
        SignError::ClientId
    );
    credentials = permanent("token");
    credentials.certificate = Some("[]".to_owned());
    assert_eq!(
        Signer::new(&credentials, None).unwrap_err(),
        SignError::Certificate
    );
}

#[test]
fn roles_that_multiply_or_feed_themselves_still_end() {
    let role = |role_id: String, scopes: Vec<String>| Role { role_id, scopes };
    let mut doubling: Vec<Role> = (0..40)
        .map(|number| {
            let next = number + 1;
            let scopes = ["x", "y"].map(|letter| format!("assume:r{next}/{letter}<..>"));
            role(format!("r{number}/*"), scopes.to_vec())
        })
        .collect();
    assert_eq!(check(&doubling), Ok(()));
    assert!(
        Roles::new(&doubling)
            .expand(&["assume:r0/"])
            .satisfies("assume:r1/x")
    );

    doubling.push(role(
        "grow/*".to_owned(),
        vec!["assume:grow/x<..>".to_owned()],
    ));
    assert!(check(&doubling).is_err());
    assert!(
        Roles::new(&doubling)
            .expand(&["assume:grow/"])
            .satisfies("assume:grow/xxx")
    );
}

fn place(row: &str) -> Place<'_> {
    Place {
        table: "clients",
        row,
        column: "access_token",
    }
}

#[test]
fn sealed_secrets_open_only_in_their_place_and_with_their_key() {
    let sealer = Sealer::new(&[7; 32]);
    let record = sealer.seal(&place("a"), b"secret").unwrap();
    assert_eq!(sealer.open(&place("a"), &record).unwrap(), b"secret");
    assert_ne!(
        sealer.seal(&place("a"), b"secret").unwrap(),
        record,
        "the nonce is random"
    );
    assert!(matches!(
        sealer.open(&place("b"), &record),
        Err(SealError::Altered)
    ));

    let other = Sealer::new(&[8; 32]);
    assert!(matches!(
        other.open(&place("a"), &record),
        Err(SealError::OtherKey { .. })
    ));
    assert_eq!(record.split(':').nth(1), Some(sealer.key_id()));

    let last = if record.ends_with('A') { "B" } else { "A" };
    let altered = format!("{}{last}", &record[..record.len() - 1]);
    assert!(sealer.open(&place("a"), &altered).is_err());
    for broken in [
        "",
        "s1",
        "s1:x",
        &format!("s1:{}:AAAA", sealer.key_id()),
        "plain text",
    ] {
        assert!(sealer.open(&place("a"), broken).is_err(), "{broken}");
    }
}

#[test]
fn places_whose_parts_read_alike_are_told_apart() {
    let sealer = Sealer::new(&[7; 32]);
    let one = Place {
        table: "ab",
        row: "c",
        column: "d",
    };
    let two = Place {
        table: "a",
        row: "bc",
        column: "d",
    };
    let record = sealer.seal(&one, b"secret").unwrap();
    assert!(matches!(
        sealer.open(&two, &record),
        Err(SealError::Altered)
    ));
}

#[test]
fn a_key_file_is_made_once_and_private() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let keys: Vec<String> = std::thread::scope(|scope| {
        let open = || Sealer::from_key_file(&path).unwrap().key_id().to_owned();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing is left over"
    );

    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(
        Sealer::from_key_file(&path),
        Err(SealError::KeyExposed { .. })
    ));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, "not a key").unwrap();
    assert!(matches!(
        Sealer::from_key_file(&path),
        Err(SealError::KeyFormat { .. })
    ));
    let nowhere = folder.path().join("missing/key");
    assert!(matches!(
        Sealer::from_key_file(&nowhere),
        Err(SealError::KeyFile { .. })
    ));
}
