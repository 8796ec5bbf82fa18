//! The schemas that stand within a schema, and which values of a payload each meets.
//!
//! It is read before the schema is compiled, because some schemas must not be: with a few
//! definitions that refer to each other without going into the payload, compilation takes hours,
//! and nesting of a few hundred levels exhausts the stack.

use std::collections::HashMap;

use jsonschema::{Draft, Registry, Uri};
use serde_json::{Map, Value};

use super::draft_named;
use super::price::COPIED_BYTES;

/// How deep schemas may stand within each other, not counting `$ref`. The compiler follows eight
/// `$ref` within each other on the stack, so it goes nine times as deep, and each level takes up to
/// ten kilobytes in a debug build.
const MAX_NESTING: usize = 16;

/// At most so many patterns: each keeps memory for itself and for what it has matched so far.
const MAX_PATTERNS: usize = 100;

/// Each keyword keeps its place within the schema as text: at most so many bytes in all.
const MAX_PLACES: usize = 4 << 20;

/// Number of a [`Part`] in its [`Outline`].
pub(super) type PartId = usize;

/// A schema, taken apart.
#[derive(Debug)]
pub(super) struct Outline {
    /// The whole comes first.
    parts: Vec<Part>,
    /// Whether any part is among the alternatives of another.
    pub(super) has_alternatives: bool,
}

/// A schema within the schema, or the whole.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// How much its own keywords look at and can complain about: their number, and the values
    /// that they list.
    pub(super) weight: u64,
    /// Whether a pattern reads texts.
    pub(super) has_pattern: bool,
    /// Whether all items of an array are compared.
    pub(super) compares_items: bool,
    /// What the same value must fit.
    pub(super) same: Vec<PartId>,
    /// What the same value may fit instead of another, and is told of if it fits none.
    pub(super) tried: Vec<PartId>,
    /// What the same value may fit or not, which is never told.
    pub(super) asked: Vec<PartId>,
    /// What the property of this name must fit.
    pub(super) properties: HashMap<String, PartId>,
    /// What properties must fit whose name matches, one for each pattern.
    pub(super) by_pattern: Vec<PartId>,
    /// What all properties must fit that are not among `properties`.
    pub(super) other_properties: Option<PartId>,
    /// What names of properties must fit.
    pub(super) names: Option<PartId>,
    /// What the first items must fit, one after the other.
    pub(super) first_items: Vec<PartId>,
    /// What all further items must fit.
    pub(super) other_items: Option<PartId>,
    /// What every item may fit or not.
    pub(super) contained: Option<PartId>,
    /// Whether more than one other part leads here, so that a value may come here repeatedly.
    pub(super) is_shared: bool,
    /// The part it stands in, and how many bytes its place is longer than that one's.
    within: Option<(PartId, usize)>,
    /// Length of the longest `$ref` to here.
    referred: usize,
    keywords: usize,
    led_here: usize,
}

impl Outline {
    /// Takes apart the schema that stands at `place`, as far as payloads can meet it. `is_format`
    /// tells which formats there are.
    ///
    /// # Errors
    ///
    /// In one line why this schema cannot be used.
    pub(super) fn read(
        registry: &Registry<'_>,
        place: &str,
        draft: Draft,
        is_format: &dyn Fn(&str) -> bool,
    ) -> Result<Self, String> {
        let place = Uri::parse(place.to_owned()).map_err(|(error, _)| error.to_string())?;
        let whole = registry
            .resolver(place)
            .lookup("#")
            .map_err(|error| error.to_string())?;
        let mut parts = vec![Part {
            led_here: 1,
            ..Part::default()
        }];
        let mut patterns = 0;
        // A schema is known by its address.
        let mut known = HashMap::from([(std::ptr::from_ref(whole.contents()), 0)]);
        let mut unread = vec![(0, whole.contents(), whole.resolver().clone())];
        while let Some((id, schema, resolver)) = unread.pop() {
            let Value::Object(keywords) = schema else {
                parts[id].weight = 1;
                continue;
            };
            supported(keywords, is_format)?;
            let resolver = resolver
                .in_subresource(draft.create_resource_ref(schema))
                .map_err(|error| error.to_string())?;
            let mut found = Vec::new();
            if let Some(Value::String(reference)) = keywords.get("$ref") {
                // Up to draft 7 nothing counts beside a `$ref`.
                let target = resolver
                    .lookup(reference)
                    .map_err(|error| error.to_string())?;
                let (schema, resolver, _) = target.into_inner();
                found.push((Lead::Same, schema, resolver, Err(reference.len())));
                parts[id].keywords = 1;
                parts[id].weight = 1;
            } else {
                weigh(keywords, &mut parts[id]);
                let mut leads = Vec::new();
                list_leads(keywords, &mut leads);
                patterns += usize::from(keywords.contains_key("pattern"))
                    + leads
                        .iter()
                        .filter(|lead| matches!(lead.0, Lead::Pattern))
                        .count();
                found.extend(
                    leads
                        .into_iter()
                        .map(|(lead, schema, step)| (lead, schema, resolver.clone(), Ok(step))),
                );
            }
            for (lead, schema, resolver, step) in found {
                let next = *known.entry(std::ptr::from_ref(schema)).or_insert_with(|| {
                    parts.push(Part::default());
                    unread.push((parts.len() - 1, schema, resolver));
                    parts.len() - 1
                });
                match step {
                    Ok(step) => parts[next].within = Some((id, step)),
                    Err(length) => parts[next].referred = parts[next].referred.max(length),
                }
                parts[next].led_here += 1;
                parts[id].lead(lead, next);
            }
        }
        if patterns > MAX_PATTERNS {
            return Err(format!(
                "data must not have more than {MAX_PATTERNS} patterns"
            ));
        }
        for part in &mut parts {
            part.is_shared = part.led_here > 1;
        }
        let outline = Self {
            has_alternatives: parts
                .iter()
                .any(|part| !part.tried.is_empty() || part.names.is_some()),
            parts,
        };
        outline.measure()?;
        outline.comes_to_an_end()?;
        Ok(outline)
    }

    /// The part with this number. Numbers come from the outline itself.
    pub(super) fn part(&self, id: PartId) -> &Part {
        &self.parts[id]
    }

    /// Checks nesting, and how much the places of all keywords take up.
    fn measure(&self) -> Result<(), String> {
        let mut places = 0_usize;
        for part in &self.parts {
            let (mut at, mut nesting, mut path, mut place) = (part, 1, 0, part.referred);
            while let Some((outer, step)) = at.within {
                at = &self.parts[outer];
                nesting += 1;
                path += step;
                place = place.max(path + at.referred);
                if nesting > MAX_NESTING {
                    return Err(format!(
                        "data must not have more than {MAX_NESTING} schemas within each other"
                    ));
                }
            }
            places = places.saturating_add((part.keywords + 1).saturating_mul(place.max(path)));
        }
        if places > MAX_PLACES {
            return Err("data must have shorter names, or fewer schemas within them".to_owned());
        }
        Ok(())
    }

    /// Checks that no schema applies to a value because it applies to that value. Recursion that
    /// goes into the payload ends where the payload does.
    fn comes_to_an_end(&self) -> Result<(), String> {
        let next = |part: &Part| -> Vec<PartId> {
            let leads = [&part.same, &part.tried, &part.asked];
            leads.into_iter().flatten().copied().collect()
        };
        let mut before = vec![0_usize; self.parts.len()];
        for part in &self.parts {
            for id in next(part) {
                before[id] += 1;
            }
        }
        let mut free: Vec<_> = (0..self.parts.len())
            .filter(|id| before[*id] == 0)
            .collect();
        let mut ordered = 0;
        while let Some(id) = free.pop() {
            ordered += 1;
            for id in next(&self.parts[id]) {
                before[id] -= 1;
                if before[id] == 0 {
                    free.push(id);
                }
            }
        }
        if ordered < self.parts.len() {
            return Err(
                "data must not have a $ref that leads back to itself without going into a \
                 property or an item"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

/// How one schema leads to another.
enum Lead {
    Same,
    Tried,
    Asked,
    Property(String),
    Pattern,
    OtherProperties,
    Names,
    FirstItem,
    OtherItems,
    Contained,
}

impl Part {
    fn lead(&mut self, lead: Lead, next: PartId) {
        match lead {
            Lead::Same => self.same.push(next),
            Lead::Tried => self.tried.push(next),
            Lead::Asked => self.asked.push(next),
            Lead::Property(name) => {
                self.properties.insert(name, next);
            }
            Lead::Pattern => self.by_pattern.push(next),
            Lead::OtherProperties => self.other_properties = Some(next),
            Lead::Names => self.names = Some(next),
            Lead::FirstItem => self.first_items.push(next),
            Lead::OtherItems => self.other_items = Some(next),
            Lead::Contained => self.contained = Some(next),
        }
    }
}

/// Every schema directly within one, with what its place adds to the outer one's.
fn list_leads<'s>(keywords: &'s Map<String, Value>, leads: &mut Vec<(Lead, &'s Value, usize)>) {
    for (keyword, value) in keywords {
        let step = keyword.len() + 1;
        let within = |key: &str| step + key.len() + 1;
        match (keyword.as_str(), value) {
            ("allOf", Value::Array(all)) => {
                leads.extend(all.iter().map(|schema| (Lead::Same, schema, step + 5)));
            }
            ("anyOf" | "oneOf", Value::Array(all)) => {
                leads.extend(all.iter().map(|schema| (Lead::Tried, schema, step + 5)));
            }
            ("then" | "else", schema) => leads.push((Lead::Same, schema, step)),
            ("if" | "not", schema) => leads.push((Lead::Asked, schema, step)),
            ("dependencies", Value::Object(all)) => {
                let schemas = all.iter().filter(|(_, value)| !value.is_array());
                leads.extend(schemas.map(|(key, schema)| (Lead::Same, schema, within(key))));
            }
            ("properties", Value::Object(all)) => leads.extend(
                all.iter()
                    .map(|(key, schema)| (Lead::Property(key.clone()), schema, within(key))),
            ),
            ("patternProperties", Value::Object(all)) => leads.extend(
                all.iter()
                    .map(|(key, schema)| (Lead::Pattern, schema, within(key))),
            ),
            ("additionalProperties", schema) => leads.push((Lead::OtherProperties, schema, step)),
            ("propertyNames", schema) => leads.push((Lead::Names, schema, step)),
            ("items", Value::Array(all)) => {
                leads.extend(all.iter().map(|schema| (Lead::FirstItem, schema, step + 5)));
            }
            ("items", schema) => leads.push((Lead::OtherItems, schema, step)),
            // It counts only beside a list of first items.
            ("additionalItems", schema) if keywords.get("items").is_some_and(Value::is_array) => {
                leads.push((Lead::OtherItems, schema, step));
            }
            ("contains", schema) => leads.push((Lead::Contained, schema, step)),
            _ => {}
        }
    }
}

fn weigh(keywords: &Map<String, Value>, part: &mut Part) {
    let listed: u64 = keywords
        .iter()
        .map(|(keyword, value)| match (keyword.as_str(), value) {
            ("enum" | "const" | "type", value) => count(value),
            // These are told as they were written.
            ("not" | "pattern" | "format" | "required", value) => {
                count(value) + value.to_string().len() as u64 / COPIED_BYTES
            }
            ("dependencies", Value::Object(all)) => all.values().map(count).sum(),
            _ => 1,
        })
        .sum();
    part.keywords = keywords.len();
    part.weight = listed.max(1);
    part.has_pattern = keywords.contains_key("pattern");
    part.compares_items = keywords.get("uniqueItems") == Some(&Value::Bool(true));
}

/// How many values there are in a value, itself among them.
fn count(value: &Value) -> u64 {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(properties) => properties.values().map(count).sum(),
        _ => 0,
    }
}

/// Checks that a schema within the schema means what its owner may think it means.
fn supported(
    keywords: &Map<String, Value>,
    is_format: &dyn Fn(&str) -> bool,
) -> Result<(), String> {
    if let Some(name) = keywords.get("$schema") {
        draft_named(name)?;
    }
    if keywords.contains_key("id") {
        return Err("data must not have keyword \"id\", use \"$id\"".to_owned());
    }
    if let Some(Value::String(name)) = keywords.get("format")
        && !is_format(name)
    {
        return Err(format!("data has format \"{name}\", which is unknown"));
    }
    Ok(())
}
