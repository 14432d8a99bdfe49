//! Reading a table of the tree key by key, reporting what does not fit and going on.

use super::error::{Problems, Reported};
use super::origin::Origin;
use super::tree::{Entry, Node, join};

/// A table of the configuration.
pub(super) struct Section<'a> {
    /// `None` if something else stands there, which is reported already.
    node: Option<&'a Node>,
    /// Where errors about missing keys point to.
    origin: Origin,
    pub(super) path: String,
    problems: &'a Problems,
}

impl<'a> Section<'a> {
    pub(super) fn root(node: &'a Node, problems: &'a Problems) -> Self {
        Self::new(node, node.origin.clone(), String::new(), problems)
    }

    pub(super) fn new(node: &'a Node, origin: Origin, path: String, problems: &'a Problems) -> Self {
        let table = node.as_table().is_some();
        if !table {
            problems.report(
                &node.origin,
                path.as_str(),
                format!("must be a table, as under a line [{path}]"),
            );
        }
        Self { node: table.then_some(node), origin, path, problems }
    }

    /// The table below a key. The defaults put one wherever there can be one, so that a missing one means that what is
    /// around it is no table, which is reported already.
    pub(super) fn section(&self, name: &str) -> Section<'a> {
        self.optional_section(name).unwrap_or_else(|| Section {
            node: None,
            origin: self.origin.clone(),
            path: join(&self.path, name),
            problems: self.problems,
        })
    }

    pub(super) fn optional_section(&self, name: &str) -> Option<Section<'a>> {
        let node = self.node(name)?;
        // A default's place is nowhere; the table around it is where the operator has to look.
        let origin = match &node.origin {
            Origin::Default => self.origin.clone(),
            origin => origin.clone(),
        };
        Some(Section::new(node, origin, join(&self.path, name), self.problems))
    }

    /// The value below a key as it stands.
    pub(super) fn node(&self, name: &str) -> Option<&'a Node> {
        self.node?.get(name)
    }

    /// Everything in the table.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a String, &'a Entry)> + use<'a> {
        self.node.and_then(Node::as_table).into_iter().flatten()
    }

    pub(super) fn key(&self, name: &str) -> String {
        join(&self.path, name)
    }

    /// Reads the value of a key that has a default.
    pub(super) fn get<T>(
        &self,
        name: &str,
        read: impl FnOnce(&'a Node) -> Result<T, String>,
    ) -> Result<T, Reported> {
        self.required(name, "", read)
    }

    /// Reads the value of a key that has to be there; `advice` says what to write if it is not.
    pub(super) fn required<T>(
        &self,
        name: &str,
        advice: &str,
        read: impl FnOnce(&'a Node) -> Result<T, String>,
    ) -> Result<T, Reported> {
        match self.optional(name, read)? {
            Some(value) => Ok(value),
            None => Err(self.report(name, format!("missing; {advice}"))),
        }
    }

    /// Reads the value of a key that may be missing.
    pub(super) fn optional<T>(
        &self,
        name: &str,
        read: impl FnOnce(&'a Node) -> Result<T, String>,
    ) -> Result<Option<T>, Reported> {
        let table = self.node.ok_or(Reported)?;
        match table.get(name) {
            None => Ok(None),
            Some(node) => match read(node) {
                Ok(value) => Ok(Some(value)),
                Err(problem) => Err(self.problems.report(&node.origin, self.key(name), problem)),
            },
        }
    }

    /// Reads a list; the error names the item.
    pub(super) fn list<T>(
        &self,
        name: &str,
        expected: &str,
        mut read: impl FnMut(&Node) -> Result<T, String>,
    ) -> Result<Option<Vec<T>>, Reported> {
        let items = self.optional(name, |node| super::values::items(node, expected))?;
        let Some(items) = items else {
            return Ok(None);
        };
        let mut values = Ok(Vec::new());
        for (index, item) in items.iter().enumerate() {
            match (read(item), &mut values) {
                (Ok(value), Ok(values)) => values.push(value),
                (Ok(_), Err(_)) => {}
                (Err(problem), _) => {
                    let key = format!("{}[{index}]", self.key(name));
                    values = Err(self.problems.report(&item.origin, key, problem));
                }
            }
        }
        values.map(Some)
    }

    /// Reports a problem of a key, at its place if it has one, else at that of the table.
    pub(super) fn report(&self, name: &str, problem: impl Into<String>) -> Reported {
        let at = match self.node(name).map(|node| &node.origin) {
            None | Some(Origin::Default) => &self.origin,
            Some(origin) => origin,
        };
        self.problems.report(at, self.key(name), problem)
    }
}
