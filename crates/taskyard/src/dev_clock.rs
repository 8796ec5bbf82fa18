//! `/dev/clock`: with `--dev`, anybody may look at the server's clock and move it, so that
//! deadlines, expiries and retries can be tested without waiting for them.

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Router, http::StatusCode};
use http::header;
use serde::Deserialize;
use taskyard_engine::Timestamp;
use taskyard_engine::clock::Clock;

/// How the clock is to be moved.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Movement {
    /// By so many milliseconds; backwards if negative.
    advance_ms: i64,
}

/// `GET /dev/clock` and `POST /dev/clock {"advanceMs": n}`.
pub(crate) fn routes(clock: Clock) -> Router {
    Router::new()
        .route("/dev/clock", get(read).post(advance))
        .with_state(clock)
}

async fn read(State(clock): State<Clock>) -> Response {
    let body = serde_json::json!({
        "now": clock.now().to_iso(),
        "offsetMs": clock.offset_micros() / 1000,
    });
    (
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}

async fn advance(State(clock): State<Clock>, body: Body) -> Response {
    let movement = match to_bytes(body, 1024).await {
        Ok(bytes) => serde_json::from_slice::<Movement>(&bytes).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let target = movement.and_then(|movement| {
        let micros = movement.advance_ms.checked_mul(1000);
        micros
            .filter(|micros| is_kept(clock.now().0.saturating_add(*micros)))
            .ok_or_else(|| "the clock can be set between the years 1970 and 2200".to_owned())
    });
    match target {
        Ok(micros) => {
            clock.move_by(micros);
            read(State(clock)).await
        }
        Err(text) => {
            let text = format!("Send {{\"advanceMs\": number of milliseconds}}: {text}\n");
            (StatusCode::BAD_REQUEST, text).into_response()
        }
    }
}

/// Whether timestamps keep well at this time.
fn is_kept(micros: i64) -> bool {
    const YEAR_2200: Timestamp = Timestamp(7_258_118_400_000_000);
    (0..YEAR_2200.0).contains(&micros)
}
