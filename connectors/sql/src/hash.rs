//! Hashes passwords in the formats that applications store, so that the password itself reaches neither the server nor its log.
//!
//! Each format is that of the reference implementation, so that applications can verify it.

use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU32, NonZeroUsize};

use argon2::{Algorithm, Argon2, Version};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::{digest, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use bridgehead_sdk::SettingsError;
use secrecy::{ExposeSecret as _, SecretString};
use sha_crypt::{PasswordHasher as _, ShaCrypt};
use tokio::sync::Semaphore;
use yescrypt::Yescrypt;

use crate::scram;
use crate::settings::HashSettings;

const SALT_LENGTH: usize = 16;

/// The maximum memory for one hash, in KiB.
const MOST_MEMORY_KIB: u32 = 1_048_576;

/// A password hash format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scheme {
    /// PostgreSQL's own.
    ScramSha256,
    /// `$argon2id$v=19$m=…,t=…,p=…$…$…`
    Argon2id,
    /// `$2b$12$…`
    Bcrypt,
    /// Django's: `pbkdf2_sha256$1000000$…$…`
    Pbkdf2Sha256,
    /// `$scrypt$ln=…,r=…,p=…$…$…`
    Scrypt,
    /// `$6$rounds=…$…$…`
    Sha512Crypt,
    /// `$y$…$…$…`
    Yescrypt,
    /// The format of directories: `{SSHA}…`
    Ssha,
}

/// Why hashing failed. Never contains the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoHash {
    /// The operating system returns no random bytes. The only remedy is to retry.
    #[error("the operating system provides no random bytes for the salt of a password")]
    NoRandomBytes,
    /// bcrypt uses at most 72 bytes, and silently ignores the rest. The password must be shorter.
    #[error("the password is longer than the 72 bytes that bcrypt supports; a longer one would be truncated")]
    TooLong,
    /// C implementations end a password at a NUL character. The password must be changed.
    #[error("the password contains a NUL character, where other programs would end it")]
    Nul,
    /// The costs are inconsistent. The operator corrects them.
    #[error("the password cannot be hashed with the costs in target.hashes")]
    Costs,
}

/// Computes hashes with the configured costs.
#[derive(Clone, Debug)]
pub(crate) struct Hasher {
    costs: HashSettings,
}

impl Hasher {
    /// Checks the costs.
    pub(crate) fn new(costs: &HashSettings) -> Result<Self, SettingsError> {
        let within = |key: &str, value: u32, least: u32, most: u32| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(SettingsError::new(format!("hashes.{key}"), format!("must be from {least} to {most}")))
        };
        within("argon2id.iterations", costs.argon2id.iterations, 1, 100)?;
        within("argon2id.parallelism", costs.argon2id.parallelism, 1, 16)?;
        // The minimum is eight blocks per lane.
        within(
            "argon2id.memory_kib",
            costs.argon2id.memory_kib,
            8 * costs.argon2id.parallelism,
            MOST_MEMORY_KIB,
        )?;
        within("bcrypt.cost", costs.bcrypt.cost, 4, 20)?;
        within("pbkdf2_sha256.iterations", costs.pbkdf2_sha256.iterations, 1000, 10_000_000)?;
        within("scrypt.log_n", costs.scrypt.log_n.into(), 1, 20)?;
        within("scrypt.r", costs.scrypt.r, 1, 32)?;
        within("scrypt.p", costs.scrypt.p, 1, 16)?;
        within("sha512_crypt.rounds", costs.sha512_crypt.rounds, 1000, 10_000_000)?;
        within("yescrypt.log_n", costs.yescrypt.log_n.into(), 10, 18)?;
        within("yescrypt.r", costs.yescrypt.r, 8, 32)?;
        let hasher = Self { costs: costs.clone() };
        if hasher.memory_kib(Scheme::Scrypt) > MOST_MEMORY_KIB {
            let message = "requires more than 1 GiB for one hash (128 * r * 2^log_n bytes); lower it, or r";
            return Err(SettingsError::new("hashes.scrypt.log_n", message));
        }
        Ok(hasher)
    }

    /// The hash of a password with a new salt. This is intentionally slow: do not call it on an asynchronous thread.
    pub(crate) fn hash(&self, scheme: Scheme, password: &str) -> Result<String, NoHash> {
        let mut salt = [0; SALT_LENGTH];
        SystemRandom::new().fill(&mut salt).map_err(|_| NoHash::NoRandomBytes)?;
        self.hash_with(scheme, password, salt)
    }

    /// The memory for one hash, in KiB.
    fn memory_kib(&self, scheme: Scheme) -> u32 {
        let costs = &self.costs;
        let blocks = |log_n: u8, r: u32| (r << log_n) / 8;
        match scheme {
            Scheme::Argon2id => costs.argon2id.memory_kib,
            Scheme::Scrypt => blocks(costs.scrypt.log_n, costs.scrypt.r),
            Scheme::Yescrypt => blocks(costs.yescrypt.log_n, costs.yescrypt.r),
            _ => 0,
        }
    }

    fn hash_with(&self, scheme: Scheme, password: &str, salt: [u8; SALT_LENGTH]) -> Result<String, NoHash> {
        let ends_at_nul = matches!(scheme, Scheme::Bcrypt | Scheme::Sha512Crypt | Scheme::Yescrypt);
        if ends_at_nul && password.contains('\0') {
            return Err(NoHash::Nul);
        }
        let costs = &self.costs;
        let bytes = password.as_bytes();
        match scheme {
            Scheme::ScramSha256 => Ok(scram::verifier(password, &salt)),
            Scheme::Argon2id => {
                let costs = &costs.argon2id;
                let (memory, passes, lanes) = (costs.memory_kib, costs.iterations, costs.parallelism);
                let parameters =
                    argon2::Params::new(memory, passes, lanes, Some(32)).map_err(|_| NoHash::Costs)?;
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
                let mut key = [0; 32];
                argon2.hash_password_into(bytes, &salt, &mut key).map_err(|_| NoHash::Costs)?;
                let (salt, key) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(key));
                Ok(format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${key}"))
            }
            Scheme::Bcrypt => {
                // The reference implementation counts the terminating NUL as one of the 72.
                if bytes.len() > 71 {
                    return Err(NoHash::TooLong);
                }
                let hash = bcrypt::non_truncating_hash_with_salt(bytes, costs.bcrypt.cost, salt);
                Ok(hash.map_err(|_| NoHash::Costs)?.format_for_version(bcrypt::Version::TwoB))
            }
            Scheme::Pbkdf2Sha256 => {
                let iterations = costs.pbkdf2_sha256.iterations;
                let salt = salt.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
                let mut key = [0; digest::SHA256_OUTPUT_LEN];
                let count = NonZeroU32::new(iterations).ok_or(NoHash::Costs)?;
                pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, count, salt.as_bytes(), bytes, &mut key);
                Ok(format!("pbkdf2_sha256${iterations}${salt}${}", STANDARD.encode(key)))
            }
            Scheme::Scrypt => {
                let costs = &costs.scrypt;
                let (log_n, r, p) = (costs.log_n, costs.r, costs.p);
                let parameters = scrypt::Params::new(log_n, r, p).map_err(|_| NoHash::Costs)?;
                let mut key = [0; 32];
                scrypt::scrypt(bytes, &salt, &parameters, &mut key).map_err(|_| NoHash::Costs)?;
                let (salt, key) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(key));
                Ok(format!("$scrypt$ln={log_n},r={r},p={p}${salt}${key}"))
            }
            Scheme::Sha512Crypt => {
                let rounds = sha_crypt::Params::new(costs.sha512_crypt.rounds).map_err(|_| NoHash::Costs)?;
                let hasher = ShaCrypt::new(sha_crypt::Algorithm::Sha512Crypt, rounds);
                // Twelve bytes are sixteen characters, the maximum length of the salt.
                let hash = hasher.hash_password_with_salt(bytes, &salt[..12]);
                hash.map(|hash| hash.as_str().to_owned()).map_err(|_| NoHash::Costs)
            }
            Scheme::Yescrypt => {
                let costs = &costs.yescrypt;
                let parameters =
                    yescrypt::Params::new(yescrypt::Mode::default(), 1 << costs.log_n, costs.r, 1)
                        .map_err(|_| NoHash::Costs)?;
                let hash = Yescrypt::from(parameters).hash_password_with_salt(bytes, &salt);
                hash.map(|hash| hash.as_str().to_owned()).map_err(|_| NoHash::Costs)
            }
            Scheme::Ssha => {
                let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
                context.update(bytes);
                context.update(&salt);
                let key = context.finish();
                Ok(format!("{{SSHA}}{}", STANDARD.encode([key.as_ref(), &salt].concat())))
            }
        }
    }
}

/// Creates hashes on separate threads, with limits so that neither the processors nor the memory are exhausted, however
/// many tasks and apps there are.
pub(crate) async fn in_turn(
    hasher: &Hasher,
    password: SecretString,
    schemes: BTreeSet<Scheme>,
) -> Result<BTreeMap<Scheme, SecretString>, NoHash> {
    let mut made = BTreeMap::new();
    for scheme in schemes {
        // The semaphore is never closed.
        let _turn = TURNS.acquire_many(turns(hasher.memory_kib(scheme))).await;
        let (hasher, password) = (hasher.clone(), password.clone());
        let task = tokio::task::spawn_blocking(move || hasher.hash(scheme, password.expose_secret()));
        let hash = task.await.unwrap_or(Err(NoHash::Costs))?;
        made.insert(scheme, SecretString::from(hash));
    }
    Ok(made)
}

/// The total memory of concurrent hashes, in KiB. A hash that needs more runs alone.
const MEMORY_KIB: u32 = 256 * 1024;

static TURNS: Semaphore = Semaphore::const_new(MEMORY_KIB as usize);

/// The share of it for one hash: at least that of one processor.
fn turns(memory_kib: u32) -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let share = MEMORY_KIB / u32::try_from(processors).unwrap_or(u32::MAX).clamp(1, 64);
    memory_kib.clamp(share, MEMORY_KIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Scheme; 8] = [
        Scheme::ScramSha256,
        Scheme::Argon2id,
        Scheme::Bcrypt,
        Scheme::Pbkdf2Sha256,
        Scheme::Scrypt,
        Scheme::Sha512Crypt,
        Scheme::Yescrypt,
        Scheme::Ssha,
    ];

    /// With the lowest costs.
    fn cheap() -> Hasher {
        let costs = serde_json::json!({
            "argon2id": { "memory_kib": 64, "iterations": 1 }, "bcrypt": { "cost": 4 },
            "pbkdf2_sha256": { "iterations": 1000 }, "scrypt": { "log_n": 4 },
            "sha512_crypt": { "rounds": 1000 }, "yescrypt": { "log_n": 10, "r": 8 },
        });
        Hasher::new(&serde_json::from_value(costs).unwrap()).unwrap()
    }

    #[test]
    fn each_hash_has_a_unique_salt_and_hides_the_password() {
        for scheme in ALL {
            let (one, other) =
                (cheap().hash(scheme, "pencil").unwrap(), cheap().hash(scheme, "pencil").unwrap());
            assert_ne!(one, other, "{scheme:?}");
            assert!(!one.contains("pencil"), "{scheme:?}");
        }
    }

    /// Each hash was created by another implementation with the same password, salt and costs: the reference `argon2` (Debian's package),
    /// Python's `hashlib` (OpenSSL) for scrypt, Django's PBKDF2 and SHA-1, and libxcrypt for the `crypt` formats.
    #[test]
    fn hashes_match_other_implementations() {
        let costs = serde_json::json!({
            "argon2id": { "memory_kib": 256, "iterations": 2, "parallelism": 2 }, "bcrypt": { "cost": 4 },
            "pbkdf2_sha256": { "iterations": 1000 }, "scrypt": { "log_n": 4, "r": 8, "p": 2 },
            "sha512_crypt": { "rounds": 1000 }, "yescrypt": { "log_n": 10, "r": 8 },
        });
        let hasher = Hasher::new(&serde_json::from_value(costs).unwrap()).unwrap();
        let theirs = [
            (
                Scheme::Argon2id,
                "$argon2id$v=19$m=256,t=2,p=2$MDEyMzQ1Njc4OWFiY2RlZg$PWByLnMy/LLBcULVco2FnNlRlngRizi9CYZRxWtKRcs",
            ),
            (Scheme::Bcrypt, "$2b$04$KBCwKxOzLha2MUDgW0PjXeZY2oxS56QK7VOuP3nIEbaJJgBCangBm"),
            (
                Scheme::Pbkdf2Sha256,
                "pbkdf2_sha256$1000$30313233343536373839616263646566$r/hL17r/9wPICsFuNR2t/0P7cjciBqcpksCUvg2n/QQ=",
            ),
            (
                Scheme::Scrypt,
                "$scrypt$ln=4,r=8,p=2$MDEyMzQ1Njc4OWFiY2RlZg$W+VYS/Q+nfnceL8skY0YAVhd2EyToG4igmrNF37GJwM",
            ),
            (
                Scheme::Sha512Crypt,
                "$6$rounds=1000$k2XAnEHBqQ1Ct2aM$ipUzuX8ibE6OMrDiVkDR4g9PLJWB7UYHprncqWtLohJEVXCfikcX55dg8SPBqwW2p7FzC7r0FoXNbCdFDaLFx0",
            ),
            (Scheme::Yescrypt, "$y$j75$k2XAnEHBqQ1Ct2aMXFKNa/$UR5D1XKjEk79m1tOOFrEKshPZo4NhO.jRDL4CeN/hY7"),
            (Scheme::Ssha, "{SSHA}olZxX4jh2sEiz0HIon6aKlXn+cUwMTIzNDU2Nzg5YWJjZGVm"),
        ];
        for (scheme, theirs) in theirs {
            assert_eq!(
                hasher.hash_with(scheme, "pencil é", *b"0123456789abcdef").unwrap(),
                theirs,
                "{scheme:?}"
            );
        }
    }

    /// Low costs except for the memory.
    #[tokio::test(flavor = "multi_thread")]
    async fn concurrent_hashing_memory_is_bounded() {
        let peak = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<u32>().unwrap()
        };
        let costs = serde_json::json!({ "argon2id": { "memory_kib": 28 * 1024, "iterations": 1 } });
        let hasher = Hasher::new(&serde_json::from_value(costs).unwrap()).unwrap();
        let before = peak();
        let tasks = (0..12).map(|_| {
            let hasher = hasher.clone();
            tokio::spawn(async move {
                in_turn(&hasher, SecretString::from("pencil"), BTreeSet::from([Scheme::Argon2id])).await
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap().unwrap();
        }
        let taken = peak() - before;
        assert!(taken < MEMORY_KIB + 32 * 1024, "{taken} KiB, where all at once take 336 MiB");
    }

    #[test]
    fn memory_permits_never_exceed_the_total() {
        // Waiting for more than the total would never end.
        assert_eq!(turns(MOST_MEMORY_KIB), MEMORY_KIB);
        assert!(turns(0) > 0 && turns(0) <= MEMORY_KIB);
        assert_eq!(turns(MEMORY_KIB - 1), MEMORY_KIB - 1);
    }

    #[test]
    fn password_that_would_be_truncated_is_refused() {
        assert_eq!(cheap().hash(Scheme::Bcrypt, &"é".repeat(36)), Err(NoHash::TooLong));
        assert!(cheap().hash(Scheme::Bcrypt, &"x".repeat(71)).is_ok());
        for scheme in [Scheme::Bcrypt, Scheme::Sha512Crypt, Scheme::Yescrypt] {
            assert_eq!(cheap().hash(scheme, "a\0b"), Err(NoHash::Nul));
        }
    }

    #[test]
    fn out_of_range_hash_costs_are_named() {
        let fault = |costs: serde_json::Value| {
            let costs = serde_json::from_value(costs).unwrap();
            Hasher::new(&costs).unwrap_err().to_string()
        };
        assert!(fault(serde_json::json!({ "bcrypt": { "cost": 31 } })).starts_with("hashes.bcrypt.cost"));
        assert!(
            fault(serde_json::json!({ "argon2id": { "parallelism": 16, "memory_kib": 64 } }))
                .starts_with("hashes.argon2id.memory_kib")
        );
        assert!(
            fault(serde_json::json!({ "scrypt": { "log_n": 20, "r": 32 } }))
                .starts_with("hashes.scrypt.log_n")
        );
    }
}
