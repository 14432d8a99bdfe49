//! Selects and sorts the listed tasks.

use bridgehead_sdk::{Action, Code, nearest, visible};

use super::args::{ListTasks, SortTasks};
use super::failure::{Exit, Failure, Outcome};
use super::task_rows;
use bridgehead_runtime::inspection::TaskRow;
use bridgehead_sdk::folded;

/// An operator's selection.
#[derive(Clone, Debug, Default)]
pub(super) struct Chosen {
    account: Option<String>,
    action: Option<String>,
    code: Option<String>,
    pub(super) sort: Option<SortTasks>,
}

impl Chosen {
    pub(super) fn of(asked: &ListTasks) -> Self {
        Self {
            account: asked.account.as_deref().map(folded),
            action: asked.action.clone(),
            code: asked.code.clone(),
            sort: asked.sort,
        }
    }

    /// Fails if a value that has selected nothing is neither an action nor a code: then it is mistyped. Iden may have others, so they can be
    /// searched for.
    pub(super) fn explain_nothing(&self) -> Outcome {
        let actions = Action::ALL.iter().map(|action| action.as_str());
        let codes = Code::ALL.map(Code::as_str);
        known("action", self.action.as_deref(), actions)?;
        known("code", self.code.as_deref(), codes.into_iter())
    }

    /// Whether it selects all tasks.
    pub(super) fn is_all(&self) -> bool {
        self.account.is_none() && self.action.is_none() && self.code.is_none()
    }

    pub(super) fn includes(&self, row: &TaskRow) -> bool {
        let is = |wanted: &Option<String>, found: &Option<String>| match wanted {
            None => true,
            Some(wanted) => found.as_ref().is_some_and(|found| found.eq_ignore_ascii_case(wanted)),
        };
        let names = [&row.account, &row.username, &row.email, &row.display_name];
        let is_about = self
            .account
            .as_ref()
            .is_none_or(|wanted| names.into_iter().flatten().any(|name| folded(name).contains(wanted)));
        is_about && is(&self.action, &row.action) && is(&self.code, &row.code)
    }

    pub(super) fn order(&self, rows: &mut [TaskRow]) {
        // Unknown values are last; the id makes the order deterministic.
        let last = |text: &Option<String>| (text.is_none(), text.as_ref().map(|text| text.to_lowercase()));
        match self.sort {
            None => {}
            Some(SortTasks::Created) => {
                rows.sort_by_key(|row| (row.created_at.is_none(), row.created_at, row.task.clone()));
            }
            Some(SortTasks::Newest) => {
                rows.sort_by_key(|row| (std::cmp::Reverse(row.created_at), row.task.clone()));
            }
            Some(SortTasks::Action) => rows.sort_by_key(|row| (last(&row.action), row.created_at)),
            Some(SortTasks::Account) => rows.sort_by_key(|row| (last(&row.account), row.created_at)),
            Some(SortTasks::Who) => {
                rows.sort_by_key(|row| (task_rows::who(row).to_lowercase(), row.created_at));
            }
            Some(SortTasks::Status) => {
                rows.sort_by_key(|row| (last(&row.status), last(&row.code), row.created_at));
            }
        }
    }
}

fn known(flag: &str, value: Option<&str>, known: impl Iterator<Item = &'static str> + Clone) -> Outcome {
    let Some(value) = value.filter(|value| !known.clone().any(|one| one.eq_ignore_ascii_case(value))) else {
        return Ok(());
    };
    let hint = nearest(value, known.clone()).map_or_else(
        || format!("known are {}", known.collect::<Vec<_>>().join(", ")),
        |near| format!("did you mean '{near}'?"),
    );
    Err(Failure::new(Exit::Usage, format!("no task was found with --{flag} '{}'; {hint}", visible(value))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(task: &str, account: &str, name: &str, second: i64) -> TaskRow {
        TaskRow {
            task: task.into(),
            account: Some(account.into()),
            display_name: Some(name.into()),
            action: Some("delete_account".into()),
            created_at: jiff::Timestamp::from_second(second).ok(),
            ..TaskRow::default()
        }
    }

    fn ordered(sort: SortTasks) -> Vec<String> {
        let mut rows = vec![row("t1", "u9", "ann", 3), row("t2", "U1", "Zoe", 1), row("t3", "u5", "Bob", 2)];
        rows.push(TaskRow { task: "t4".into(), ..TaskRow::default() });
        Chosen { sort: Some(sort), ..Chosen::default() }.order(&mut rows);
        rows.into_iter().map(|row| row.task).collect()
    }

    #[test]
    fn tasks_are_sorted_as_requested_with_unknown_values_last() {
        assert_eq!(ordered(SortTasks::Created), ["t2", "t3", "t1", "t4"]);
        assert_eq!(ordered(SortTasks::Newest), ["t1", "t3", "t2", "t4"]);
        assert_eq!(ordered(SortTasks::Account), ["t2", "t3", "t1", "t4"]);
        assert_eq!(ordered(SortTasks::Who), ["t4", "t1", "t3", "t2"]);
    }

    #[test]
    fn account_filter_matches_a_part_of_any_name() {
        let chosen = Chosen { account: Some("ann".into()), ..Chosen::default() };
        assert!(chosen.includes(&row("t", "u1", "Joanna", 1)) && chosen.includes(&row("t", "ANN", "x", 1)));
        assert!(!chosen.includes(&row("t", "u1", "Bob", 1)) && !chosen.includes(&TaskRow::default()));
        let chosen = Chosen { code: Some("timeout".into()), ..Chosen::default() };
        assert!(chosen.includes(&TaskRow { code: Some("TIMEOUT".into()), ..TaskRow::default() }));
        assert!(!chosen.includes(&row("t", "u1", "Bob", 1)));
    }
}
