//! Reads a TOML table strictly: every mistake is noted with its line and key, and no key may be left over.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistakes::{Mistakes, Noted, all};
use super::nearest::did_you_mean;
use super::template::Template;

/// How many texts or tables a list may have: each costs work at every request. No known provider needs more than eight.
pub(super) const MAX_LIST: usize = 16;

/// A table under reading.
pub(super) struct Table<'t> {
    source: &'t str,
    /// Its own key, for messages.
    path: String,
    /// Where it begins in the source.
    start: usize,
    entries: &'t DeTable<'t>,
    mistakes: &'t Mistakes,
    read: RefCell<BTreeSet<String>>,
    is_partly_read: Cell<bool>,
}

impl<'t> Table<'t> {
    pub(super) const fn new(
        source: &'t str,
        path: String,
        start: usize,
        entries: &'t DeTable<'t>,
        mistakes: &'t Mistakes,
    ) -> Self {
        Self {
            source,
            path,
            start,
            entries,
            mistakes,
            read: RefCell::new(BTreeSet::new()),
            is_partly_read: Cell::new(false),
        }
    }

    /// Notes a mistake in this table as a whole.
    pub(super) fn problem(&self, problem: impl Into<String>) -> Noted {
        self.mistakes
            .note(self.source, self.start, &self.path, problem.into())
    }

    /// Notes a mistake in the value of a key.
    pub(super) fn problem_at(&self, key: &str, problem: impl Into<String>) -> Noted {
        let start = self
            .peek(key)
            .map_or(self.start, |value| value.span().start);
        self.problem_in(key, start, problem)
    }

    fn problem_in(&self, key: &str, start: usize, problem: impl Into<String>) -> Noted {
        self.mistakes
            .note(self.source, start, &self.path_of(key), problem.into())
    }

    /// Notes a doubt about the value of a key, or about this table when it does not have the key.
    pub(super) fn warn_at(&self, key: &str, doubt: impl Into<String>) {
        let value = self.peek(key);
        let start = value.map_or(self.start, |value| value.span().start);
        let path = if value.is_some() {
            self.path_of(key)
        } else {
            self.path.clone()
        };
        self.mistakes.warn(self.source, start, &path, doubt.into());
    }

    /// Notes that a key is not there.
    pub(super) fn missing(&self, key: &str) -> Noted {
        self.problem(format!("the key `{key}` is missing"))
    }

    /// Says that a mistake keeps part of the keys from being read: no reader of theirs has looked.
    pub(super) fn leave_unread(&self) {
        self.is_partly_read.set(true);
    }

    /// Whether the file has this key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.peek(key).is_some()
    }

    /// Ends the reading: a key that nobody asked for is a mistake. `known` are all keys that such a table may have.
    pub(super) fn finish(&self, known: &[&str]) {
        let read = self.read.borrow();
        for key in self.entries.keys() {
            let name = key.get_ref().as_ref();
            if read.contains(name) {
                continue;
            }
            let is_known = known.contains(&name);
            if is_known && self.is_partly_read.get() {
                continue;
            }
            let problem = if is_known {
                "the key has no meaning beside the others here".to_owned()
            } else {
                format!("unknown key{}", did_you_mean(name, known.iter().copied()))
            };
            self.problem_in(name, key.span().start, problem);
        }
    }

    /// A text.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, Noted> {
        self.get(key)
            .map(|value| self.as_text(key, value).map(str::to_owned))
            .transpose()
    }

    /// A text that must be there.
    pub(super) fn required_text(&self, key: &str) -> Result<String, Noted> {
        self.text(key)?.ok_or_else(|| self.missing(key))
    }

    /// One text or a list of them; none when the key is not there.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>, Noted> {
        self.each_text(key, |_, text| Ok(text.to_owned()))
    }

    /// `true` or `false`; false when the key is not there.
    pub(super) fn flag(&self, key: &str) -> Result<bool, Noted> {
        match self.get(key).map(|value| value.get_ref().as_bool()) {
            None => Ok(false),
            Some(Some(flag)) => Ok(flag),
            Some(None) => Err(self.problem_at(key, "expected `true` or `false`")),
        }
    }

    /// A whole number from 0 to `largest`.
    pub(super) fn number(&self, key: &str, largest: u32) -> Result<Option<u32>, Noted> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|integer| u32::from_str_radix(integer.as_str(), integer.radix()).ok());
        match number {
            Some(number) if number <= largest => Ok(Some(number)),
            _ => Err(self.problem_at(key, format!("expected a whole number from 0 to {largest}"))),
        }
    }

    /// A template.
    pub(super) fn template(&self, key: &str) -> Result<Option<Template>, Noted> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let text = self.as_text(key, value)?;
        self.compile(key, value.span().start, text).map(Some)
    }

    /// A template that must be there.
    pub(super) fn required_template(&self, key: &str) -> Result<Template, Noted> {
        self.template(key)?.ok_or_else(|| self.missing(key))
    }

    /// One template or a list of them.
    pub(super) fn templates(&self, key: &str) -> Result<Vec<Template>, Noted> {
        self.each_text(key, |start, text| self.compile(key, start, text))
    }

    /// A pair of texts, the first of which is a template.
    pub(super) fn template_and_text(&self, key: &str) -> Result<Option<(Template, String)>, Noted> {
        let Some((first, second)) = self.pair(key)? else {
            return Ok(None);
        };
        let template = self.compile(key, first.span().start, self.as_text(key, first)?);
        let text = self.as_text(key, second);
        Ok(Some((template?, text?.to_owned())))
    }

    /// A pair of templates.
    pub(super) fn template_pair(&self, key: &str) -> Result<Option<(Template, Template)>, Noted> {
        match self.pair(key)? {
            None => Ok(None),
            Some((first, second)) => self.compile_pair(key, first, second).map(Some),
        }
    }

    /// A list of pairs of templates.
    pub(super) fn template_pairs(&self, key: &str) -> Result<Vec<(Template, Template)>, Noted> {
        let Some(value) = self.get(key) else {
            return Ok(Vec::new());
        };
        let wrong = |start| self.problem_in(key, start, "expected a list of pairs of texts");
        let start = value.span().start;
        let list = value.get_ref().as_array().ok_or_else(|| wrong(start))?;
        self.check_length(key, list.len())?;
        all(list.iter().map(|item| {
            let pair = item.get_ref().as_array().map(|pair| pair.as_ref());
            let Some([first, second]) = pair else {
                return Err(wrong(item.span().start));
            };
            self.compile_pair(key, first, second)
        }))
    }

    /// A table.
    pub(super) fn table(&self, key: &str) -> Result<Option<Table<'t>>, Noted> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        match value.get_ref().as_table() {
            Some(entries) => Ok(Some(self.inner(key, value.span().start, entries))),
            None => Err(self.problem_at(key, "expected a table")),
        }
    }

    /// A list of tables.
    pub(super) fn tables(&self, key: &str) -> Result<Vec<Table<'t>>, Noted> {
        let Some(value) = self.get(key) else {
            return Ok(Vec::new());
        };
        let wrong = |start| {
            let path = self.path_of(key);
            self.problem_in(
                key,
                start,
                format!("expected a list of tables, `[[{path}]]`"),
            )
        };
        let start = value.span().start;
        let list = value.get_ref().as_array().ok_or_else(|| wrong(start))?;
        self.check_length(key, list.len())?;
        all(list.iter().map(|item| {
            let start = item.span().start;
            let entries = item.get_ref().as_table().ok_or_else(|| wrong(start))?;
            Ok(self.inner(key, start, entries))
        }))
    }

    /// The keys of a table whose keys are free, in the order of the file.
    pub(super) fn keys(&self) -> Result<Vec<String>, Noted> {
        let mut keys: Vec<_> = self.entries.keys().collect();
        if keys.len() > MAX_LIST {
            return Err(self.problem(too_many(keys.len())));
        }
        keys.sort_by_key(|key| key.span().start);
        Ok(keys.iter().map(|key| key.get_ref().to_string()).collect())
    }

    /// What `read` makes of one text, or of each of a list.
    fn each_text<T>(
        &self,
        key: &str,
        read: impl Fn(usize, &str) -> Result<T, Noted>,
    ) -> Result<Vec<T>, Noted> {
        let Some(value) = self.get(key) else {
            return Ok(Vec::new());
        };
        let read = |item: &Spanned<DeValue<'_>>| {
            let text = self.as_text(key, item)?;
            read(item.span().start, text)
        };
        let Some(list) = value.get_ref().as_array() else {
            return Ok(vec![read(value)?]);
        };
        if list.is_empty() {
            return Err(self.problem_at(key, "expected at least one text"));
        }
        self.check_length(key, list.len())?;
        all(list.iter().map(read))
    }

    fn check_length(&self, key: &str, length: usize) -> Result<(), Noted> {
        if length > MAX_LIST {
            return Err(self.problem_at(key, too_many(length)));
        }
        Ok(())
    }

    #[expect(clippy::type_complexity, reason = "two values of a list, side by side")]
    fn pair(
        &self,
        key: &str,
    ) -> Result<Option<(&'t Spanned<DeValue<'t>>, &'t Spanned<DeValue<'t>>)>, Noted> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        match value.get_ref().as_array().map(|list| list.as_ref()) {
            Some([first, second]) => Ok(Some((first, second))),
            _ => Err(self.problem_at(key, "expected two texts")),
        }
    }

    fn compile_pair(
        &self,
        key: &str,
        first: &Spanned<DeValue<'_>>,
        second: &Spanned<DeValue<'_>>,
    ) -> Result<(Template, Template), Noted> {
        let compile = |value: &Spanned<DeValue<'_>>| {
            self.compile(key, value.span().start, self.as_text(key, value)?)
        };
        let (first, second) = (compile(first), compile(second));
        Ok((first?, second?))
    }

    fn compile(&self, key: &str, start: usize, text: &str) -> Result<Template, Noted> {
        Template::parse(text).map_err(|error| {
            let path = self.path_of(key);
            // The place is exact where the text stands in the file as it is: one quote, no escapes.
            let written = self.source.get(start + 1..).unwrap_or_default();
            if written.starts_with(text) && !text.is_empty() {
                let offset = start + 1 + error.offset;
                self.mistakes
                    .note_at(self.source, offset, &path, error.problem)
            } else {
                let letters = text.get(..error.offset).unwrap_or_default().chars().count();
                let problem = format!("letter {} of the text: {}", letters + 1, error.problem);
                self.mistakes.note(self.source, start, &path, problem)
            }
        })
    }

    fn inner(&self, key: &str, start: usize, entries: &'t DeTable<'t>) -> Table<'t> {
        Table::new(
            self.source,
            self.path_of(key),
            start,
            entries,
            self.mistakes,
        )
    }

    fn path_of(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    fn as_text<'v>(&self, key: &str, value: &'v Spanned<DeValue<'_>>) -> Result<&'v str, Noted> {
        let text = value.get_ref().as_str();
        text.ok_or_else(|| self.problem_in(key, value.span().start, "expected a text"))
    }

    fn get(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.read.borrow_mut().insert(key.to_owned());
        self.peek(key)
    }

    fn peek(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        let mut entries = self.entries.iter();
        let found = entries.find(|(name, _)| name.get_ref() == key);
        found.map(|(_, value)| value)
    }
}

fn too_many(length: usize) -> String {
    format!("{length} are too many: at most {MAX_LIST}")
}
