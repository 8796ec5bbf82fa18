//! Signing in, as a client with its access token.

use maud::html;
use serde_json::Value;

use crate::apis::Apis;
use crate::trouble::Trouble;
use crate::visit::{Sheet, Stale, Visit};

/// The form, with what was wrong with the last one.
pub(crate) fn page(visit: &Visit, refusal: Option<&str>) -> Sheet {
    let kept = |name: &str| match visit.form(name) {
        "" => visit.query(name).to_owned(),
        text => text.to_owned(),
    };
    let main = html! {
        h1 { "Sign in" }
        @if let Some(refusal) = refusal {
            p.reason role="alert" { (refusal) }
        }
        form.fields method="post" action="/sign-in" {
            input type="hidden" name="back" value=(back(&kept("back")));
            label { "Client id"
                input name="clientId" value=(kept("clientId")) autocomplete="username" required
                    maxlength="500" autofocus;
            }
            label { "Access token"
                input name="accessToken" type="password" autocomplete="current-password" required
                    maxlength="500";
            }
            button { "Sign in" }
        }
        p.hint {
            "The token of the root client is printed when the server starts for the first time. \
             Make further clients with " code { "taskyard access" } "."
        }
    };
    Sheet {
        title: "Sign in".to_owned(),
        main,
        stale: Stale::Never,
    }
}

/// Makes sure that the credentials are good.
pub(crate) async fn check(apis: &Apis) -> Result<(), Trouble> {
    apis.get::<Value>("/api/auth/v1/scopes/current")
        .await
        .map(drop)
}

/// Where to go afterwards: a page of this server, whatever was asked for.
pub(crate) fn back(wanted: &str) -> &str {
    let bytes = wanted.as_bytes();
    let is_page = bytes.first() == Some(&b'/')
        && !matches!(bytes.get(1), Some(b'/' | b'\\'))
        && bytes.iter().all(u8::is_ascii_graphic);
    if is_page { wanted } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::back;

    #[test]
    fn nobody_is_sent_elsewhere() {
        assert_eq!(back("/tasks/a"), "/tasks/a");
        for wanted in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a\nb",
        ] {
            assert_eq!(back(wanted), "/", "{wanted:?}");
        }
    }
}
