//! Whether a call had begun to leave: until then a failure is one of ours, and nothing was sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_sesv2::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_sesv2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sesv2::error::BoxError;

/// Watches one call. Clones watch the same call.
#[derive(Clone, Debug, Default)]
pub(super) struct Transmitting(Arc<AtomicBool>);

impl Transmitting {
    /// Whether the request was handed to a connection, or to the making of one.
    pub(super) fn begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Intercept for Transmitting {
    fn name(&self) -> &'static str {
        "Transmitting"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.store(true, Ordering::Relaxed);
        Ok(())
    }
}
