//! Notices of uploads. The module is taken by itself: the rest of its crate is the vendor's SDK.
#![no_main]

#[allow(dead_code, reason = "the adapter uses the rest")]
#[path = "../../packages/adapter-aws/src/event.rs"]
mod event;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = event::parse(&String::from_utf8_lossy(bytes));
});
