//! Composition root: config, environment table, URL to adapter, telemetry, shutdown.
