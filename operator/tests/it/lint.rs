#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::path::Path;

use operator::templates::settings::Settings;
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
    for comment in ["{{! {{^x}}", "{{!-- {{^x}} }}\n{{~^y}} --}}"] {
        assert_eq!(in_text(&format!("a {comment}")), NOTHING, "{comment}");
    }
    // A comment says nothing about what comes after it.
    assert_eq!(
        in_text("{{! ^login }}{{#login}}x{{/login}}"),
        ["1: {{#login}} is Mustache: write {{#if login}}, {{#each login}} or {{#with login}}"]
    );
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
    assert_eq!(in_text("a{{#if (lookup team \"name\")}}b{{/if}}"), parentheses[..]);
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
    // The names inside are those of the team.
    let with = "{{#if team}}{{#with team}}{{#if name}}{{name}} {{../login}}{{/if}}\n\
                {{login}}{{/with}}{{/if}}";
    assert_eq!(in_text(with), [unknown(2, "login")]);
    let each = "{{#each names}}{{this}} {{@index}} {{@root.login}}{{else}}none{{/each}}";
    assert_eq!(in_text(each), NOTHING);
    assert_eq!(
        in_text("{{#each login}}a{{/each}}"),
        ["1: login is not a list: {{#each}} needs one"]
    );
    assert_eq!(
        in_text("{{#each list as |one at|}}{{#if one.x}}{{one.x}}{{/if}} {{at}}{{else}}-{{/each}}"),
        NOTHING
    );
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
        in_html("<p>{{#if team.name}}\n{{team.name}}{{/if}}</p>"),
        [
            "3: team.name is text from outside: in body.html write team_html.name",
            "4: team.name is text from outside: in body.html write team_html.name",
        ]
    );
    assert_eq!(
        in_html(
            "<p>{{secret}} {{base_url}} {{locale}}{{#if code}}{{code}}{{/if}}{{#if size_html}}{{size_html}}\
             {{/if}}{{#if expires_at}}{{expires_at}} {{expires_minutes}}{{/if}}</p>"
        ),
        ["3: expires_minutes is not always there: put it inside {{#if expires_minutes}}…{{/if}}"]
    );
    assert_eq!(
        in_text("{{login_html}}"),
        ["1: login_html is escaped for HTML: in body.txt write login"]
    );
    assert_eq!(
        in_part(
            "subject.txt",
            "{{#if team_html}}{{#if team_html.name}}{{team_html.name}}{{/if}}{{/if}}"
        ),
        [
            "1: team_html is escaped for HTML: in subject.txt write team",
            "1: team_html.name is escaped for HTML: in subject.txt write team.name",
        ]
    );
    // A token may carry a text where the sample is a number.
    assert_eq!(
        in_html(
            "<p>{{#if size_html}}{{size}}{{/if}}\n{{#if team_html.size}}{{team.size}}{{/if}}</p>"
        ),
        [
            "3: size is text from outside: in body.html write size_html",
            "4: team.size is text from outside: in body.html write team_html.size",
        ]
    );
    assert_eq!(
        in_text("a{{#if size}}{{size_html}}{{/if}}"),
        ["1: size_html is escaped for HTML: in body.txt write size"]
    );
}

#[test]
fn names_within_what_a_token_carries_are_text_from_outside_too() {
    let key = |name: &str| {
        format!("3: {name} is text from outside, and not escaped: it cannot be in body.html")
    };
    for (body, name) in [
        ("{{#each team_html}}{{@key}}{{else}}{{/each}}", "@key"),
        (
            "{{#each team_html}}{{#if this}}{{#with this}}{{@../key}}{{/with}}{{/if}}{{else}}{{/each}}",
            "@../key",
        ),
        ("{{#each team_html as |x at|}}{{at}}{{else}}{{/each}}", "at"),
        ("{{#each names_html as |x at|}}{{at}}{{else}}{{/each}}", "at"),
        (
            "{{#*inline \"p\"}}{{x}}{{/inline}}{{#each team_html}}{{> p x=@key}}{{else}}{{/each}}",
            "@key",
        ),
    ] {
        assert_eq!(in_html(&format!("<p>{body}</p>")), [key(name)], "{body}");
    }
    let index =
        "<p>{{#each names_html}}{{@index}}{{#if @first}}{{this}}{{/if}}{{else}}{{/each}}</p>";
    assert_eq!(in_html(index), NOTHING);
    assert_eq!(in_text("{{#each team}}{{@key}}{{else}}a{{/each}}"), NOTHING);
}

#[test]
fn what_is_printed_is_text() {
    let whole = |name: &str| format!("1: {name} is a list or an object: print what is in it");
    assert_eq!(in_text("a{{#if team}}{{team}}{{/if}}"), [whole("team")]);
    assert_eq!(in_text("a{{#if names}}{{names}}{{/if}}"), [whole("names")]);
    assert_eq!(in_text("a{{#with team}}{{this}}{{else}}{{/with}}"), [whole("this")]);
    assert!(in_text("a{{#if team}}{{lookup team \"name\"}}{{/if}}").is_empty());
}

#[test]
fn what_is_optional_is_asked_for_first() {
    let missing = |name: &str, leaf: &str| {
        format!("1: {name} is not always there: put it inside {{{{#if {leaf}}}}}…{{{{/if}}}}")
    };
    assert_eq!(in_text("{{code}}"), [missing("code", "code")]);
    assert_eq!(in_text("{{expires_at}}"), [missing("expires_at", "expires_at")]);
    assert_eq!(in_text("{{team.name}}"), [missing("team.name", "team.name")]);
    // What is inside of something may be missing where that is there.
    assert_eq!(in_text("{{#if team}}{{team.name}}{{/if}}"), [missing("team.name", "team.name")]);
    assert_eq!(in_text("{{#with team}}{{name}}{{else}}a{{/with}}"), [missing("name", "name")]);
    assert_eq!(in_text("{{#if names}}{{names.[0]}}{{/if}}"), [missing("names.[0]", "names.[0]")]);
    // That one item has it does not mean that another has.
    assert_eq!(
        in_text(
            "{{#each list}}{{#if x}}{{#each ../list}}{{x}}{{else}}{{/each}}{{/if}}{{else}}{{/each}}"
        ),
        [missing("x", "x")]
    );
    assert_eq!(in_text("{{#unless code}}{{code}}{{/unless}}"), [missing("code", "code")]);
    assert_eq!(in_text("{{#if code}}a{{else}}{{code}}{{/if}}"), [missing("code", "code")]);
    assert_eq!(
        in_text("{{#with team}}{{#if name}}{{name}}{{/if}}{{/with}}"),
        [missing("team", "team")]
    );
    for body in [
        "a{{#if code}}{{code}}{{/if}}",
        "{{#unless code}}a{{else}}{{code}}{{/unless}}",
        "{{#if login}}{{#if code}}{{#if team}}{{code}}{{/if}}{{/if}}{{/if}}a",
        "{{#if login}}a{{else if code}}{{code}}{{/if}}",
        "{{#with team}}{{#if name}}{{name}}{{/if}}{{else}}a{{/with}}",
        "{{#if team.name}}{{#with team}}{{name}}{{/with}}{{/if}}a",
        "{{#each names}}{{this}}{{else}}a{{/each}}",
        "{{#*inline \"b\"}}{{code}}{{/inline}}a{{#if code}}{{> b}}{{/if}}",
    ] {
        assert_eq!(in_text(body), NOTHING, "{body}");
    }
    let html = "<p>{{#if team_html.name}}{{team_html.name}}{{/if}}</p>";
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
        let begin = "begin it with https://, http://, mailto:, {{base_url}}/";
        format!("4: href {value:?} is not absolute: {begin}")
    };
    for value in ["/x", "example.com", "#top", "javascript:x()", "{{secret}}", ""] {
        assert_eq!(in_html(&format!("<p>a</p>\n<a href=\"{value}\">x</a>")), [relative(value)]);
    }
    for value in ["https://a.example/x", "http://a.example", "mailto:a@b.example"] {
        assert_eq!(in_html(&format!("<a href=\"{value}\">x</a>")), NOTHING);
    }
    for value in
        ["{{base_url}}.evil.example", "{{base_url}}@evil.example", "{{base_url}}{{secret}}"]
    {
        assert_eq!(in_html(&format!("<p>a</p>\n<a href=\"{value}\">x</a>")), [relative(value)]);
    }
    for after in ["", "?{{secret}}", "#top"] {
        assert_eq!(in_html(&format!("<a href=\"{{{{base_url}}}}{after}\">x</a>")), NOTHING);
    }
    assert_eq!(in_html("<a href='{{base_url}}/{{secret}}'>x</a>"), NOTHING);
    // Whichever way a condition goes.
    let either = "\n<a href=\"{{#if code}}{{base_url}}{{else}}/x{{/if}}\">x</a>";
    assert_eq!(in_html(either), [relative("/x")]);
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    let loaded = |name: &str, value: &str| {
        let remedy = "only what begins with {{base_url}}/ may be";
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
    for src in ["{{base_url}}.evil.example/p.gif", "{{base_url}}@evil.example", "data:image/gif,x"]
    {
        assert_eq!(in_html(&format!("<img alt=\"\" src=\"{src}\">")), [loaded("src", src)]);
    }
    let two = "{{base_url}}/a.png 1x, https://t.example/p.png 2x";
    assert_eq!(in_html(&format!("<img alt=\"\" srcset=\"{two}\">")), [loaded("srcset", two)]);
    let two = "{{base_url}}/a.png 1x, {{base_url}}/b.png 2x";
    assert_eq!(in_html(&format!("<img alt=\"\" srcset=\"{two}\">")), NOTHING);
    // What Outlook takes for HTML.
    assert_eq!(
        in_html(&format!("<!--[if mso]><td background=\"{url}\"><![endif]-->")),
        [loaded("background", url)]
    );
    let shown = format!(
        "<!--[IF mso]>\n<p>\n<img src=\"{url}\">\n<style>\np {{ a: url(x) ; }}</style>\n\n<![endif]-->"
    );
    assert_eq!(
        in_html(&shown),
        [
            loaded("src", url).replace("3:", "5:"),
            "7: url( in CSS loads something from elsewhere".to_owned()
        ]
    );
    for css in ["url(//t.example/p.gif)", "u&#114;l(//t.example/p.gif)", "URL(x)"] {
        assert_eq!(
            in_html(&format!("<p style=\"background: {css}\">a</p>")),
            ["3: url( in CSS loads something from elsewhere"]
        );
    }
    let backslash = "a backslash in CSS may hide something: write the character itself";
    assert_eq!(
        in_html("<p style=\"background: u\\72l(//t.example/p.gif)\">a</p>"),
        [format!("3: {backslash}")]
    );
    let head = |css: &str| {
        let head = format!("<title>x</title>\n<style>\np {{ color: red; }}\n{css}\n</style>\n");
        let html = format!(
            "<!doctype html><html lang=\"en\"><head>{head}</head>\n<body>url( in C:\\ is text</body></html>\n"
        );
        in_part("body.html", &html)
    };
    assert_eq!(head("p { background: u\\72l(x); }"), [format!("4: {backslash}")]);
    for css in ["@import", "url(", "image-set("] {
        let expected = format!("4: {css} in CSS loads something from elsewhere");
        assert_eq!(head(&format!("p {{ a: {css} \"x\"); }}")), [expected]);
    }
    assert_eq!(head("p { color: blue; }"), NOTHING);
}

#[test]
fn what_is_not_for_mail_is_found() {
    let not_for_mail = |what: &str| format!("3: {what} is not for mail: leave it out");
    for element in ["script", "iframe", "object", "form", "svg", "math", "xmp"] {
        assert_eq!(
            in_html(&format!("<{element}></{element}>")),
            [not_for_mail(&format!("<{element}>"))]
        );
    }
    for element in ["embed", "base", "input"] {
        let found = in_html(&format!("<{element}>"));
        assert!(found.contains(&not_for_mail(&format!("<{element}>"))), "{found:?}");
    }
    for (attribute, name) in [
        ("onclick=\"x()\"", "onclick"),
        ("ONLOAD=\"\"", "onload"),
        ("formaction=\"{{base_url}}/\"", "formaction"),
        ("srcdoc=\"x\"", "srcdoc"),
    ] {
        assert_eq!(in_html(&format!("<button {attribute}>a</button>")), [not_for_mail(name)]);
    }
    let refresh = "<!--[if mso]><meta http-equiv=\" Refresh\" content=\"0\"><![endif]-->";
    assert_eq!(in_html(refresh), [not_for_mail("http-equiv \"Refresh\"")]);
    assert_eq!(in_html("<!--[if mso]><script>x</script><![endif]-->"), [not_for_mail("<script>")]);
    for value in ["javascript:x()", "JAVA\nSCRIPT:x()", " data:text/html,x"] {
        let found = in_html(&format!("<a href=\"{value}\">x</a>"));
        assert!(found.iter().any(|line| line.contains("is not absolute")), "{value} {found:?}");
        let found = in_html(&format!("<blockquote cite=\"{value}\">x</blockquote>"));
        assert!(found.iter().any(|line| line.contains("is not absolute")), "{value} {found:?}");
    }
}

#[test]
fn variables_stand_in_text_and_between_quotes() {
    let stands = |place: &str| {
        let only = "in body.html it may only be in text, or in a quoted value";
        format!("3: a variable {place}: {only}")
    };
    for (html, place) in [
        ("<p {{login_html}}>a</p>", "in a tag"),
        ("<p class={{login_html}}>a</p>", "in a tag"),
        ("<p class=a{{login_html}}>a</p>", "in a tag"),
        ("<p data-{{login_html}}=\"a\">a</p>", "in a tag"),
        ("<p style=\"color: {{login_html}}\">a</p>", "in style="),
        ("<!-- {{login_html}} -->", "in a comment"),
        ("<!--[if mso]>{{login_html}}<![endif]-->", "in a comment"),
    ] {
        assert_eq!(in_html(html), [stands(place)], "{html}");
    }
    for html in [
        "<p{{login_html}}>a</p>",
        "<b>a</b{{login_html}}>",
        "<b>a</b {{login_html}}>",
        "<a href={{base_url}}/x>a</a>",
    ] {
        assert!(in_html(html).contains(&stands("in a tag")), "{html}");
    }
    assert!(
        in_html("<style>p { color: {{login_html}} ; }</style>").contains(&stands("in <style>"))
    );
    for html in [
        "<p lang=\"{{locale}}\" title='{{login_html}} {{secret}}'>{{login_html}}</p>",
        "<p {{#if code}}class=\"{{code}}\"{{/if}}>a</p>",
        "<!-- a --><p style=\"color: red\">{{! login }}a</p>",
    ] {
        assert_eq!(in_html(html), NOTHING, "{html}");
    }
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
