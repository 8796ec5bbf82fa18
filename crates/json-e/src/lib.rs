//! Renders templates in JSON-e, the template language of Taskcluster (version 4.8.4).
//!
//! A template is JSON in which strings may hold `${expressions}` and objects may be operators such
//! as `{"$if": "level > 1", "then": …}`. Rendering it in a context, which gives names to values,
//! makes JSON again.
//!
//! Templates come from users, so each rendering has a budget: a template that would take too long,
//! nest too deep or grow too large is refused. Nothing here reads the clock: the time is `now` in
//! the context.
//!
//! ```
//! use serde_json::json;
//!
//! let template = json!({
//!     "name": "build ${branch}",
//!     "deadline": {"$fromNow": "2 hours"},
//!     "priority": {"$if": "branch == 'main'", "then": "high"},
//! });
//! let context = json!({"branch": "dev", "now": "2019-10-07T15:46:01.123Z"});
//! let rendered = taskyard_json_e::render(&template, context.as_object().unwrap());
//! assert_eq!(
//!     rendered.unwrap(),
//!     json!({"name": "build dev", "deadline": "2019-10-07T17:46:01.123Z"})
//! );
//!
//! let mistaken = json!({"payload": {"env": "${branhc}"}});
//! let error = taskyard_json_e::render(&mistaken, context.as_object().unwrap());
//! assert_eq!(
//!     error.unwrap_err().to_string(),
//!     "at template.payload.env: nothing is called `branhc`"
//! );
//! ```

mod access;
mod budget;
mod collection;
mod condition;
mod datum;
mod each;
mod error;
mod evaluate;
mod expression;
mod function;
mod interpolation;
mod iteration;
mod json;
mod moment;
mod number;
mod offset;
mod operator;
mod parser;
mod scope;
mod template;
mod text;
mod token;

pub use error::Error;
pub use template::render;
