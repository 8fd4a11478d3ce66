//! Items: attributes as typed values; any other type is an error.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use aws_sdk_dynamodb::types::AttributeValue;
use segue_ports::{PortError, PortErrorKind};

use super::DOCUMENT_MAX;
use crate::error::{odd, say};

pub type Item = HashMap<String, AttributeValue>;

pub fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub fn n(number: impl Display) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// An optional string.
pub fn text(item: &Item, name: &str) -> Result<Option<String>, PortError> {
    match item.get(name) {
        None => Ok(None),
        Some(AttributeValue::S(text)) => Ok(Some(text.clone())),
        Some(_) => Err(odd(&format!("attribute {name} of an item"), "it is not a text")),
    }
}

/// An optional number.
pub fn number<T>(item: &Item, name: &str) -> Result<Option<T>, PortError>
where
    T: FromStr,
    T::Err: Display,
{
    match item.get(name) {
        None => Ok(None),
        Some(AttributeValue::N(number)) => {
            number.parse().map(Some).map_err(|e| odd(&format!("attribute {name} of an item"), e))
        }
        Some(_) => Err(odd(&format!("attribute {name} of an item"), "it is not a number")),
    }
}

/// A required attribute.
pub fn must<T>(value: Option<T>, name: &str) -> Result<T, PortError> {
    value.ok_or_else(|| odd("an item", format_args!("it has no attribute {name}")))
}

/// Fails for a document that exceeds the size of an item.
///
/// # Errors
/// `Misuse`.
pub fn check_size(what: &str, bytes: usize) -> Result<(), PortError> {
    if bytes <= DOCUMENT_MAX {
        return Ok(());
    }
    let message = format_args!(
        "{what} has {bytes} bytes, a row of the ledger takes {DOCUMENT_MAX}; large facts belong in a file"
    );
    Err(say(PortErrorKind::Misuse, message))
}
