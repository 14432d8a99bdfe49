//! The initial accounts. They are not stored: each is computed from a number and the seed.

use bridgehead_sdk::{AccountRecord, AccountStatus, EntityRecord, Ref};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::settings::Settings;

/// The slug of the only type of groups.
pub(crate) const TEAM: &str = "team";
/// The slug of the only type of licenses.
pub(crate) const SEAT: &str = "seat";
/// The slug of the accounts.
pub(crate) const ACCOUNT: &str = "account";

const FIRST_NAMES: [&str; 16] = [
    "Amberly",
    "Bodkin",
    "Cressida",
    "Dovren",
    "Elspira",
    "Fennick",
    "Grizela",
    "Hobart",
    "Isolen",
    "Jorvik",
    "Kestrella",
    "Lumen",
    "Mirabo",
    "Nettle",
    "Orsino",
    "Pipkin",
];

const LAST_NAMES: [&str; 16] = [
    "Applequist",
    "Brambleby",
    "Cloudsley",
    "Dunwhistle",
    "Emberlow",
    "Fogarthy",
    "Glimmerton",
    "Hollowick",
    "Inkwright",
    "Juniperson",
    "Kettlewood",
    "Lanternby",
    "Mosswell",
    "Nightingdale",
    "Oatfield",
    "Pebblestone",
];

/// The people of one seed.
#[derive(Clone, Debug)]
pub(crate) struct People {
    seed: u64,
    pub(crate) accounts: u64,
    pub(crate) groups: u64,
    pub(crate) licenses: u64,
}

impl People {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            seed: settings.seed,
            accounts: settings.accounts,
            groups: settings.groups,
            licenses: settings.licenses,
        }
    }

    /// The account with this number, below `accounts`.
    pub(crate) fn account(&self, number: u64) -> AccountRecord {
        let draw = |what: &str, of: u64| {
            // A buffer on the stack, large enough for the longest name and the number: this runs up to eight times for each account.
            let mut room = [0; 32];
            let length = what.len() + size_of::<u64>();
            let bytes = &mut room[..length];
            bytes[..what.len()].copy_from_slice(what.as_bytes());
            bytes[what.len()..].copy_from_slice(&number.to_le_bytes());
            xxh3_64_with_seed(bytes, self.seed) % of.max(1)
        };
        let pick = |what: &str, names: &[&'static str]| {
            let position = usize::try_from(draw(what, names.len() as u64)).unwrap_or(0);
            names.get(position).copied().unwrap_or("Nobody")
        };
        let (first, last) = (pick("first", &FIRST_NAMES), pick("last", &LAST_NAMES));
        let username = format!("{}.{}.{number}", first.to_lowercase(), last.to_lowercase());
        let mut record = AccountRecord::new(format!("u{number}"));
        record.email = Some(format!("{username}@example.org"));
        record.username = Some(username);
        record.first_name = Some(first.to_owned());
        record.last_name = Some(last.to_owned());
        record.display_name = Some(format!("{first} {last}"));
        if draw("status", 20) == 0 {
            record.status = AccountStatus::Suspended;
        }
        if self.groups > 0 {
            // One team for every account, and a second one for about every third.
            let mut teams = vec![draw("team", self.groups)];
            let second = draw("second team", self.groups);
            if draw("has a second team", 3) == 0 && !teams.contains(&second) {
                teams.push(second);
            }
            let refs = teams.into_iter().map(|team| Ref::new(group_id(team))).collect();
            record.memberships.0.insert(TEAM.into(), refs);
        }
        if self.licenses > 0 && draw("has a seat", 4) > 0 {
            let refs = vec![Ref::new(license_id(draw("seat", self.licenses)))];
            record.assignments.0.insert(SEAT.into(), refs);
        }
        record.extra.insert("employee_number".into(), Value::from(100_000 + number));
        record
    }

    /// The number of the only account that can have this identifier, if any.
    pub(crate) fn number_of_id(&self, id: &str) -> Option<u64> {
        self.number(id.strip_prefix('u')?)
    }

    /// The number of the only account that can have this user name or email address, if any.
    pub(crate) fn number_of_name(&self, name: &str) -> Option<u64> {
        let name = name.split_once('@').map_or(name, |(local, _)| local);
        self.number(name.rsplit_once('.')?.1)
    }

    pub(crate) fn group(number: u64) -> EntityRecord {
        EntityRecord::new(group_id(number), format!("Team {number}"))
    }

    pub(crate) fn license(number: u64) -> EntityRecord {
        EntityRecord::new(license_id(number), format!("Seat {number}"))
    }

    pub(crate) fn has_group(&self, id: &str) -> bool {
        numbered(id, "team-").is_some_and(|number| number < self.groups)
    }

    pub(crate) fn has_license(&self, id: &str) -> bool {
        numbered(id, "seat-").is_some_and(|number| number < self.licenses)
    }

    fn number(&self, digits: &str) -> Option<u64> {
        canonical(digits).filter(|number| *number < self.accounts)
    }
}

fn group_id(number: u64) -> String {
    format!("team-{number}")
}

fn license_id(number: u64) -> String {
    format!("seat-{number}")
}

fn numbered(id: &str, prefix: &str) -> Option<u64> {
    canonical(id.strip_prefix(prefix)?)
}

/// A number in canonical form: "07" and "+7" are different identifiers than "7".
fn canonical(digits: &str) -> Option<u64> {
    let number = digits.parse::<u64>().ok()?;
    (number.to_string() == digits).then_some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn people(seed: u64) -> People {
        People::new(&Settings { seed, accounts: 1_000_000, ..Settings::default() })
    }

    #[test]
    fn seed_determines_the_accounts() {
        let names = |seed| -> Vec<_> { (0..50).map(|n| people(seed).account(n).username.unwrap()).collect() };
        assert_eq!(names(1), names(1));
        assert_ne!(names(1), names(2));
    }

    #[test]
    fn similar_looking_identifiers_do_not_match() {
        let people = people(0);
        assert_eq!(people.number_of_id("u7"), Some(7));
        for id in ["u07", "u+7", "U7", "7", "u", "u1000000", "u99999999999999999999"] {
            assert_eq!(people.number_of_id(id), None, "{id}");
        }
        assert!(people.has_group("team-9") && !people.has_group("team-10") && !people.has_group("team-09"));
        assert!(people.has_license("seat-2") && !people.has_license("seat-3"));
    }

    #[test]
    fn accounts_have_no_references_without_groups_and_licenses() {
        let people = People::new(&Settings { groups: 0, licenses: 0, ..Settings::default() });
        let record = people.account(1);
        assert!(record.memberships.is_empty() && record.assignments.is_empty());
    }

    proptest! {
        #[test]
        fn every_account_is_found_by_each_name_with_valid_references(seed: u64, number in 0..1_000_000_u64) {
            let people = people(seed);
            let record = people.account(number);
            prop_assert_eq!(people.number_of_id(record.id.as_str()), Some(number));
            prop_assert_eq!(people.number_of_name(record.username.as_deref().unwrap()), Some(number));
            prop_assert_eq!(people.number_of_name(record.email.as_deref().unwrap()), Some(number));
            prop_assert!(record.memberships.of(TEAM).iter().all(|one| people.has_group(&one.id)));
            prop_assert!(record.assignments.of(SEAT).iter().all(|one| people.has_license(&one.id)));
        }
    }
}
