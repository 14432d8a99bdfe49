//! An operator's approval of a sync's removals: exactly what was shown, and no more. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use bridgehead_store::{LossKind, Shown};

/// The number of digest bits that are shown: twelve digits can be typed.
const BITS: u64 = (1 << 48) - 1;
/// The prefix of a digest, which distinguishes it from a number.
const PREFIX: &str = "r-";

/// A digest of exactly what a sync would remove, such as `r-3f9a2c7d41e0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest(u64);

impl Digest {
    pub(super) fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{:012x}", self.0)
    }
}

/// The string is not a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a digest as printed by a dry run, such as r-3f9a2c7d41e0")]
pub struct NoDigest;

impl FromStr for Digest {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let digits = text.strip_prefix(PREFIX).filter(|digits| digits.len() == 12).ok_or(NoDigest)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(NoDigest);
        }
        u64::from_str_radix(digits, 16).map(Self).map_err(|_| NoDigest)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = NoDigest;

    fn try_from(text: String) -> Result<Self, NoDigest> {
        text.parse()
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The removals that the operator approves for one sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// Whatever the app's last dry run or held sync showed.
    Shown,
    /// At most this many losses: records removed, accounts deactivated and accounts that lose memberships, of all types together. Does not
    /// cover losses that cannot be counted.
    AtMost(u64),
    /// Exactly the removals with this digest.
    Exactly(Digest),
}

impl fmt::Display for Consent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shown => f.write_str("as last shown"),
            Self::AtMost(most) => write!(f, "at most {most}"),
            Self::Exactly(digest) => write!(f, "exactly {digest}"),
        }
    }
}

/// The removals of one sync that need approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) digest: Digest,
    pub(super) losses: u64,
    /// Whether there may be uncounted losses: because of a lost state, or a listing that is not proven to be complete.
    pub(super) is_uncounted: bool,
}

impl Consent {
    /// Whether the approval covers the request; `shown` is what the operator had seen before this sync.
    pub(super) fn covers(self, asked: Asked, shown: Option<Shown>) -> bool {
        match self {
            Self::Shown => shown.is_some_and(|shown| shown.digest == asked.digest.0),
            Self::AtMost(most) => !asked.is_uncounted && asked.losses <= most,
            Self::Exactly(digest) => digest == asked.digest,
        }
    }
}

/// Computes a digest.
#[derive(Clone, Default)]
pub(super) struct Digester(Xxh3);

impl Digester {
    /// Adds a lost record.
    pub(super) fn lost(&mut self, slug: &str, kind: LossKind, id: &str, refs: u32) {
        self.part(slug);
        self.part(kind.as_str());
        self.part(id);
        self.0.update(&refs.to_le_bytes());
    }

    /// Adds other data that the operator sees.
    pub(super) fn part(&mut self, text: &str) {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    pub(super) fn digest(&self) -> Digest {
        Digest(self.0.digest() & BITS)
    }
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Digester").field(&self.digest()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(of: &[(&str, LossKind, &str, u32)]) -> Digest {
        let mut digester = Digester::default();
        for (slug, kind, id, refs) in of {
            digester.lost(slug, *kind, id, *refs);
        }
        digester.digest()
    }

    #[test]
    fn digest_identifies_the_exact_losses() {
        let one = ("account", LossKind::Removed, "a", 0);
        let all = [
            digest(&[]),
            digest(&[one]),
            digest(&[one, ("account", LossKind::Removed, "b", 0)]),
            digest(&[("account", LossKind::Deactivated, "a", 0)]),
            digest(&[("team", LossKind::Removed, "a", 0)]),
            digest(&[("account", LossKind::Memberships, "a", 1)]),
            digest(&[("account", LossKind::Memberships, "a", 2)]),
        ];
        let distinct: std::collections::HashSet<Digest> = all.into_iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(digest(&[one]), digest(&[one]));
    }

    #[test]
    fn digest_round_trips_and_rejects_numbers_and_names() {
        let digest = digest(&[]);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(digest.to_string().len(), 14);
        for text in ["30", "hr", "r-", "r-3f9a", "r-3f9a2c7d41e0f", "3f9a2c7d41e0", "r-+f9a2c7d41e0"] {
            assert_eq!(text.parse::<Digest>(), Err(NoDigest), "{text}");
        }
    }

    #[test]
    fn consent_covers_only_the_shown_losses() {
        let asked = |losses, is_uncounted| Asked { digest: Digest(7), losses, is_uncounted };
        let shown = |digest| Some(Shown { digest, losses: 30 });
        let table = [
            (Consent::Shown, asked(30, false), shown(7), true),
            (Consent::Shown, asked(30, true), shown(7), true),
            (Consent::Shown, asked(30, false), shown(8), false),
            (Consent::Shown, asked(30, false), None, false),
            (Consent::AtMost(30), asked(30, false), None, true),
            (Consent::AtMost(30), asked(31, false), None, false),
            (Consent::AtMost(30), asked(0, true), None, false),
            (Consent::Exactly(Digest(7)), asked(200, true), None, true),
            (Consent::Exactly(Digest(8)), asked(1, false), shown(7), false),
        ];
        for (consent, asked, shown, covered) in table {
            assert_eq!(consent.covers(asked, shown), covered, "{consent:?} {asked:?} {shown:?}");
        }
    }
}
