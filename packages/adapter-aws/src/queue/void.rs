//! Recognizes SQS's errors for void receipts.

use std::error::Error;

use aws_sdk_sqs::error::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// Whether the error means that the receipt is void: not one of SQS, its
/// message is deleted, or visible again, or was hidden for 12 hours.
pub fn is_void<E: ProvideErrorMetadata + Error>(error: &SdkError<E>) -> bool {
    says_void(error.code(), error.message().unwrap_or_default())
}

fn says_void(code: Option<&str>, message: &str) -> bool {
    match code {
        Some(
            "ReceiptHandleIsInvalid" | "MessageNotInflight" | "AWS.SimpleQueueService.MessageNotInflight",
        ) => true,
        // a generic code: the message decides
        Some("InvalidParameterValue" | "InvalidParameterValueException") => {
            let message = message.to_ascii_lowercase();
            ["receipthandle", "receipt handle", "not available for visibility", "total visibilitytimeout"]
                .iter()
                .any(|words| message.contains(words))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_void_receipt_is_told_from_a_mistake() {
        let invalid = Some("InvalidParameterValue");
        assert!(says_void(Some("ReceiptHandleIsInvalid"), ""));
        assert!(says_void(Some("MessageNotInflight"), ""));
        assert!(says_void(
            invalid,
            "Value X for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not \
             available for visibility timeout change."
        ));
        assert!(says_void(
            invalid,
            "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]"
        ));
        assert!(!says_void(invalid, "Value 50000 for parameter VisibilityTimeout is invalid."));
        assert!(!says_void(Some("AccessDenied"), "ReceiptHandle"));
        assert!(!says_void(None, ""));
    }
}
