//! Discovery for `bridgehead init`, for a target that exists only in memory.

use bridgehead_sdk::{Discovered, Discovery, Draft, Error, Question, Section, async_trait, counted};

/// There is nothing to discover: the people are invented.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MadeUp;

#[async_trait]
impl Discovery for MadeUp {
    fn questions(&self) -> Vec<Question> {
        vec![Question::text("accounts", "The number of accounts").with_default("1000").with_check(|text| {
            text.parse::<u64>().map(drop).map_err(|_| "must be a number, such as 1000".to_owned())
        })]
    }

    async fn discover(&self, draft: &Draft) -> Result<Discovered, Error> {
        let accounts: u64 = draft.text("accounts").and_then(|text| text.parse().ok()).unwrap_or(1000);
        let section = Section::root()
            .with("accounts", accounts, "sample accounts, the same in every run")
            .with("groups", 10, "")
            .with("licenses", 3, "");
        Ok(Discovered::target([section]).with_seen(format!("{} in memory", counted(accounts, "account", "accounts"))).with_warning(
            "this target is simulated: it exists only in memory and loses all changes when the daemon stops",
        ))
    }
}
