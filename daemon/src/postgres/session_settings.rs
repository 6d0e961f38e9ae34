//! What every session of ours asks of its server, whatever the role or the database are set to.

use tokio_postgres::{Client, Error};

/// An idle session is kept, a statement may take the time it needs, and the server notices within
/// half a minute that we are gone, which gives back what the session holds. (A server on a Unix socket
/// passes over the TCP settings.) Where a policy would hide rows from us, a statement fails: a token
/// that is not seen would be taken for one that was deleted.
const ALWAYS: &str = "\
    SET idle_session_timeout = 0; \
    SET statement_timeout = 0; \
    SET lock_timeout = 0; \
    SET default_transaction_isolation = 'read committed'; \
    SET row_security = off; \
    SET tcp_keepalives_idle = 10; \
    SET tcp_keepalives_interval = 5; \
    SET tcp_keepalives_count = 3; \
    SET tcp_user_timeout = 30000";

/// Also notice it in the middle of a statement. Not every operating system can, and then the server
/// refuses the setting.
const WHERE_POSSIBLE: &str = "SET client_connection_check_interval = 5000";

/// Makes the settings, in one round trip. They are made by `SET` and not in the start-up message
/// because connection poolers refuse what they do not know there.
///
/// # Errors
/// When the server refuses what it must know, or is gone.
pub(super) async fn apply(client: &Client) -> Result<(), Error> {
    let (always, where_possible) =
        tokio::join!(client.batch_execute(ALWAYS), client.batch_execute(WHERE_POSSIBLE));
    always?;
    match where_possible {
        Err(error) if error.as_db_error().is_none() => Err(error),
        _ => Ok(()),
    }
}
