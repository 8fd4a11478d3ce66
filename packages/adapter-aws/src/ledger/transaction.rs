//! Transactions: what became of one, told apart.

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::TransactWriteItem;
use segue_ports::PortError;

use super::{DynamoLedger, TRIES};
use crate::error::{self, back_off};

/// What became of a transaction.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is written.
    Done,
    /// Nothing is written: for each member whether its condition did not hold. At least
    /// one did not; DynamoDB need not have looked at all of them.
    Refused(Vec<bool>),
    /// Somebody else was writing all the time.
    Conflict,
}

fn judge(codes: &[&str]) -> Option<Outcome> {
    const FAILED: &str = "ConditionalCheckFailed";
    const BUSY: &[&str] = &["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
    if codes.contains(&FAILED) {
        return Some(Outcome::Refused(codes.iter().map(|code| *code == FAILED).collect()));
    }
    codes.iter().any(|code| BUSY.contains(code)).then_some(Outcome::Conflict)
}

impl DynamoLedger {
    /// Writes all or nothing. It goes on under one client token while others are in the way:
    /// a repeat, whether by the SDK or from here, of what was written unheard is the same
    /// transaction.
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
                    match judge(&codes) {
                        Some(Outcome::Conflict) => back_off(tried).await,
                        Some(outcome) => return Ok(outcome),
                        None => return Err(error::sdk(doing, trouble)),
                    }
                }
                // an earlier request with this token is being worked on still
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
    fn a_refusal_is_told_from_a_conflict() {
        let none = "None";
        assert_eq!(judge(&["ConditionalCheckFailed", none]), Some(Outcome::Refused(vec![true, false])));
        let both = judge(&["TransactionConflict", "ConditionalCheckFailed"]);
        assert_eq!(both, Some(Outcome::Refused(vec![false, true])));
        assert_eq!(judge(&[none, "TransactionConflict"]), Some(Outcome::Conflict));
        assert_eq!(judge(&["ThrottlingError"]), Some(Outcome::Conflict));
        assert_eq!(judge(&["ValidationError", none]), None);
        assert_eq!(judge(&[]), None);
    }
}
