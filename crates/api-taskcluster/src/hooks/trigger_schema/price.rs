//! What it takes to check a payload, found out before doing so.
//!
//! A check applies schemas to values, and a small schema may apply to the same value any number of
//! times: ten definitions that each refer to the next one twice make a thousand. Once begun, a
//! check cannot be stopped, so the work is counted first. Each schema and value is looked at once
//! here, however often they meet.

use std::collections::HashMap;

use serde_json::Value;

use super::outline::{Outline, Part, PartId};

/// The largest price, about a microsecond each and half a kilobyte for what is told. An array of
/// a hundred thousand words can be checked, sixty kilobytes of text can be matched.
const MAX_PRICE: u64 = 250_000;

/// How many schemas may apply within each other, each on the stack: four for each level of the
/// deepest payload that the server reads, which is 128.
const MAX_HEIGHT: u32 = 512;

/// What a byte costs that a pattern reads. The worst patterns of the largest size take twenty
/// microseconds for it, ordinary ones a thousandth.
const MATCHED_BYTE: u64 = 4;

/// So many bytes of a name or a place cost as much as a value: they are copied when told.
pub(super) const COPIED_BYTES: u64 = 32;

/// So many values cost as much as one to check: they are copied to tell why alternatives fail.
const COPIED_VALUES: u64 = 8;

/// A payload is not checked because that would take too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("data is too large or too deep to be checked against the triggerSchema")]
pub(super) struct Excess;

/// Finds out whether the payload can be checked.
///
/// # Errors
///
/// When it cannot, see [`Excess`].
pub(super) fn price(outline: &Outline, payload: &Value) -> Result<(), Excess> {
    let mut prices = Prices {
        outline,
        known: HashMap::new(),
        sizes: HashMap::new(),
        looked_at: 0,
    };
    let price = prices.of(0, Met::Value(payload), 0, 1)?;
    if price.told > MAX_PRICE || price.height > MAX_HEIGHT {
        return Err(Excess);
    }
    Ok(())
}

struct Prices<'o> {
    outline: &'o Outline,
    /// By part and address of the value, where the two may meet repeatedly.
    known: HashMap<(PartId, usize), Price>,
    /// By address of the value.
    sizes: HashMap<usize, u64>,
    /// Prices of all that was looked at, each once.
    looked_at: u64,
}

/// What a schema is applied to.
#[derive(Clone, Copy)]
enum Met<'p> {
    Value(&'p Value),
    Name(&'p str),
}

#[derive(Clone, Copy)]
struct Price {
    /// To find out whether the value fits.
    decided: u64,
    /// To tell in which ways it does not, and whether it does.
    told: u64,
    /// To keep the values that are told of, should this be told as an alternative that fails.
    copied: u64,
    /// How many schemas apply within each other.
    height: u32,
}

impl Price {
    fn must_fit(&mut self, inner: Price) {
        self.told = self.told.saturating_add(inner.told);
        self.copied = self.copied.saturating_add(inner.copied);
        self.decided = self.decided.saturating_add(inner.decided);
        self.height = self.height.max(inner.height + 1);
    }

    /// Alternatives are decided first, and only if all fail gone through again for what to tell.
    fn may_fit(&mut self, inner: Price) {
        self.must_be_known(inner);
        self.told = self
            .told
            .saturating_add(inner.told)
            .saturating_add(inner.copied);
    }

    fn must_be_known(&mut self, inner: Price) {
        self.told = self.told.saturating_add(inner.decided);
        self.decided = self.decided.saturating_add(inner.decided);
        self.height = self.height.max(inner.height + 1);
    }
}

impl Prices<'_> {
    /// `place` is how long the pointer to the value is, in bytes.
    fn of(&mut self, id: PartId, met: Met<'_>, place: u64, height: u32) -> Result<Price, Excess> {
        if height > MAX_HEIGHT {
            return Err(Excess);
        }
        let outline = self.outline;
        let part = outline.part(id);
        let address = match met {
            Met::Value(value) => std::ptr::from_ref(value).addr(),
            Met::Name(name) => name.as_ptr().addr(),
        };
        if part.is_shared
            && let Some(price) = self.known.get(&(id, address))
        {
            return Ok(*price);
        }
        let own = self.own(part, met, place);
        self.looked_at = self.looked_at.saturating_add(own);
        if self.looked_at > MAX_PRICE {
            return Err(Excess);
        }
        let copied = match met {
            Met::Value(value) if self.outline.has_alternatives => {
                part.weight.saturating_mul(self.size(value) / COPIED_VALUES)
            }
            Met::Name(name) => part.weight * (name.len() as u64 / COPIED_BYTES),
            Met::Value(_) => 0,
        };
        let mut price = Price {
            decided: own,
            told: own,
            copied,
            height: 1,
        };
        for next in &part.same {
            price.must_fit(self.of(*next, met, place, height + 1)?);
        }
        for next in &part.tried {
            price.may_fit(self.of(*next, met, place, height + 1)?);
        }
        for next in &part.asked {
            price.must_be_known(self.of(*next, met, place, height + 1)?);
        }
        match met {
            Met::Value(Value::Object(properties)) => {
                for (name, value) in properties {
                    let inner = place + 1 + name.len() as u64;
                    let named = part.properties.get(name).or(part.other_properties.as_ref());
                    for next in named.into_iter().chain(&part.by_pattern) {
                        price.must_fit(self.of(*next, Met::Value(value), inner, height + 1)?);
                    }
                    if let Some(next) = part.names {
                        price.may_fit(self.of(next, Met::Name(name), place, height + 1)?);
                    }
                }
            }
            Met::Value(Value::Array(items)) => {
                for (index, value) in items.iter().enumerate() {
                    let inner = place + 8;
                    let met = Met::Value(value);
                    if let Some(next) = part.first_items.get(index).or(part.other_items.as_ref()) {
                        price.must_fit(self.of(*next, met, inner, height + 1)?);
                    }
                    if let Some(next) = part.contained {
                        price.must_be_known(self.of(next, met, inner, height + 1)?);
                    }
                }
            }
            _ => {}
        }
        if part.is_shared {
            self.known.insert((id, address), price);
        }
        Ok(price)
    }

    /// What the keywords of a part itself cost, without the schemas in them.
    fn own(&mut self, part: &Part, met: Met<'_>, place: u64) -> u64 {
        let rest = match met {
            Met::Name(text) => text_price(part, text),
            Met::Value(Value::String(text)) => text_price(part, text),
            // Few are compared pair by pair, many by a digest.
            Met::Value(value @ Value::Array(_)) if part.compares_items => {
                self.size(value).saturating_mul(4)
            }
            Met::Value(Value::Object(properties)) => {
                let told = u64::from(part.other_properties.is_some() || part.names.is_some());
                let matched = MATCHED_BYTE * part.by_pattern.len() as u64;
                if told + matched == 0 {
                    0
                } else {
                    let price = |bytes: u64| told + told * bytes / COPIED_BYTES + matched * bytes;
                    properties.keys().map(|name| price(name.len() as u64)).sum()
                }
            }
            Met::Value(_) => 0,
        };
        (part.weight * (1 + place / COPIED_BYTES)).saturating_add(rest)
    }

    /// How many values there are in a value, itself among them, and its texts.
    fn size(&mut self, value: &Value) -> u64 {
        let address = std::ptr::from_ref(value).addr();
        match value {
            Value::String(text) => return 1 + text.len() as u64 / COPIED_BYTES,
            Value::Array(_) | Value::Object(_) => {}
            _ => return 1,
        }
        if let Some(size) = self.sizes.get(&address) {
            return *size;
        }
        let within: u64 = match value {
            Value::Array(items) => items.iter().map(|item| self.size(item)).sum(),
            Value::Object(properties) => properties
                .iter()
                .map(|(name, value)| name.len() as u64 / COPIED_BYTES + self.size(value))
                .sum(),
            _ => 0,
        };
        self.sizes.insert(address, 1 + within);
        1 + within
    }
}

fn text_price(part: &Part, text: &str) -> u64 {
    let bytes = text.len() as u64;
    if part.has_pattern {
        MATCHED_BYTE * bytes
    } else {
        bytes / COPIED_BYTES
    }
}
