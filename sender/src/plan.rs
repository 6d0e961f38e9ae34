//! From a line to calls. Pure: rows of one action form a group, and a group is cut into calls of at
//! most as many mails as the provider takes.

use mailroom::ActionNumber;
use mailroom::line::Row;

/// The rows of one call, all of one action.
#[derive(Debug, PartialEq, Eq)]
pub struct Planned {
    /// The action of every row.
    pub action: ActionNumber,
    /// The rows, in the order of the line.
    pub rows: Vec<Row>,
}

/// Groups by action, in the order in which actions first appear: the collector puts what is urgent
/// first. `call_max` is at least 1.
pub fn calls(rows: Vec<Row>, call_max: usize) -> Vec<Planned> {
    let mut groups: Vec<Vec<Planned>> = Vec::new();
    for row in rows {
        let action = row.action;
        let group = groups.iter_mut().find(|calls| calls.iter().any(|call| call.action == action));
        match group {
            Some(calls) => match calls.last_mut() {
                Some(call) if call.rows.len() < call_max => call.rows.push(row),
                _ => calls.push(Planned { action, rows: vec![row] }),
            },
            None => groups.push(vec![Planned { action, rows: vec![row] }]),
        }
    }
    groups.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use mailroom::{Action, SecretKey, sign};

    use super::*;

    fn row(action: u16, name: &str) -> Row {
        let key: SecretKey = "00".repeat(32).parse().unwrap();
        let token = sign(&key, &Action::activation(), &[7; 32].into(), None).unwrap();
        let action = ActionNumber::new(action).unwrap();
        Row::new(action, format!("{name}@example.com"), name, token, None).unwrap()
    }

    fn planned(actions: &[u16], call_max: usize) -> Vec<(u16, Vec<String>)> {
        let rows = actions.iter().enumerate().map(|(at, action)| row(*action, &at.to_string()));
        calls(rows.collect(), call_max)
            .into_iter()
            .map(|call| (call.action.get(), call.rows.into_iter().map(|row| row.login).collect()))
            .collect()
    }

    #[test]
    fn rows_of_one_action_travel_together_in_their_order() {
        let expected = [(2, vec!["0", "3"]), (1, vec!["1", "2", "4"])];
        let expected = expected.map(|(n, rows)| (n, rows.into_iter().map(String::from).collect()));
        assert_eq!(planned(&[2, 1, 1, 2, 1], 50), expected);
    }

    #[test]
    fn no_call_is_larger_than_the_provider_takes() {
        let sizes = |count: usize| -> Vec<usize> {
            planned(&vec![1; count], 50).iter().map(|(_, rows)| rows.len()).collect()
        };
        assert_eq!(sizes(50), [50]);
        assert_eq!(sizes(120), [50, 50, 20]);
    }
}
