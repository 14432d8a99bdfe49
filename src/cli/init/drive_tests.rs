use std::collections::VecDeque;

use super::super::iden;
use super::*;
use crate::cli::init::interview::Answer;

/// Replies with these lines, and records all messages and questions.
struct Script {
    lines: VecDeque<&'static str>,
    asked: Vec<String>,
    told: String,
}

impl Script {
    fn of(lines: &[&'static str]) -> Self {
        Self { lines: lines.iter().copied().collect(), asked: Vec::new(), told: String::new() }
    }
}

#[async_trait]
impl Asker for Script {
    async fn ask(&mut self, question: &Question, before: Option<&str>) -> Result<Reply, Failure> {
        self.asked.push(format!(
            "{}{}",
            question.key,
            before.map(|it| format!(" [{it}]")).unwrap_or_default()
        ));
        Ok(match self.lines.pop_front() {
            None => Reply::End,
            Some("<") => Reply::Back,
            Some(line) => Reply::Line(line.to_owned()),
        })
    }

    fn say(&mut self, text: &str) {
        self.told.push_str(text);
        self.told.push('\n');
    }
}

/// A target that exists only at "right", and then asks for a table.
#[derive(Default)]
struct Fake {
    looks: usize,
}

#[async_trait]
impl Looker for Fake {
    fn questions(&self, connector: &str) -> Vec<Question> {
        if connector == "none" {
            return Vec::new();
        }
        vec![
            Question::text("url", "Where?"),
            Question::secret("password", "Password?").optional(),
            Question::text("table", "Which?").later(),
        ]
    }

    async fn target(&mut self, interview: &Interview) -> Result<Discovered, String> {
        self.looks += 1;
        match (interview.text("url"), interview.text("table")) {
            (None, _) => Ok(Discovered::default()),
            (Some("right"), None) => {
                let choices = [("people", ""), ("staff", "")];
                Ok(Discovered::ask([Question::text("table", "Which?").with_choices(choices)])
                    .with_seen("2 tables"))
            }
            (Some("right"), Some(_)) => Ok(Discovered::target([])),
            (Some(_), _) => Err("nobody answers there".to_owned()),
        }
    }

    async fn apps(&mut self, _: &Interview) -> Result<Vec<KnownApp>, String> {
        Ok(vec![KnownApp { id: "11111111-1111-4111-8111-111111111111".into(), name: "HR".into() }])
    }

    fn refuse(&self, key: &str, text: &str) -> Option<String> {
        (key == "name" && text == "taken").then(|| "is taken".to_owned())
    }
}

async fn run(
    flags: &[(&str, &str)],
    is_silent: bool,
    asker: &mut Script,
    looker: &mut Fake,
) -> Result<Interview, Failure> {
    let basics = vec![Question::text("connector", "What?"), Question::text("name", "Name?")];
    let flags: BTreeMap<String, String> =
        flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let mut plan = Plan::new(basics, iden::questions(), flags.contains_key(iden::APP));
    let environment = BTreeMap::from([("PASSWORD".to_owned(), "hunter2".to_owned())]);
    let folder = tempfile::tempdir().unwrap();
    let circumstances =
        Circumstances { flags: &flags, environment: &environment, folder: folder.path(), is_silent };
    drive(&mut plan, &circumstances, asker, looker).await
}

#[tokio::test]
async fn going_back_reruns_the_dependent_steps() {
    let mut asker = Script::of(&[
        "db", "taken", "hr", "wrong", "", "<", "right", "", "2", "<", "people", "<", "<", "<", "", "", "",
        "sandbox",
    ]);
    let mut looker = Fake::default();
    let interview = run(&[], false, &mut asker, &mut looker).await.unwrap();
    assert_eq!(interview.text("table"), Some("people"), "{:?}", asker.asked);
    assert_eq!(interview.text("url"), Some("right"));
    assert_eq!(interview.text(iden::APP), None, "a sandbox begins with an app of its own");
    assert!(asker.told.contains("is taken") && asker.told.contains("nobody answers there"));
    assert_eq!(
        asker.asked,
        [
            "connector",
            "name",
            "name",
            "url",
            "password",
            "password",
            "url [wrong]",
            "password",
            "table",
            "iden_url",
            "table [staff]",
            "iden_url",
            "table [people]",
            "password",
            "url [right]",
            "password",
            "table [people]",
            "iden_url",
        ]
    );
}

#[tokio::test]
async fn only_questions_without_flags_are_asked() {
    let flags = [("connector", "db"), ("url", "right"), ("password", "env:PASSWORD"), ("table", "staff")];
    let mut asker = Script::of(&["hr", "https://iden.example.org/org/x", "a-key", ""]);
    let interview = run(&flags, false, &mut asker, &mut Fake::default()).await.unwrap();
    assert_eq!(asker.asked, ["name", "iden_url", "iden_key", "app"]);
    assert_eq!(interview.text(iden::APP), Some(iden::NEW));
    let password = interview.secret("password").unwrap();
    assert_eq!(password.reference, serde_json::json!({ "env": "PASSWORD" }));
    assert!(!format!("{interview:?}").contains("hunter2"));
}

#[tokio::test]
async fn non_interactive_run_names_the_first_missing_answer() {
    let all = [
        ("connector", "db"),
        ("name", "hr"),
        ("url", "right"),
        ("table", "people"),
        ("iden_url", "https://iden.example.org/org/x"),
        ("iden_key", "env:PASSWORD"),
        ("app", "new"),
    ];
    let mut asker = Script::of(&[]);
    assert!(run(&all, true, &mut asker, &mut Fake::default()).await.is_ok());
    assert!(asker.asked.is_empty());
    for (without, named) in [
        ("name", "--name is missing: Name?"),
        ("url", "--url is missing: Where?"),
        ("table", "--table is missing: Which? (one of people, staff)"),
        ("iden_key", "--iden-key-file, --iden-key-env or --iden-key-credential is missing"),
    ] {
        let some: Vec<_> = all.into_iter().filter(|(key, _)| *key != without).collect();
        let failure = run(&some, true, &mut Script::of(&[]), &mut Fake::default()).await.unwrap_err();
        assert!(failure.message().starts_with(named), "{without}: {}", failure.message());
    }
    let mut wrong = all;
    wrong[2].1 = "wrong";
    let failure = run(&wrong, true, &mut Script::of(&[]), &mut Fake::default()).await.unwrap_err();
    assert_eq!(failure.message(), "nobody answers there");
    wrong = all;
    wrong[5].1 = "env:NOT_THERE";
    let failure = run(&wrong, true, &mut Script::of(&[]), &mut Fake::default()).await.unwrap_err();
    assert!(failure.message().starts_with("--iden-key: the environment variable NOT_THERE is not set"));
}

#[tokio::test]
async fn input_that_ends_early_names_the_missing_answer() {
    let failure = run(&[], false, &mut Script::of(&["db"]), &mut Fake::default()).await.unwrap_err();
    assert!(failure.message().contains("ended") && failure.message().contains("--name"), "{failure:?}");
    // There is no question before the first one to go back to.
    let mut asker = Script::of(&["<", "none", "hr", "sandbox"]);
    let interview = run(&[], false, &mut asker, &mut Fake::default()).await.unwrap();
    assert!(
        asker.told.contains("first question") && matches!(interview.answer("name"), Some(Answer::Text(_)))
    );
}
