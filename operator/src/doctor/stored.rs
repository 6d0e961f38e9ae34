//! The templates that SES stores: those that mail will name are there, get all that they ask for, and are
//! those of the folder; and no name is for an action that there is not.

use std::collections::BTreeMap;

use render::{Template, Variables};
use sender::config::Config;
use sender::template::localised;
use sender::transport::ses::tools::Failure;

use super::finding::{Finding, Report};
use super::pipe::Action;
use super::transport::Way;
use crate::templates::store::{Store, Stored};
use crate::templates::{Folder, settings};

const CHECK: &str = "SES templates";

/// Looks at each.
///
/// # Errors
/// When the reader of stdout is gone.
pub async fn look(
    way: &Way<'_>,
    settings: &Config,
    report: &mut Report<'_, '_>,
) -> anyhow::Result<()> {
    let store = Box::pin(Store::connect(way.pace)).await;
    let (names, mut findings) = wanted(way, settings);
    let (mut there, mut asked) = (0, 0);
    for (name, (action, ours)) in &names {
        asked += 1;
        findings.push(match Box::pin(store.get(name)).await {
            Ok(None) => missing(name, action, ours.is_some()),
            Ok(Some(stored)) if ours.as_ref().is_some_and(|ours| *ours != stored) => {
                there += 1;
                let detail = format!("{name}, for {action}, is not what the folder has");
                Finding::warning(CHECK, detail, "mailroom templates push")
            }
            Ok(Some(stored)) => {
                there += 1;
                let lacking = settings.templates.is_none().then(|| lacking(&stored, action));
                let Some(lacking) = lacking.flatten() else { continue };
                Finding::wrong(
                    CHECK,
                    format!("{name}, for {action}, gets only login, secret and code: {lacking}"),
                    "MAILROOM_TEMPLATES=the folder that it was pushed from, and what that needs",
                )
            }
            Err(error) if is_denied(&error) => {
                let detail = "these credentials may not ask: ses:GetEmailTemplate is denied";
                let remedy = "allow ses:GetEmailTemplate to have it looked at";
                findings.push(Finding::skipped(CHECK, detail, remedy));
                return report.say(findings);
            }
            Err(error) => {
                findings.push(Finding::away(CHECK, format!("{error:#}"), "try again"));
                return report.say(findings);
            }
        });
    }
    if there == asked && findings.is_empty() {
        let all: Vec<&str> = names.keys().map(String::as_str).collect();
        findings.push(Finding::ok(CHECK, all.join(", ")));
    }
    report.say(findings)
}

/// Names that no mail will ask for, since there is no such action.
pub fn strangers(settings: &Config, actions: &[Action]) -> Vec<Finding> {
    let names = &settings.ses_templates;
    let always = Action::known();
    let known = |is_it: &dyn Fn(&Action) -> bool| actions.iter().chain(&always).any(is_it);
    let labels = names.labels().filter(|label| !known(&|action| action.label == *label));
    let numbers = names.numbers().filter(|number| !known(&|action| action.number == *number));
    let strangers = labels.map(str::to_owned).chain(numbers.map(|number| number.get().to_string()));
    let finding = |stranger| {
        let all: Vec<_> = actions.iter().map(|action| action.label.as_str()).collect();
        let detail = format!("MAILROOM_SES_TEMPLATES names {stranger}, which is no action");
        Finding::warning(CHECK, detail, format!("one of {}", all.join(", ")))
    };
    strangers.map(finding).collect()
}

/// What a template asks for that a mail has only if letters are made here. SES answers "success" to such
/// a mail, and sends nothing.
fn lacking(stored: &Stored, action: &str) -> Option<String> {
    let [subject, html, text] =
        stored.parts.each_ref().map(|part| part.as_deref().unwrap_or_default());
    let code = (action != "activation").then_some("12345");
    let variables = Variables::new("ann", "secret", code);
    match Template::new(subject, html, text).and_then(|template| template.render(&variables)) {
        Err(problem) => Some(problem.to_string()),
        Ok(_) if [subject, html, text].iter().any(|part| part.contains("login_html")) => {
            Some("it asks for login_html".to_owned())
        }
        Ok(_) => None,
    }
}

fn missing(name: &str, action: &str, is_ours: bool) -> Finding {
    let remedy = if is_ours {
        "mailroom templates push".to_owned()
    } else {
        format!(
            "mailroom templates push, aws sesv2 create-email-template, or \
             MAILROOM_SES_TEMPLATES={action}=its name"
        )
    };
    Finding::wrong(CHECK, format!("there is no {name}, for {action}, in this region"), remedy)
}

/// The action of each name, and what the folder has for it.
type Names<'a> = BTreeMap<String, (&'a str, Option<Stored>)>;

/// The names that mail will have, by the action, and what the folder has for each.
fn wanted<'a>(way: &'a Way<'_>, settings: &Config) -> (Names<'a>, Vec<Finding>) {
    let folder = settings.templates.as_ref().and_then(|_| {
        let settings = settings::Settings::from_vars(way.environment.vars()).ok()?;
        Folder::read(&settings.folder).ok()
    });
    let (mut names, mut findings) = (BTreeMap::new(), Vec::new());
    for Action { label, number } in way.actions {
        let Some(name) = settings.ses_templates.name(*number, Some(label)) else {
            let detail = format!("{label} has no template's name");
            let remedy = format!("MAILROOM_SES_TEMPLATES={label}=its name");
            findings.push(Finding::wrong(CHECK, detail, remedy));
            continue;
        };
        let ours = folder.iter().flat_map(|folder| &folder.actions);
        let ours =
            ours.filter(|action| action.label == *label).flat_map(|action| &action.templates);
        let mut of_locales = ours.map(|source| {
            let name = localised(&name, &source.locale, settings.locales.default_locale());
            (name, (label.as_str(), Some(Stored::of(source))))
        });
        match of_locales.next() {
            None => _ = names.insert(name.into_owned(), (label.as_str(), None)),
            Some(first) => names.extend(std::iter::once(first).chain(of_locales)),
        }
    }
    (names, findings)
}

fn is_denied(error: &anyhow::Error) -> bool {
    let fatal = error.chain().find_map(|cause| cause.downcast_ref::<daemon::exit::Fatal>());
    let cause = fatal.map_or(error, daemon::exit::Fatal::error);
    cause.downcast_ref::<Failure>().is_some_and(|failure| failure.is_denied)
}
