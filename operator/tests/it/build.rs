use std::fs;

use crate::support::{folder, mailroom, put, text};

const MJML: &str = "<mjml lang=\"en\">
  <mj-head><mj-title>Hi</mj-title></mj-head>
  <mj-body>
    <mj-section><mj-column>
      <mj-text>Hello {{login_html}},{{#if code}} your code is {{code}}.{{/if}}</mj-text>
      <mj-button href=\"{{base_url}}/activate/{{secret}}\">Go</mj-button>
    </mj-column></mj-section>
  </mj-body>
</mjml>
";

#[test]
fn mjml_is_built_handlebars_survives_and_the_result_is_without_fault() {
    let dir = folder(&[("welcome/en/body.mjml", MJML)]);
    let (root, html) = (text(dir.path()), dir.path().join("welcome/en/body.html"));
    let shown = html.display();
    let stale =
        format!("{shown}:1: is not what body.mjml compiles to: run mailroom templates build");
    assert_eq!(mailroom(&["lint", root]).out, std::slice::from_ref(&stale));

    let ran = mailroom(&["build", root]);
    assert_eq!((ran.code, ran.out), (0, vec![format!("{shown}: built")]), "{}", ran.err);
    let built = fs::read_to_string(&html).unwrap();
    for kept in ["{{login_html}}", "{{#if code}}", "href=\"{{base_url}}/activate/{{secret}}\""] {
        assert!(built.contains(kept), "{built}");
    }
    assert!(!built.contains("fonts.googleapis.com"));
    assert_eq!(mailroom(&["lint", root]).out, [""; 0]);
    assert_eq!(mailroom(&["build", root]).out, [format!("{shown}: unchanged")]);

    put(dir.path(), "welcome/en/body.mjml", &MJML.replace("Hello", "Dear"));
    assert_eq!(mailroom(&["lint", root]).out, [stale]);
}

const BROKEN: &str = "<mjml>\n<mj-body>\n</mj-section></mj-body></mjml>";

#[test]
fn what_is_not_mjml_says_where() {
    let dir = folder(&[("welcome/en/body.mjml", BROKEN)]);
    let ran = mailroom(&["build", text(dir.path())]);
    let path = dir.path().join("welcome/en/body.mjml");
    let message = "not MJML: something that does not belong here";
    assert_eq!((ran.code, ran.out), (78, vec![format!("{}:3: {message}", path.display())]));
    let lint = mailroom(&["lint", text(dir.path())]);
    assert_eq!(lint.out, [format!("{}:3: {message}", path.display())]);

    put(
        dir.path(),
        "welcome/en/body.mjml",
        &MJML.replace("<mj-title>", "<mj-title colour=\"red\">"),
    );
    let ran = mailroom(&["build", text(dir.path())]);
    assert_eq!(ran.out, [format!("{}:2: not MJML: unexpected attribute", path.display())]);
    let include = "<mj-include path=\"https://t.example/x.mjml\" /><mj-text>";
    put(dir.path(), "welcome/en/body.mjml", &MJML.replace("<mj-text>", include));
    let ran = mailroom(&["build", text(dir.path())]);
    let message = "not MJML: mj-include loads nothing here";
    assert_eq!(ran.out, [format!("{}:5: {message}", path.display())]);
}
