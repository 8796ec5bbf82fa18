//! What must hold for any input at all.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use taskyard_access::{
    Client, Expression, HawkRequest, Outcome, Role, Roles, ScopeSet, authenticate, check,
};

/// 2025-03-04, in milliseconds since 1970.
const NOW_MS: i64 = 1_741_064_767_890;

/// Beyond this, roles stop being expanded to the end, by design.
const SMALL_EXPANSION: usize = 10_000;

/// Asks who sent a request; nobody whose secret is unknown can have.
fn never_succeeds(target: &str, authorization: Option<&str>) {
    let client = Arc::new(Client {
        client_id: "client".to_owned(),
        access_token: "a secret that no input has".into(),
        expires_ms: NOW_MS + 1_000_000,
        disabled: false,
        scopes: vec!["auth:create-client:*".to_owned(), "assume:r".to_owned()].into(),
    });
    let roles = Roles::new(&[Role {
        role_id: "r*".into(),
        scopes: vec!["s:<..>".into()],
    }]);
    let request = HawkRequest {
        method: "GET",
        target,
        host: "localhost",
        port: 80,
        authorization,
    };
    let find = |_: &str| Some(Arc::clone(&client));
    let _two = request.has_two_schemes();
    if let Outcome::Success(who) = authenticate(&request, NOW_MS, &find, &roles) {
        panic!("{who:?} was believed");
    }
}

/// The input as the `Authorization` header, and as the JSON in its `ext`.
pub fn authorization(data: &[u8]) {
    if let Ok(header) = std::str::from_utf8(data) {
        never_succeeds("/", Some(header));
    }
    let ext = STANDARD.encode(data);
    let header =
        format!("Hawk id=\"client\", ts=\"1741064767\", nonce=\"n\", ext=\"{ext}\", mac=\"bWFj\"");
    never_succeeds("/", Some(&header));
}

/// The input as a target, as a bewit, and as what a bewit has inside.
pub fn bewit(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        never_succeeds(text, None);
        never_succeeds(&format!("/path?a=b&bewit={text}"), None);
    }
    let inside = URL_SAFE_NO_PAD.encode(data);
    never_succeeds(&format!("/path?bewit={inside}&c=d"), None);
}

/// The input as roles and scopes, one a line: `role id<tab>scope`, or a scope that is held; and as
/// a scope expression.
pub fn scopes(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(expression) = serde_json::from_str::<Expression>(text) {
        let written = serde_json::to_value(&expression).expect("an expression can be written");
        let again = Expression::try_from(written).expect("what was written can be read");
        assert_eq!(again, expression);
    }
    let mut roles: Vec<Role> = Vec::new();
    let mut held: Vec<&str> = Vec::new();
    for line in text.lines() {
        let Some((id, scope)) = line.split_once('\t') else {
            held.push(line);
            continue;
        };
        match roles.iter_mut().find(|role| role.role_id == id) {
            Some(role) => role.scopes.push(scope.to_owned()),
            None => roles.push(Role {
                role_id: id.to_owned(),
                scopes: vec![scope.to_owned()],
            }),
        }
    }
    let is_valid = check(&roles).is_ok();
    let roles = Roles::new(&roles);
    let expanded = roles.expand(&held);
    assert!(
        expanded.satisfies_all(&held),
        "{held:?} are lost in {expanded:?}"
    );
    let sorted = ScopeSet::new(expanded.to_vec());
    assert_eq!(sorted, expanded, "an expansion is not in normal form");
    if is_valid && expanded.len() < SMALL_EXPANSION {
        assert_eq!(
            roles.expand(&expanded.to_vec()),
            expanded,
            "an expansion is not complete"
        );
    }
}
