//! Any input results in a configuration or in errors.

use proptest::prelude::*;

use super::schemas::leaves;
use super::support::{APP, BRIDGE, connectors, layered, with_app};
use crate::keys::Keys;
use crate::schema;

/// Fragments that resemble a configuration test far deeper code than noise does.
fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "base_url",
        "api_key",
        "rate_limit",
        "app_id",
        "connector",
        "every",
        "cron",
        "timezone",
        "level",
        "actions",
        "accounts",
        "guard",
        "timeout",
        "path",
        "password",
        "target.x",
        "\"a.b\"",
        "listen",
    ]);
    let value = prop_oneof![
        Just("{ env = \"X\" }".to_owned()),
        Just("{ file = \"../x\", env = 1 }".to_owned()),
        Just("{ per_second = 1e-300, burst = -1 }".to_owned()),
        Just("99999999999999999999".to_owned()),
        Just("nan".to_owned()),
        Just("1979-05-27".to_owned()),
        "\"[ -~é]{0,12}\"",
        "\\[\"[*a-z]{0,4}\", [0-9]{1,3}\\]",
        "-?[0-9]{1,6}(\\.[0-9]{1,3})?",
        "\"[0-9*/,L#+?-]{1,4} [0-9*]{1,3} [0-9*L]{1,3} [0-9*]{1,3} [0-9*+]{1,3}\"",
    ];
    let header = prop::sample::select(vec![
        "[bridge]",
        "[apps]",
        "[apps.x]",
        "[apps.x.sync]",
        "[apps.x.tasks]",
        "[apps.x.protect]",
        "[apps.x.target]",
        "[[apps.x.target.list]]",
        "[log]",
        "[admin]",
        "[apps.\"x y\"]",
    ]);
    prop_oneof![
        1 => header.prop_map(str::to_owned),
        3 => (key, value).prop_map(|(key, value)| format!("{key} = {value}")),
    ]
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics_the_loader(text in "(?s).{0,200}") {
        drop(layered(&[&text], &[]));
    }

    #[test]
    fn almost_valid_configuration_never_panics_the_loader(
        first in prop::collection::vec(line(), 0..12),
        second in prop::collection::vec(line(), 0..6),
        name in "[A-Z_]{0,12}",
        value in ".{0,12}",
    ) {
        let variable = format!("BRIDGEHEAD__APPS__X__TARGET__{name}");
        let result = layered(&[&first.join("\n"), &second.join("\n")], &[(&variable, &value)]);
        prop_assert!(!matches!(&result, Err(errors) if errors.iter().count() == 0), "refused without a reason");
    }
}

#[test]
fn errors_never_quote_misplaced_values() {
    let schema = schema(&connectors());
    let mut keys = Vec::new();
    leaves(Keys::of(&schema), "", &mut keys);
    keys.extend(["apps.acme-hr.target.password".to_owned(), "log.unknown".to_owned(), "apps".to_owned()]);
    let least = format!("{BRIDGE}{APP}");
    let mut refused = 0;
    for key in &keys {
        for value in [
            "\"zq-hunter2-zq\"",
            "zq-hunter2-zq",
            "\"zq-hunter2-zq",
            "{ env = \"zq-hunter2-zq\" }",
            "{ credential = \"../zq-hunter2-zq\" }",
            "[[\"zq-hunter2-zq\"]]",
            "\"https://me:hunter2@example.com\"",
        ] {
            let variable = format!("BRIDGEHEAD__{}", key.replace('.', "__").to_uppercase());
            for result in [
                layered(&[&least, &format!("{key} = {value}")], &[]),
                layered(&[&least], &[(&variable, value)]),
            ] {
                if let Err(errors) = result {
                    refused += 1;
                    let said = format!("{errors}\n{errors:?}");
                    assert!(!said.contains("hunter2"), "{said}");
                }
            }
        }
    }
    assert!(refused > 400, "{refused} of {} keys", keys.len());
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let deep = 100_000;
    for text in [
        format!("[apps.acme-hr.target]\nx = {}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("[apps.acme-hr.target]\nx = {}1{}", "{ a = ".repeat(deep), " }".repeat(deep)),
        format!("[apps.acme-hr.target]\nx{} = 1", ".a".repeat(deep)),
        format!("[apps.acme-hr.target{}]", ".a".repeat(deep)),
    ] {
        drop(with_app(&text, &[]));
    }
    let variable = format!("BRIDGEHEAD__APPS__ACME_HR__TARGET{}", "__A".repeat(deep));
    let errors = with_app("", &[(&variable, "1")]).unwrap_err();
    assert!(errors.to_string().contains("the configuration has no keys that deep"));
}
