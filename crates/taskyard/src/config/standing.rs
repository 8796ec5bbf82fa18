//! Clients and roles that stand in the configuration file. They are there as long as they stand
//! there, and nobody changes them through the API.

use taskyard_access::directory::{StandingClient, StandingRole};

use super::Error;
use super::section::Section;
use super::sources::Sources;
use super::value;

/// What scopes are.
const SCOPES: &str = "a list of scopes: printable ASCII, with one star at most at the end";

/// What the text for people is.
const DESCRIPTION: &str = "a text of 10240 characters or less";

/// What the file says is always there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    pub(crate) clients: Vec<StandingClient>,
    pub(crate) roles: Vec<StandingRole>,
}

/// Reads the tables of clients and roles.
pub(super) fn from_sources(sources: &Sources) -> Result<Standing, Error> {
    let mut standing = Standing::default();
    for (client_id, section) in sources.named("clients")? {
        section.only(&["access-token", "description", "scopes"])?;
        if !value::is_standing_client(&client_id) {
            return Err(section.refusal(
                "",
                "a client id that begins with static/ (those below static/taskcluster/ are the \
                 server's own)",
            ));
        }
        let token = "22 to 66 letters, digits, dashes or underscores";
        let token = section.text("access-token", token, value::access_token)?;
        standing.clients.push(StandingClient {
            client_id,
            access_token: token.reveal().into(),
            description: description(&section)?,
            scopes: section.texts("scopes", SCOPES, value::is_scope)?,
        });
    }
    for (role_id, section) in sources.named("roles")? {
        section.only(&["description", "scopes"])?;
        if !value::is_standing_role(&role_id) {
            return Err(section.refusal("", "a role id that begins with static/"));
        }
        standing.roles.push(StandingRole {
            role_id,
            description: description(&section)?,
            scopes: section.texts("scopes", SCOPES, value::is_scope)?,
        });
    }
    Ok(standing)
}

fn description(section: &Section) -> Result<String, Error> {
    let given = section.optional("description", DESCRIPTION, |text| {
        (text.chars().count() <= 10_240).then(|| text.to_owned())
    })?;
    Ok(given.unwrap_or_default())
}
