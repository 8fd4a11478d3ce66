mock_provider "aws" {
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:us-east-1:111122223333:queue" }
  }
}

variables {
  name              = "segue"
  account_id        = "111122223333"
  kms_key_arn       = "arn:aws:kms:us-east-1:111122223333:key/00000000-0000-0000-0000-000000000000"
  upload_bucket_arn = "arn:aws:s3:::in"
}

run "every_lane_has_its_dead_letters" {
  command = apply

  assert {
    condition     = keys(aws_sqs_queue.lane) == ["chunking", "map", "reassembly"] && keys(aws_sqs_queue.dead) == keys(aws_sqs_queue.lane)
    error_message = "the lanes"
  }

  assert {
    condition     = alltrue([for lane, queue in aws_sqs_queue.lane : jsondecode(queue.redrive_policy).deadLetterTargetArn == aws_sqs_queue.dead[lane].arn && jsondecode(queue.redrive_policy).maxReceiveCount == 100])
    error_message = "a lane loses what nobody can handle"
  }

  assert {
    condition     = alltrue([for queue in concat(values(aws_sqs_queue.lane), values(aws_sqs_queue.dead)) : queue.kms_master_key_id == var.kms_key_arn && queue.message_retention_seconds == 1209600])
    error_message = "messages are encrypted with the key, and kept for as long as can be"
  }

  assert {
    condition = alltrue([
      for policy in concat(values(aws_sqs_queue_policy.lane), values(aws_sqs_queue_policy.dead)) : anytrue([
        for s in jsondecode(policy.policy).Statement : s.Effect == "Deny" && s.Condition.Bool["aws:SecureTransport"] == "false"
        if s.Sid == "TlsOnly"
      ])
    ])
    error_message = "a queue takes requests without TLS"
  }

  # S3 may write to the one lane, for the one bucket of the one account
  assert {
    condition = {
      for lane, policy in aws_sqs_queue_policy.lane : lane => [for s in jsondecode(policy.policy).Statement : [s.Condition.ArnEquals["aws:SourceArn"], s.Condition.StringEquals["aws:SourceAccount"]] if s.Effect == "Allow"]
    } == { chunking = [["arn:aws:s3:::in", "111122223333"]], map = [], reassembly = [] }
    error_message = "who may write to the lanes"
  }
}

run "nobody_writes_where_the_function_is_called" {
  command = apply

  variables {
    upload_lane = null
  }

  assert {
    condition     = alltrue([for policy in values(aws_sqs_queue_policy.lane) : alltrue([for s in jsondecode(policy.policy).Statement : s.Effect == "Deny"])])
    error_message = "a queue is open that nobody writes to"
  }
}

run "a_lane_that_is_none" {
  command = plan

  variables {
    upload_lane = "uploads"
  }

  expect_failures = [var.upload_lane]
}
