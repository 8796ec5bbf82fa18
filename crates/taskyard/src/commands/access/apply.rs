//! Makes clients and roles what a file says they are, and shows the difference first.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use taskyard_client::Timestamp;
use taskyard_client::taskcluster::{Auth, Client, ClientDefinition, Role, RoleDefinition};

use super::wanted::{Wanted, WantedClient, WantedRole};
use super::{moment, with_token};
use crate::commands::lines::print;

/// When a new client expires that the file says nothing about.
const EXPIRY: &str = "1 year";

/// Shows what differs from `file`, and changes it unless this is a dry run.
pub(super) async fn execute(auth: &Auth, file: &Path, dry_run: bool) -> anyhow::Result<ExitCode> {
    let wanted = Wanted::read(file)?;
    let mut differs = false;
    for (id, role) in &wanted.roles {
        let known = auth.role(id).await?;
        let lines = role_difference(id, known.as_ref(), role);
        differs |= !lines.is_empty();
        let is_same = lines.is_empty();
        print(lines)?;
        if dry_run || is_same {
            continue;
        }
        let definition = RoleDefinition {
            description: role.description.clone(),
            scopes: role.scopes.clone(),
        };
        match known {
            Some(_) => auth.update_role(id, &definition).await?,
            None => auth.create_role(id, &definition).await?,
        };
    }
    for (id, client) in &wanted.clients {
        let known = auth.client(id).await?;
        let lines = client_difference(id, known.as_ref(), client)?;
        differs |= !lines.is_empty();
        let is_same = lines.is_empty();
        print(lines)?;
        if !dry_run && !is_same {
            change_client(auth, id, known.as_ref(), client).await?;
        }
    }
    Ok(if dry_run && differs {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

async fn change_client(
    auth: &Auth,
    id: &str,
    known: Option<&Client>,
    wanted: &WantedClient,
) -> anyhow::Result<()> {
    let expires = match (&wanted.expires, known) {
        (Some(text), Some(known)) => text.parse().unwrap_or(known.expires),
        (None, Some(known)) => known.expires,
        (text, None) => moment(text.as_deref().unwrap_or(EXPIRY))?,
    };
    let definition = ClientDefinition {
        description: wanted.description.clone(),
        expires,
        scopes: Some(wanted.scopes.clone()),
        delete_on_expiration: wanted.delete_on_expiration,
    };
    if known.is_some() {
        auth.update_client(id, &definition).await?;
    } else {
        let made = auth.create_client(id, &definition).await?;
        print([with_token(&made, false)])?;
    }
    if known.is_some_and(|known| known.disabled) != wanted.disabled {
        if wanted.disabled {
            auth.disable_client(id).await?;
        } else {
            auth.enable_client(id).await?;
        }
    }
    Ok(())
}

fn role_difference(id: &str, known: Option<&Role>, wanted: &WantedRole) -> Vec<String> {
    let Some(known) = known else {
        let scopes = wanted.scopes.iter().map(|scope| format!("    + {scope}"));
        return [format!("+ role {id}")].into_iter().chain(scopes).collect();
    };
    let mut lines = Vec::new();
    text_difference(
        &mut lines,
        "description",
        &known.description,
        &wanted.description,
    );
    scope_difference(&mut lines, &known.scopes, &wanted.scopes);
    headed(format!("~ role {id}"), lines)
}

fn client_difference(
    id: &str,
    known: Option<&Client>,
    wanted: &WantedClient,
) -> anyhow::Result<Vec<String>> {
    if let Some(expires) = &wanted.expires {
        moment(expires)?;
    }
    let Some(known) = known else {
        let scopes = wanted.scopes.iter().map(|scope| format!("    + {scope}"));
        return Ok([format!("+ client {id}")]
            .into_iter()
            .chain(scopes)
            .collect());
    };
    let mut lines = Vec::new();
    text_difference(
        &mut lines,
        "description",
        &known.description,
        &wanted.description,
    );
    // An offset is meant for new clients; it would be another time at every run.
    if let Some(Ok(expires)) = wanted.expires.as_deref().map(str::parse::<Timestamp>)
        && expires != known.expires
    {
        text_difference(
            &mut lines,
            "expires",
            &known.expires.to_string(),
            &expires.to_string(),
        );
    }
    for (name, is, should) in [
        ("disabled", known.disabled, wanted.disabled),
        (
            "delete-on-expiration",
            known.delete_on_expiration,
            wanted.delete_on_expiration,
        ),
    ] {
        text_difference(&mut lines, name, &is.to_string(), &should.to_string());
    }
    scope_difference(&mut lines, &known.scopes, &wanted.scopes);
    Ok(headed(format!("~ client {id}"), lines))
}

fn text_difference(lines: &mut Vec<String>, name: &str, is: &str, should: &str) {
    if is != should {
        lines.push(format!("    {name}: {is:?} -> {should:?}"));
    }
}

fn scope_difference(lines: &mut Vec<String>, is: &[String], should: &[String]) {
    let is: BTreeSet<&String> = is.iter().collect();
    let should: BTreeSet<&String> = should.iter().collect();
    lines.extend(is.difference(&should).map(|scope| format!("    - {scope}")));
    lines.extend(should.difference(&is).map(|scope| format!("    + {scope}")));
}

/// The lines under a head; nothing if there are none.
fn headed(head: String, lines: Vec<String>) -> Vec<String> {
    if lines.is_empty() {
        return lines;
    }
    [head].into_iter().chain(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(scopes: &[&str]) -> Role {
        let now: taskyard_client::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        Role {
            role_id: "r".to_owned(),
            description: "d".to_owned(),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
            expanded_scopes: Vec::new(),
            created: now,
            last_modified: now,
        }
    }

    fn wanted(scopes: &[&str]) -> WantedRole {
        WantedRole {
            description: "d".to_owned(),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        }
    }

    #[test]
    fn the_same_scopes_in_another_order_are_no_difference() {
        let lines = role_difference("r", Some(&role(&["a", "b"])), &wanted(&["b", "a"]));
        assert_eq!(lines, [""; 0]);
    }

    #[test]
    fn a_difference_names_each_scope_that_comes_or_goes() {
        let lines = role_difference("r", Some(&role(&["a", "b"])), &wanted(&["b", "c"]));
        assert_eq!(lines, ["~ role r", "    - a", "    + c"]);
        let lines = role_difference("r", None, &wanted(&["c"]));
        assert_eq!(lines, ["+ role r", "    + c"]);
    }
}
