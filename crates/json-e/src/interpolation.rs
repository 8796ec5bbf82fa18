//! Strings with expressions in them.

use std::borrow::Cow;

use crate::budget::TEXT_BYTES;
use crate::datum::Datum;
use crate::error::Cause;
use crate::evaluate::Evaluator;
use crate::number;
use crate::parser;

/// Puts the values of all `${expressions}` in their place; `$${` stands for `${`.
pub(crate) fn interpolate<'t>(
    template: &'t str,
    evaluator: &mut Evaluator<'_, '_>,
) -> Result<Cow<'t, str>, Cause> {
    evaluator.budget.spend_text(template.len())?;
    if !template.contains("${") {
        return Ok(Cow::Borrowed(template));
    }
    let mut rendered = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            rendered.push_str(before);
            rendered.push_str("${");
            rest = behind;
            continue;
        }
        rendered.push_str(before);
        let (expression, length) = parser::parse_braced(behind, evaluator.budget)?;
        let value = evaluator.evaluate(&expression)?;
        push(&mut rendered, &value, evaluator)?;
        rest = &behind[length..];
    }
    rendered.push_str(rest);
    Ok(Cow::Owned(rendered))
}

fn push(
    rendered: &mut String,
    value: &Datum,
    evaluator: &mut Evaluator<'_, '_>,
) -> Result<(), Cause> {
    match value {
        Datum::Null => {}
        Datum::Bool(flag) => rendered.push_str(if *flag { "true" } else { "false" }),
        Datum::Number(number) => rendered.push_str(&number::to_text(number)),
        Datum::Text(text) => {
            evaluator.budget.spend_text(text.len())?;
            rendered.push_str(text);
        }
        Datum::List(_) | Datum::Object(_) | Datum::Function(_) => {
            return Err(Cause::NotText(value.kind()));
        }
    }
    if rendered.len() > TEXT_BYTES {
        return Err(Cause::TextTooLong);
    }
    Ok(())
}
