mock_provider "aws" {}

variables {
  input_bucket  = "segue-in"
  output_bucket = "segue-out"
  kms_key_arn   = "arn:aws:kms:us-east-1:111122223333:key/00000000-0000-0000-0000-000000000000"
}

run "results_and_sources_stay" {
  command = plan

  assert {
    condition     = output.expire == { input = { "segments/" = 14 }, output = { "work/" = 14 } }
    error_message = "what is only needed on the way has to expire, and nothing else"
  }
}

run "sources_expire_where_asked" {
  command = plan

  variables {
    expire_sources_after_days = 30
  }

  assert {
    condition     = output.expire == { input = { "segments/" = 14, "input/" = 30 }, output = { "work/" = 14 } }
    error_message = "sources do not expire, or results do"
  }
}

run "a_job_needs_its_parts_for_a_day" {
  command = plan

  variables {
    expire_transient_after_days = 1
  }

  expect_failures = [var.expire_transient_after_days]
}
