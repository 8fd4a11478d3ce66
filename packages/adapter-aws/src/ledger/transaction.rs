//! Transactions and their results.

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::TransactWriteItem;
use segue_ports::PortError;

use super::{DynamoLedger, TRIES};
use crate::error::{self, back_off};

/// Result of a transaction.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it was written.
    Done,
    /// Nothing was written: for each item whether its condition failed. At least
    /// one did; DynamoDB need not have evaluated all of them.
    Refused(Vec<bool>),
    /// Nothing was written: other requests wrote the same items during every try.
    Conflict,
}

fn outcome_of(codes: &[&str]) -> Option<Outcome> {
    const FAILED: &str = "ConditionalCheckFailed";
    const BUSY: &[&str] = &["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
    if codes.contains(&FAILED) {
        return Some(Outcome::Refused(codes.iter().map(|code| *code == FAILED).collect()));
    }
    codes.iter().any(|code| BUSY.contains(code)).then_some(Outcome::Conflict)
}

impl DynamoLedger {
    /// Writes all or nothing, and retries while other requests write the same items. Every try has
    /// the same client token: a repeat, by the SDK or by this function, of a transaction whose response was
    /// lost has no effect.
    pub(super) async fn transact(
        &self,
        doing: &str,
        items: Vec<TransactWriteItem>,
    ) -> Result<Outcome, PortError> {
        let token = uuid::Uuid::new_v4().to_string();
        for tried in 0..TRIES {
            let call = self.client.transact_write_items().set_transact_items(Some(items.clone()));
            let Err(trouble) = call.client_request_token(&token).send().await else {
                return Ok(Outcome::Done);
            };
            match trouble.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    let reasons = cancelled.cancellation_reasons();
                    let codes: Vec<&str> = reasons.iter().map(|r| r.code().unwrap_or("None")).collect();
                    match outcome_of(&codes) {
                        Some(Outcome::Conflict) => back_off(tried).await,
                        Some(outcome) => return Ok(outcome),
                        None => return Err(error::sdk(doing, trouble)),
                    }
                }
                // an earlier request with this token has not ended
                Some(TransactWriteItemsError::TransactionInProgressException(_)) => back_off(tried).await,
                _ => return Err(error::sdk(doing, trouble)),
            }
        }
        Ok(Outcome::Conflict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_not_a_conflict() {
        let none = "None";
        assert_eq!(outcome_of(&["ConditionalCheckFailed", none]), Some(Outcome::Refused(vec![true, false])));
        let both = outcome_of(&["TransactionConflict", "ConditionalCheckFailed"]);
        assert_eq!(both, Some(Outcome::Refused(vec![false, true])));
        assert_eq!(outcome_of(&[none, "TransactionConflict"]), Some(Outcome::Conflict));
        assert_eq!(outcome_of(&["ThrottlingError"]), Some(Outcome::Conflict));
        assert_eq!(outcome_of(&["ValidationError", none]), None);
        assert_eq!(outcome_of(&[]), None);
    }
}
