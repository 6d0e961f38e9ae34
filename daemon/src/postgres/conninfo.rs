//! The two ways to write a connection string, `key=value …` and `postgres://…`, taken apart with
//! libpq's rules. Syntax only: what the keys mean is decided in [`options`](super::options).
//!
//! A broken string is often a password with an unescaped character in it, so what is said about it
//! never quotes a part of it.

use percent_encoding::percent_decode_str;

/// Keys and values in the order written; the last of a key counts.
pub(super) type Pairs = Vec<(String, String)>;

const IN_A_URI: &str = "in a URI, the characters / @ : ? # % & of a user name, a password or a \
                        database name are written %2F %40 %3A %3F %23 %25 %26";

/// Takes a connection string apart. The empty string is valid and says nothing.
///
/// # Errors
/// What is wrong with its form.
pub(super) fn parse(text: &str) -> Result<Pairs, String> {
    let text = text.trim_start();
    match text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://")) {
        Some(rest) => uri(rest.trim_end()),
        None => key_values(text),
    }
}

fn key_values(text: &str) -> Result<Pairs, String> {
    let mut pairs = Pairs::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        let Some(after) = after.trim_start().strip_prefix('=') else {
            return Err(
                "a connection string is a URI (postgres://…) or key=value pairs; a \"=\" is \
                        missing (a value with blanks goes in single quotes)"
                    .to_owned(),
            );
        };
        let (value, after) = value(after.trim_start())?;
        pairs.push((key.to_owned(), value));
        rest = after.trim_start();
    }
    Ok(pairs)
}

/// A value, in single quotes or up to the next blank, with its backslashes resolved; and the rest.
fn value(text: &str) -> Result<(String, &str), String> {
    let quoted = text.strip_prefix('\'');
    let text = quoted.unwrap_or(text);
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            '\'' if quoted.is_some() => return Ok((value, &text[at + 1..])),
            c if quoted.is_none() && c.is_whitespace() => return Ok((value, &text[at..])),
            c => value.push(c),
        }
    }
    if quoted.is_some() {
        return Err("a single quote in the connection string is not closed".to_owned());
    }
    Ok((value, ""))
}

/// `[user[:password]@][host[:port],…][/dbname][?key=value&…]`, each part optional.
fn uri(text: &str) -> Result<Pairs, String> {
    let mut pairs = Pairs::new();
    let mut rest = text;
    let before_path = &rest[..rest.find('/').unwrap_or(rest.len())];
    if let Some((credentials, _)) = before_path.split_once('@') {
        rest = &rest[credentials.len() + 1..];
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        store(&mut pairs, "user", user)?;
        store(&mut pairs, "password", password)?;
    }

    let (hosts, ports, after) = hosts_and_ports(rest)?;
    if hosts.contains('@') {
        return Err(format!("there is a second \"@\" in front of the host; {IN_A_URI}"));
    }
    store(&mut pairs, "host", &hosts)?;
    store(&mut pairs, "port", &ports)?;

    let (path, query) = after.split_once('?').unwrap_or((after, ""));
    if path.contains('@') {
        return Err(format!("there is a \"@\" in the database name; {IN_A_URI}"));
    }
    store(&mut pairs, "dbname", path.strip_prefix('/').unwrap_or(path))?;
    let query = query.strip_suffix('&').unwrap_or(query);
    for parameter in query.split('&').filter(|_| !query.is_empty()) {
        let Some((key, value)) = parameter.split_once('=').filter(|(_, v)| !v.contains('=')) else {
            return Err(format!("each parameter after the \"?\" has one \"=\"; {IN_A_URI}"));
        };
        match (decoded(key)?, decoded(value)?) {
            // Written for JDBC, understood by libpq.
            (key, value) if key == "ssl" && value == "true" => {
                pairs.push(("sslmode".to_owned(), "require".to_owned()));
            }
            pair => pairs.push(pair),
        }
    }
    Ok(pairs)
}

/// Hosts and ports, each list joined by commas, and what comes after them.
fn hosts_and_ports(text: &str) -> Result<(String, String, &str), String> {
    let (mut hosts, mut ports, mut rest) = (String::new(), String::new(), text);
    loop {
        if let Some(bracketed) = rest.strip_prefix('[') {
            let Some((address, after)) = bracketed.split_once(']').filter(|(a, _)| !a.is_empty())
            else {
                return Err("an IPv6 address in a URI ends with a \"]\"".to_owned());
            };
            if !after.is_empty() && !after.starts_with([':', '/', '?', ',']) {
                return Err("after the \"]\" of an IPv6 address comes a port or a path".to_owned());
            }
            hosts.push_str(address);
            rest = after;
        } else {
            let (host, after) = until(rest, &[':', '/', '?', ',']);
            hosts.push_str(host);
            rest = after;
        }
        if let Some(after) = rest.strip_prefix(':') {
            let (port, after) = until(after, &['/', '?', ',']);
            if !port.bytes().all(|b| b.is_ascii_digit()) {
                return Err(format!("a port is not a number; {IN_A_URI}"));
            }
            ports.push_str(port);
            rest = after;
        }
        let Some(after) = rest.strip_prefix(',') else { return Ok((hosts, ports, rest)) };
        hosts.push(',');
        ports.push(',');
        rest = after;
    }
}

fn until<'a>(text: &'a str, ends: &[char]) -> (&'a str, &'a str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

fn store(pairs: &mut Pairs, key: &str, encoded: &str) -> Result<(), String> {
    if !encoded.is_empty() {
        pairs.push((key.to_owned(), decoded(encoded)?));
    }
    Ok(())
}

fn decoded(text: &str) -> Result<String, String> {
    let bytes = text.as_bytes();
    let two_digits = |at: usize| {
        bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    };
    let broken = bytes.iter().enumerate().any(|(at, b)| *b == b'%' && !two_digits(at));
    if broken {
        return Err(format!("a \"%\" is not followed by two hex digits; {IN_A_URI}"));
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(text) if text.contains('\0') => Err("%00 cannot be part of a value".to_owned()),
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err("a percent-encoded value is not UTF-8 text".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Vec<String> {
        let pairs = parse(text).expect(text);
        pairs.into_iter().map(|(key, value)| format!("{key}={value}")).collect()
    }

    #[test]
    fn key_value_pairs_with_quotes_backslashes_and_blanks() {
        assert_eq!(parsed(""), [""; 0]);
        assert_eq!(parsed("dbname=aegis"), ["dbname=aegis"]);
        assert_eq!(parsed(" host = db  port=\t5433 "), ["host=db", "port=5433"]);
        assert_eq!(
            parsed(r"password='it\'s \\ here' user=a\ b"),
            [r"password=it's \ here", "user=a b"]
        );
        assert_eq!(parsed("host=''dbname=x"), ["host=", "dbname=x"]);
        assert_eq!(parsed("a==b= c=d"), ["a==b=", "c=d"]);
        assert_eq!(parsed("host="), ["host="]);
        assert_eq!(parsed(r"password=x\"), ["password=x"]);
        assert_eq!(parsed(r"password=x\ "), ["password=x "]);
    }

    #[test]
    fn uris_with_every_part_optional() {
        assert_eq!(parsed("postgres://"), [""; 0]);
        assert_eq!(parsed("postgresql://localhost"), ["host=localhost"]);
        assert_eq!(
            parsed("postgres://me:p%40ss%2F:x@db:5433/mail?sslmode=require&application_name=a%20b"),
            [
                "user=me",
                "password=p@ss/:x",
                "host=db",
                "port=5433",
                "dbname=mail",
                "sslmode=require",
                "application_name=a b"
            ]
        );
        assert_eq!(parsed("postgres://me@/mail"), ["user=me", "dbname=mail"]);
        assert_eq!(parsed("postgres://:@db"), ["host=db"]);
        assert_eq!(
            parsed("postgres:///mail?host=/run/pg&ssl=true"),
            ["dbname=mail", "host=/run/pg", "sslmode=require"]
        );
        assert_eq!(parsed("postgres://%2Frun%2Fpg/mail"), ["host=/run/pg", "dbname=mail"]);
        assert_eq!(parsed("postgres://a:1,b,[::1]:3/x"), ["host=a,b,::1", "port=1,,3", "dbname=x"]);
        assert_eq!(parsed("postgres://a?dbname=x&"), ["host=a", "dbname=x"]);
    }

    #[test]
    fn broken_strings_are_explained_without_a_word_of_them() {
        for bad in [
            "hush",
            "password=hush hush",
            "password='hush",
            "postgres://me:hush%zz@db/x",
            "postgres://me:hush%2",
            "postgres://me:hush/hush@db/x",
            "postgres://me:1@hush@db/x",
            "postgres://me:1@a,hush@db/x",
            "postgres://me:1@[::1],hush@db",
            "postgres://me:1/hush@db/x",
            "postgres://db/x?password=hush=hush",
            "postgres://db/x?hush",
            "postgres://[hush",
            "postgres://[::1]hush",
            "postgres://db/hush%00",
            "postgres://db/hush%ff",
        ] {
            let text = parse(bad).expect_err(bad);
            assert!(!text.contains("hush"), "{bad}: {text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in any::<String>(), uri in "(postgres|postgresql)://[a-z%0-9@:/?&=,\\[\\]é]*") {
            let _ = (parse(&text), parse(&uri));
        }

        #[test]
        fn any_value_survives_quoting(value in "[^\\x00]*") {
            let quoted = value.replace('\\', r"\\").replace('\'', r"\'");
            let pairs = parse(&format!("user=me password = '{quoted}' dbname=x")).expect("parses");
            prop_assert_eq!(&pairs[1].1, &value);
        }
    }
}
