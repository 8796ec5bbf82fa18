//! Operators that go through a list: `$map`, `$reduce`, `$find`, `$sort`.

use std::rc::Rc;

use serde_json::{Map, Value};

use crate::datum::{Datum, Entries, List, Object};
use crate::each::Each;
use crate::error::Cause;
use crate::number;
use crate::operator::{Operator, Rendered};
use crate::scope::Scope;
use crate::template::Renderer;

/// The property that says what is done with an element.
const EACH: &str = "each";

// === impl Renderer: iteration ===

impl Renderer<'_> {
    /// `$map`: a list of what is made of each element, or an object of all entries that are made
    /// of each entry.
    pub(crate) fn map(&mut self, object: &Map<String, Value>, scope: Scope<'_>) -> Rendered {
        let operator = Operator::Map;
        let each = Each::of(object, operator, EACH, 1..=2, &[])?
            .ok_or_else(|| operator.needs("a property `each(x)` or `each(x,i)`"))?;
        match self.operand(operator, object, scope)? {
            Datum::List(list) => self.map_list(&list, &each, scope),
            Datum::Object(object) => self.map_object(&object, &each, scope),
            _ => Err(operator.needs("a list or an object").into()),
        }
    }

    fn map_list(&mut self, list: &List, each: &Each<'_>, scope: Scope<'_>) -> Rendered {
        let mut mapped = Vec::new();
        for (index, element) in list.elements().iter().enumerate() {
            let values = [element.clone(), Datum::integer(index as i64)];
            mapped.extend(each.render(values, scope, self)?);
        }
        Ok(Some(Datum::list(mapped, &mut self.budget)?))
    }

    fn map_object(&mut self, object: &Object, each: &Each<'_>, scope: Scope<'_>) -> Rendered {
        let mut mapped = Entries::new();
        for (key, value) in object.entries() {
            let rendered = self.map_entry(key, value, each, scope)?;
            match rendered {
                None => {}
                Some(Datum::Object(made)) => {
                    self.budget.spend_keys(made.entries().keys())?;
                    let entries = made.entries().iter();
                    mapped.extend(entries.map(|(key, value)| (key.clone(), value.clone())));
                }
                Some(_) => {
                    let needs = "an object made of each entry where it goes through an object";
                    return Err(Operator::Map.needs(needs).into());
                }
            }
        }
        Ok(Some(Datum::object(mapped, &mut self.budget)?))
    }

    fn map_entry(
        &mut self,
        key: &Rc<str>,
        value: &Datum,
        each: &Each<'_>,
        scope: Scope<'_>,
    ) -> Rendered {
        let key = Datum::Text(key.clone());
        if each.count() > 1 {
            return each.render([value.clone(), key], scope, self);
        }
        let pair = [("key".into(), key), ("val".into(), value.clone())];
        let pair = Datum::object(pair.into_iter().collect(), &mut self.budget)?;
        each.render([pair], scope, self)
    }

    /// `$reduce`: what remains when each element is taken into what the ones before it gave. An
    /// element that declines leaves that as it is.
    pub(crate) fn reduce(&mut self, object: &Map<String, Value>, scope: Scope<'_>) -> Rendered {
        let operator = Operator::Reduce;
        let each = Each::of(object, operator, EACH, 2..=3, &["initial"])?
            .ok_or_else(|| operator.needs("a property `each(acc,x)` or `each(acc,x,i)`"))?;
        let Some(initial) = object.get("initial") else {
            return Err(operator.needs("a value as `initial`").into());
        };
        let Datum::List(list) = self.operand(operator, object, scope)? else {
            return Err(operator.needs("a list").into());
        };
        let initial = Datum::from_json(initial, &mut self.budget)?;
        self.fold(&list, &each, initial, scope)
    }

    fn fold(&mut self, list: &List, each: &Each<'_>, initial: Datum, scope: Scope<'_>) -> Rendered {
        let mut result = initial;
        for (index, element) in list.elements().iter().enumerate() {
            let index = Datum::integer(index as i64);
            let values = [result.clone(), element.clone(), index];
            if let Some(next) = each.render(values, scope, self)? {
                result = next;
            }
        }
        Ok(Some(result))
    }

    /// `$find`: the first element for which an expression holds.
    pub(crate) fn find(&mut self, object: &Map<String, Value>, scope: Scope<'_>) -> Rendered {
        let operator = Operator::Find;
        let each = Each::of(object, operator, EACH, 1..=2, &[])?
            .ok_or_else(|| operator.needs("a property `each(x)` or `each(x,i)`"))?;
        let Datum::List(list) = self.operand(operator, object, scope)? else {
            return Err(operator.needs("a list").into());
        };
        for (index, element) in list.elements().iter().enumerate() {
            let values = [element.clone(), Datum::integer(index as i64)];
            if each.evaluate(values, scope, self)?.is_truthy() {
                return Ok(Some(element.clone()));
            }
        }
        Ok(None)
    }

    /// `$sort`: elements in the order of the numbers or strings they are, or that `by(x)` gives.
    pub(crate) fn sort(&mut self, object: &Map<String, Value>, scope: Scope<'_>) -> Rendered {
        let operator = Operator::Sort;
        let by = Each::of(object, operator, "by", 1..=1, &[])?;
        let Datum::List(list) = self.operand(operator, object, scope)? else {
            return Err(operator.needs("a list").into());
        };
        self.sort_list(&list, by.as_ref(), scope)
    }

    fn sort_list(&mut self, list: &List, by: Option<&Each<'_>>, scope: Scope<'_>) -> Rendered {
        let mut keyed = Vec::with_capacity(list.elements().len());
        for element in list.elements() {
            let key = match by {
                Some(by) => by.evaluate([element.clone()], scope, self)?,
                None => element.clone(),
            };
            keyed.push((key, element.clone()));
        }
        let numbers = keyed.iter().all(|(key, _)| matches!(key, Datum::Number(_)));
        let texts = keyed.iter().all(|(key, _)| matches!(key, Datum::Text(_)));
        if !numbers && !texts {
            return Err(Cause::Unsortable.into());
        }
        // Each key is compared about as often as the number of elements has binary digits.
        let comparisons = keyed.len().checked_ilog2().unwrap_or_default() as usize + 1;
        for (key, _) in &keyed {
            self.budget.spend(key.extent().weight * comparisons)?;
        }
        keyed.sort_by(|(a, _), (b, _)| match (a, b) {
            (Datum::Number(a), Datum::Number(b)) => number::compare(a, b),
            (Datum::Text(a), Datum::Text(b)) => a.cmp(b),
            // Kept in their order; there are none.
            _ => std::cmp::Ordering::Equal,
        });
        let sorted = keyed.into_iter().map(|(_, element)| element).collect();
        Ok(Some(Datum::list(sorted, &mut self.budget)?))
    }
}
