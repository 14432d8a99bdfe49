//! `dse.ldif`, the configuration of 389 Directory Server, created from the template in its package.

/// The file's entries.
pub(crate) struct Dse {
    entries: Vec<Vec<String>>,
}

impl Dse {
    /// Parses the template, in which `%name%` is a placeholder.
    pub(crate) fn new(template: &str) -> Self {
        let mut entries = vec![Vec::new()];
        for line in template.lines().filter(|line| !line.starts_with('#')) {
            match entries.last_mut() {
                Some(entry) if !line.is_empty() => entry.push(line.to_owned()),
                _ => entries.push(Vec::new()),
            }
        }
        // The server interprets two empty lines as an entry without a name, and exits without a message.
        entries.retain(|entry| !entry.is_empty());
        Self { entries }
    }

    /// Replaces `%name%` with a value.
    pub(crate) fn fill(&mut self, name: &str, value: &str) {
        let name = format!("%{name}%");
        self.entries.iter_mut().flatten().for_each(|line| *line = line.replace(&name, value));
    }

    /// Sets an attribute to a single value.
    pub(crate) fn set(&mut self, dn: &str, attribute: &str, value: &str) {
        self.remove(dn, attribute);
        self.add(dn, attribute, value);
    }

    /// Adds a value to an attribute.
    pub(crate) fn add(&mut self, dn: &str, attribute: &str, value: &str) {
        self.find(dn).push(format!("{attribute}: {value}"));
    }

    /// Removes all values of an attribute.
    pub(crate) fn remove(&mut self, dn: &str, attribute: &str) {
        let is_it =
            |line: &str| line.split(':').next().is_some_and(|name| name.eq_ignore_ascii_case(attribute));
        self.find(dn).retain(|line| !is_it(line));
    }

    /// Adds an entry.
    pub(crate) fn entry(&mut self, dn: &str, classes: &[&str], attributes: &[(&str, &str)]) {
        let mut entry = vec![format!("dn: {dn}"), "objectClass: top".to_owned()];
        entry.extend(classes.iter().map(|class| format!("objectClass: {class}")));
        entry.extend(attributes.iter().map(|(attribute, value)| format!("{attribute}: {value}")));
        self.entries.push(entry);
    }

    /// The content of the file.
    pub(crate) fn text(&self) -> String {
        self.entries.iter().map(|entry| entry.join("\n")).collect::<Vec<_>>().join("\n\n") + "\n"
    }

    fn find(&mut self, dn: &str) -> &mut Vec<String> {
        let first = format!("dn: {dn}");
        let found = self.entries.iter_mut().find(|entry| entry.first() == Some(&first));
        found.unwrap_or_else(|| panic!("the template of this version of 389-ds-base has no {dn}"))
    }
}
