//! Log output of whisper.cpp.

use std::sync::Once;

/// Routes the log lines of whisper.cpp and ggml to `tracing` instead of stderr.
pub(super) fn route_to_tracing() {
    static ONCE: Once = Once::new();
    ONCE.call_once(whisper_rs::install_logging_hooks);
}
