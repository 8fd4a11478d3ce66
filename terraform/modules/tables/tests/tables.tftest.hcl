mock_provider "aws" {}

variables {
  name        = "segue"
  kms_key_arn = "arn:aws:kms:us-east-1:111122223333:key/00000000-0000-0000-0000-000000000000"
}

# What the adapter asks for: packages/adapter-aws/src/testing/provision.rs makes the same.
run "as_the_adapter_asks" {
  command = plan

  assert {
    condition     = aws_dynamodb_table.jobs.hash_key == "job_id" && aws_dynamodb_table.jobs.range_key == null && [aws_dynamodb_table.completions.hash_key, aws_dynamodb_table.completions.range_key] == ["job", "item"] && [aws_dynamodb_table.leases.hash_key, aws_dynamodb_table.leases.range_key] == ["job", "lease"] && aws_dynamodb_table.assets.hash_key == "asset_id" && aws_dynamodb_table.assets.range_key == null
    error_message = "the keys"
  }

  assert {
    condition     = [for index in aws_dynamodb_table.jobs.global_secondary_index : [index.name, index.hash_key, index.range_key, index.projection_type]] == [["by-open", "open", "open_since_ms", "KEYS_ONLY"], ["by-state", "state", "state_since_ms", "KEYS_ONLY"]]
    error_message = "the indexes"
  }

  assert {
    condition     = [for index in aws_dynamodb_table.assets.global_secondary_index : [index.name, index.hash_key, index.range_key, index.projection_type]] == [["by-owner", "listing", "place", "KEYS_ONLY"]]
    error_message = "the index of the assets"
  }

  assert {
    condition     = alltrue([for table in [aws_dynamodb_table.jobs, aws_dynamodb_table.completions, aws_dynamodb_table.leases, aws_dynamodb_table.assets] : length([for ttl in table.ttl : ttl if ttl.enabled]) == 0])
    error_message = "an item expires"
  }

  assert {
    condition     = alltrue([for table in [aws_dynamodb_table.jobs, aws_dynamodb_table.completions, aws_dynamodb_table.leases, aws_dynamodb_table.assets] : table.deletion_protection_enabled && table.point_in_time_recovery[0].enabled && table.server_side_encryption[0].kms_key_arn == var.kms_key_arn && table.billing_mode == "PAY_PER_REQUEST"])
    error_message = "kept safe"
  }
}
