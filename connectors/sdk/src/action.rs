//! The six actions that a task can request.

use serde::{Deserialize, Serialize};

/// What a provisioning task requests. The wire names are those of the Bridge API.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Create an account that does not exist yet.
    CreateAccount,
    /// Change fields, memberships or assignments of an account.
    UpdateAccount,
    /// Delete an account permanently.
    DeleteAccount,
    /// Keep the account, but prevent its use.
    SuspendAccount,
    /// End a suspension.
    UnsuspendAccount,
    /// Set a new password.
    ResetPassword,
}

/// A task named an action that is not one of the six.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown action '{0}'; known are {known}", known = Action::names())]
pub struct UnknownAction(String);

impl Action {
    /// All six, in the order of the Bridge documents.
    pub const ALL: &'static [Self] = &[
        Self::CreateAccount,
        Self::UpdateAccount,
        Self::DeleteAccount,
        Self::SuspendAccount,
        Self::UnsuspendAccount,
        Self::ResetPassword,
    ];

    /// The wire name, such as `create_account`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreateAccount => "create_account",
            Self::UpdateAccount => "update_account",
            Self::DeleteAccount => "delete_account",
            Self::SuspendAccount => "suspend_account",
            Self::UnsuspendAccount => "unsuspend_account",
            Self::ResetPassword => "reset_password",
        }
    }

    /// Whether the action removes access: a deletion or a suspension.
    pub fn is_destructive(self) -> bool {
        matches!(self, Self::DeleteAccount | Self::SuspendAccount)
    }

    fn names() -> String {
        Self::ALL.iter().map(|action| action.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Action {
    type Err = UnknownAction;

    fn from_str(name: &str) -> Result<Self, UnknownAction> {
        Self::ALL
            .iter()
            .copied()
            .find(|action| action.as_str() == name)
            .ok_or_else(|| UnknownAction(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_name_round_trips() {
        for action in Action::ALL {
            assert_eq!(action.as_str().parse(), Ok(*action));
            assert_eq!(serde_json::to_value(action).unwrap(), action.as_str());
        }
    }

    #[test]
    fn unknown_action_is_named_in_the_error() {
        let error = "merge_account".parse::<Action>().unwrap_err();
        assert!(error.to_string().contains("'merge_account'"), "{error}");
    }
}
