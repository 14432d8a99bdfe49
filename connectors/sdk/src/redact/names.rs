//! Names of fields that indicate a secret.

/// Words that indicate a secret anywhere in a name, however it is written: `userpassword`, `accesstoken`.
const CONTAINED: [&str; 13] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "passwort",
    "kennwort",
    "secret",
    "token",
    "credential",
    "apikey",
    "privatekey",
    "accesskey",
    "connectionstring",
];

/// Words that contain one of these by chance.
const BY_CHANCE: [&str; 5] = ["secretary", "secretaries", "secretariat", "tokenizer", "tokenized"];

/// Words that indicate a secret only as a separate part: `pin_code` and `unicodePwd`, not `pinned` and `passport`.
const PARTS: [&str; 22] = [
    "pass",
    "pwd",
    "pw",
    "pin",
    "pins",
    "puk",
    "otp",
    "totp",
    "hotp",
    "mfa",
    "auth",
    "authorization",
    "bearer",
    "cookie",
    "cookies",
    "session",
    "jwt",
    "psk",
    "cvv",
    "cvc",
    "creds",
    "salt",
];

/// Pairs of parts that indicate a secret together. A public key or a key of something else is not a secret.
const PAIRS: [(&str, &[&str]); 9] = [
    ("api", &["key", "keys"]),
    ("access", &["key", "keys", "code"]),
    ("private", &["key", "keys"]),
    ("signing", &["key"]),
    ("encryption", &["key"]),
    ("shared", &["key"]),
    ("master", &["key"]),
    ("recovery", &["key", "keys", "code", "codes"]),
    ("backup", &["code", "codes"]),
];

/// Last parts of names that describe a secret: where it is, what it is called, how long it is valid.
const ABOUT: [&str; 46] = [
    "url",
    "uri",
    "endpoint",
    "file",
    "path",
    "column",
    "field",
    "attribute",
    "parameter",
    "template",
    "statement",
    "name",
    "type",
    "kind",
    "method",
    "mode",
    "policy",
    "status",
    "enabled",
    "disabled",
    "required",
    "allowed",
    "expired",
    "expires",
    "expiry",
    "expiration",
    "change",
    "changed",
    "reset",
    "at",
    "on",
    "in",
    "date",
    "days",
    "age",
    "ttl",
    "lifetime",
    "timeout",
    "count",
    "length",
    "limit",
    "attempts",
    "provider",
    "source",
    "scope",
    "algorithm",
];

/// First parts of names that ask a yes-or-no question.
const QUESTIONS: [&str; 8] = ["is", "has", "must", "can", "require", "requires", "allow", "needs"];

/// Whether the name of a field indicates a secret: `password`, `client_secret`, `unicodePwd`, `api-key`, `otp`…
///
/// It compares the parts of the name, whether they are written `pin_code`, `pin-code`, `pin.code` or `pinCode`. Names
/// that only describe a secret, such as `token_url` or `password_changed_at`, do not count.
pub fn is_secret_name(name: &str) -> bool {
    // The name of an action is not a secret: requests and SQL statements are configured under it.
    if name.to_lowercase().replace('-', "_") == crate::Action::ResetPassword.as_str() {
        return false;
    }
    let parts = parts(name);
    let part = |at: usize| parts.get(at).map(String::as_str);
    let is_about = match parts.as_slice() {
        // The identifier of a session is enough to use the session.
        [rest @ .., last] if last == "id" => {
            !rest.last().is_some_and(|of| ["session", "secret"].contains(&of.as_str()))
        }
        [first, .., last] => ABOUT.contains(&last.as_str()) || QUESTIONS.contains(&first.as_str()),
        _ => false,
    };
    if is_about {
        return false;
    }
    let is_named = |(at, one): (usize, &String)| {
        let pair = PAIRS.iter().find(|(first, _)| first == one);
        PARTS.contains(&one.as_str())
            || pair.is_some_and(|(_, seconds)| part(at + 1).is_some_and(|second| seconds.contains(&second)))
    };
    let joined = parts.concat();
    parts.iter().enumerate().any(is_named)
        || CONTAINED.iter().any(|word| joined.contains(word))
            && !parts.iter().any(|part| BY_CHANCE.contains(&part.as_str()))
}

/// The parts of a name, in lower case, separated by characters other than letters, or by a change of case as in
/// `apiKey`.
fn parts(name: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut begins = true;
    let mut before = ' ';
    let mut characters = name.chars().peekable();
    while let Some(character) = characters.next() {
        if character.is_alphabetic() {
            let next_is_small = characters.peek().is_some_and(|next| next.is_lowercase());
            // `apiKey` and `APIKey`.
            let is_hump =
                character.is_uppercase() && (before.is_lowercase() || before.is_uppercase() && next_is_small);
            if begins || is_hump {
                parts.push(String::new());
            }
            if let Some(part) = parts.last_mut() {
                part.extend(character.to_lowercase());
            }
        }
        begins = !character.is_alphabetic();
        before = character;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [&str; 64] = [
        "password",
        "Password",
        "newPassword",
        "new_password",
        "userPassword",
        "userpassword",
        "password2",
        "password_hash",
        "passwordHistory",
        "password_hint",
        "pass",
        "db.pass",
        "PASS",
        "passwd",
        "pwd",
        "unicodePwd",
        "adminPwd",
        "pw",
        "admin_pw",
        "passphrase",
        "key_passphrase",
        "passcode",
        "Passwort",
        "pin",
        "PIN",
        "pin_code",
        "pinCode",
        "pin-code",
        "user.pin",
        "otp",
        "otp_code",
        "totp",
        "totpSeed",
        "mfa",
        "mfa_code",
        "access_key",
        "accessKey",
        "AWSAccessKey",
        "api_key",
        "api-key",
        "apiKey",
        "APIKey",
        "apikey",
        "API_KEY",
        "X-Api-Key",
        "client_secret",
        "clientSecret",
        "secret",
        "secret_id",
        "private_key",
        "privateKeyPem",
        "credential",
        "credentials",
        "token",
        "access_token",
        "accesstoken",
        "id-token",
        "bearer",
        "auth",
        "Authorization",
        "cookie",
        "session",
        "sessionId",
        "recovery_codes",
    ];

    const HARMLESS: [&str; 64] = [
        "passport",
        "passport_number",
        "compass",
        "bypass",
        "passenger",
        "keyboard",
        "key",
        "public_key",
        "sshPublicKey",
        "license_key_count",
        "author",
        "authority",
        "co_author",
        "oauth",
        "pinned",
        "pinterest",
        "spin",
        "shipping",
        "opinion",
        "email",
        "username",
        "first_name",
        "display_name",
        "department",
        "manager",
        "secretary",
        "hotpot",
        "token_type",
        "token_url",
        "tokenUri",
        "token_endpoint",
        "token_id",
        "access_key_id",
        "password-column",
        "password_column",
        "password_changed_at",
        "passwordLastChanged",
        "password_expires",
        "passwordExpiryDate",
        "password_policy",
        "password_age",
        "credential_type",
        "key_file",
        "token_file",
        "secret_path",
        "reset_password",
        "reset-password",
        "has_password",
        "must_change_password",
        "mfa_enabled",
        "mfaStatus",
        "mfa_method",
        "pin_required",
        "session_timeout",
        "sessions",
        "auth_type",
        "auth_method",
        "authProvider",
        "cookie_name",
        "hash",
        "description",
        "id",
        "",
        "42",
    ];

    #[test]
    fn secret_names_are_recognized() {
        let missed: Vec<&str> = SECRET.into_iter().filter(|name| !is_secret_name(name)).collect();
        assert!(missed.is_empty(), "{missed:?}");
    }

    #[test]
    fn harmless_names_are_not_secret() {
        let taken: Vec<&str> = HARMLESS.into_iter().filter(|name| is_secret_name(name)).collect();
        assert!(taken.is_empty(), "{taken:?}");
    }

    #[test]
    fn names_split_into_parts_in_any_style() {
        for name in ["pin_code", "pin-code", "pin.code", "pin code", "pinCode", "PinCode", "PIN_CODE"] {
            assert_eq!(parts(name), ["pin", "code"], "{name}");
        }
        assert_eq!(parts("AWSAccessKey2"), ["aws", "access", "key"]);
    }
}
