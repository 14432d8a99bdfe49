use std::borrow::Cow;

use proptest::prelude::*;
use serde_json::json;

use crate::{REDACTED, Redactor};

fn shown(text: &str) -> String {
    Redactor::new().recognizing().redact(text).into_owned()
}

#[test]
fn undeclared_secrets_are_redacted() {
    for (text, secret) in [
        // URLs
        ("cannot connect to postgres://hr:hunter2@db/hr", "hunter2"),
        ("mongodb+srv://hr:p@ss/w0rd@db1:27017,db2:27017/hr?tls=true", "p@ss/w0rd"),
        ("ldaps://cn=admin:12345@dc1", "12345"),
        ("connection to postgres://hr:hunter2… failed", "hunter2"),
        ("see https://ann:hunter2@example.org:8443/a?b=c@d", "hunter2"),
        ("dsn root:hunter2@tcp(127.0.0.1:3306)/hr: refused", "hunter2"),
        // Names
        ("login failed: password=hunter2 user=ann", "hunter2"),
        ("PASSWORD = correcthorse", "correcthorse"),
        ("password: correcthorse", "correcthorse"),
        ("Password: hunter2 was rejected", "hunter2"),
        ("password:hunter2", "hunter2"),
        ("password='correct horse' is wrong", "correct horse"),
        ("password=\"cut off", "cut off"),
        ("Server=db;User Id=hr;Pwd=hun;ter2;Database=hr", "hun;ter2"),
        ("host=db password=pa\"ss1,x user=hr", "pa\"ss1,x"),
        ("GET /users?access_token=abcdef&page=2", "abcdef"),
        ("client_secret=zyx", "zyx"),
        ("api_key: sk-live-1", "sk-live-1"),
        ("API key: 12345678", "12345678"),
        ("X-Api-Key: abcdef", "abcdef"),
        (
            "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        ),
        ("otp: 123456", "123456"),
        ("user[password]=hunter2", "hunter2"),
        ("password => hunter2", "hunter2"),
        ("password := hunter2", "hunter2"),
        ("curl --password hunter2 --user ann", "hunter2"),
        ("curl --token=abc.def", "abc.def"),
        // JSON, XML, SQL
        (r#"body {"user":"ann","password":"correct horse battery","age":3}"#, "correct horse battery"),
        (r#"body {"pin": 94211, "age": 3}"#, "94211"),
        (r#"body {"recovery_codes": ["aaaa-bbbb", "cccc-dddd"], "age": 3}"#, "aaaa-bbbb\", \"cccc-dddd"),
        (r#"body "{\"password\":\"correct horse\"}""#, "correct horse"),
        (r"{'token': 'abc'}", "abc"),
        ("Credentials { password: \"hunter\" }", "hunter"),
        ("password%3Dhunter2%26user%3Dann", "hunter2"),
        ("<soap><wsse:Password Type=\"text\">hunter</wsse:Password></soap>", "hunter"),
        ("near \"ALTER USER ann PASSWORD 'hunter2'\"", "hunter2"),
        ("CREATE USER ann IDENTIFIED BY 'hunter2'", "hunter2"),
        // Headers
        ("Authorization: Bearer abcdefghij", "abcdefghij"),
        ("authorization: bearer abcdefghij", "abcdefghij"),
        ("Authorization: Basic YTpi", "YTpi"),
        ("Proxy-Authorization: Basic YTpi", "YTpi"),
        ("Authorization: Api-Key abcdef", "abcdef"),
        ("Authorization: 0123456789abcdef", "0123456789abcdef"),
        (r#"{"Authorization": "Bearer abc"}"#, "abc"),
        ("Authorization: Digest username=\"ann\", response=\"6629fae4\"", "6629fae4"),
        ("sent Bearer eyJhbGciOi_x-y to it", "eyJhbGciOi_x-y"),
        ("Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("Set-Cookie: sid=abc; Path=/; other=def", "sid=abc; Path=/; other=def"),
        // Forms
        ("key AKIAIOSFODNN7EXAMPLE is not active", "AKIAIOSFODNN7EXAMPLE"),
        ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "16C7e42F292c6912E7710c838347Ae178B4a"),
        (
            "got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
            "eyJzdWIiOiIxIn0",
        ),
        ("-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY----- end", "MIIEvQ"),
        (r"-----BEGIN RSA PRIVATE KEY-----\nMIIEvQ\n-----END RSA PRIVATE KEY-----", "MIIEvQ"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz", "b3BlbnNz"),
        ("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj", "MIIEvQ"),
    ] {
        let shown = shown(text);
        assert!(!shown.contains(secret) && shown.contains(REDACTED), "{text} -> {shown}");
        assert_eq!(shown, self::shown(&shown), "once more");
    }
}

#[test]
fn what_surrounds_an_undeclared_secret_stays_readable() {
    for (text, wanted) in [
        (
            "cannot reach postgres://hr:hunter2@db:5432/hr: refused",
            "cannot reach postgres://hr:[redacted]@db:5432/hr: refused",
        ),
        ("password=hunter2 user=ann", "password=[redacted] user=ann"),
        ("(password=hunter2), retry", "(password=[redacted]), retry"),
        (r#"{"password":"hunter2","user":"ann"}"#, r#"{"password":"[redacted]","user":"ann"}"#),
        ("a?token=abc&page=2", "a?token=[redacted]&page=2"),
        ("Authorization: Bearer abcdefgh\nHost: x", "Authorization: Bearer [redacted]\nHost: x"),
        (
            "-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY----- is invalid",
            "[redacted] is invalid",
        ),
    ] {
        assert_eq!(shown(text), wanted);
    }
}

#[test]
fn messages_about_secrets_stay_readable() {
    let redactor = Redactor::new().recognizing();
    for text in [
        "--password-file, --password-env or --password-credential is missing",
        "give the --token for the Bridge",
        "401: token expired",
        "token: expired",
        "invalid token: the signature does not match",
        "error=invalid_token, error_description=The access token expired",
        "invalid_token: The access token expired",
        "password policy: 8 characters",
        "password: must have at least 8 characters",
        "password: 8 characters are too few",
        r#"{"password": ["This password is too short."], "code": 400}"#,
        r#"{"token":null,"password":true}"#,
        "password: 0000052D: AtrErr: DSID-03191083",
        "cannot set the password: ORA-28003: password verification failed",
        "password: constraintViolation (19)",
        "password: 500 Internal Server Error",
        "password=[redacted] token=***",
        "bridge.api_key: the file cannot be read",
        "admin.token: /run/secrets/token does not exist",
        "could not get a token: https://idp.example.org/token answered 503",
        r#"WWW-Authenticate: Bearer realm="hr", error="invalid_token""#,
        "Bearer authentication required",
        "Authorization: Bearer token expired",
        "Basic authentication is disabled",
        "UPDATE users SET password = ? WHERE id = $1",
        "UPDATE users SET password = :password WHERE id = :id",
        "api_key = { env = \"IDEN_API_KEY\" }",
        "add `LoadCredential=iden-key:/path/to/file` to the unit, or write { credential = \"iden-key\" }",
        "reset_password: ext-123 not found in HR",
        "token_type=bearer grant_type=password",
        "http://127.0.0.1:8080/users?email=ann@example.org",
        "http://[::1]:8080/a@b",
        "https://example.org/a:b@c",
        "ldap://dc1:389",
        "session=4b1c0e6a-1111-4111-8111-111111111111",
        "sync session: 4b1c0e6a-1111-4111-8111-111111111111",
        "auth=simple mfa: required",
        "the group cn=token-admins,ou=secrets,dc=acme is missing",
        "secrets \"bridgehead-key\" not found",
        "unexpected token '}' at 3",
        "unexpected token: }",
        "{\"message\":\"bad password:\",\"code\":1}",
        "2026-01-02T03:04:05+00:00 INFO took=3s",
        "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "<input type=\"password\">please log in</input>",
        "license key: 3 of 5 are used",
        "--token is missing",
    ] {
        let shown = redactor.redact(text);
        assert!(matches!(shown, Cow::Borrowed(_)) || shown == text, "{text} -> {shown}");
    }
}

#[test]
fn fields_of_results_are_judged_by_their_names() {
    let mut value = json!({
        "account_id": "u-1", "temporary_password": "hunter", "note": "token=abc", "url": "https://a:b1@c",
        "token": "expired", "nested": [{"api_key": "k"}],
    });
    Redactor::new().recognizing().redact_json(&mut value);
    assert_eq!(
        value,
        json!({
            "account_id": "u-1", "temporary_password": REDACTED, "note": "token=[redacted]",
            "url": "https://a:[redacted]@c", "token": "expired", "nested": [{"api_key": REDACTED}],
        })
    );
}

/// Otherwise the conformance kit could not notice what a connector gives away.
#[test]
fn exact_redactor_leaves_undeclared_secrets() {
    let recognizing = Redactor::new().recognizing();
    recognizing.protect_for_good(["staple-4711"]);
    let text = "password=hunter2 staple-4711";
    assert_eq!(recognizing.redact(text), "password=[redacted] [redacted]");
    assert_eq!(recognizing.exact().redact(text), "password=hunter2 [redacted]");
    assert_eq!(Redactor::new().redact(text), text);
    let setup = crate::Setup::new("hr", serde_json::Map::new()).with_redactor(recognizing);
    assert_eq!(setup.redactor.redact(text), "password=hunter2 [redacted]", "as connectors receive it");
}

proptest! {
    #[test]
    fn value_of_a_secret_name_is_redacted(
        before in "[ a-z]{0,5}",
        name in prop::sample::select(vec!["password", "api_key", "clientSecret", "X-Auth-Token"]),
        sign in prop::sample::select(vec!["=", ":", ": ", " = "]),
        secret in "[A-Za-z][A-Z0-9a-z/+@#!_-]{3,12}[0-9]",
        behind in prop::sample::select(vec!["", " and more", "\nmore", "; user=ann", ", user=ann", ")"]),
    ) {
        let text = format!("{before}{name}{sign}{secret}{behind}");
        prop_assert_eq!(shown(&text), format!("{before}{name}{sign}{REDACTED}{behind}"));
    }

    #[test]
    fn any_text_can_be_searched(text in "(\\PC|[:/@='\"\\\\ ]|password|token|://|Bearer |-----BEGIN | PRIVATE KEY){0,20}") {
        drop(shown(&text));
    }
}
