//! Looks an event up in an expression: the tests of a subject are tried on each of its values.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::cmp::Ordering;

use bytes::Bytes;
use memchr::memmem;
use serde_json::value::RawValue;

use super::tree::{Comparison, Node, Subject, Test, Value};
use super::{MAX_FILTER_BODY_BYTES, number};
use crate::event::EventInfo;
use crate::head::Head;
use crate::hop::{EndpointTarget, endpoint_target};
use crate::verdict::Verdict;
use crate::verify::{Pointer, document, elements, pairs};

/// What an expression is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The event's facts.
    pub info: &'a EventInfo,
    /// Its head as received.
    pub head: &'a Bytes,
    /// All of its body; `None` when it is not at hand, and then `body` and `json` are missing.
    pub body: Option<&'a [u8]>,
}

/// One look, with what it has read of the event so far.
struct Look<'a> {
    facts: &'a Facts<'a>,
    pointers: &'a [Pointer],
    head: OnceCell<Option<Head>>,
    document: OnceCell<Option<&'a RawValue>>,
    found: Vec<OnceCell<Option<&'a RawValue>>>,
}

/// A value of a subject.
#[derive(Clone, Copy)]
enum Seen<'v> {
    Text(&'v [u8]),
    /// A text in JSON, its escapes read.
    JsonText(&'v str),
    /// Anything else in JSON.
    Json(&'v RawValue),
}

/// Whether the expression holds.
pub(super) fn is_match(root: &Node, pointers: &[Pointer], facts: &Facts<'_>) -> bool {
    let look = Look {
        facts,
        pointers,
        head: OnceCell::new(),
        document: OnceCell::new(),
        found: vec![OnceCell::new(); pointers.len()],
    };
    look.holds(root)
}

impl<'a> Look<'a> {
    fn holds(&self, node: &Node) -> bool {
        match node {
            Node::Or(nodes) => nodes.iter().any(|node| self.holds(node)),
            Node::And(nodes) => nodes.iter().all(|node| self.holds(node)),
            Node::Not(node) => !self.holds(node),
            Node::Test(subject, test) => self.any(subject, |seen| passes(test, seen)),
        }
    }

    /// Whether one of the subject's values passes.
    fn any(&self, subject: &Subject, passes: impl Fn(Seen<'_>) -> bool) -> bool {
        let info = self.facts.info;
        let text = |text: &str| passes(Seen::Text(text.as_bytes()));
        match subject {
            Subject::Method => self.head().is_some_and(|head| text(head.method())),
            Subject::Path => self.target().is_some_and(|target| {
                passes(Seen::Text(match target.suffix {
                    [] => b"/",
                    suffix => suffix,
                }))
            }),
            Subject::Query(name) => {
                let query = self.target().and_then(|target| target.query);
                let query = String::from_utf8_lossy(query.unwrap_or_default());
                pairs(&query).any(|(found, value)| found == *name && text(&value))
            }
            Subject::Header(name) => self
                .head()
                .is_some_and(|head| head.values(name).any(|value| passes(Seen::Text(value)))),
            Subject::Json(index, _) => self.json(*index).is_some_and(|value| see(value, passes)),
            Subject::Body => self.body().is_some_and(|body| passes(Seen::Text(body))),
            Subject::Event => info.event_type.as_deref().is_some_and(text),
            Subject::Verdict => text(verdict(&info.verdict)),
            Subject::Provider => provider(&info.verdict).is_some_and(text),
            Subject::Endpoint => text(info.endpoint.as_str()),
            Subject::Delivery => info.delivery_id.as_deref().is_some_and(text),
            Subject::Remote => text(&info.remote.to_string()),
            Subject::Size => text(&info.body_length.to_string()),
        }
    }

    fn head(&self) -> Option<&Head> {
        self.head
            .get_or_init(|| Head::parse(self.facts.head.clone()).ok())
            .as_ref()
    }

    fn target(&self) -> Option<EndpointTarget<'_>> {
        endpoint_target(self.head()?.target())
    }

    fn body(&self) -> Option<&'a [u8]> {
        let most = usize::try_from(MAX_FILTER_BODY_BYTES).unwrap_or(usize::MAX);
        self.facts.body.filter(|body| body.len() <= most)
    }

    fn json(&self, index: usize) -> Option<&'a RawValue> {
        let document = (*self.document.get_or_init(|| document(self.body()?)))?;
        *self.found[index].get_or_init(|| self.pointers[index].find(document))
    }
}

/// Reads the escapes of a text once for all that is asked about it; a text with half a surrogate is no value.
fn see(value: &RawValue, passes: impl Fn(Seen<'_>) -> bool) -> bool {
    if !value.get().starts_with('"') {
        return passes(Seen::Json(value));
    }
    let text: Result<Cow<'_, str>, _> = serde_json::from_str(value.get());
    text.is_ok_and(|text| passes(Seen::JsonText(&text)))
}

fn passes(test: &Test, seen: Seen<'_>) -> bool {
    match test {
        Test::Compare(Comparison::NotEqual, value) => !equals(seen, value),
        Test::Compare(comparison, value) => {
            order(seen, value).is_some_and(|order| fits(*comparison, order))
        }
        Test::In(values) => values.iter().any(|value| equals(seen, value)),
        Test::Exists => true,
        Test::Contains(value) => contains(seen, value),
        Test::StartsWith(start) => {
            text_of(seen).is_some_and(|text| text.starts_with(start.as_bytes()))
        }
        Test::EndsWith(end) => text_of(seen).is_some_and(|text| text.ends_with(end.as_bytes())),
        Test::Matches(glob) => text_of(seen).is_some_and(|text| glob.is_match(text)),
    }
}

fn fits(comparison: Comparison, order: Ordering) -> bool {
    match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    }
}

fn equals(seen: Seen<'_>, value: &Value) -> bool {
    order(seen, value).is_some_and(Ordering::is_eq)
}

/// How the two compare; nothing when they are of two kinds. What has no order is equal or nothing.
fn order(seen: Seen<'_>, value: &Value) -> Option<Ordering> {
    let equal = |is_equal: bool| is_equal.then_some(Ordering::Equal);
    match (seen, value) {
        (Seen::Text(text), Value::Number(number)) => number::compare(text, number.as_bytes()),
        (Seen::Json(json), Value::Number(number)) => {
            number::compare(json.get().as_bytes(), number.as_bytes())
        }
        (seen, Value::Text(text)) => Some(text_of(seen)?.cmp(text.as_bytes())),
        (Seen::Json(json), Value::Bool(value)) => equal(json.get() == value.to_string()),
        (Seen::Json(json), Value::Null) => equal(json.get() == "null"),
        (Seen::Text(text), Value::Verdict(name)) => equal(text == name.as_bytes()),
        _ => None,
    }
}

fn contains(seen: Seen<'_>, value: &Value) -> bool {
    if let Seen::Json(json) = seen
        && json.get().starts_with('[')
    {
        let elements = elements(json).unwrap_or_default();
        return elements
            .iter()
            .any(|element| see(element, |seen| equals(seen, value)));
    }
    match value {
        Value::Text(part) => {
            text_of(seen).is_some_and(|text| memmem::find(text, part.as_bytes()).is_some())
        }
        _ => false,
    }
}

fn text_of(seen: Seen<'_>) -> Option<&[u8]> {
    match seen {
        Seen::Text(text) => Some(text),
        Seen::JsonText(text) => Some(text.as_bytes()),
        Seen::Json(_) => None,
    }
}

const fn verdict(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Verified(_) => "verified",
        Verdict::Authenticated(_) => "authenticated",
        Verdict::Failed(_) => "failed",
        Verdict::Unchecked => "unchecked",
    }
}

fn provider(verdict: &Verdict) -> Option<&str> {
    match verdict {
        Verdict::Verified(found) | Verdict::Authenticated(found) => Some(&found.provider),
        Verdict::Failed(failure) => Some(&failure.provider),
        Verdict::Unchecked => None,
    }
}
