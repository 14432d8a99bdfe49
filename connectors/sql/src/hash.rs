//! What applications keep of a password, made here, so that the password itself reaches neither the server nor its log.
//!
//! Each form is that of the reference implementation, so that the application checks it as its own.

use std::num::NonZeroU32;

use argon2::{Algorithm, Argon2, Version};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::{digest, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use bridgehead_sdk::SettingsError;
use sha_crypt::{PasswordHasher as _, ShaCrypt};
use yescrypt::Yescrypt;

use crate::scram;
use crate::settings::HashSettings;

/// A form in which a password is kept.
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
    /// What directories keep: `{SSHA}…`
    Ssha,
}

/// Why there is no hash. Never shows the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoHash {
    /// The operating system gives no random bytes. Nobody can do anything but try again.
    #[error("the operating system gives no random bytes for the salt of a password")]
    NoRandomBytes,
    /// bcrypt takes no more than 72 bytes, and leaves out the rest in silence. The password must be shorter.
    #[error("the password is longer than the 72 bytes that bcrypt takes; a longer one would be cut")]
    TooLong,
    /// A password with a NUL in it ends there for the C implementations. The password must be another.
    #[error("the password has a NUL character, at which others would end it")]
    Nul,
    /// The costs do not fit together. The operator corrects them.
    #[error("the password cannot be hashed with the costs in target.hashes")]
    Costs,
}

/// Makes hashes with the costs of the settings.
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
        // Eight blocks for each lane are the least.
        within("argon2id.memory_kib", costs.argon2id.memory_kib, 8 * costs.argon2id.parallelism, 1_048_576)?;
        within("bcrypt.cost", costs.bcrypt.cost, 4, 20)?;
        within("pbkdf2_sha256.iterations", costs.pbkdf2_sha256.iterations, 1000, 10_000_000)?;
        within("scrypt.log_n", costs.scrypt.log_n.into(), 1, 20)?;
        within("scrypt.r", costs.scrypt.r, 1, 32)?;
        within("scrypt.p", costs.scrypt.p, 1, 16)?;
        within("sha512_crypt.rounds", costs.sha512_crypt.rounds, 1000, 10_000_000)?;
        within("yescrypt.log_n", costs.yescrypt.log_n.into(), 10, 18)?;
        within("yescrypt.r", costs.yescrypt.r, 8, 32)?;
        Ok(Self { costs: costs.clone() })
    }

    /// What is kept of a password, with a salt of its own. It takes as long as it is meant to: not for an asynchronous thread.
    pub(crate) fn hash(&self, scheme: Scheme, password: &str) -> Result<String, NoHash> {
        let ends_at_nul = matches!(scheme, Scheme::Bcrypt | Scheme::Sha512Crypt | Scheme::Yescrypt);
        if ends_at_nul && password.contains('\0') {
            return Err(NoHash::Nul);
        }
        let costs = &self.costs;
        let bytes = password.as_bytes();
        match scheme {
            Scheme::ScramSha256 => scram::verifier(password),
            Scheme::Argon2id => {
                let costs = &costs.argon2id;
                let (memory, passes, lanes) = (costs.memory_kib, costs.iterations, costs.parallelism);
                let parameters =
                    argon2::Params::new(memory, passes, lanes, Some(32)).map_err(|_| NoHash::Costs)?;
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
                let (salt, mut key) = (salt::<16>()?, [0; 32]);
                argon2.hash_password_into(bytes, &salt, &mut key).map_err(|_| NoHash::Costs)?;
                let (salt, key) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(key));
                Ok(format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${key}"))
            }
            Scheme::Bcrypt => {
                // The reference counts the NUL at the end among the 72.
                if bytes.len() > 71 {
                    return Err(NoHash::TooLong);
                }
                let hash = bcrypt::non_truncating_hash_with_salt(bytes, costs.bcrypt.cost, salt()?);
                Ok(hash.map_err(|_| NoHash::Costs)?.format_for_version(bcrypt::Version::TwoB))
            }
            Scheme::Pbkdf2Sha256 => {
                let iterations = costs.pbkdf2_sha256.iterations;
                let salt = salt::<16>()?.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
                let mut key = [0; digest::SHA256_OUTPUT_LEN];
                let count = NonZeroU32::new(iterations).ok_or(NoHash::Costs)?;
                pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, count, salt.as_bytes(), bytes, &mut key);
                Ok(format!("pbkdf2_sha256${iterations}${salt}${}", STANDARD.encode(key)))
            }
            Scheme::Scrypt => {
                let costs = &costs.scrypt;
                let (log_n, r, p) = (costs.log_n, costs.r, costs.p);
                let parameters = scrypt::Params::new(log_n, r, p).map_err(|_| NoHash::Costs)?;
                let (salt, mut key) = (salt::<16>()?, [0; 32]);
                scrypt::scrypt(bytes, &salt, &parameters, &mut key).map_err(|_| NoHash::Costs)?;
                let (salt, key) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(key));
                Ok(format!("$scrypt$ln={log_n},r={r},p={p}${salt}${key}"))
            }
            Scheme::Sha512Crypt => {
                let rounds = sha_crypt::Params::new(costs.sha512_crypt.rounds).map_err(|_| NoHash::Costs)?;
                let hasher = ShaCrypt::new(sha_crypt::Algorithm::Sha512Crypt, rounds);
                // Twelve bytes are the sixteen characters that a salt may have.
                let hash = hasher.hash_password_with_salt(bytes, &salt::<12>()?);
                hash.map(|hash| hash.as_str().to_owned()).map_err(|_| NoHash::Costs)
            }
            Scheme::Yescrypt => {
                let costs = &costs.yescrypt;
                let parameters =
                    yescrypt::Params::new(yescrypt::Mode::default(), 1 << costs.log_n, costs.r, 1)
                        .map_err(|_| NoHash::Costs)?;
                let hash = Yescrypt::from(parameters).hash_password_with_salt(bytes, &salt::<16>()?);
                hash.map(|hash| hash.as_str().to_owned()).map_err(|_| NoHash::Costs)
            }
            Scheme::Ssha => {
                let salt = salt::<16>()?;
                let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
                context.update(bytes);
                context.update(&salt);
                let key = context.finish();
                Ok(format!("{{SSHA}}{}", STANDARD.encode([key.as_ref(), &salt].concat())))
            }
        }
    }
}

fn salt<const LENGTH: usize>() -> Result<[u8; LENGTH], NoHash> {
    let mut salt = [0; LENGTH];
    SystemRandom::new().fill(&mut salt).map_err(|_| NoHash::NoRandomBytes)?;
    Ok(salt)
}

#[cfg(test)]
mod tests {
    use sha_crypt::PasswordVerifier as _;

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

    /// As cheap as they come.
    fn cheap() -> Hasher {
        let costs = serde_json::json!({
            "argon2id": { "memory_kib": 64, "iterations": 1 }, "bcrypt": { "cost": 4 },
            "pbkdf2_sha256": { "iterations": 1000 }, "scrypt": { "log_n": 4 },
            "sha512_crypt": { "rounds": 1000 }, "yescrypt": { "log_n": 10, "r": 8 },
        });
        Hasher::new(&serde_json::from_value(costs).unwrap()).unwrap()
    }

    #[test]
    fn each_hash_has_a_salt_of_its_own_and_nothing_of_the_password() {
        for scheme in ALL {
            let (one, other) =
                (cheap().hash(scheme, "pencil").unwrap(), cheap().hash(scheme, "pencil").unwrap());
            assert_ne!(one, other, "{scheme:?}");
            assert!(!one.contains("pencil"), "{scheme:?}");
        }
    }

    /// What Python's `crypt` (libxcrypt), Django and OpenSSL make of the same.
    #[test]
    fn hashes_are_those_of_the_reference_implementations() {
        let hash = |scheme| cheap().hash(scheme, "pencil é").unwrap();
        assert!(bcrypt::verify("pencil é", &hash(Scheme::Bcrypt)).unwrap());
        let sha = hash(Scheme::Sha512Crypt);
        assert!(sha.starts_with("$6$rounds=1000$"), "{sha}");
        assert!(ShaCrypt::SHA512.verify_password("pencil é".as_bytes(), sha.as_str()).is_ok());
        let own = hash(Scheme::Yescrypt);
        assert!(own.starts_with("$y$"), "{own}");
        assert!(Yescrypt::default().verify_password("pencil é".as_bytes(), own.as_str()).is_ok());
        // Ours are in the form of others; theirs are read by the same code.
        for (theirs, password) in REFERENCE {
            let is_right = if theirs.starts_with("$6$") {
                ShaCrypt::SHA512.verify_password(password.as_bytes(), theirs).is_ok()
            } else {
                Yescrypt::default().verify_password(password.as_bytes(), theirs).is_ok()
            };
            assert!(is_right, "{theirs}");
        }
    }

    /// Made by libxcrypt.
    const REFERENCE: [(&str, &str); 3] = [
        (
            "$6$rounds=5000$abcdefgh01234567$7MqV8d67L38dNvndEcZIeNx/qnhEImEQnC4kxfUf53nwO.jlfj2gm1jVROVL5wCkw6KEcaEXyhtSSuFg.89iw1",
            "pencil é",
        ),
        (
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
            "Hello world!",
        ),
        ("$y$j9T$F5Jx5fExrKuPp53xLKQ..1$DpAHiw2QinO1YACqGur6prpZVxlqXkj9ccgY3r7fRl1", "pencil é"),
    ];

    #[test]
    fn a_password_that_would_be_cut_is_refused() {
        assert_eq!(cheap().hash(Scheme::Bcrypt, &"é".repeat(36)), Err(NoHash::TooLong));
        assert!(cheap().hash(Scheme::Bcrypt, &"x".repeat(71)).is_ok());
        for scheme in [Scheme::Bcrypt, Scheme::Sha512Crypt, Scheme::Yescrypt] {
            assert_eq!(cheap().hash(scheme, "a\0b"), Err(NoHash::Nul));
        }
    }

    #[test]
    fn costs_that_are_out_of_bounds_are_named() {
        let fault = |costs: serde_json::Value| {
            let costs = serde_json::from_value(costs).unwrap();
            Hasher::new(&costs).unwrap_err().to_string()
        };
        assert!(fault(serde_json::json!({ "bcrypt": { "cost": 31 } })).starts_with("hashes.bcrypt.cost"));
        assert!(
            fault(serde_json::json!({ "argon2id": { "parallelism": 16, "memory_kib": 64 } }))
                .starts_with("hashes.argon2id.memory_kib")
        );
    }
}
