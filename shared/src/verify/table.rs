//! Reads a TOML table strictly: every mistake is named with its line and key, and no key may be left over.

use std::cell::RefCell;
use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::SchemeError;
use super::template::Template;

/// A table under reading.
pub(super) struct Table<'t> {
    source: &'t str,
    /// Its own key, for messages.
    path: String,
    /// Where it begins in the source.
    start: usize,
    entries: &'t DeTable<'t>,
    read: RefCell<BTreeSet<String>>,
}

impl<'t> Table<'t> {
    pub(super) const fn new(
        source: &'t str,
        path: String,
        start: usize,
        entries: &'t DeTable<'t>,
    ) -> Self {
        Self {
            source,
            path,
            start,
            entries,
            read: RefCell::new(BTreeSet::new()),
        }
    }

    /// A mistake in this table as a whole.
    pub(super) fn problem(&self, problem: impl Into<String>) -> SchemeError {
        SchemeError {
            place: place(self.source, self.start, &self.path),
            problem: problem.into(),
        }
    }

    /// A mistake in the value of a key.
    pub(super) fn problem_at(&self, key: &str, problem: impl Into<String>) -> SchemeError {
        let start = self
            .peek(key)
            .map_or(self.start, |value| value.span().start);
        SchemeError {
            place: place(self.source, start, &self.path_of(key)),
            problem: problem.into(),
        }
    }

    /// Ends the reading: a key that nobody asked for is a mistake.
    pub(super) fn finish(self) -> Result<(), SchemeError> {
        let read = self.read.borrow();
        let mut left: Vec<_> = self
            .entries
            .keys()
            .filter(|key| !read.contains(key.get_ref().as_ref()))
            .collect();
        left.sort_by_key(|key| key.span().start);
        match left.first() {
            None => Ok(()),
            Some(key) => Err(SchemeError {
                place: place(self.source, key.span().start, &self.path_of(key.get_ref())),
                problem: "unknown key here".to_owned(),
            }),
        }
    }

    /// A text.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, SchemeError> {
        self.get(key)
            .map(|value| self.as_text(key, value).map(str::to_owned))
            .transpose()
    }

    /// A text that must be there.
    pub(super) fn required_text(&self, key: &str) -> Result<String, SchemeError> {
        self.text(key)?.ok_or_else(|| self.missing(key))
    }

    /// One text or a list of them; none when the key is not there.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>, SchemeError> {
        let Some(value) = self.get(key) else {
            return Ok(Vec::new());
        };
        let Some(list) = value.get_ref().as_array() else {
            return Ok(vec![self.as_text(key, value)?.to_owned()]);
        };
        if list.is_empty() {
            return Err(self.problem_at(key, "expected at least one text"));
        }
        list.iter()
            .map(|item| self.as_text(key, item).map(str::to_owned))
            .collect()
    }

    /// `true` or `false`; false when the key is not there.
    pub(super) fn flag(&self, key: &str) -> Result<bool, SchemeError> {
        match self.get(key).map(|value| value.get_ref().as_bool()) {
            None => Ok(false),
            Some(Some(flag)) => Ok(flag),
            Some(None) => Err(self.problem_at(key, "expected `true` or `false`")),
        }
    }

    /// A whole number from 0 to `largest`.
    pub(super) fn number(&self, key: &str, largest: u32) -> Result<Option<u32>, SchemeError> {
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
    pub(super) fn template(&self, key: &str) -> Result<Option<Template>, SchemeError> {
        self.text(key)?
            .map(|text| self.compile(key, &text))
            .transpose()
    }

    /// A template that must be there.
    pub(super) fn required_template(&self, key: &str) -> Result<Template, SchemeError> {
        self.template(key)?.ok_or_else(|| self.missing(key))
    }

    /// One template or a list of them.
    pub(super) fn templates(&self, key: &str) -> Result<Vec<Template>, SchemeError> {
        let texts = self.texts(key)?;
        texts.iter().map(|text| self.compile(key, text)).collect()
    }

    /// A pair of texts.
    pub(super) fn pair(&self, key: &str) -> Result<Option<(String, String)>, SchemeError> {
        match self.texts(key)?.as_slice() {
            [] => Ok(None),
            [first, second] => Ok(Some((first.clone(), second.clone()))),
            _ => Err(self.problem_at(key, "expected two texts")),
        }
    }

    /// A list of pairs of templates.
    pub(super) fn template_pairs(
        &self,
        key: &str,
    ) -> Result<Vec<(Template, Template)>, SchemeError> {
        let wrong = || self.problem_at(key, "expected a list of pairs of texts");
        let Some(value) = self.get(key) else {
            return Ok(Vec::new());
        };
        let mut pairs = Vec::new();
        for item in value.get_ref().as_array().ok_or_else(wrong)? {
            let [first, second] = item.get_ref().as_array().ok_or_else(wrong)?.as_ref() else {
                return Err(wrong());
            };
            pairs.push((
                self.compile(key, self.as_text(key, first)?)?,
                self.compile(key, self.as_text(key, second)?)?,
            ));
        }
        Ok(pairs)
    }

    /// A table.
    pub(super) fn table(&self, key: &str) -> Result<Option<Table<'t>>, SchemeError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        match value.get_ref().as_table() {
            Some(entries) => Ok(Some(self.inner(key, value.span().start, entries))),
            None => Err(self.problem_at(key, "expected a table")),
        }
    }

    /// A list of tables.
    pub(super) fn tables(&self, key: &str) -> Result<Vec<Table<'t>>, SchemeError> {
        let wrong = || self.problem_at(key, "expected a list of tables");
        let Some(value) = self.get(key) else {
            return Ok(Vec::new());
        };
        let list = value.get_ref().as_array().ok_or_else(wrong)?;
        list.iter()
            .map(|item| {
                let entries = item.get_ref().as_table().ok_or_else(wrong)?;
                Ok(self.inner(key, item.span().start, entries))
            })
            .collect()
    }

    /// The keys of a table whose keys are free, in the order of the file.
    pub(super) fn keys(&self) -> Vec<String> {
        let mut keys: Vec<_> = self.entries.keys().collect();
        keys.sort_by_key(|key| key.span().start);
        keys.iter().map(|key| key.get_ref().to_string()).collect()
    }

    /// The error for a key that is not there.
    pub(super) fn missing(&self, key: &str) -> SchemeError {
        self.problem(format!("the key `{key}` is missing"))
    }

    fn compile(&self, key: &str, text: &str) -> Result<Template, SchemeError> {
        Template::parse(text).map_err(|problem| self.problem_at(key, problem))
    }

    fn inner(&self, key: &str, start: usize, entries: &'t DeTable<'t>) -> Table<'t> {
        Table::new(self.source, self.path_of(key), start, entries)
    }

    fn path_of(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    fn as_text<'v>(
        &self,
        key: &str,
        value: &'v Spanned<DeValue<'_>>,
    ) -> Result<&'v str, SchemeError> {
        let text = value.get_ref().as_str();
        text.ok_or_else(|| self.problem_at(key, "expected a text"))
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

/// `line 3, `github.scheme.alg``
pub(super) fn place(source: &str, offset: usize, path: &str) -> String {
    let before = source.as_bytes().get(..offset).unwrap_or_default();
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    format!("line {line}, `{path}`")
}
