//! Events as JSON documents, one a line, on stdout.

use segue_ports::{Event, Reporter};
use serde::Serialize;

use crate::output;

/// Prints every event.
pub struct JsonLines;

/// Prints one document as one line.
pub fn print_event(event: &impl Serialize) {
    match serde_json::to_string(event) {
        Ok(text) => output::line(text),
        Err(error) => output::note(format_args!("an event cannot be written as JSON: {error}")),
    }
}

impl Reporter for JsonLines {
    fn report(&self, event: Event) {
        print_event(&event);
    }
}
