//! Which call an error is about, and whether a call may be repeated.

use super::AppId;

/// A call of the Bridge API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `POST /apps/`
    CreateApp,
    /// `GET /apps/`
    ListApps,
    /// `GET /apps/{app}/resource-types/`
    ListResourceTypes,
    /// `POST /apps/{app}/resource-types/`
    RegisterResourceType,
    /// `PATCH /apps/{app}/resource-types/{slug}/`
    RenameResourceType,
    /// `POST /apps/{app}/sync/`
    StartSync,
    /// `PUT /apps/{app}/sync/{sync}/{slug}/`
    Push,
    /// `GET /apps/{app}/sync/{sync}/`
    Progress,
    /// `POST /apps/{app}/sync/{sync}/complete/`
    Complete,
    /// `POST /apps/{app}/sync/{sync}/abandon/`
    Abandon,
    /// `GET /apps/{app}/tasks/`
    ListTasks,
    /// `GET /apps/{app}/tasks/{task}/`
    ReadTask,
    /// `PATCH /apps/{app}/tasks/{task}/status/`
    Report,
}

/// The effect of repeating a call, which determines who decides about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Idempotency {
    /// Idempotent: the client repeats the call after temporary failures.
    Freely,
    /// Repeating may take effect twice: the client repeats the call only if it certainly had no effect.
    IfNotApplied,
    /// The caller has its own loop, without a limit.
    ByCaller,
}

impl Operation {
    /// Who decides whether to repeat the call.
    pub(super) fn repeat(self) -> Idempotency {
        match self {
            Self::ListApps
            | Self::ListResourceTypes
            | Self::RegisterResourceType
            | Self::RenameResourceType
            | Self::Push
            | Self::Progress
            | Self::ListTasks
            | Self::ReadTask => Idempotency::Freely,
            Self::CreateApp | Self::StartSync | Self::Complete | Self::Abandon => Idempotency::IfNotApplied,
            Self::Report => Idempotency::ByCaller,
        }
    }

    /// Whether the response can be long: a list, or a task with any payload.
    pub(super) fn is_read_at_length(self) -> bool {
        matches!(self, Self::ListApps | Self::ListResourceTypes | Self::ListTasks | Self::ReadTask)
    }

    /// What the call looks up, and so what a 404 reports as missing.
    pub(super) fn looks_for(self) -> &'static str {
        match self {
            Self::CreateApp => "the app to clone from",
            Self::ListApps => "the Bridge API",
            Self::ListResourceTypes | Self::RegisterResourceType | Self::StartSync | Self::ListTasks => {
                "the app"
            }
            Self::RenameResourceType => "the app or the resource type",
            Self::Push => "the app, the sync session or the resource type",
            Self::Progress | Self::Complete | Self::Abandon => "the app or the sync session",
            Self::ReadTask | Self::Report => "the app or the task",
        }
    }
}

/// One call: its operation, app and subject. Every error contains it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    operation: Operation,
    app: Option<AppId>,
    subject: Option<Box<str>>,
}

impl Call {
    /// Creates a call about an app, or about none.
    pub fn new(operation: Operation, app: impl Into<Option<AppId>>) -> Self {
        Self { operation, app: app.into(), subject: None }
    }

    /// Adds the task, resource type, session or new app that the call is about.
    pub fn about(mut self, subject: impl std::fmt::Display) -> Self {
        self.subject = Some(super::sanitize::clean(&subject.to_string()).into_boxed_str());
        self
    }

    /// The operation.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The app it is about.
    pub fn app(&self) -> Option<AppId> {
        self.app
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (before, after) = match self.operation {
            Operation::CreateApp => ("create app", ""),
            Operation::ListApps => ("list the apps of this key", ""),
            Operation::ListResourceTypes => ("list the resource types", ""),
            Operation::RegisterResourceType => ("register resource type", ""),
            Operation::RenameResourceType => ("rename resource type", ""),
            Operation::StartSync => ("start a sync", ""),
            Operation::Push => ("push records of", ""),
            Operation::Progress => ("read the progress of sync", ""),
            Operation::Complete => ("complete sync", ""),
            Operation::Abandon => ("abandon sync", ""),
            Operation::ListTasks => ("list the", " tasks"),
            Operation::ReadTask => ("read task", ""),
            Operation::Report => ("report the outcome of task", ""),
        };
        f.write_str(before)?;
        match (&self.subject, self.operation) {
            (Some(subject), Operation::ListTasks) => write!(f, " {subject}")?,
            (Some(subject), _) => write!(f, " '{subject}'")?,
            (None, _) => {}
        }
        f.write_str(after)?;
        self.app.map_or(Ok(()), |app| write!(f, " of app {app}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_display_names_its_subject_and_app() {
        let app: AppId = "11111111-1111-4111-8111-111111111111".parse().unwrap();
        assert_eq!(
            Call::new(Operation::Push, app).about("team").to_string(),
            "push records of 'team' of app 11111111-1111-4111-8111-111111111111"
        );
        assert_eq!(Call::new(Operation::ListApps, None).to_string(), "list the apps of this key");
        assert_eq!(
            Call::new(Operation::ListTasks, app).about("pending").to_string(),
            "list the pending tasks of app 11111111-1111-4111-8111-111111111111"
        );
    }
}
