//! What the physical design promises.

use testkit::Database;

/// An update that changes no indexed column is a HOT one, and the indexes do not grow with claims.
#[tokio::test]
async fn no_index_holds_a_column_that_claim_or_begin_changes() {
    let db = Database::fresh().await.unwrap();
    let indexed = "SELECT string_agg(DISTINCT a.attname, ' ' ORDER BY a.attname)
        FROM pg_index AS i JOIN pg_attribute AS a
          ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
        WHERE i.indrelid = 'deliveries'::regclass";
    assert_eq!(db.query_text(indexed).await.unwrap(), "due_at priority queue token");
    let partial = "SELECT count(*) FROM pg_index
        WHERE indrelid = 'deliveries'::regclass AND (indpred IS NOT NULL OR indexprs IS NOT NULL)";
    assert_eq!(db.query_i64(partial).await.unwrap(), 0);
}
