#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::path::Path;

use operator::settings::Settings;
use operator::templates::{Folder, lint};

use crate::support::{folder, mailroom, ours, put, text};

/// What is wrong, without the folder's own path.
fn problems_of(dir: &Path) -> Vec<String> {
    let settings = Settings::from_vars([]).unwrap();
    let prefix = format!("{}/", dir.display());
    let problems = lint::problems(&Folder::read(dir).unwrap(), &settings);
    problems.iter().map(|problem| problem.to_string().replace(&prefix, "")).collect()
}

fn problems(files: &[(&str, &str)]) -> Vec<String> {
    problems_of(folder(files).path())
}

/// What is wrong with a `body.txt` of an action whose tokens may carry a team and a size.
fn in_text(body: &str) -> Vec<String> {
    in_part("body.txt", body)
}

fn in_part(file: &str, body: &str) -> Vec<String> {
    let path = format!("welcome/en/{file}");
    let samples = r#"{"team": {"name": "Ops", "size": 3}, "names": ["a"], "size": 3, "list": []}"#;
    let all = problems(&[("welcome/variables.json", samples), (&path, body)]);
    let prefix = format!("{path}:");
    all.iter().map(|line| line.strip_prefix(&prefix).unwrap_or(line).to_owned()).collect()
}

fn in_html(body: &str) -> Vec<String> {
    let head = "<!doctype html><html lang=\"en\"><head><title>x</title></head>\n<body>\n";
    in_part("body.html", &format!("{head}{body}\n</body></html>\n"))
}

const NOTHING: [&str; 0] = [];

#[test]
fn our_own_templates_are_without_fault() {
    let ran = mailroom(&["lint", text(&ours())]);
    assert_eq!((ran.code, ran.out, ran.err.as_str()), (0, vec![], ""));
}

#[test]
fn every_problem_is_reported_at_once_and_the_exit_code_says_so() {
    let dir = folder(&[
        ("welcome/en/subject.txt", "Hi {{nam}}\n"),
        ("welcome/en/body.txt", "\n{{#if (eq login \"x\")}}y{{/if}}\n{{{login}}}\n"),
        ("goodbye/de/subject.txt", "x"),
    ]);
    let root = text(dir.path());
    let expected = [
        ("goodbye", 1, "there is no en, the default locale"),
        ("goodbye/de/body.html", 1, "is missing"),
        ("goodbye/de/body.txt", 1, "is missing"),
        ("welcome/en/body.txt", 2, "SES knows no expressions in parentheses"),
        ("welcome/en/body.txt", 3, "{{{login}}}: nothing is escaped, write {{login}}"),
        (
            "welcome/en/subject.txt",
            1,
            "nam is not a variable of welcome: declare it in welcome/variables.json if its tokens \
             carry it",
        ),
    ];
    let ran = mailroom(&["lint", root]);
    let lines = expected.map(|(path, line, message)| format!("{root}/{path}:{line}: {message}"));
    assert_eq!((ran.code, ran.out, ran.err.as_str()), (78, lines.to_vec(), ""));

    let ran = mailroom(&["lint", "--json", root]);
    let lines = expected.map(|(path, line, message)| {
        let path = format!("{root}/{path}");
        serde_json::json!({ "path": path, "line": line, "message": message })
    });
    let said: Vec<serde_json::Value> =
        ran.out.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((ran.code, said), (78, lines.to_vec()));
}

#[test]
fn helpers_of_handlebars_rust_alone_are_found() {
    for name in ["eq", "ne", "gt", "gte", "lt", "lte", "and", "or"] {
        let message = format!("1: SES does not know the helper {name}");
        assert_eq!(
            in_text(&format!("{{{{{name} login secret}}}}")),
            std::slice::from_ref(&message)
        );
        assert_eq!(in_text(&format!("{{{{#{name} login secret}}}}x{{{{/{name}}}}}")), [message]);
    }
    for name in ["not", "len", "log"] {
        let message = format!("1: SES does not know the helper {name}");
        assert_eq!(in_text(&format!("{{{{{name} login}}}}")), [message]);
    }
    assert_eq!(in_text("{{len}}"), ["1: SES does not know the helper len"]);
    assert_eq!(in_text("{{upper login}}"), ["1: there is no helper upper"]);
    assert_eq!(in_text("{{if login}}"), ["1: if is a block: write {{#if x}}…{{/if}}"]);
}

#[test]
fn sections_of_mustache_are_found() {
    assert_eq!(
        in_text("a\n{{#login}}x{{/login}}"),
        ["2: {{#login}} is Mustache: write {{#if login}}, {{#each login}} or {{#with login}}"]
    );
    for body in ["a\n{{^login}}x{{/login}}", "a\n{{#if login}}a{{^login}}x{{/if}}"] {
        assert_eq!(
            in_text(body),
            ["2: {{^login}} is Mustache: write {{#unless login}}…{{/unless}}"]
        );
    }
    assert_eq!(in_text("{{#if login}}a{{^}}b{{/if}}"), NOTHING);
}

#[test]
fn triple_braces_and_ampersands_are_found() {
    assert_eq!(in_text("a {{{login}}}"), ["1: {{{login}}}: nothing is escaped, write {{login}}"]);
    assert_eq!(
        in_text("\n\n a {{& login}}"),
        ["3: {{&login}}: nothing is escaped, write {{login}}"]
    );
}

#[test]
fn partials_are_those_of_the_same_file() {
    let remedy = "SES knows no partial files, only {{#*inline}} ones of the same file";
    assert_eq!(in_text("{{> footer}}"), [format!("1: {{{{> footer}}}}: {remedy}")]);
    // The name under which another part is known while rendering.
    assert_eq!(in_text("{{> subject}}"), [format!("1: {{{{> subject}}}}: {remedy}")]);
    assert_eq!(in_text("{{#*inline \"a\"}}-- {{login}}{{/inline}}\n{{> a}}"), NOTHING);
    assert_eq!(
        in_text("{{#*inline \"a\"}}\n{{nam}}{{/inline}}\n{{> a}}"),
        [
            "2: nam is not a variable of welcome: declare it in welcome/variables.json if its tokens \
          carry it"
        ]
    );
    assert_eq!(
        in_text("{{#*inline \"a\"}}{{> a}}{{/inline}}\n{{> a}}"),
        ["1: {{> a}}: partials use each other too deeply"]
    );
}

#[test]
fn other_decorators_expressions_and_raw_blocks_are_found() {
    let only = "the only decorator is {{#*inline \"name\"}}…{{/inline}}";
    assert_eq!(in_text("{{*bold x}}"), [format!("1: {{{{*bold}}}}: {only}")]);
    assert_eq!(in_text("{{#*bold x}}a{{/bold}}"), [format!("1: {{{{*bold}}}}: {only}")]);
    let parentheses = ["1: SES knows no expressions in parentheses"];
    assert_eq!(in_text("{{lookup (lookup team \"name\") login}}"), parentheses[..]);
    assert_eq!(
        in_text("{{{{raw}}}}{{x}}{{{{/raw}}}}"),
        ["1: {{{{raw}}}}: SES knows no raw blocks"]
    );
    assert_eq!(
        in_text("{{#if login includeZero=true}}a{{/if}}"),
        ["1: {{#if}} takes one variable, and nothing else"]
    );
}

#[test]
fn what_is_not_handlebars_says_where() {
    let found = in_text("a\n{{#if login}}b");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("2: not Handlebars: "), "{found:?}");
}

#[test]
fn unknown_variables_are_found_wherever_they_stand() {
    let unknown = |line: usize, name: &str| {
        let remedy = "declare it in welcome/variables.json if its tokens carry it";
        format!("{line}: {name} is not a variable of welcome: {remedy}")
    };
    assert_eq!(in_text("{{nam}}"), [unknown(1, "nam")]);
    assert_eq!(in_text("a {{#if nam}}b{{/if}}"), [unknown(1, "nam")]);
    assert_eq!(in_text("{{#if team}}{{team.nam}}{{/if}}"), [unknown(1, "team.nam")]);
    assert_eq!(in_text("{{lookup login nam}}"), [unknown(1, "nam")]);
    // The names inside are those of the team.
    let with =
        "{{#if team}}{{#with team}}{{name}} {{size}} {{../login}}\n{{login}}{{/with}}{{/if}}";
    assert_eq!(in_text(with), [unknown(2, "login")]);
    let each = "{{#each names}}{{this}} {{@index}} {{@root.login}}{{else}}none{{/each}}";
    assert_eq!(in_text(each), NOTHING);
    assert_eq!(
        in_text("{{#each login}}a{{/each}}"),
        ["1: login is not a list: {{#each}} needs one"]
    );
    assert_eq!(in_text("{{#each list as |one at|}}{{one.x}} {{at}}{{else}}-{{/each}}"), NOTHING);
    assert_eq!(
        in_text("{{#if login}}a\n{{else if nam}}b{{else}}{{num}}\n{{/if}}"),
        [unknown(2, "nam"), unknown(2, "num")]
    );
}

#[test]
fn text_from_outside_is_escaped_in_html_and_nowhere_else() {
    assert_eq!(
        in_html("<p>{{login}}</p>"),
        ["3: login is text from outside: in body.html write login_html"]
    );
    assert_eq!(
        in_html("<p>{{#if team}}\n{{team.name}} {{team.size}}{{/if}}</p>"),
        [
            "3: team is text from outside: in body.html write team_html",
            "4: team.name is text from outside: in body.html write team_html.name",
        ]
    );
    assert_eq!(
        in_html(
            "<p>{{secret}} {{base_url}} {{locale}}{{#if code}}{{code}}{{/if}}{{#if size}}{{size}}\
             {{/if}}{{#if expires_at}}{{expires_at}} {{expires_minutes}}{{/if}}</p>"
        ),
        ["3: expires_minutes is not always there: put it inside {{#if expires_minutes}}…{{/if}}"]
    );
    assert_eq!(
        in_text("{{login_html}}"),
        ["1: login_html is escaped for HTML: in body.txt write login"]
    );
    assert_eq!(
        in_part("subject.txt", "{{#if team_html}}{{team_html.name}}{{/if}}"),
        [
            "1: team_html is escaped for HTML: in subject.txt write team",
            "1: team_html.name is escaped for HTML: in subject.txt write team.name",
        ]
    );
}

#[test]
fn what_is_optional_is_asked_for_first() {
    let missing = |name: &str, root: &str| {
        format!("1: {name} is not always there: put it inside {{{{#if {root}}}}}…{{{{/if}}}}")
    };
    assert_eq!(in_text("{{code}}"), [missing("code", "code")]);
    assert_eq!(in_text("{{expires_at}}"), [missing("expires_at", "expires_at")]);
    assert_eq!(in_text("{{team.name}}"), [missing("team.name", "team")]);
    assert_eq!(in_text("{{#unless code}}{{code}}{{/unless}}"), [missing("code", "code")]);
    assert_eq!(in_text("{{#if code}}a{{else}}{{code}}{{/if}}"), [missing("code", "code")]);
    assert_eq!(in_text("{{#with team}}{{name}}{{/with}}"), [missing("team", "team")]);
    for body in [
        "a{{#if code}}{{code}}{{/if}}",
        "{{#unless code}}a{{else}}{{code}}{{/unless}}",
        "{{#if login}}{{#if code}}{{#if team}}{{code}}{{/if}}{{/if}}{{/if}}a",
        "{{#if login}}a{{else if code}}{{code}}{{/if}}",
        "{{#with team}}{{name}}{{else}}a{{/with}}",
        "{{#*inline \"b\"}}{{code}}{{/inline}}a{{#if code}}{{> b}}{{/if}}",
    ] {
        assert_eq!(in_text(body), NOTHING, "{body}");
    }
    let html = "<p>{{#if team_html}}{{team_html.name}}{{/if}}</p>";
    assert_eq!(in_html(html), NOTHING);
    // A recovery always has its code.
    let recovery = [("subject.txt", "a"), ("body.html", ""), ("body.txt", "{{code}}")];
    let html = crate::support::WELCOME[1].1;
    let recovery = recovery.map(|(file, text)| {
        (format!("password_recovery/en/{file}"), if text.is_empty() { html } else { text })
    });
    let files: Vec<(&str, &str)> = recovery.iter().map(|(path, text)| (&**path, *text)).collect();
    assert_eq!(problems(&files), NOTHING);
}

#[test]
fn what_a_token_may_carry_is_declared_well() {
    let declared = |json: &str| problems(&[("welcome/variables.json", json)]);
    assert_eq!(declared("{\"a\": 1,\n}").len(), 1);
    assert!(declared("{\"a\": 1,\n}")[0].starts_with("welcome/variables.json:2: is not JSON: "));
    for (json, message) in [
        ("[]", "is not an object of sample values"),
        (r#"{"login": "x"}"#, "login is Mailroom's own: what a token carries so is not used"),
        (r#"{"team_html": "x"}"#, "team_html is not to be declared: it comes with its plain text"),
        (r#"{"len": 1}"#, "\"len\" cannot be a variable's name"),
        (r#"{"a b": 1}"#, "\"a b\" cannot be a variable's name"),
    ] {
        assert_eq!(declared(json), [format!("welcome/variables.json:1: {message}")]);
    }
}

#[test]
fn every_part_is_there_and_says_something() {
    for file in ["subject.txt", "body.html", "body.txt"] {
        assert_eq!(in_part(file, " \n"), ["1: is empty"]);
        let dir = folder(&[]);
        std::fs::remove_file(dir.path().join("welcome/en").join(file)).unwrap();
        assert_eq!(problems_of(dir.path()), [format!("welcome/en/{file}:1: is missing")]);
    }
    assert_eq!(
        in_text("{{#if code}}{{code}}{{/if}}"),
        ["1: without what is optional comes out empty"]
    );
}

#[test]
fn a_subject_is_one_short_line() {
    assert_eq!(in_part("subject.txt", "Hi\nthere\n"), ["2: a subject is one line"]);
    assert_eq!(in_part("subject.txt", &"x".repeat(150)), NOTHING);
    let long = format!("{{{{login}}}}{}", "x".repeat(150));
    assert_eq!(
        in_part("subject.txt", &long),
        [
            "1: 170 characters with sample data, and no more than 150 are shown",
            "1: 170 characters without what is optional, and no more than 150 are shown"
        ]
    );
}

#[test]
fn links_are_absolute() {
    let relative = |value: &str| {
        let begin = "begin it with https://, http://, mailto:, {{base_url}}";
        format!("4: href {value:?} is not absolute: {begin}")
    };
    for value in ["/x", "example.com", "#top", "javascript:x()", "{{secret}}", ""] {
        assert_eq!(in_html(&format!("<p>a</p>\n<a href=\"{value}\">x</a>")), [relative(value)]);
    }
    for value in ["https://a.example/x", "http://a.example", "mailto:a@b.example"] {
        assert_eq!(in_html(&format!("<a href=\"{value}\">x</a>")), NOTHING);
    }
    assert_eq!(in_html("<a href='{{base_url}}/{{secret}}'>x</a>"), NOTHING);
    // Whichever way a condition goes.
    let either = "\n<a href=\"{{#if code}}{{base_url}}{{else}}/x{{/if}}\">x</a>";
    assert_eq!(in_html(either), [relative("/x")]);
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    let loaded = |name: &str, value: &str| {
        let remedy = "only what begins with {{base_url}} may be";
        format!("3: {name} {value:?} is loaded from elsewhere: {remedy}")
    };
    let url = "https://t.example/p.gif";
    assert_eq!(in_html(&format!("<img alt=\"\" src=\"{url}\">")), [loaded("src", url)]);
    assert_eq!(
        in_html(&format!("<table background=\"{url}\"></table>")),
        [loaded("background", url)]
    );
    assert_eq!(in_html("<img alt=\"\" src=\"cid:1\">"), [loaded("src", "cid:1")]);
    assert_eq!(in_html("<img alt=\"\" src=\"{{base_url}}/logo.png\">"), NOTHING);
    assert_eq!(
        in_html(&format!("<link rel=\"stylesheet\" href=\"{url}\">")),
        [loaded("href", url)]
    );
    assert_eq!(
        in_html("<p style=\"background: url(//t.example/p.gif)\">a</p>"),
        ["3: url( in CSS loads something from elsewhere"]
    );
}

#[test]
fn html_is_well_formed_whichever_way_its_conditions_go() {
    let found = in_html("<p>a</p>\n{{#if code}}\n<p>b</div>\n{{/if}}\n<p>c</p>");
    assert_eq!(found, ["5: HTML: </div> does not belong here"]);
    assert_eq!(
        in_html("<p>a</p>\n<tr><td>a"),
        ["4: HTML: <td> does not belong here", "4: HTML: <tr> does not belong here",]
    );
    for (html, expected) in [
        (
            "<div><b>a</div>",
            &["3: HTML: </div>, but something in it is not closed", "4: HTML: <b> is not closed"][..],
        ),
        ("<div>\n<p>a</p>", &["5: HTML: <div> is not closed"]),
        ("<table>\n{{login_html}}<tr><td>a</td></tr></table>", &["4: HTML: Non-space table text"]),
        ("<p class=\"b\" class=\"c\">a</p>", &["3: HTML: Duplicate attribute"]),
        ("<span/>a</span>", &["3: HTML: Unacknowledged self-closing tag"]),
    ] {
        assert_eq!(in_html(html), expected, "{html}");
    }
    let either = "{{#if code}}\n<div>\n{{else}}\n<div lang=\"de\">\n{{/if}}\n<p>a</p></div>";
    assert_eq!(in_html(either), NOTHING);
    assert_eq!(in_html("<p {{#if code}}class=\"a\"{{/if}}>a</p>"), NOTHING);
}

#[test]
fn every_action_has_the_default_locale_and_folders_have_names() {
    let welcome = |locale: &str| {
        crate::support::WELCOME
            .map(|(path, text)| (path.replace("/en/", &format!("/{locale}/")), text))
    };
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in welcome("de") {
        put(dir.path(), &path, text);
    }
    assert_eq!(problems_of(dir.path()), ["welcome:1: there is no en, the default locale"]);
    let settings = Settings::from_vars([("MAILROOM_LOCALES".into(), "fr,de".into())]).unwrap();
    assert_eq!(lint::problems(&Folder::read(dir.path()).unwrap(), &settings), []);

    assert_eq!(
        problems(&[("welcome/x/subject.txt", "a")]),
        ["welcome/x:1: the folder's name is not a locale: en or pt-BR say"]
    );
    let twice: Vec<(String, &str)> = welcome("pt-BR").into_iter().chain(welcome("pt_BR")).collect();
    let twice: Vec<(&str, &str)> = twice.iter().map(|(path, text)| (&**path, *text)).collect();
    assert_eq!(problems(&twice), ["welcome/pt_BR:1: another folder has the same locale"]);
    let empty = tempfile::tempdir().unwrap();
    let root = empty.path().display();
    assert_eq!(
        problems_of(empty.path()),
        [format!("{root}:1: there are no templates: expected <action>/<locale>/")]
    );
    let found = problems(&[("a b/en/subject.txt", "a")]);
    assert_eq!(found[0], "a b:1: an action's name has letters, digits, _ and -, and up to 62");
}

#[test]
fn a_template_is_no_larger_than_ses_takes() {
    let found = in_text(&"x".repeat(500_000));
    assert_eq!(found, ["welcome/en:1: 500122 bytes, and SES takes 500000"]);
}

#[test]
fn a_folder_that_is_not_there_is_a_fault_of_the_settings() {
    let ran = mailroom(&["lint", "/nonexistent"]);
    assert_eq!(ran.code, 78);
    assert_eq!(ran.err, "mailroom: /nonexistent: No such file or directory (os error 2)\n");
    let ran = mailroom(&["lint", "--loud"]);
    assert_eq!(ran.code, 78);
    assert!(ran.err.starts_with("mailroom: unexpected argument '--loud' found\n"), "{}", ran.err);
}
