//! Which variables are known at a key of the configuration.

use std::collections::{BTreeMap, BTreeSet};

use bridgehead_sdk::nearest;

use super::engine;

/// The known members of a variable.
#[derive(Clone, Debug)]
pub(crate) enum Members {
    /// The members come from the target or from Iden and can have any name.
    Any,
    /// Exactly these members.
    Of(BTreeMap<String, Members>),
}

impl Members {
    /// These members, whose own members are unknown.
    pub(crate) fn of<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self::Of(names.into_iter().map(|name| (name.into(), Self::Any)).collect())
    }
}

/// The variables that a template or expression can use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope(BTreeMap<String, Members>);

impl Scope {
    /// Adds a variable with unknown members.
    pub(crate) fn any(mut self, name: &str) -> Self {
        self.0.insert(name.to_owned(), Members::Any);
        self
    }

    /// Adds a variable with known members.
    pub(crate) fn with(mut self, name: &str, members: Members) -> Self {
        self.0.insert(name.to_owned(), members);
        self
    }

    /// Checks paths such as `account.email`; the error names the unknown one and the nearest known name.
    pub(super) fn check(&self, uses: &BTreeSet<String>) -> Result<(), String> {
        let globals: BTreeSet<String> = engine::globals().collect();
        uses.iter().try_for_each(|path| {
            let mut names = path.split('.');
            let first = names.next().unwrap_or_default();
            let Some(mut members) = self.0.get(first) else {
                return if globals.contains(first) { Ok(()) } else { Err(unknown("", first, self.0.keys())) };
            };
            let mut known = first.to_owned();
            for name in names {
                let Members::Of(of) = members else { return Ok(()) };
                members = of.get(name).ok_or_else(|| unknown(&known, name, of.keys()))?;
                known = format!("{known}.{name}");
            }
            Ok(())
        })
    }
}

fn unknown<'a>(parent: &str, name: &str, known: impl Iterator<Item = &'a String> + Clone) -> String {
    let path = |name: &str| if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") };
    let known = known.map(String::as_str);
    let hint = match nearest(name, known.clone()) {
        Some(near) => format!("did you mean '{}'?", path(near)),
        None => match known.map(path).collect::<Vec<_>>() {
            none if none.is_empty() => "no variables are known here".to_owned(),
            all => format!("known variables are {}", all.join(", ")),
        },
    };
    format!("unknown variable '{}'; {hint}", path(name))
}
