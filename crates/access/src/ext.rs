//! The `ext` of a signature: base64 of a JSON object with a certificate and authorized scopes.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use crate::authenticate::Refusal;
use crate::scope;
use crate::scope_set::ScopeList;

/// What a signature says about itself.
#[derive(Debug, Default)]
pub(crate) struct Ext {
    /// Not yet checked in any way.
    pub(crate) certificate: Option<Value>,
    authorized_scopes: Option<Value>,
}

/// Clients differ in padding; none of them is asked to be strict.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

// === impl Ext ===

impl Ext {
    /// Reads the attribute. Both alphabets of base64 are understood.
    pub(crate) fn parse(ext: Option<&str>) -> Result<Self, Refusal> {
        let unreadable = || Refusal::new("Failed to parse ext");
        let Some(ext) = ext else {
            return Ok(Self::default());
        };
        let standard = ext.replace('-', "+").replace('_', "/");
        let json = LENIENT.decode(standard).map_err(|_| unreadable())?;
        match serde_json::from_slice(&json).map_err(|_| unreadable())? {
            Value::Object(mut object) => Ok(Self {
                certificate: take_truthy(&mut object, "certificate"),
                authorized_scopes: take_truthy(&mut object, "authorizedScopes"),
            }),
            Value::Null => Err(unreadable()),
            _ => Ok(Self::default()),
        }
    }

    /// The scopes to which the sender restricts this one request. None left is a valid choice.
    pub(crate) fn authorized_scopes(&self) -> Result<Option<ScopeList>, Refusal> {
        self.authorized_scopes
            .as_ref()
            .map(|value| read_scopes(value, "ext.authorizedScopes"))
            .transpose()
    }
}

/// Takes what JavaScript counts as true; the others mean "absent".
fn take_truthy(object: &mut Map<String, Value>, key: &str) -> Option<Value> {
    object.remove(key).filter(is_truthy)
}

pub(crate) fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// Reads an array of valid scopes; `place` names it in the refusal.
pub(crate) fn read_scopes(value: &Value, place: &str) -> Result<ScopeList, Refusal> {
    let Value::Array(scopes) = value else {
        return Err(Refusal::new(format!("{place} must be an array")));
    };
    let scopes: Option<ScopeList> = scopes
        .iter()
        .map(|value| {
            value
                .as_str()
                .filter(|text| scope::is_valid(text))
                .map(str::to_owned)
        })
        .collect();
    scopes.ok_or_else(|| Refusal::new(format!("{place} must be an array of valid scopes")))
}
