# The ledger: jobs, completions, leases; and the catalogue of assets. What the attributes mean is in packages/adapter-aws/design.md.
#
# No table has a TTL. Outputs can be added to a job for as long as its asset lives, and a row that expired
# could not be told from a deleted job. A lease that expired would give its term twice.

resource "aws_dynamodb_table" "jobs" {
  name                        = "${var.name}-jobs"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "job_id"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "job_id"
    type = "S"
  }

  attribute {
    name = "state"
    type = "S"
  }

  attribute {
    name = "state_since_ms"
    type = "N"
  }

  attribute {
    name = "open"
    type = "S"
  }

  attribute {
    name = "open_since_ms"
    type = "N"
  }

  # jobs by state, the longest in it first
  global_secondary_index {
    name            = "by-state"
    hash_key        = "state"
    range_key       = "state_since_ms"
    projection_type = "KEYS_ONLY"
  }

  # jobs that the sweeper has to look at, in eight shards; the others are not in it
  global_secondary_index {
    name            = "by-open"
    hash_key        = "open"
    range_key       = "open_since_ms"
    projection_type = "KEYS_ONLY"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }
}

resource "aws_dynamodb_table" "completions" {
  name                        = "${var.name}-segment-completions"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "job"
  range_key                   = "item"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "job"
    type = "S"
  }

  attribute {
    name = "item"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }
}

resource "aws_dynamodb_table" "assets" {
  name                        = "${var.name}-assets"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "asset_id"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "asset_id"
    type = "S"
  }

  attribute {
    name = "listing"
    type = "S"
  }

  attribute {
    name = "place"
    type = "S"
  }

  # assets by owner and time of creation; tombstones by time of deletion
  global_secondary_index {
    name            = "by-owner"
    hash_key        = "listing"
    range_key       = "place"
    projection_type = "KEYS_ONLY"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }
}

resource "aws_dynamodb_table" "leases" {
  name                        = "${var.name}-reassembly-triggered"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "job"
  range_key                   = "lease"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "job"
    type = "S"
  }

  attribute {
    name = "lease"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }
}
