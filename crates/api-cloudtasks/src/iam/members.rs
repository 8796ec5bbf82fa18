//! Whom a binding names.

use crate::caller::Caller;

/// Whether `member` can be one: `allUsers`, `user:…` and so on.
pub(crate) fn is_member(member: &str) -> bool {
    if matches!(member, "allUsers" | "allAuthenticatedUsers") {
        return true;
    }
    let member = member.strip_prefix("deleted:").unwrap_or(member);
    let Some((kind, id)) = member.split_once(':') else {
        return false;
    };
    let is_kind = matches!(kind, "user" | "serviceAccount" | "group" | "domain");
    is_kind && !id.is_empty() && id.len() <= 1000 && !id.chars().any(char::is_whitespace)
}

/// Whether `member` is a group.
pub(crate) fn is_group(member: &str) -> bool {
    member.starts_with("group:") || member.starts_with("deleted:group:")
}

/// Whether `member` stands for the caller. Users and service accounts are clients by their ids,
/// groups are roles of the directory, domains are the ends of ids.
pub(crate) fn includes(member: &str, caller: &Caller) -> bool {
    if member == "allUsers" {
        return true;
    }
    let Some(client_id) = &caller.client_id else {
        return false;
    };
    if member == "allAuthenticatedUsers" {
        return true;
    }
    match member.split_once(':') {
        Some(("user" | "serviceAccount", id)) => id == client_id.as_ref(),
        Some(("group", name)) => caller.is_in(name),
        Some(("domain", domain)) => client_id
            .rsplit_once('@')
            .is_some_and(|(_, of)| of.eq_ignore_ascii_case(domain)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_member;

    #[test]
    fn members_are_of_known_kinds() {
        for member in [
            "allUsers",
            "allAuthenticatedUsers",
            "user:a@example.com",
            "serviceAccount:s",
            "group:g",
            "domain:example.com",
            "deleted:user:a@example.com?uid=1",
        ] {
            assert!(is_member(member), "{member}");
        }
        for member in [
            "",
            "everyone",
            "user:",
            "user:a b",
            "robot:x",
            "deleted:allUsers",
        ] {
            assert!(!is_member(member), "{member}");
        }
    }
}
