//! What a stream is asked for.

use serde::Deserialize;
use taskyard_events::hub::Binding;
use taskyard_events::topic;
use taskyard_events::translate::Place;

use super::Known;

/// Bindings of one stream.
const MOST_BINDINGS: usize = 1000;

/// What a stream is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// Which messages.
    pub(super) bindings: Vec<Binding>,
    /// Behind which of them; `None` for those from now on.
    pub(super) after: Option<Place>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bindings {
    bindings: Vec<Wanted>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Wanted {
    exchange: String,
    routing_key_pattern: String,
}

impl Asked {
    /// Reads a query. A browser that comes back repeats it and tells the id it saw last.
    ///
    /// # Errors
    /// What is wrong with it, in words for whoever wrote it.
    pub(super) fn read(
        query: &[(String, String)],
        last_seen: Option<&str>,
        exchanges: &Known,
    ) -> Result<Self, String> {
        let value = |name: &str| {
            let found = query.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str())
        };
        let unknown = query
            .iter()
            .find(|(name, _)| !["bindings", "after", "bewit"].contains(&name.as_str()));
        if let Some((name, _)) = unknown {
            return Err(format!("The query parameter {name} is not known here."));
        }
        let bindings = value("bindings").ok_or(
            "The query parameter bindings is missing: give JSON as \
             {\"bindings\":[{\"exchange\":\"…\",\"routingKeyPattern\":\"#\"}]}.",
        )?;
        let Bindings { bindings } = serde_json::from_str(bindings)
            .map_err(|error| format!("The bindings cannot be read: {error}"))?;
        if bindings.is_empty() {
            return Err("The list of bindings is empty: name at least one.".to_owned());
        }
        if bindings.len() > MOST_BINDINGS {
            return Err(format!(
                "{} bindings are too many for one stream; {MOST_BINDINGS} are allowed.",
                bindings.len()
            ));
        }
        let bindings = bindings
            .into_iter()
            .map(|wanted| wanted.check(exchanges))
            .collect::<Result<_, _>>()?;
        let after = last_seen
            // What other servers of this kind give to every event.
            .filter(|id| !id.is_empty() && *id != "-")
            .or_else(|| value("after"))
            .map(|id| {
                read_place(id).ok_or_else(|| format!("{id} is no id of an event of this stream."))
            })
            .transpose()?;
        Ok(Asked { bindings, after })
    }
}

impl Wanted {
    fn check(self, exchanges: &Known) -> Result<Binding, String> {
        if !exchanges.contains_key(&self.exchange) {
            return Err(format!("There is no exchange {}.", self.exchange));
        }
        if self.routing_key_pattern.len() > topic::LONGEST {
            return Err(format!(
                "A pattern has {} bytes; {} are allowed.",
                self.routing_key_pattern.len(),
                topic::LONGEST
            ));
        }
        Ok(Binding {
            exchange: self.exchange,
            pattern: self.routing_key_pattern,
        })
    }
}

/// The id of a message: `<position>.<index>`; without an index, everything of that event.
pub(super) fn write_place(place: Place) -> String {
    if place == Place::end_of(place.position) {
        place.position.to_string()
    } else {
        format!("{}.{}", place.position, place.index)
    }
}

fn read_place(id: &str) -> Option<Place> {
    let number = |digits: &str| {
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().ok()).flatten()
    };
    match id.split_once('.') {
        None => number(id).map(Place::end_of),
        Some((position, index)) => Some(Place {
            position: number(position)?,
            index: usize::try_from(number(index)?).ok()?,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        let listed = super::super::Listed {
            exchange: None,
            scope: super::super::any_pattern,
        };
        Known::from([("exchange/x".to_owned(), listed)])
    }

    fn ask(bindings: &str, after: Option<&str>) -> Result<Asked, String> {
        let mut query = vec![("bindings".to_owned(), bindings.to_owned())];
        query.extend(after.map(|after| ("after".to_owned(), after.to_owned())));
        Asked::read(&query, None, &known())
    }

    #[test]
    fn ids_come_back_as_they_were_given() {
        for place in [
            Place::end_of(0),
            Place::end_of(i64::MAX),
            Place {
                position: 12,
                index: 3,
            },
        ] {
            assert_eq!(read_place(&write_place(place)), Some(place));
        }
        for id in [
            "",
            "a",
            "-1",
            "1.",
            ".1",
            "1.2.3",
            "99999999999999999999",
            "+1",
        ] {
            assert_eq!(read_place(id), None, "{id}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        let binding = r#"{"exchange":"exchange/x","routingKeyPattern":"a.#"}"#;
        assert!(ask(&format!(r#"{{"bindings":[{binding}]}}"#), Some("7.1")).is_ok());
        let long = "x".repeat(256);
        for (bindings, after, says) in [
            ("", None, "cannot be read"),
            ("[]", None, "cannot be read"),
            (r#"{"bindings":[]}"#, None, "empty"),
            (
                r#"{"bindings":[{"exchange":"exchange/x"}]}"#,
                None,
                "routingKeyPattern",
            ),
            (
                r##"{"bindings":[{"exchange":"exchange/y","routingKeyPattern":"#"}]}"##,
                None,
                "no exchange exchange/y",
            ),
            (
                &format!(
                    r#"{{"bindings":[{{"exchange":"exchange/x","routingKeyPattern":"{long}"}}]}}"#
                ),
                None,
                "256 bytes",
            ),
            (
                &format!(r#"{{"bindings":[{binding}],"x":1}}"#),
                None,
                "unknown field",
            ),
            (
                &format!(r#"{{"bindings":[{}]}}"#, vec![binding; 1001].join(",")),
                None,
                "too many",
            ),
            (
                &format!(r#"{{"bindings":[{binding}]}}"#),
                Some("x"),
                "no id",
            ),
        ] {
            let refused = ask(bindings, after).expect_err(bindings);
            assert!(refused.contains(says), "{refused}");
        }
        let missing = Asked::read(&[], None, &known()).expect_err("no bindings");
        assert!(missing.contains("bindings is missing"), "{missing}");
    }

    #[test]
    fn the_id_that_a_browser_saw_last_wins_over_the_query_it_repeats() {
        let query = [
            (
                "bindings".to_owned(),
                r##"{"bindings":[{"exchange":"exchange/x","routingKeyPattern":"#"}]}"##.to_owned(),
            ),
            ("after".to_owned(), "5".to_owned()),
        ];
        let read = |last| Asked::read(&query, last, &known()).map(|asked| asked.after);
        assert_eq!(read(Some("9.0")), Ok(read_place("9.0")));
        assert_eq!(read(Some("-")), Ok(Some(Place::end_of(5))));
        assert_eq!(read(None), Ok(Some(Place::end_of(5))));
    }
}
