//! From claimed deliveries to signed lines. Pure: what the database said is checked here, and past
//! this module a row cannot be wrong.

use mailroom::line::{self, Row};
use mailroom::{Action, ActionNumber, Code, Secret, SecretKey, Token, sign};

use crate::queue::Delivery;

/// From its third dispatch on a delivery travels alone: whatever swallowed the lines it was on, the
/// others need not share its fate.
const ALONE_FROM: i32 = 3;

/// A delivery that can never be written, and why, in words for the delivery log.
#[derive(Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The token's number.
    pub token: i64,
    /// The reason.
    pub reason: String,
}

/// Signs `deliveries` and writes them into `out` as whole lines of at most `limit` rows, at least 1.
/// Returns how many rows and lines there are, and the deliveries that cannot be written.
pub fn write(
    key: &SecretKey,
    deliveries: Vec<Delivery>,
    limit: usize,
    out: &mut Vec<u8>,
) -> (usize, usize, Vec<Rejected>) {
    let mut together = Vec::with_capacity(deliveries.len());
    let mut alone = Vec::new();
    let mut rejected = Vec::new();
    for delivery in deliveries {
        let (token, travels_alone) = (delivery.token, delivery.dispatches >= ALONE_FROM);
        match row(key, delivery) {
            Ok(row) if travels_alone => alone.push(row),
            Ok(row) => together.push(row),
            Err(reason) => rejected.push(Rejected { token, reason }),
        }
    }
    let mut lines = 0;
    let batches = together.chunks(limit.max(1));
    for rows in batches.flat_map(line::lines).chain(alone.chunks(1)) {
        line::write(rows, out);
        lines += 1;
    }
    (together.len() + alone.len(), lines, rejected)
}

fn row(key: &SecretKey, delivery: Delivery) -> Result<Row, String> {
    let action = action(&delivery)?;
    let secret = Secret::try_from(delivery.secret.as_slice())
        .map_err(|_| format!("the token's secret has {} bytes, not 32", delivery.secret.len()))?;
    let code = delivery.code.as_deref().and_then(|code| std::str::from_utf8(code).ok());
    let code: Option<Code> = code.and_then(|code| code.parse().ok());
    let token: Token = sign(key, &action, &secret, code.as_ref())
        .map_err(|_| "the token's code is not five digits".to_owned())?;
    let email = text("email", delivery.email)?;
    let login = text("login", delivery.login)?;
    Row::new(action.number(), email, login, token, code).map_err(|error| error.to_string())
}

fn text(field: &str, bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| format!("{field} is not UTF-8"))
}

fn action(delivery: &Delivery) -> Result<Action, String> {
    let (number, path, code_signed) = &delivery.action;
    u16::try_from(*number)
        .ok()
        .and_then(ActionNumber::new)
        .and_then(|number| Action::new(number, path, *code_signed).ok())
        .ok_or_else(|| format!("action {number} is not valid: look at its row in actions"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(token: i64) -> Delivery {
        Delivery {
            token,
            action: (1, "/activate".to_owned(), false),
            secret: vec![0x11; 32],
            code: Some(b"01234".to_vec()),
            email: b"ada@example.com".to_vec(),
            login: b"ada".to_vec(),
            dispatches: 1,
            place: (5, std::time::SystemTime::UNIX_EPOCH),
        }
    }

    fn written(deliveries: Vec<Delivery>) -> (String, Vec<Rejected>) {
        let key = "deadbeef".repeat(8).parse().unwrap();
        let mut out = Vec::new();
        let (_, lines, rejected) = write(&key, deliveries, 10, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), lines);
        (text, rejected)
    }

    #[test]
    fn a_line_is_what_the_original_writes() {
        let (text, rejected) = written(vec![delivery(1)]);
        assert_eq!(
            text,
            "1,ada@example.com,ada,EREREREREREREREREREREREREREREREREREREREREREnRa1oLcVvdCsr3c89nZ\
             aCAuJvbeTjsK4wavjBwSAeoQ,01234\n"
        );
        assert_eq!(rejected, []);
    }

    #[test]
    fn what_cannot_be_written_says_why_and_spares_the_others() {
        let bad = |token, change: fn(&mut Delivery)| {
            let mut delivery = delivery(token);
            change(&mut delivery);
            delivery
        };
        let (text, rejected) = written(vec![
            bad(1, |d| d.login = b"a\nb".to_vec()),
            bad(2, |d| d.email = "a\u{85}@example.com".as_bytes().to_vec()),
            bad(3, |d| d.secret = vec![1; 31]),
            bad(4, |d| (d.action.2, d.code) = (true, Some(b"#####".to_vec()))),
            bad(5, |d| d.action.0 = 0),
            delivery(6),
            bad(8, |d| d.login = b"caf\xe9".to_vec()),
            bad(9, |d| d.code = Some(b"\xff".to_vec())),
            bad(7, |d| d.code = Some(b"#####".to_vec())),
        ]);
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains("eoQ,,1,"), "a code that is not even text is left out");
        assert!(text.ends_with("eoQ,\n"), "a code that is not signed and no code is left out");
        let reasons: Vec<_> = rejected.iter().map(|r| (r.token, r.reason.as_str())).collect();
        assert_eq!(
            reasons,
            [
                (1, "login has control characters"),
                (2, "email has control characters"),
                (3, "the token's secret has 31 bytes, not 32"),
                (4, "the token's code is not five digits"),
                (5, "action 0 is not valid: look at its row in actions"),
                (8, "login is not UTF-8"),
            ]
        );
    }

    #[test]
    fn a_delivery_that_was_lost_twice_travels_alone() {
        let lost = Delivery { dispatches: 3, ..delivery(2) };
        let (text, _) = written(vec![delivery(1), lost, delivery(3)]);
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn no_line_has_more_rows_than_a_batch() {
        let (text, _) = written((1..=25).map(delivery).collect());
        let rows: Vec<_> = text.lines().map(|line| line.split(',').count() / 5).collect();
        assert_eq!(rows, [10, 10, 5]);
    }
}
