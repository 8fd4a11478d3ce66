# The whole of it, planned with a provider that is none.

mock_provider "aws" {
  override_data {
    target = data.aws_caller_identity.this
    values = { account_id = "111122223333" }
  }

  override_data {
    target = data.aws_region.this
    values = { name = "eu-central-1" }
  }

  override_data {
    target = data.aws_partition.this
    values = { partition = "aws" }
  }

  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:111122223333:key/00000000-0000-0000-0000-000000000000" }
  }

  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-central-1:111122223333:queue", url = "https://sqs.eu-central-1.amazonaws.com/111122223333/queue" }
  }

  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::bucket" }
  }

  mock_resource "aws_dynamodb_table" {
    defaults = { arn = "arn:aws:dynamodb:eu-central-1:111122223333:table/table" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111122223333:role/role" }
  }

  mock_resource "aws_iam_instance_profile" {
    defaults = { arn = "arn:aws:iam::111122223333:instance-profile/machine" }
  }

  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-central-1:111122223333:alarms" }
  }

  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:111122223333:log-group:group" }
  }

  mock_resource "aws_ecs_cluster" {
    defaults = { arn = "arn:aws:ecs:eu-central-1:111122223333:cluster/cluster" }
  }

  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:eu-central-1:111122223333:task-definition/task:1" }
  }

  mock_resource "aws_appautoscaling_policy" {
    defaults = { arn = "arn:aws:autoscaling:eu-central-1:111122223333:scalingPolicy:00000000-0000-0000-0000-000000000000:resource/ecs/service/segue/worker:policyName/out" }
  }

  mock_resource "aws_autoscaling_group" {
    defaults = { arn = "arn:aws:autoscaling:eu-central-1:111122223333:autoScalingGroup:00000000-0000-0000-0000-000000000000:autoScalingGroupName/segue-gpu" }
  }

  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:eu-central-1:111122223333:function:segue-ingest" }
  }

  mock_resource "aws_launch_template" {
    defaults = { id = "lt-00000000000000000", latest_version = 1 }
  }

  mock_data "aws_ssm_parameter" {
    defaults = { value = "ami-00000000000000000" }
  }
}

variables {
  image = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/segue:1.0.0"
  zones = ["eu-central-1a"]
}

run "by_default" {
  command = apply

  # every variable that the adapter cannot do without is set, and set to something
  assert {
    condition = alltrue([
      for name in regexall("must\\(\"([A-Z_]+)\"", file("../packages/adapter-aws/src/settings.rs")) : length(lookup(output.environment, name[0], "")) > 0
    ])
    error_message = "a variable of the contract is missing"
  }

  assert {
    condition     = length([for name in regexall("must\\(\"([A-Z_]+)\"", file("../packages/adapter-aws/src/settings.rs")) : output.environment[name[0]]]) >= 8
    error_message = "the contract could not be read"
  }

  assert {
    condition     = output.environment.ASSETS_TABLE_NAME == module.tables.names.assets && length(output.environment.ASSETS_TABLE_NAME) > 0
    error_message = "the table of the assets"
  }

  # what the alarms look for is what the programs say
  assert {
    condition = alltrue([
      for words in [for pattern in values(module.watch.patterns) : regex("\"([^\"]+)\"", pattern)[0]] :
      words == "ERROR" || anytrue([for source in fileset("../packages/pipeline/src", "**/*.rs") : strcontains(file("../packages/pipeline/src/${source}"), "\"${words}\"")])
    ])
    error_message = "an alarm waits for words that nobody says"
  }

  assert {
    condition     = [for queue in aws_s3_bucket_notification.uploads.queue : [queue.events, queue.filter_prefix]] == [[toset(["s3:ObjectCreated:*"]), "input/"]] && length(aws_s3_bucket_notification.uploads.lambda_function) == 0
    error_message = "uploads are told of to the queue, all kinds of them, and nothing else is"
  }

  assert {
    condition     = keys(output.services) == ["chunker", "reassembler", "sweeper", "worker"]
    error_message = "the services"
  }
}

run "by_lambda" {
  command = apply

  variables {
    uploads = "lambda"
    lambda  = { bundle = "tests/bundle.txt" }
  }

  assert {
    condition     = length(aws_s3_bucket_notification.uploads.queue) == 0 && length(aws_s3_bucket_notification.uploads.lambda_function) == 1
    error_message = "uploads call the function"
  }
}

run "by_queue_and_lambda" {
  command = apply

  variables {
    uploads = "queue-lambda"
    lambda  = { bundle = "tests/bundle.txt", architecture = "x86_64" }
  }

  assert {
    condition     = length(aws_s3_bucket_notification.uploads.queue) == 1 && contains(local.lanes, "uploads")
    error_message = "uploads have a queue that the function reads"
  }
}

run "with_machines" {
  command = apply

  variables {
    gpu = { image = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/segue:1.0.0-cuda" }
  }

  assert {
    condition     = length(module.workers_gpu) == 1 && length(output.environment.MAP_GPU_QUEUE_URL) > 0 && contains(local.lanes, "map-gpu")
    error_message = "there are machines, and tasks for them have their own queue"
  }
}

run "with_further_lanes" {
  command = apply

  variables {
    more_lanes = ["notify", "net", "study"]
  }

  # each has a variable that the adapter reads, dead letters and alarms
  assert {
    condition     = alltrue([for lane in var.more_lanes : length(output.environment["${upper(lane)}_QUEUE_URL"]) > 0 && strcontains(file("../packages/adapter-aws/src/settings.rs"), "\"${upper(lane)}_QUEUE_URL\"")])
    error_message = "a lane has no variable"
  }

  assert {
    condition     = alltrue([for lane in var.more_lanes : contains(keys(module.queues.dead_names), lane)])
    error_message = "a lane has no dead letters"
  }
}

run "a_further_lane_that_is_none" {
  command = plan

  variables {
    more_lanes = ["dance"]
  }

  expect_failures = [var.more_lanes]
}

run "nobody_works" {
  command = plan

  variables {
    cpu = {
      chunker     = { cpu = 1024, memory_mb = 2048 }
      reassembler = { cpu = 2048, memory_mb = 4096 }
      sweeper     = { cpu = 256, memory_mb = 512, min = 1 }
    }
  }

  expect_failures = [var.cpu]
}

run "nobody_sweeps" {
  command = plan

  variables {
    cpu = {
      chunker     = { cpu = 1024, memory_mb = 2048 }
      worker      = { cpu = 1024, memory_mb = 2048 }
      reassembler = { cpu = 2048, memory_mb = 4096 }
      sweeper     = { cpu = 256, memory_mb = 512, min = 0 }
    }
  }

  expect_failures = [var.cpu]
}

run "a_function_without_a_bundle" {
  command = plan

  variables {
    uploads = "lambda"
  }

  expect_failures = [var.uploads]
}
