//! The known secrets, and the search for them.
//!
//! All forms of all secrets are found in one pass over a text: the first four bytes of each are hashed into an index. Secrets that no
//! protection holds any longer are kept only as digests, which recognize a secret but do not reveal it.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

use zeroize::{Zeroize, Zeroizing};

use super::forms::{Form, forms};
use super::{LINGER, SHORTEST};

/// A truncated secret is recognized from this number of bytes, if an ellipsis follows…
const CUT: usize = 8;

/// … and otherwise from this number, and at least half of the secret. A lower limit would hide user names that a password starts with.
const PART: usize = 16;

#[derive(Default)]
pub(super) struct Known {
    keys: RandomState,
    /// The forms, by the hash of their first bytes.
    index: HashMap<u16, Vec<Needle>>,
    /// A bit for each key of the index; empty while no secret is known.
    filter: Vec<u64>,
    secrets: HashMap<u64, Secret>,
    /// Secrets that no protection holds any longer, oldest first.
    lingering: VecDeque<u64>,
}

struct Secret {
    holders: usize,
    /// Where its forms are in the index.
    places: Vec<u16>,
}

/// One form of one secret.
struct Needle {
    secret: u64,
    /// Empty when only the digests are kept.
    text: Zeroizing<Vec<u8>>,
    length: usize,
    digest: u64,
    /// Length and digest of the part that is enough to recognize a truncated form; `None` if the form is not longer
    /// than it.
    part: Option<(usize, u64)>,
    spills: (bool, bool),
}

impl Known {
    pub(super) fn len(&self) -> usize {
        self.secrets.len()
    }

    #[cfg(test)]
    pub(super) fn holds_no_text(&self) -> bool {
        self.index.values().flatten().all(|needle| needle.text.is_empty())
    }

    /// Adds a holder of a secret, which is searched for from now on. `None` if it is too short to be searched for.
    pub(super) fn hold(&mut self, secret: &str) -> Option<u64> {
        if secret.len() < SHORTEST {
            return None;
        }
        let id = self.keys.hash_one(secret.as_bytes());
        match self.secrets.get_mut(&id) {
            Some(known) if known.holders > 0 => known.holders += 1,
            known => {
                if known.is_some() {
                    self.lingering.retain(|lingering| *lingering != id);
                    self.forget(id);
                }
                let places = forms(secret).into_iter().filter_map(|form| self.insert(id, form)).collect();
                self.secrets.insert(id, Secret { holders: 1, places });
            }
        }
        Some(id)
    }

    /// Removes a holder of a secret. A secret without holders is still searched for, as digests, until enough other
    /// secrets have followed.
    pub(super) fn release(&mut self, id: u64) {
        let Some(secret) = self.secrets.get_mut(&id) else { return };
        secret.holders = secret.holders.saturating_sub(1);
        if secret.holders > 0 {
            return;
        }
        for place in &secret.places {
            for needle in self.index.get_mut(place).into_iter().flatten().filter(|needle| needle.secret == id)
            {
                needle.text.zeroize();
            }
        }
        self.lingering.push_back(id);
        while self.lingering.len() > LINGER {
            if let Some(oldest) = self.lingering.pop_front() {
                self.forget(oldest);
            }
        }
    }

    fn insert(&mut self, id: u64, form: Form) -> Option<u16> {
        let place = place(&form.text)?;
        let length = form.text.len();
        let part = PART.max(length.div_ceil(2));
        let needle = Needle {
            secret: id,
            length,
            digest: self.keys.hash_one(form.text.as_slice()),
            part: form
                .text
                .get(..part)
                .filter(|_| part < length)
                .map(|text| (part, self.keys.hash_one(text))),
            spills: form.spills,
            text: form.text,
        };
        self.index.entry(place).or_default().push(needle);
        if self.filter.is_empty() {
            self.filter.resize(1 << 10, 0);
        }
        if let Some(word) = self.filter.get_mut(usize::from(place >> 6)) {
            *word |= 1 << (place & 63);
        }
        Some(place)
    }

    fn forget(&mut self, id: u64) {
        for place in self.secrets.remove(&id).into_iter().flat_map(|secret| secret.places) {
            let Some(needles) = self.index.get_mut(&place) else { continue };
            needles.retain(|needle| needle.secret != id);
            if needles.is_empty() {
                self.index.remove(&place);
                if let Some(word) = self.filter.get_mut(usize::from(place >> 6)) {
                    *word &= !(1 << (place & 63));
                }
            }
        }
    }

    /// Calls `each` with the start and end of every secret in the text.
    pub(super) fn find(&self, text: &[u8], mut each: impl FnMut(usize, usize)) {
        if self.filter.is_empty() {
            return;
        }
        for (start, window) in text.windows(SHORTEST).enumerate() {
            let Some(place) = place(window) else { continue };
            let is_known =
                self.filter.get(usize::from(place >> 6)).is_some_and(|word| word >> (place & 63) & 1 == 1);
            if !is_known {
                continue;
            }
            let Some(rest) = text.get(start..) else { continue };
            for needle in self.index.get(&place).into_iter().flatten() {
                if let Some(length) = needle.reach(rest, &self.keys)
                    // A text that consists only of the beginning of a secret is something else, such as a user name.
                    && (length == needle.length || length < text.len())
                {
                    let (start, end) = needle.spread(text, start, start + length);
                    each(start, end);
                }
            }
        }
    }
}

impl Needle {
    /// How many bytes of the secret the text starts with, if they are enough to recognize it.
    fn reach(&self, rest: &[u8], keys: &RandomState) -> Option<usize> {
        if !self.text.is_empty() {
            let common = self.text.iter().zip(rest).take_while(|(one, other)| one == other).count();
            let is_part = self.part.is_some_and(|(part, _)| common >= part);
            let is_cut = || common >= CUT && rest.get(common..).is_some_and(is_ellipsis);
            return (common == self.length || is_part || is_cut()).then_some(common);
        }
        let is_at = |(length, digest): (usize, u64)| {
            rest.get(..length).is_some_and(|text| keys.hash_one(text) == digest)
        };
        if is_at((self.length, self.digest)) {
            return Some(self.length);
        }
        let (part, _) = self.part.filter(|part| is_at(*part))?;
        // A digest does not show how far the match extends, so it extends to the end of the word.
        let more =
            rest.get(part..).into_iter().flatten().take_while(|byte| !b" \t\r\n\"'<>,;\\".contains(byte));
        Some(part + more.take(self.length - part).count())
    }

    /// The match, extended by the surrounding characters that contain bits of the secret.
    fn spread(&self, text: &[u8], mut start: usize, mut end: usize) -> (usize, usize) {
        let is_base64 = |at: usize| {
            text.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte))
        };
        if self.spills.0 && start.checked_sub(1).is_some_and(is_base64) {
            start -= 1;
        }
        if self.spills.1 && is_base64(end) {
            end += 1;
        }
        while self.spills.1 && text.get(end) == Some(&b'=') {
            end += 1;
        }
        (start, end)
    }
}

fn is_ellipsis(rest: &[u8]) -> bool {
    rest.starts_with("…".as_bytes()) || rest.starts_with(b"...")
}

/// The hash of the first bytes of a text.
fn place(text: &[u8]) -> Option<u16> {
    let first = u32::from_le_bytes(*text.first_chunk::<SHORTEST>()?);
    u16::try_from(first.wrapping_mul(0x9e37_79b1) >> 16).ok()
}
