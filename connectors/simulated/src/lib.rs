//! The connector crate.
pub fn factory() -> std::sync::Arc<dyn bridgehead_sdk::Factory> {
    unimplemented!()
}
