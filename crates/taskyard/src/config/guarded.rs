//! The services outside that the auth service gives credentials for. Without its settings, a
//! service's methods answer that it is not configured.

use std::collections::BTreeMap;

use taskyard_api_taskcluster::auth::{
    AzureAccount, BucketKeys, GcpKey, GcpProject, GithubApp, GithubKey, Guarded, Sentry, Statsum,
    Webhooktunnel, is_azure_key,
};

use super::Error;
use super::section::Section;
use super::sources::Sources;
use super::value;

/// What the secrets are.
const SECRET: &str = "a secret of 16 characters or more";

/// What the addresses are.
const ADDRESS: &str = "an address, such as https://tunnel.example.com";

/// What the addresses of interfaces are.
const INTERFACE: &str = "http:// or https:// with a host, such as https://service.example.com";

/// Reads the settings of all of them.
pub(super) fn from_sources(sources: &Sources) -> Result<Guarded, Error> {
    let secret = |key| sources.optional(key, SECRET, value::shared_secret);
    let pair = |address: &'static str, key: &'static str| match (
        sources.optional(address, ADDRESS, value::web_address)?,
        secret(key)?,
    ) {
        (Some(address), Some(secret)) => Ok(Some((address, secret))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(Error::Half {
            given: address,
            missing: key,
        }),
        (None, Some(_)) => Err(Error::Half {
            given: key,
            missing: address,
        }),
    };
    let mut azure = BTreeMap::new();
    for (name, section) in sources.named("azure")? {
        let account = account(&name, &section)?;
        azure.insert(name, account);
    }
    Ok(Guarded {
        s3: all(sources.list("aws")?, bucket_keys)?,
        azure,
        gcp: all(sources.list("gcp")?, project)?,
        github: apps(&sources.list("github")?)?,
        sentry: sources.table("sentry")?.as_ref().map(sentry).transpose()?,
        statsum: pair("statsum-url", "statsum-secret")?
            .map(|(base_url, secret)| Statsum { base_url, secret }),
        webhooktunnel: pair("webhooktunnel-url", "webhooktunnel-secret")?
            .map(|(proxy_url, secret)| Webhooktunnel { proxy_url, secret }),
        websocktunnel: secret("websocktunnel-secret")?,
    })
}

fn all<T>(
    sections: Vec<Section>,
    read: impl Fn(&Section) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    sections.iter().map(read).collect()
}

/// `[[aws]]`: an AWS user, and the buckets it gives access to.
fn bucket_keys(section: &Section) -> Result<BucketKeys, Error> {
    section.only(&[
        "access-key-id",
        "secret-access-key",
        "buckets",
        "sts-url",
        "region",
    ])?;
    let sts_url = section.optional("sts-url", INTERFACE, value::interface)?;
    let region = section.optional("region", "a region, such as us-east-1", value::word)?;
    let buckets = section.texts("buckets", "a list of bucket names", value::is_bucket)?;
    if buckets.is_empty() {
        return Err(section.refusal("buckets", "a list of at least one bucket name"));
    }
    Ok(BucketKeys {
        access_key_id: section.text("access-key-id", "the id of an access key", value::word)?,
        secret_access_key: section
            .text(
                "secret-access-key",
                "the secret of an access key",
                value::word,
            )?
            .into(),
        buckets,
        sts_url: sts_url.unwrap_or_else(|| "https://sts.amazonaws.com".to_owned()) + "/",
        region: region.unwrap_or_else(|| "us-east-1".to_owned()),
    })
}

/// `[azure.NAME]`: a storage account.
fn account(name: &str, section: &Section) -> Result<AzureAccount, Error> {
    section.only(&["key", "table-url", "blob-url"])?;
    if !value::is_azure_account(name) {
        return Err(section.refusal("", "an account of 3 to 24 small letters and digits"));
    }
    let url = |key: &str, service: &str| {
        let given = section.optional(key, INTERFACE, value::interface)?;
        Ok(given.unwrap_or_else(|| format!("https://{name}.{service}.core.windows.net")))
    };
    let key = |text: &str| is_azure_key(text).then(|| text.into());
    Ok(AzureAccount {
        key: section.text(
            "key",
            "an account key in base64, as the portal shows it",
            key,
        )?,
        table_url: url("table-url", "table")?,
        blob_url: url("blob-url", "blob")?,
    })
}

/// `[[gcp]]`: a project of Google Cloud.
fn project(section: &Section) -> Result<GcpProject, Error> {
    section.only(&["credentials-file", "service-accounts", "iam-url"])?;
    let (project_id, key) = key_file(
        section,
        "credentials-file",
        "a service account's key file",
        GcpKey::read,
    )?;
    let accounts = "a list of service accounts, such as name@project.iam.gserviceaccount.com";
    let service_accounts = section.texts("service-accounts", accounts, value::is_email)?;
    let iam_url = section.optional("iam-url", INTERFACE, value::interface)?;
    Ok(GcpProject {
        project_id,
        key,
        service_accounts,
        iam_url: iam_url.unwrap_or_else(|| "https://iamcredentials.googleapis.com".to_owned()),
    })
}

/// What is in the file that `key` names, as `read` understands it. `what` it should be completes
/// the sentence "expected …"; what it holds is never repeated.
fn key_file<T>(
    section: &Section,
    key: &str,
    what: &str,
    read: impl Fn(&str) -> Result<T, &'static str>,
) -> Result<T, Error> {
    let file = section.text(key, &format!("the path of {what}"), value::folder)?;
    let unusable =
        |problem: &str| section.refusal(key, &format!("{what}, but {} {problem}", file.display()));
    let text = std::fs::read_to_string(&file)
        .map_err(|error| unusable(&format!("cannot be read: {error}")))?;
    read(&text).map_err(unusable)
}

/// All `[[github]]`, by the names that callers know the apps by.
fn apps(sections: &[Section]) -> Result<BTreeMap<String, GithubApp>, Error> {
    let mut apps = BTreeMap::new();
    for section in sections {
        section.only(&["app", "app-id", "private-key-file", "api-url"])?;
        let name = section.text(
            "app",
            "a name of letters, digits, dashes and underscores",
            value::slug,
        )?;
        let api_url = section.optional("api-url", INTERFACE, value::interface)?;
        let app = GithubApp {
            id: section
                .number("app-id", "the number that GitHub gave the app")?
                .to_string(),
            key: key_file(
                section,
                "private-key-file",
                "an app's private key in PEM",
                GithubKey::read,
            )?,
            api_url: api_url.unwrap_or_else(|| "https://api.github.com".to_owned()),
        };
        if apps.insert(name, app).is_some() {
            return Err(section.refusal("app", "a name that no other app has"));
        }
    }
    Ok(apps)
}

/// `[sentry]`.
fn sentry(section: &Section) -> Result<Sentry, Error> {
    section.only(&["url", "organization", "team", "token", "key-prefix"])?;
    let slug = "letters, digits, dashes and underscores";
    let prefix = section.optional("key-prefix", "a name for keys", value::line)?;
    let url = section.optional("url", INTERFACE, value::interface)?;
    Ok(Sentry {
        url: url.unwrap_or_else(|| "https://sentry.io".to_owned()),
        organization: section.text("organization", slug, value::slug)?,
        team: section.text("team", slug, value::slug)?,
        token: section
            .text("token", "an access token", value::word)?
            .into(),
        key_prefix: prefix.unwrap_or_else(|| "taskyard".to_owned()),
    })
}
