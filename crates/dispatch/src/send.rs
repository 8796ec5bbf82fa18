//! One attempt: the request is built, signed and sent, and what comes of it is told.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use taskyard_engine::clock::Clock;
use taskyard_engine::cloud::Outcome;
use taskyard_engine::cloud::dispatch::Dispatch;
use taskyard_engine::cloud::record::Report;
use taskyard_outbound::{Call, Client, Failure};

use crate::request::{self, Request, Rules, Unsendable};
use crate::retry_after;
use crate::token::Tokens;

/// What attempts are made with.
pub(crate) struct Sender {
    pub(crate) client: Client,
    pub(crate) rules: Rules,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) clock: Clock,
}

/// Characters of an answer that are kept.
const EXCERPT: usize = 256;

impl Sender {
    /// Makes one attempt.
    pub(crate) async fn attempt(&self, dispatch: &mut Dispatch) -> Report {
        let (outcome, headers, excerpt) = match self.call(dispatch) {
            Ok(call) => match self.client.call(call).await {
                Ok(answer) => (
                    Outcome::Status(answer.status),
                    answer.headers,
                    text(&answer.body),
                ),
                Err(failure) => (outcome(&failure), HeaderMap::new(), failure.to_string()),
            },
            Err(unsendable) => (Outcome::Refused, HeaderMap::new(), unsendable.to_string()),
        };
        let ended_at = self.clock.now();
        let mut report = Report::new(dispatch, ended_at, outcome);
        if let Outcome::Status(status) = outcome {
            report.retry_after = retry_after::read(status, &headers, ended_at);
        }
        report.excerpt = excerpt;
        report
    }

    fn call(&self, dispatch: &mut Dispatch) -> Result<Call, Unsendable> {
        let Request {
            method,
            url,
            mut headers,
            body,
            authorization,
            deadline,
        } = request::build(dispatch, &self.rules)?;
        if let Some(asked) = authorization {
            let bearer = self
                .tokens
                .bearer(&asked, self.clock.now())
                .map_err(|error| Unsendable(error.to_string()))?;
            let mut bearer = HeaderValue::from_str(&bearer)
                .map_err(|_| Unsendable("the token cannot be sent".to_owned()))?;
            bearer.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, bearer);
        }
        let method = http::Method::from_bytes(method.as_str().as_bytes())
            .map_err(|error| Unsendable(error.to_string()))?;
        Ok(Call {
            method,
            url,
            headers,
            body,
            deadline,
        })
    }
}

fn outcome(failure: &Failure) -> Outcome {
    match failure {
        Failure::Forbidden(_) => Outcome::Refused,
        Failure::TimedOut(_) => Outcome::TimedOut,
        Failure::Unreachable(_) => Outcome::Unreachable,
    }
}

/// The beginning of an answer as text that both databases take.
fn text(body: &Bytes) -> String {
    String::from_utf8_lossy(body)
        .chars()
        .filter(|character| *character != '\0')
        .take(EXCERPT)
        .collect()
}
