use super::super::super::{RecordHash, SnapshotStore};
use super::*;

#[tokio::test]
async fn discarded_records_are_removed_when_idle() {
    let state = fleeting().await;
    let app = app(1);
    for second in 0..3 {
        state.begin(&app).await.unwrap();
        let records: Vec<RecordHash> = (0..12_000).map(|number| seen(&format!("{number}"), 1)).collect();
        state.add(&app, "account", &records).await.unwrap();
        state.commit(&app, at(second)).await.unwrap();
    }
    eventually("removing what was discarded", async || {
        let left: (i64, i64) =
            sqlx::query_as("SELECT (SELECT count(*) FROM records), (SELECT count(*) FROM listings)")
                .fetch_one(state.listings().readers())
                .await
                .unwrap();
        (left == (12_000, 1)).then_some(())
    })
    .await;
}
